"""Rent a fake phone from a fake Device Run, with a bucket beside it and a stub gcloud."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import child, sequential
from harness.devices.benchmark import benchmark_result
from harness.devices.connect import PhoneSetup
from harness.devices.fake_phone import folder as folders
from harness.devices.fake_phone.folder import Folder
from harness.devices.phone.adb import AdbServer
from harness.errors import ConfigError, DeviceError, HarnessError, MeasurementError
from harness.images import Output
from harness.lab import Facts, devicerun_script
from harness.lab.devicerun import DeviceRunLab, SessionPace
from harness.lab.fakes.devicerun import FakeDeviceRun
from harness.lab.fakes.serving import TOKEN, LabFault
from harness.lab.web import Patience
from harness.latency import Latency, Pairs
from harness.memory import Memory
from harness.placement import Placement
from harness.profiles import Target
from harness.requests import Fact, Request, Verb
from harness.results import latest, load
from harness.sequential import Decision
from tests import models, phones
from tests.phones import PIXEL_4, SIZE, Plugged

pytestmark = pytest.mark.slow

TARGET = Target(profile=PIXEL_4, delegate="gpu")
PATIENCE = Patience(tries=4, wait_s=0.01, timeout_s=30.0)
NAME = "my-project/flame-29"


@pytest.fixture
def phone(tmp_path: Path) -> Folder:
    return folders.create(tmp_path / "rented")


@pytest.fixture
def run(phone: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeDeviceRun]:
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "gcloud").write_text(f"#!/bin/sh\necho {TOKEN}\n")
    (programs / "gcloud").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("HARNESS_BENCHMARK_TOOL", str(phone.tool))
    with FakeDeviceRun(phone) as fake:
        monkeypatch.setenv("DEVICE_RUN_ENDPOINT", fake.url)
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", fake.url)
        monkeypatch.setenv("LITERT_GCP_BUCKET", fake.bucket)
        yield fake


def opened(*, session_s: float = 120.0) -> DeviceRunLab:
    pace = SessionPace(poll_s=0.05, session_s=session_s)
    lab = DeviceRunLab(NAME, phone_setup=PhoneSetup(), patience=PATIENCE, pace=pace)
    lab.open()
    return lab


def taken(lab: DeviceRunLab, requests: list[Request]) -> dict[Verb, Fact]:
    facts = {fact.request.verb: fact for fact in Facts(lab).take(requests)}
    lab.close()
    return facts


def test_one_session_gives_the_facts_of_the_cable(
    run: FakeDeviceRun, phone: Folder, plugged: Plugged, server: AdbServer
) -> None:
    for one in (phone, plugged.folder):
        one.switch(latency_us={"": 700.0}, noise_share=0.0, refused_ops=("TRANSPOSE_CONV",))

    facts = taken(opened(), phones.requests(TARGET))

    assert len([path for method, path in run.asked if path.endswith("/sessions")]) == 1
    with plugged.phone("gpu") as direct:
        phones.assert_same(
            {verb: facts[verb].value() for verb in (Verb.PLACE, Verb.RUN, Verb.TIME)}, direct
        )
        memory = direct.memory(phones.model().at(SIZE))
    found, time_ = facts[Verb.PLACE].value(), facts[Verb.TIME].value()
    assert isinstance(found, Placement)
    assert isinstance(time_, Latency)
    assert time_.low_ms is not None
    measured = facts[Verb.MEMORY].value()
    assert isinstance(measured, Memory)
    assert (measured.reported_peak_mib is None) == (memory.reported_peak_mib is None)
    assert facts[Verb.COUNT].answer is None
    assert found.provenance.lab == f"devicerun:{NAME}"
    assert found.provenance.evidence.value == "FAKE"
    assert "unit is not known" in found.provenance.note


def test_the_output_is_made_twice_and_compared(run: FakeDeviceRun, phone: Folder) -> None:
    phone.switch(later_error=0.25)

    (fact,) = taken(opened(), phones.requests(TARGET, Verb.RUN)).values()

    output = fact.value()
    assert isinstance(output, Output)
    assert output.repeat_relative_l2 is not None
    assert output.repeat_relative_l2 > 0.1


def test_models_are_timed_forwards_and_backwards_in_turn(run: FakeDeviceRun) -> None:
    other = phones.model(models.unet(), name="other")
    requests = [
        *phones.requests(TARGET, Verb.TIME),
        Request(target=TARGET, verb=Verb.TIME, model=other, size=SIZE),
    ]

    script = opened()._script(requests)

    order = [line.rpartition(">")[2].rpartition("/")[2] for line in script.lines]
    timed = [name.removesuffix(".code").partition("-")[0] for name in order if "code" in name]
    assert timed == list("0110011001")


def test_two_models_are_compared_a_b_b_a_in_one_session(
    run: FakeDeviceRun, phone: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devicerun_script, "PAIRS", 12)
    now, before = phones.model(), phones.model(models.conv_net(), name="before")
    sized = now.at(SIZE).sha256
    phone.switch(latency_us={"": 1000.0, sized: 1200.0}, noise_share=0.01)
    request = Request(target=TARGET, verb=Verb.COMPARE, model=now, size=SIZE, before=before)

    lab = opened()
    lines = lab._script([request]).lines
    order = [line.partition("/out/0-")[2][:1] for line in lines]
    pairs = taken(lab, [request])[Verb.COMPARE].value()

    assert "".join(one for one in order if one in "bc") == "bccb" * 6
    assert isinstance(pairs, Pairs)
    assert pairs.before_sha256 == before.at(SIZE).sha256
    found = sequential.compare(pairs.before_ms, pairs.now_ms)
    assert found is not None
    assert found.ruling is Decision.SLOWER
    assert found.ratio == pytest.approx(1.2, rel=0.05)


def test_a_phone_that_is_hot_gives_no_latency(run: FakeDeviceRun, phone: Folder) -> None:
    phone.write("/sys/class/thermal/thermal_zone1/temp", "60000\n")

    facts = taken(opened(), phones.requests(TARGET, Verb.TIME, Verb.PLACE))

    assert isinstance(facts[Verb.TIME].error, MeasurementError)
    assert facts[Verb.PLACE].error is None


def test_a_phone_of_another_kind_gives_no_fact(run: FakeDeviceRun, phone: Folder) -> None:
    phone.setprop("ro.product.model", "Nokia 8")

    assert isinstance(
        taken(opened(), phones.requests(TARGET, Verb.PLACE))[Verb.PLACE].error, ConfigError
    )


@pytest.mark.parametrize(
    ("fault", "after", "said"),
    [
        (LabFault.FAILED, 0, "left no files"),
        (LabFault.FOREIGN, 0, "another script"),
        (LabFault.ENDLESS, 0, "did not end"),
        (LabFault.BROKEN, 3, "500"),
        (LabFault.GONE, 3, "cannot be reached"),
        (LabFault.TRUNCATED, 12, "cut off"),
    ],
)
def test_each_fault_is_one_clear_error_and_nothing_goes_on(
    run: FakeDeviceRun, fault: LabFault, after: int, said: str
) -> None:
    lab = opened(session_s=0.5 if fault is LabFault.ENDLESS else 120.0)
    run.plant(fault, after=after, times=6)

    (fact,) = lab.answer(phones.requests(TARGET, Verb.PLACE))
    run.faults.clear()

    assert isinstance(fact.error, DeviceError)
    assert said in str(fact.error)
    assert TOKEN not in str(fact.error)
    assert lab.close() == []
    assert run.running() == set()


def test_a_token_that_ran_out_is_asked_for_again(run: FakeDeviceRun) -> None:
    lab = opened()
    run.plant(LabFault.UNAUTHORIZED, after=3)
    run.plant(LabFault.UNAUTHORIZED, after=8)

    assert taken(lab, phones.requests(TARGET, Verb.PLACE))[Verb.PLACE].error is None


def test_a_token_that_is_never_accepted_is_one_error(run: FakeDeviceRun) -> None:
    run.plant(LabFault.UNAUTHORIZED, times=1000)

    with pytest.raises(ConfigError, match="token") as refused:
        opened()
    assert TOKEN not in str(refused.value)


@pytest.mark.parametrize("argument", ["", "my-project", "MY/x", "my-project/a b", "a/b/c"])
def test_a_lab_without_project_and_device_says_what_to_write(argument: str) -> None:
    with pytest.raises(ConfigError, match="PROJECT/DEVICE"):
        DeviceRunLab(argument, phone_setup=PhoneSetup())


@pytest.mark.slow
def test_a_run_that_is_told_to_stop_cancels_its_session(
    run: FakeDeviceRun, project: pytest.Pytester
) -> None:
    run.plant(LabFault.ENDLESS)
    command = [sys.executable, "-m", "pytest", "--device=pixel4:gpu", f"--lab=devicerun:{NAME}"]
    started = project.popen([*command, "--subject=unet.fp32"], stdin=-3, stdout=-1)
    deadline = time.monotonic() + 60
    while not run.running():
        assert time.monotonic() < deadline
        assert started.poll() is None
        time.sleep(0.05)

    os.kill(started.pid, signal.SIGTERM)
    said, _ = started.communicate(timeout=60)

    assert started.returncode == pytest.ExitCode.INTERRUPTED, said
    assert run.running() == set()
    assert load(latest(project.path)).run.lab == f"devicerun:{NAME}"
    files = [path for path in project.path.rglob("*") if path.is_file()]
    assert not [path for path in files if TOKEN.encode() in path.read_bytes()]


def test_every_error_is_one_of_the_harness(run: FakeDeviceRun, phone: Folder) -> None:
    phone.switch(tool_build="2020")

    facts = taken(opened(), phones.requests(TARGET, Verb.RUN, Verb.PLACE))

    assert all(isinstance(fact.error, HarnessError) for fact in facts.values())


GCLOUD = """
import os, shutil, sys, urllib.error, urllib.parse, urllib.request

