"""Tests of the measures that a subject's limits ask for, and of those that a team registers."""

from pathlib import Path

import pytest

from harness import results
from harness.results import Record
from harness.verdict import Lack, Outcome
from tests import needs, tiny

_CONFTEST = """
def edge_loss(pixels, reference):
    return abs(float(pixels.mean()) - float(reference.mean()))


def pytest_harness_measures():
    return {"edge_loss": edge_loss}
"""


def limit(project: pytest.Pytester, line: str) -> None:
    toml = project.path / "golden" / tiny.NAME / "subject.toml"
    tiny.edit(toml, "relative_l2 = ", f"{line}\nrelative_l2 = ")


def ruled(folder: Path, metric: str) -> list[Record]:
    records = results.load(results.latest(folder)).records
    return [record for record in records if record.verdict.metric == metric]


@pytest.mark.parametrize(
    ("at_most", "outcome", "exit_code"),
    [("0.5", "PASS", pytest.ExitCode.OK), ("-1.0", "FAIL", pytest.ExitCode.TESTS_FAILED)],
)
def test_a_measure_of_a_conftest_is_judged_and_recorded_by_its_name(
    project: pytest.Pytester, at_most: str, outcome: str, exit_code: int
) -> None:
    project.makeconftest(_CONFTEST)
    limit(project, f"own = {{ edge_loss = {{ at_most = {at_most} }} }}")

    result = project.runpytest("--device=pixel4", "test_fidelity.py")

    assert result.ret == exit_code
    records = ruled(project.path, "edge_loss")
    assert [r.verdict.outcome.value for r in records] == [outcome] * 4
    assert all(r.verdict.gate == "fidelity" and r.frame for r in records)


def test_a_measure_of_a_conftest_is_blessed_and_what_is_worse_than_that_fails(
    project: pytest.Pytester,
) -> None:
    project.makeconftest(_CONFTEST)
    limit(project, "own = { edge_loss = { at_most = 0.5 } }")
    judged = ("--device=pixel4", "test_regression.py", "-k", "team", "--subject=unet.int8_ptq")

    project.runpytest(*judged)
    (before,) = ruled(project.path, "edge_loss")
    tiny.bless(project.path / "golden", "--because", "a measure of our own")
    project.runpytest(*judged)
    (blessed,) = ruled(project.path, "edge_loss")
    worse = _CONFTEST.replace("reference.mean())", "reference.mean()) + 0.25")
    project.makeconftest(worse)
    project.runpytest_subprocess(*judged)
    (after,) = ruled(project.path, "edge_loss")

    assert (before.verdict.outcome, before.verdict.lacks) == (Outcome.INCONCLUSIVE, Lack.BASELINE)
    assert (blessed.verdict.gate, blessed.verdict.outcome) == ("regression", Outcome.PASS)
    assert after.verdict.outcome is Outcome.FAIL


def test_a_measure_of_other_frames_than_were_blessed_is_not_compared_with_its_baseline(
    project: pytest.Pytester,
) -> None:
    project.makeconftest(_CONFTEST)
    limit(project, "own = { edge_loss = { at_most = 0.5 } }")
    judged = ("--device=pixel4", "test_regression.py", "-k", "team", "--subject=unet.int8_ptq")
    project.runpytest(*judged)
    tiny.bless(project.path / "golden", "--because", "a measure of our own")
    (project.path / "golden" / tiny.NAME / "frames" / "b.blurred.png").unlink()

    project.runpytest(*judged)

    (found,) = ruled(project.path, "edge_loss")
    assert (found.verdict.outcome, found.verdict.lacks) == (Outcome.INCONCLUSIVE, Lack.FRAME)
    assert "frame b is missing" in found.verdict.cause


def test_a_measure_that_nobody_registered_is_an_error_that_names_the_hook(
    project: pytest.Pytester,
) -> None:
    project.makeconftest(_CONFTEST)
    limit(project, "own = { edge_los = { at_most = 0.5 } }")

    result = project.runpytest("--device=pixel4", "test_fidelity.py", "-k", "further")

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*did you mean 'edge_loss'*pytest_harness_measures*"])


def test_a_subject_without_such_limits_has_no_such_test(project: pytest.Pytester) -> None:
    result = project.runpytest("--device=pixel4", "test_fidelity.py", "-k", "further")

    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED


@pytest.mark.measures
def test_ssim_is_judged_where_a_limit_asks_for_it(project: pytest.Pytester) -> None:
    needs.package("skimage")
    limit(project, "ssim = 0.5")

    result = project.runpytest("--device=pixel4", "test_fidelity.py")

    assert result.ret == pytest.ExitCode.OK
    assert len(ruled(project.path, "ssim")) == 4
