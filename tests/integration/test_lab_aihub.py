"""Rent phones of a fake AI Hub, asked by Qualcomm's own client in its own venv."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import cache, child
from harness.cli import main
from harness.devices.phone.adb import AdbServer
from harness.errors import ConfigError, DeviceError, HarnessError, MeasurementError, ModelError
from harness.evidence import Evidence, Provenance
from harness.lab import Facts, aihub_results
from harness.lab.aihub import AihubLab
from harness.lab.fakes.aihub import FakeAihub
from harness.lab.fakes.serving import TOKEN, LabFault
from harness.latency import Latency
from harness.memory import Memory
from harness.placement import Placement
from harness.requests import Fact, Verb
from harness.results import latest, load
from harness.subjects import load as load_subject
from tests import aihub, phones, tiny
from tests.aihub import TARGET
from tests.phones import SIZE, Plugged

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return aihub.client(tmp_path_factory.mktemp("aihub"))


@pytest.fixture
def hub(python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAihub]:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    with aihub.served(tmp_path, python, refused_ops=("TRANSPOSE_CONV",)) as fake:
        yield fake


def taken(lab: AihubLab, *verbs: Verb) -> dict[Verb, Fact]:
    facts = {fact.request.verb: fact for fact in Facts(lab).take(phones.requests(TARGET, *verbs))}
    lab.close()
    return facts


def test_one_job_gives_the_facts_of_the_cable(
    hub: FakeAihub, plugged: Plugged, server: AdbServer
) -> None:
    facts = taken(aihub.opened())

    assert hub.submitted() == 1
    plugged.folder.switch(  # 20 times from 5 to 5.19 ms are those of the fake server
        latency_us={"": 5095.0}, noise_share=0.0, refused_ops=("TRANSPOSE_CONV",)
    )
    with plugged.phone("gpu") as phone:
        phones.assert_same({verb: fact.answer for verb, fact in facts.items()}, phone)
    found = facts[Verb.PLACE].answer
    assert isinstance(found, Placement)
    assert isinstance(facts[Verb.MEMORY].answer, Memory)
    assert facts[Verb.COUNT].answer is None
    assert found.provenance.lab == "aihub"
    assert found.provenance.evidence.value == "FAKE"
    assert "no state contract" in found.provenance.note


def test_another_job_is_another_unit_to_what_compares_numbers(hub: FakeAihub) -> None:
    found = [taken(aihub.opened(), Verb.TIME)[Verb.TIME].answer for _ in range(2)]

    assert len({answer.provenance.device for answer in found if isinstance(answer, Latency)}) == 2


def test_nothing_is_sent_before_the_user_agrees(hub: FakeAihub, project: pytest.Pytester) -> None:
    command = ["--device=pixel4:gpu", "--lab=aihub", "--subject=unet.fp32", "test_fallback.py"]

    refused = project.runpytest(*command)
    before = list(hub.asked)
    agreed = project.runpytest(*command, "--yes")

    assert refused.ret == pytest.ExitCode.USAGE_ERROR
    assert "lab_consent" in refused.stderr.str()
    assert before == []
    assert agreed.ret != pytest.ExitCode.USAGE_ERROR
    run = load(latest(project.path))
    assert run.run.lab == "aihub"
    assert {fact.error for fact in run.facts} == {""}
    files = [path for path in project.path.rglob("*") if path.is_file()]
    files += [path for path in cache.root().rglob("*") if path.is_file()]
    assert not [path for path in files if TOKEN.encode() in path.read_bytes()]


def test_what_was_accepted_of_one_job_is_not_compared_with_another(
    hub: FakeAihub, project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.path)
    asked = ["--device=pixel4:gpu", "--lab=aihub", "--yes"]
    with pytest.raises(SystemExit, match="0"):
        main(["bless", tiny.NAME, *asked, "--because=release 1"])
    assert hub.submitted() == len(load_subject(project.path / "golden" / tiny.NAME).variants)

    result = project.runpytest(*asked, "--subject=unet.fp32", "test_regression.py")

    assert result.parseoutcomes() == {"inconclusive": 1}


@pytest.mark.parametrize(
    ("fault", "after", "kind", "said"),
    [
        (LabFault.UNAUTHORIZED, 4, DeviceError, "authenticate"),
        (LabFault.UNAUTHORIZED, 12, DeviceError, "authenticate"),
        (LabFault.FAILED, 0, DeviceError, "ran out of memory"),
        (LabFault.FOREIGN, 0, DeviceError, "another model"),
        (LabFault.ENDLESS, 0, DeviceError, "--resume"),
    ],
)
def test_each_fault_is_one_clear_error_and_never_a_fact(
    hub: FakeAihub, fault: LabFault, after: int, kind: type[HarnessError], said: str
) -> None:
    lab = aihub.opened(job_s=2.0)
    hub.plant(fault, after=after, times=1000)

    facts = taken(lab, Verb.TIME, Verb.RUN)

    assert {type(fact.error) for fact in facts.values()} == {kind}
    assert all(said in str(fact.error) for fact in facts.values()), facts
    assert not any(TOKEN in str(fact.error) for fact in facts.values())


def test_a_server_that_stumbles_is_asked_again(hub: FakeAihub) -> None:
    lab = aihub.opened()
    for after, fault in enumerate((LabFault.THROTTLED, LabFault.BROKEN, LabFault.GONE)):
        hub.plant(fault, after=10 + after)

    assert taken(lab, Verb.RUN)[Verb.RUN].error is None


def test_outputs_that_were_cut_off_are_no_outputs(hub: FakeAihub) -> None:
    lab = aihub.opened()
    hub.plant(LabFault.TRUNCATED, after=15, times=50)

    assert isinstance(taken(lab, Verb.RUN)[Verb.RUN].error, DeviceError)


def test_a_server_that_is_away_is_one_error(hub: FakeAihub, tmp_path: Path) -> None:
    (tmp_path / "client.ini").write_text(
        f"[api]\napi_token = {TOKEN}\napi_url = http://127.0.0.1:1\nweb_url = http://127.0.0.1:1\n"
    )

    with pytest.raises(DeviceError, match="connect") as away:
        aihub.opened()
    assert TOKEN not in str(away.value)


def test_a_run_that_goes_on_takes_over_jobs_that_ended_meanwhile(hub: FakeAihub) -> None:
    hub.plant(LabFault.ENDLESS)
    first = taken(aihub.opened(job_s=1.0), Verb.TIME)
    for job in hub._stored.jobs.values():
        job.fault = None

    again = taken(aihub.opened(resume=True), Verb.TIME)
    after = taken(aihub.opened(resume=True), Verb.TIME)

    assert isinstance(first[Verb.TIME].error, DeviceError)
    assert isinstance(again[Verb.TIME].answer, Latency)
    assert isinstance(after[Verb.TIME].answer, Latency)
    assert hub.submitted() == 2  # the first was taken over, the last is new


def test_the_client_that_is_killed_is_one_error(
    hub: FakeAihub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = aihub.opened()
    killed = tmp_path / "python"
    killed.write_text("#!/bin/sh\nkill -9 $$\n")
    killed.chmod(0o755)
    monkeypatch.setenv("HARNESS_AIHUB_PYTHON", str(killed))

    assert isinstance(taken(lab, Verb.TIME)[Verb.TIME].error, DeviceError)


def test_qualcomms_client_alone_finds_the_fake_honest(
    hub: FakeAihub, python: Path, tmp_path: Path
) -> None:
    (tmp_path / "model.tflite").write_bytes(phones.model().at(SIZE).data)
    script = (
        "import sys, numpy as np, qai_hub as hub\n"
        "name = sys.argv[2]\n"
        "job = hub.submit_inference_job(sys.argv[1], hub.Device('Google Pixel 4'),\n"
        "    inputs={name: [np.zeros((1, 32, 32, 3), np.float32)]},\n"
        "    options='--tflite_delegates gpu', profile=True)\n"
        "assert job.wait().success\n"
        "summary = job.download_profile()['execution_summary']\n"
        "assert summary['all_inference_times'] == [5000 + 10 * i for i in range(20)], summary\n"
        "assert [v[0].shape for v in job.download_output_data().values()] == [(1, 32, 32, 3)]\n"
    )
    name = phones.model().graph.input_names[0]

    done = child.run(
        [python, "-c", script, tmp_path / "model.tflite", name], stage="the client", timeout_s=120
    )

    assert done.exit_code == 0, done.stderr[-2000:]


@pytest.mark.parametrize(
    ("code", "kind"),
    [(12000, DeviceError), (2001, DeviceError), (2200, DeviceError), (3000, ModelError),
     (13000, ConfigError), (13002, ModelError), (21000, DeviceError), (77, DeviceError)],
)  # fmt: skip
def test_each_failure_type_is_an_error_of_its_kind(code: int, kind: type[HarnessError]) -> None:
    assert type(aihub_results.failure(code, "j1: it failed")) is kind


def test_the_profile_of_another_model_is_void() -> None:
    layer = aihub_results.Layer(name="elsewhere", type="CONV_2D", unit="GPU")
    found = aihub_results.JobResult(
        outputs=(), times_us=(1,), cold_load_us=1, peak_bytes=0, tools={}, layers=(layer,)
    )
    made = Provenance(evidence=Evidence.FAKE, device="a phone", variant_sha256="")

    with pytest.raises(MeasurementError, match="another model"):
        aihub_results.placed(found, phones.model(), TARGET, made)