TOKEN, BASE = %r, os.environ["STORAGE_EMULATOR_HOST"]


def ask(path, data=None):
    request = urllib.request.Request(BASE + path, data, {"Authorization": "Bearer " + TOKEN})
    return urllib.request.urlopen(request).read()


def quote(path):
    bucket, _, name = path.removeprefix("gs://").partition("/")
    return bucket, urllib.parse.quote(name, safe="")


match sys.argv[1:]:
    case ["auth", "application-default", "print-access-token"]:
        print(TOKEN)
    case ["storage", "ls", bucket]:
        ask("/storage/v1/b/" + bucket.removeprefix("gs://"))
    case ["storage", "cp", *sources, sink]:
        for source in sources:
            if source.startswith("gs://"):
                bucket, name = quote(source)
                data = ask(f"/storage/v1/b/{bucket}/o/{name}?alt=media")
                open(os.path.join(sink, os.path.basename(source)), "wb").write(data)
            else:
                bucket, name = quote(sink + os.path.basename(source))
                path = f"/upload/storage/v1/b/{bucket}/o?uploadType=media&name={name}"
                ask(path, open(source, "rb").read())
    case other:
        sys.exit(f"gcloud: {other}")
"""


def litert_cli(folder: Path) -> Path:
    """Return Google's `litert`, in a venv made here where none is named; skip without."""
    named = os.environ.get("HARNESS_LITERT_CLI")
    if named:
        return Path(named)
    steps: tuple[list[str | Path], ...] = (
        [sys.executable, "-m", "venv", folder],
        [folder / "bin" / "pip", "install", "--quiet", "litert-cli==0.2.1"],
    )
    for step in steps:
        done = child.run(step, stage="installing litert-cli", timeout_s=600)
        if done.exit_code:
            pytest.skip("litert-cli cannot be installed here")
    return folder / "bin" / "litert"


@pytest.mark.slow
def test_googles_client_alone_finds_the_fake_honest(
    run: FakeDeviceRun, phone: Folder, tmp_path: Path
) -> None:
    litert = litert_cli(tmp_path / "venv")
    gcloud = tmp_path / "programs" / "gcloud"
    gcloud.write_text(f"#!{sys.executable}\n{GCLOUD % TOKEN}")
    (tmp_path / "fp32.tflite").write_bytes(phones.model().at(SIZE).data)

    done = child.run(
        [litert, "benchmark", tmp_path / "fp32.tflite", "--ddp", "--gpu", "--device=flame-29",
         "--gcp-project=my-project", f"--gcp-bucket={run.bucket}", "--min-secs=0"],
        stage="litert", timeout_s=120, env={"HOME": str(tmp_path)},
    )  # fmt: skip

    assert done.exit_code == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "PASSED" in done.stdout
    results = [path for path in tmp_path.rglob("results.pb") if phone.path not in path.parents]
    assert [benchmark_result.parse(path.read_bytes()).runs for path in results] == [50]
