"""The summary is that of the exit code, whatever order, attempts and processes the tests had."""

import os
from pathlib import Path

import pytest

from harness import results
from harness.verdict import Outcome
from tests import tiny

_RERUNS = """
from _pytest.runner import runtestprotocol

def pytest_runtest_protocol(item, nextitem):
    # What pytest-rerunfailures does with one test that fails once.
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    reports = runtestprotocol(item, nextitem=nextitem, log=False)
    if any(report.failed for report in reports):
        for report in reports:
            report.outcome = "rerun" if report.failed else report.outcome
            item.ihook.pytest_runtest_logreport(report=report)
        item._initrequest()
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True

def pytest_report_teststatus(report):
    if report.outcome == "rerun":
        return "rerun", "R", "RERUN"
"""
_FLAKY = """
import pathlib
from harness import gate
from harness.metrics import Metric

def test_it(device, variant, size, check):
    mark = pathlib.Path(f"seen_{variant.name}")
    limit = 1e9 if mark.exists() else 0.0
    mark.touch()
    time = device.time(variant, size)
    check(gate.rule(Metric(gate="own", name="ms"), time.ms, limit, time.provenance))
"""


@pytest.fixture
def table(project: pytest.Pytester) -> pytest.Pytester:
    """Return a project whose int8 variant is withheld from this phone."""
    toml = project.path / "golden" / tiny.NAME / "subject.toml"
    text = toml.read_text(encoding="utf-8")
    withheld = (
        '[[withheld]]\ndevices = ["pixel4"]\ndelegates = ["*"]\nvariants = ["int8_ptq"]\n'
        'because = "not yet"\n\n'
    )
    toml.write_text(text.replace("[[ships]]", withheld + "[[ships]]"), encoding="utf-8")
    return project


def test_the_last_attempt_of_a_test_that_is_run_again_counts(project: pytest.Pytester) -> None:
    project.makeconftest(_RERUNS)
    path = project.makepyfile(_FLAKY)

    result = project.runpytest("--device=pixel4", "--junitxml=report.xml", path)

    assert result.ret == 0
    rulings = [r.verdict.outcome for r in results.load(results.latest(project.path)).records]
    assert rulings == [Outcome.PASS, Outcome.PASS]
    result.stdout.fnmatch_lines(["Tests that were run again: 2; their last attempt counts"])
    assert "FAIL" not in result.stdout.str()
    # Each attempt has its own property; the first one's is not repeated in the second.
    assert (project.path / "report.xml").read_text(encoding="utf-8").count('value="FAIL') == 2


@pytest.mark.skipif("HARNESS_TEST_PLUGINS" not in os.environ, reason="see test_other_plugins.py")
def test_so_it_is_under_pytest_rerunfailures(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.environ["HARNESS_TEST_PLUGINS"])
    path = project.makepyfile(_FLAKY)

    result = project.runpytest_subprocess("--device=pixel4", "--reruns=1", path)

    assert result.ret == 0
    assert "FAIL" not in result.stdout.str()


def test_parallel_workers_say_what_does_not_ship(table: pytest.Pytester) -> None:
    line = "Not shipped to pixel4:nnapi: unet.int8_ptq - not yet"

    plain = table.runpytest_subprocess("--device=pixel4", "test_fallback.py")
    parallel = table.runpytest_subprocess("--device=pixel4", "test_fallback.py", "-n", "2")

    plain.stdout.fnmatch_lines([line])
    parallel.stdout.fnmatch_lines([line])


def test_a_summary_does_not_depend_on_the_order_of_the_tests(project: pytest.Pytester) -> None:
    toml = project.path / "golden" / tiny.NAME / "subject.toml"
    tiny.edit(toml, "quality_drop_db = 0.5", "quality_drop_db = -99.0")
    collected = project.runpytest("--device=pixel4", "--collect-only", "-q")
    ids = [line for line in collected.outlines if "::" in line]

    forward = project.runpytest("--device=pixel4", "-n0", *ids)
    backward = project.runpytest("--device=pixel4", "-n0", *reversed(ids))

    assert _tables(forward) == _tables(backward)
    assert any("quality_drop" in line for line in _tables(forward))


def _tables(result: pytest.RunResult) -> list[str]:
    lines = result.outlines
    start = next(i for i, line in enumerate(lines) if "= device harness =" in line)
    stop = next(i for i, line in enumerate(lines) if line.startswith("results: "))
    return lines[start:stop]


class TestOfAResultsFolderThatCannotBeWritten:
    def _folder(self, project: pytest.Pytester) -> Path:
        return project.path / results.FOLDER

    def test_a_file_of_that_name_is_one_line_and_judging_goes_on(
        self, project: pytest.Pytester
    ) -> None:
        self._folder(project).write_text("mine", encoding="utf-8")

        result = project.runpytest("--device=pixel4", "test_fallback.py")

        result.assert_outcomes(passed=2)
        result.stdout.fnmatch_lines(["results: not kept, *.results: cannot be written (*exists)"])
        assert self._folder(project).read_text(encoding="utf-8") == "mine"

    def test_a_full_disk_is_one_line_and_judging_goes_on(self, project: pytest.Pytester) -> None:
        # /dev/full refuses every byte as a full disk does; the run's file is made to lead there.
        project.makeconftest(
            "import pathlib\n"
            "from harness import results\n"
            "class Full(results.Writer):\n"
            "    def _create(self):\n"
            "        return pathlib.Path('/dev/full')\n"
            "results.Writer = Full\n"
        )

        result = project.runpytest_subprocess("--device=pixel4", "test_fallback.py")

        result.assert_outcomes(passed=2)
        result.stdout.fnmatch_lines(["results: not kept, /dev/full: cannot be written (No space*"])


@pytest.mark.parametrize(("mark", "ruling"), [("FAIL", "latency"), ("[?]", "regression")])
def test_a_cell_that_is_no_pass_is_marked_without_colour(
    project: pytest.Pytester, mark: str, ruling: str
) -> None:
    folder = project.path / "golden" / tiny.NAME
    tiny.edit(folder / "subject.toml", "latency_ms = 1000", "latency_ms = 0.001")
    (folder / "baselines.json").unlink()

    result = project.runpytest("--device=pixel4", f"test_{ruling}.py")

    result.stdout.fnmatch_lines([f"*fp32 *64x64 *{mark} ~*"])


def test_an_inconclusive_line_names_subject_phone_and_resolution(
    project: pytest.Pytester,
) -> None:
    (project.path / "golden" / tiny.NAME / "baselines.json").unlink()

    result = project.runpytest("--device=pixel4,reno3", "test_regression.py")

    text = " ".join(result.stdout.str().split())
    assert "unet.fp32 on pixel4:nnapi at 64x64, unet.int8_ptq on pixel4:nnapi" in text
