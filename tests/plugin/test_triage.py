"""`harness bless --triage`: single deviations of a run that may stay until a day."""

import json
import shutil
from pathlib import Path

import pytest

from harness import accepted_outputs, baselines, results, subjects
from harness.evidence import sha256_of
from harness.verdict import FIDELITY, REGRESSION, Outcome
from tests import models, tiny

pytestmark = pytest.mark.slow

LATER = "2999-12-31"


def _records(project: pytest.Pytester) -> tuple[results.Record, ...]:
    return results.load(results.latest(project.path)).records


def _outcomes(project: pytest.Pytester, gate: str) -> set[Outcome]:
    return {one.verdict.outcome for one in _records(project) if one.verdict.gate == gate}


def _triage(*more: str) -> int:
    return tiny.command("bless", tiny.NAME, "--triage", *more)


def _worsen_baseline(folder: Path) -> None:
    """Bless a latency of int8 that today's file cannot keep."""
    path = folder / "baselines.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    for one in data["baselines"]:
        if (one["variant"], one["metric"]) == ("int8_ptq", "latency_ms"):
            one["value"] /= 2
    path.write_text(json.dumps(data), encoding="utf-8")


@pytest.fixture
def folder(project: pytest.Pytester) -> Path:
    """Return the folder of the blessed subject."""
    return project.path / "golden" / tiny.NAME


def _ids(out: str) -> list[str]:
    lines = out.split("Accepted until a day")[0].splitlines()[1:]
    return [line.split()[0] for line in lines if line.startswith("  ")]


def test_a_number_that_may_stay_passes_says_so_and_fails_again_when_its_day_is_over(
    project: pytest.Pytester, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _worsen_baseline(folder)
    run = ("--device=pixel4", "test_regression.py")
    assert project.runpytest(*run).ret == pytest.ExitCode.TESTS_FAILED
    capsys.readouterr()

    assert _triage() == 1
    (named,) = _ids(capsys.readouterr().out)
    assert _triage("--accept", named, "--because", "a bug", "--until", LATER, "--yes") == 0

    result = project.runpytest(*run)
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["Let stay: unet.int8_ptq on pixel4:nnapi at 64x64: latency_ms*"])
    (let,) = [one.verdict for one in _records(project) if one.verdict.accepted]
    assert (let.metric, let.outcome) == ("latency_ms", Outcome.PASS)
    assert let.accepted == f"until {LATER}: a bug"
    kept = [one for one in baselines.load(subjects.load(folder)) if one.metric == "latency_ms"]
    assert {one.until for one in kept if one.variant == "int8_ptq"} == {"", LATER}
    capsys.readouterr()
    assert _triage() == 0
    assert "  used: int8_ptq on pixel4:nnapi 64x64 latency_ms" in capsys.readouterr().out

    tiny.edit(folder / "baselines.json", LATER, "2001-01-01")
    result = project.runpytest(*run)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*could stay until 2001-01-01*"])
    capsys.readouterr()
    assert _triage() == 1
    assert "  expired: int8_ptq on pixel4:nnapi" in capsys.readouterr().out
    _triage("--drop-expired")
    assert "Accepted until a day: 0" in capsys.readouterr().out
    assert {one.until for one in baselines.load(subjects.load(folder))} == {""}


def test_an_output_that_may_stay_takes_the_goldens_place_where_that_fails(
    project: pytest.Pytester, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = models.unet(size_px=tiny.SIZE_PX, dtype="int8", levels=1)
    was = (folder / "int8_ptq.tflite").read_bytes()
    tiny.edit(folder / "subject.toml", sha256_of(was), sha256_of(other))
    (folder / "int8_ptq.tflite").write_bytes(other)
    run = ("--device=pixel4", "test_fidelity.py", "-k", "golden")
    project.runpytest(*run)
    assert Outcome.FAIL in _outcomes(project, FIDELITY)
    capsys.readouterr()
    assert _triage() == 1
    named = _ids(capsys.readouterr().out)
    assert len(named) == 2  # two frames, whatever the number of limits

    assert (
        _triage("--accept", named[0], "--because", "seen by two", "--until", LATER, "--yes") == 1
    )  # one is left

    project.runpytest(*run)
    let = [one for one in _records(project) if one.verdict.accepted]
    assert len({one.frame for one in let}) == 1
    assert {one.verdict.outcome for one in let} == {Outcome.PASS}
    assert Outcome.FAIL in _outcomes(project, FIDELITY)
    assert _triage("--accept", "all", "--because", "seen", "--until", LATER, "--yes") == 0
    assert project.runpytest(*run).ret == pytest.ExitCode.OK
    capsys.readouterr()
    assert _triage() == 0
    assert capsys.readouterr().out.count("  used: output of int8_ptq on pixel4:nnapi") == 2
    for path in (folder / "references" / "accepted").iterdir():
        path.write_bytes(path.read_bytes()[:-1])
    result = project.runpytest(*run)
    result.stdout.fnmatch_lines(["*is not the image that was accepted*"])
    project.runpytest("--device=pixel4", "--subject=unet.fp32", "test_fallback.py")
    capsys.readouterr()
    _triage()
    assert "unused, not tested by this run" in capsys.readouterr().out


WRONG = (
    (("--accept", "00000000"), "no such id"),
    (("--accept", "all", "--until", LATER), "--because and --until"),
    (("--accept", "all", "--because", "x"), "--because and --until"),
    (("--accept", "all", "--because", "x", "--until", "tomorrow"), "--until"),
    (("--accept", "all", "--because", "x", "--until", "2001-01-01"), "is over"),
)


def test_what_cannot_be_accepted_is_one_line_and_writes_nothing(
    project: pytest.Pytester, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _worsen_baseline(folder)
    project.runpytest("--device=pixel4", "--subject=unet.int8_ptq", "test_regression.py")
    before = (folder / "baselines.json").read_bytes()

    for more, words in WRONG:
        assert _triage(*more, "--yes") == 2
        assert words in capsys.readouterr().err
    assert (folder / "baselines.json").read_bytes() == before
    assert accepted_outputs.load(subjects.load(folder)) == ()


def test_what_may_stay_is_shown_as_loosened_by_a_change(
    project: pytest.Pytester, folder: Path
) -> None:
    project.makeini("[pytest]\n")
    (project.path / "earlier").mkdir()
    shutil.copytree(folder, project.path / "earlier" / tiny.NAME)
    data = json.loads((folder / "baselines.json").read_text(encoding="utf-8"))
    let = data["baselines"][0] | {"until": LATER, "because": "a bug", "value": 1e6}
    data["baselines"].append(let)
    (folder / "baselines.json").write_text(json.dumps(data), encoding="utf-8")

    project.runpytest("--device=pixel4", "--against=earlier", "test_regression.py")

    plan = results.load(results.latest(project.path)).plans[0]
    assert [one for one in plan.loosened if "1e+06 may stay until 2999-12-31" in one]
    assert REGRESSION in {one.verdict.gate for one in _records(project)}
