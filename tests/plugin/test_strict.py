"""Tests of `--strict` and of INCONCLUSIVE, which is never a pass."""

import pytest

from harness import results
from harness.report import ruling
from harness.verdict import Outcome
from tests import rulings, tiny


@pytest.fixture
def unblessed(project: pytest.Pytester) -> pytest.Pytester:
    """Return a project whose subject has no baselines."""
    (project.path / "golden" / tiny.NAME / "baselines.json").unlink()
    return project


def test_inconclusive_has_a_letter_and_a_count_of_its_own(unblessed: pytest.Pytester) -> None:
    result = unblessed.runpytest("--device=pixel4", "test_regression.py")

    result.stdout.fnmatch_lines(["test_regression.py II*", "*= 2 inconclusive in *"])
    assert result.ret == 0


def test_inconclusive_has_a_word_of_its_own(unblessed: pytest.Pytester) -> None:
    result = unblessed.runpytest("--device=pixel4", "-v", "test_regression.py")

    result.stdout.fnmatch_lines(["*[[]pixel4:nnapi-unet.fp32-64x64[]] INCONCLUSIVE*"])


def test_strict_turns_inconclusive_into_a_failure(unblessed: pytest.Pytester) -> None:
    result = unblessed.runpytest("--device=pixel4", "--strict", "test_regression.py")

    result.assert_outcomes(failed=2)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    found = results.load(results.latest(unblessed.path))
    assert found.plans[0].strict
    assert ruling.of(found).outcome is Outcome.INCONCLUSIVE


def test_strict_leaves_a_pass_a_pass(project: pytest.Pytester) -> None:
    result = project.runpytest("--device=pixel4", "--strict")

    assert result.ret == 0
    rulings.assert_green(project.path)


def test_the_summary_says_why_and_what_to_do(unblessed: pytest.Pytester) -> None:
    result = unblessed.runpytest("--device=pixel4", "test_regression.py")

    text = " ".join(result.stdout.str().split())
    assert "no baseline on evidence of this kind" in text
    assert "`harness bless`" in text
