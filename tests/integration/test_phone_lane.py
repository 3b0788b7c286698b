"""Run the whole phone lane as a user does: pytest and the command line on a fake phone."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import harness
from harness.cli import main
from harness.evidence import Evidence, sha256_of
from harness.fact_lines import answer_of
from harness.latency import Latency
from harness.results import latest, load
from harness.verdict import Change
from tests import models, phones, tiny
from tests.phones import Plugged

pytestmark = pytest.mark.slow


@pytest.fixture
def plugged(tmp_path: Path) -> Iterator[Plugged]:
    with (
        phones.default_server(tmp_path) as server,
        phones.with_tool(tmp_path / "phone", server) as fake,
    ):
        yield fake


def test_the_same_gates_measure_on_a_phone(plugged: Plugged, project: pytest.Pytester) -> None:
    result = project.runpytest_subprocess(
        "--device=pixel4:gpu", f"--serial={plugged.serial}", "--subject=unet.fp32", "-k", "not scal"
    )

    records = list(load(latest(project.path)).records)
    kinds = {r.verdict.evidence for r in records if r.verdict.provenance is not None}
    assert kinds == {Evidence.FAKE}
    gates = {r.verdict.gate for r in records}
    assert gates == {"latency", "cpu_fallback", "fidelity", "regression"}
    fidelity = {r.verdict.outcome.value for r in records if r.verdict.gate == "fidelity"}
    assert fidelity == {"PASS"}, result.stdout.str()
    assert plugged.wait_until_quiet()


def test_a_phone_that_makes_something_else_of_the_same_input_fails_fidelity(
    plugged: Plugged, project: pytest.Pytester
) -> None:
    plugged.folder.switch(later_error=0.25)

    project.runpytest_subprocess(
        "--device=pixel4:gpu", f"--serial={plugged.serial}", "--subject=unet.fp32",
        "test_fidelity.py",
    )  # fmt: skip

    verdicts = [record.verdict for record in load(latest(project.path)).records]
    twice = [one for one in verdicts if one.metric == "repeat_relative_l2"]
    assert {one.outcome.value for one in twice} == {"FAIL"}
    assert "the first inference after loading and a later one differ" in twice[0].because


@pytest.mark.slow
def test_python_code_measures_on_a_phone(plugged: Plugged, golden_dir: Path) -> None:
    with harness.connect("pixel4:gpu", origin="phone", serial=plugged.serial) as phone:
        latency = phone.time(harness.load(golden_dir / "unet" / "fp32.tflite"))
    verdicts = [
        record.verdict
        for record in harness.judge(
            golden_dir, "pixel4:gpu", subject="unet.fp32", origin="phone", serial=plugged.serial
        )
        if record.verdict.gate == "cpu_fallback"
    ]

    assert isinstance(latency, Latency)
    assert {latency.provenance.evidence, *(v.evidence for v in verdicts)} == {Evidence.FAKE}
    assert verdicts
    assert plugged.wait_until_quiet()


def test_a_blessed_number_names_its_phone_and_another_one_is_not_compared(
    plugged: Plugged, project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.path)
    asked = ["--device=pixel4:gpu", f"--serial={plugged.serial}"]
    with pytest.raises(SystemExit, match="0"):
        main(["bless", tiny.NAME, *asked, "--origin=phone", "--because=release 1", "--yes"])
    path = project.path / "golden" / tiny.NAME / "baselines.json"
    text = path.read_text(encoding="utf-8")
    measured = [b for b in json.loads(text)["baselines"] if b["evidence"] == "FAKE"]
    assert {b["fingerprint"] for b in measured} == {f"Pixel 4 ({plugged.serial}) gpu"}
    assert all(b["low"] <= b["value"] <= b["high"] for b in measured if b["metric"] == "latency_ms")
    path.write_text(text.replace(plugged.serial, "another"), encoding="utf-8")

    result = project.runpytest_subprocess(*asked, "--subject=unet.fp32", "test_regression.py")

    assert result.parseoutcomes() == {"inconclusive": 1}
    assert "blessed on Pixel 4 (another) gpu" in " ".join(result.stdout.str().split())


def test_what_a_run_measured_is_blessed_from_it_without_the_phone(
    plugged: Plugged, project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.path)
    project.runpytest_subprocess("--device=pixel4:gpu", f"--serial={plugged.serial}")
    run = latest(project.path)
    measured = {
        (one.variant, one.resolution): answer_of(one, where="time").ms
        for one in load(run).facts
        if one.verb == "time"
    }
    plugged.do(plugged.daemon.unplug())
    bless = ["bless", tiny.NAME, f"--from={run}", "--because=measured in the lab", "--yes"]

    with pytest.raises(SystemExit, match="0"):
        main(bless)

    path = project.path / "golden" / tiny.NAME / "baselines.json"
    blessed = [b for b in json.loads(path.read_text())["baselines"] if b["evidence"] == "FAKE"]
    assert {b["fingerprint"] for b in blessed} == {f"Pixel 4 ({plugged.serial}) gpu"}
    times = {
        (b["variant"], b["resolution"]): b["value"] for b in blessed if b["metric"] == "latency_ms"
    }
    assert {variant for variant, _ in times} == {"fp32", "int8_ptq"}
    assert times.items() <= measured.items()


def test_a_run_of_another_file_blesses_nothing(
    plugged: Plugged, project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.path)
    project.runpytest_subprocess("--device=pixel4:gpu", f"--serial={plugged.serial}")
    folder = project.path / "golden" / tiny.NAME
    before = (folder / "baselines.json").read_bytes()
    (folder / "fp32.tflite").write_bytes(models.unet(size_px=tiny.SIZE_PX, levels=3))

    with pytest.raises(SystemExit, match="2"):
        main(["bless", tiny.NAME, f"--from={latest(project.path)}", "--because=x", "--yes"])

    assert (folder / "baselines.json").read_bytes() == before


@pytest.mark.parametrize(("limit", "outcome"), [(1e6, "PASS"), (0.001, "FAIL")])
def test_memory_and_the_first_inference_are_measured_on_a_phone(
    plugged: Plugged, project: pytest.Pytester, limit: float, outcome: str
) -> None:
    tiny.edit(
        project.path / "golden" / tiny.NAME / "subject.toml",
        'resolution = "64x64"\n',
        f'resolution = "64x64"\npeak_memory_mib = {limit}\nfirst_inference_ms = {limit}\n',
    )

    project.runpytest_subprocess(
        "--device=pixel4:gpu", f"--serial={plugged.serial}", "--subject=unet.fp32",
        "test_memory.py", "test_first_inference.py",
    )  # fmt: skip

    verdicts = [r.verdict for r in load(latest(project.path)).records]
    assert {(v.metric, v.outcome.value, v.evidence) for v in verdicts} == {
        ("peak_memory_mib", outcome, Evidence.FAKE),
        ("first_inference_ms", outcome, Evidence.FAKE),
    }


@pytest.mark.parametrize(
    ("inference_mj", "outcome"), [(7.5, "PASS"), (90.0, "FAIL"), (0.0, "INCONCLUSIVE")]
)
def test_an_inferences_energy_is_held_to_its_budget(
    plugged: Plugged, project: pytest.Pytester, inference_mj: float, outcome: str
) -> None:
    plugged.folder.switch(inference_mj=inference_mj)
    tiny.edit(
        project.path / "golden" / tiny.NAME / "subject.toml",
        'resolution = "64x64"\n',
        'resolution = "64x64"\nenergy_mj = 30.0\n',
    )

    project.runpytest_subprocess(
        "--device=pixel4:gpu", f"--serial={plugged.serial}", "--subject=unet.fp32", "test_energy.py"
    )

    (verdict,) = [r.verdict for r in load(latest(project.path)).records]
    assert (verdict.metric, verdict.outcome.value) == ("energy_mj", outcome), verdict


def test_a_fake_phone_is_not_taken_unless_its_serial_is_given(
    plugged: Plugged, project: pytest.Pytester
) -> None:
    plugged.connection.wait_ready(timeout_s=10)

    project.runpytest_subprocess("--device=pixel4", "--subject=unet.fp32", "test_fallback.py")

    kinds = {r.verdict.evidence for r in load(latest(project.path)).records}
    assert Evidence.FAKE not in kinds


def test_several_processes_may_not_time_one_phone(
    plugged: Plugged, project: pytest.Pytester
) -> None:
    result = project.runpytest_subprocess(
        "--device=pixel4", f"--serial={plugged.serial}", "test_latency.py", "-n", "2"
    )

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "leave out -n" in " ".join(result.stdout.str().split())


def test_an_unknown_preset_is_one_clear_error(plugged: Plugged, project: pytest.Pytester) -> None:
    result = project.runpytest_subprocess(
        "--device=pixel4", f"--serial={plugged.serial}", "-o", "benchmark_preset=brisk",
        "--subject=unet.fp32", "test_latency.py",
    )  # fmt: skip

    result.stdout.fnmatch_lines(["ConfigError: no benchmark_preset 'brisk'; known: *paper*"])


@pytest.mark.parametrize(("slower_us", "code"), [(1100.0, 1), (1000.0, 0)])
def test_compare_tells_a_slower_model_by_its_exit_code(
    plugged: Plugged,
    tmp_path: Path,
    slower_us: float,
    code: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    candidate, baseline = models.unet(levels=1), models.unet(levels=2)
    paths = [tmp_path / "candidate.tflite", tmp_path / "baseline.tflite"]
    for path, data in zip(paths, (candidate, baseline), strict=True):
        path.write_bytes(data)
    plugged.folder.switch(
        latency_us={sha256_of(candidate)[:12]: slower_us, sha256_of(baseline)[:12]: 1000.0}
    )

    with pytest.raises(SystemExit) as ended:
        main(["compare", *map(str, paths), "--device=pixel4:gpu", f"--serial={plugged.serial}"])

    assert ended.value.code == code, capsys.readouterr()


@pytest.mark.parametrize(
    ("build", "words"), [("2025", "can do all that the harness asks"), ("2020", "cannot")]
)
def test_doctor_runs_the_tool_on_a_phone_and_says_what_it_lacks(
    plugged: Plugged, build: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    plugged.folder.switch(tool_build=build)

    with pytest.raises(SystemExit) as ended:
        main(["doctor", f"--serial={plugged.serial}"])

    assert ended.value.code == 0
    lines = " ".join(capsys.readouterr().out.split())
    assert words in lines[lines.index(f"{plugged.serial}:") :]


@pytest.mark.parametrize(("now_us", "outcome"), [(1200.0, "FAIL"), (1000.0, "PASS")])
def test_a_change_is_timed_beside_what_it_was_in_a_b_b_a_order(
    plugged: Plugged, project: pytest.Pytester, now_us: float, outcome: str
) -> None:
    earlier = shutil.copytree(project.path / "golden", project.path / "earlier")
    file = project.path / "golden" / "unet" / "fp32.tflite"
    before, now = file.read_bytes(), models.unet(size_px=tiny.SIZE_PX, levels=3)
    tiny.edit(file.with_name("subject.toml"), sha256_of(before), sha256_of(now))
    file.write_bytes(now)
    plugged.folder.switch(latency_us={sha256_of(now)[:12]: now_us, sha256_of(before)[:12]: 1000.0})

    project.runpytest_subprocess(
        "--device=pixel4:gpu", f"--serial={plugged.serial}", "--subject=unet.fp32",
        f"--against={earlier}", "test_change.py", "-k", "cost",
    )  # fmt: skip

    run = load(latest(project.path))
    (pairs,) = (fact for fact in run.facts if fact.verb == "compare")
    ruled = {r.verdict.metric: r.verdict for r in run.records}
    assert pairs.kind == "Pairs"
    assert ruled["latency_ratio"].outcome.value == outcome


def test_what_a_phone_measured_is_held_to_an_earlier_run_of_it_and_said_to_be_weaker(
    plugged: Plugged, project: pytest.Pytester
) -> None:
    asked = ("--device=pixel4:gpu", f"--serial={plugged.serial}", "--subject=unet.fp32")
    name = sha256_of((project.path / "golden" / "unet" / "fp32.tflite").read_bytes())[:12]
    plugged.folder.switch(latency_us={name: 1000.0})
    project.runpytest_subprocess(
        *asked, "--harness-run-id=then", "test_regression.py", "test_fidelity.py"
    )
    plugged.folder.switch(latency_us={name: 3000.0})

    project.runpytest_subprocess(*asked, "--against=then", "test_change.py")

    ruled = {r.verdict.metric: r.verdict for r in load(latest(project.path)).records}
    assert ruled["latency_ratio"].change is Change.WORSE
    assert "not A B B A" in ruled["latency_ratio"].cause
    assert ruled["cpu_ops"].change is Change.EQUAL
    assert ruled["pixels_db"].change is Change.EQUAL
