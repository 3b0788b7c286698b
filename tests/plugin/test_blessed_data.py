"""What was blessed is judged: nothing that a person accepted can be dropped without a word."""

import json
import shutil
from pathlib import Path

import pytest

from harness import results
from harness.verdict import Outcome
from tests import rulings, tiny


@pytest.fixture
def subject(project: pytest.Pytester) -> Path:
    """Return the folder of the project's subject."""
    return project.path / "golden" / tiny.NAME


def _rulings(project: pytest.Pytester, metric: str) -> set[Outcome]:
    records = results.load(results.latest(project.path)).records
    return {r.verdict.outcome for r in records if r.verdict.metric == metric}


def _drop(subject: Path, name: str, *, reference: bool = False) -> None:
    (subject / "frames" / f"{name}.blurred.png").unlink()
    (subject / "frames" / f"{name}.sharp.png").unlink()
    if reference:
        (subject / "references" / f"{name}.npz").unlink()


@pytest.mark.parametrize("reference", [False, True])
def test_a_frame_that_is_gone_is_an_error_for_each_variant(
    project: pytest.Pytester, subject: Path, reference: bool
) -> None:
    _drop(subject, "a", reference=reference)

    result = project.runpytest("--device=pixel4", "-k", "fp32_golden")

    result.assert_outcomes(passed=2, errors=2)
    result.stdout.fnmatch_lines(["*frame a was blessed and is gone; put it back, or run*"])


def test_quality_is_judged_on_the_blessed_frames_only(
    project: pytest.Pytester, subject: Path
) -> None:
    _drop(subject, "a")

    result = project.runpytest("--device=pixel4", "test_regression.py")

    assert result.parseoutcomes() == {"inconclusive": 2}
    assert _rulings(project, "quality_db") == {Outcome.INCONCLUSIVE}
    assert _rulings(project, "latency_ms") == {Outcome.PASS}
    assert "other frames than were blessed: frame a is missing" in " ".join(
        result.stdout.str().split()
    )


def test_a_blessed_number_that_nobody_observes_is_inconclusive_and_named(
    project: pytest.Pytester, subject: Path
) -> None:
    for path in (subject / "frames").glob("*.sharp.png"):
        path.unlink()

    result = project.runpytest("--device=pixel4", "test_regression.py")
    strict = project.runpytest("--device=pixel4", "--strict", "test_regression.py")

    assert result.parseoutcomes() == {"inconclusive": 2}
    assert strict.parseoutcomes() == {"failed": 2}
    text = " ".join(result.stdout.str().split())
    assert "[HOST] is blessed, and this run observed no such number" in text


@pytest.mark.parametrize("kind", ["missing", "changed"])
def test_a_sharp_target_that_is_not_the_blessed_one_is_an_error(
    project: pytest.Pytester, subject: Path, kind: str
) -> None:
    sharp = subject / "frames" / "a.sharp.png"
    if kind == "missing":
        sharp.unlink()
    else:
        shutil.copyfile(subject / "frames" / "b.sharp.png", sharp)

    result = project.runpytest("--device=pixel4", "-k", "sharp_target")

    result.assert_outcomes(passed=2, errors=2)
    what = "is missing" if kind == "missing" else "has changed"
    result.stdout.fnmatch_lines([f"*the sharp target of a {what}; run `harness bless unet`*"])


def test_a_frame_cannot_be_left_out_by_naming_the_others(
    project: pytest.Pytester, subject: Path
) -> None:
    toml = subject / "subject.toml"
    toml.write_text('frame_names = ["b"]\n' + toml.read_text(encoding="utf-8"), encoding="utf-8")

    result = project.runpytest("--device=pixel4", "-k", "fp32_golden")

    result.assert_outcomes(passed=2, errors=2)


def test_a_resolution_that_has_baselines_is_judged_without_a_budget_too(
    project: pytest.Pytester, subject: Path
) -> None:
    tiny.edit(subject / "subject.toml", 'resolution = "64x64"', 'resolution = "32x32"')

    result = project.runpytest("--device=pixel4", "test_regression.py", "-v")

    result.stdout.fnmatch_lines(["*unet.fp32-64x64[]] PASSED*"])


def test_a_variant_that_was_blessed_and_is_gone_is_an_error_until_it_is_blessed(
    project: pytest.Pytester, subject: Path
) -> None:
    toml = subject / "subject.toml"
    parts = toml.read_text(encoding="utf-8").split("[[")
    kept = [part for part in parts if not part.startswith('variants]]\nname = "int8_ptq"')]
    assert len(kept) == len(parts) - 1
    toml.write_text("[[".join(kept), encoding="utf-8")

    before = project.runpytest("--device=pixel4", "test_regression.py")
    tiny.bless(project.path / "golden")
    after = project.runpytest("--device=pixel4", "test_regression.py")

    assert before.parseoutcomes() == {"errors": 1}
    before.stdout.fnmatch_lines(["*int8_ptq was blessed and is no variant of subject.toml; put*"])
    after.assert_outcomes(passed=1)


def test_blessing_again_accepts_that_a_frame_is_gone(
    project: pytest.Pytester, subject: Path
) -> None:
    _drop(subject, "a")

    tiny.bless(project.path / "golden", "--because", "the frame was a duplicate")

    assert not (subject / "references" / "a.npz").exists()
    assert project.runpytest("--device=pixel4").ret == 0
    rulings.assert_green(project.path, frames=1)


class TestOfMistakesInBlessedFiles:
    def _edit(self, subject: Path, change: object) -> None:
        path = subject / "baselines.json"
        data = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(change, dict):
            data["baselines"][3].update(change)
        else:
            data["baselines"].append(data["baselines"][0])
        path.write_text(json.dumps(data), encoding="utf-8")

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"spread": float("inf")}, "*baselines.json: *3]: spread: inf is no number*"),
            ({"value": float("nan")}, "*baselines.json: *3]: value: nan is no number*"),
            ({"spread": -1.0}, "*baselines.json: baselines[[]3]: spread -1 is negative*"),
            ("twice", "*baselines.json: 2 baselines for fp32 pixel4 nnapi 64x64 *; keep one*"),
        ],
    )
    def test_a_baseline_that_allows_anything_is_an_error_that_names_file_and_key(
        self, project: pytest.Pytester, subject: Path, change: object, message: str
    ) -> None:
        self._edit(subject, change)

        result = project.runpytest("--device=pixel4", "test_regression.py")

        assert result.parseoutcomes().keys() <= {"failed", "errors"}
        result.stdout.fnmatch_lines([message])

    def test_two_budgets_about_the_same_are_an_error(
        self, project: pytest.Pytester, subject: Path
    ) -> None:
        toml = subject / "subject.toml"
        text = toml.read_text(encoding="utf-8")
        start, end = text.index("[[budgets]]"), text.index("[scaling]")
        toml.write_text(text[:end] + text[start:end] + text[end:], encoding="utf-8")

        result = project.runpytest("--device=pixel4")

        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines(["ERROR: *subject.toml: budgets[[]1] is about the same *keep*"])

    def test_an_infinite_budget_is_an_error(self, project: pytest.Pytester, subject: Path) -> None:
        tiny.edit(subject / "subject.toml", "latency_ms = 1000", "latency_ms = inf")

        result = project.runpytest("--device=pixel4")

        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines(["ERROR: *subject.toml: budgets[[]0]: latency_ms: inf is no*"])
