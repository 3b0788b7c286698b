"""Tests of the badge of a run."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from harness import results
from harness.report import badge
from harness.results import Results
from harness.verdict import FALLBACK, LATENCY, Outcome
from tests import tiny
from tests.unit.report.pages import record, run

_SVG = "{http://www.w3.org/2000/svg}"


def _words(*runs: Results) -> list[str]:
    root = ElementTree.fromstring(badge.render(runs))
    return [element.text or "" for element in root.iter(f"{_SVG}text")]


def test_a_badge_counts_tests_by_outcome_what_fails_first() -> None:
    ruled = run(
        record(LATENCY, Outcome.PASS),
        record(FALLBACK, Outcome.FAIL),
        record(LATENCY, Outcome.INCONCLUSIVE, resolution="64x64"),
        record(LATENCY, Outcome.PASS, variant="fp32"),
    )

    assert _words(ruled) == [
        "device gates, pixel4:nnapi",
        "1 failed, 1 inconclusive, 2 passed",
    ]


def test_a_planned_test_that_never_ran_is_no_pass() -> None:
    lost = run(record(LATENCY, Outcome.PASS), planned=["test_latency.py::test_it[x]"], ended=False)

    assert _words(lost)[1] == "1 inconclusive, 1 passed, cut short"


def _colour(*runs: Results) -> str | None:
    return next(ElementTree.fromstring(badge.render(runs)).iter(f"{_SVG}path")).get("fill")


def test_a_shard_that_is_not_there_is_no_pass() -> None:
    first = run(record(LATENCY, Outcome.PASS), shard="1/3")
    third = run(record(FALLBACK, Outcome.PASS), shard="3/3")

    assert _words(first, third)[1] == "2 passed, shard 2/3 missing"
    assert _colour(first, third) == "#8a6100"


def test_a_run_that_pytest_ended_as_failed_is_no_pass() -> None:
    broken = run(record(LATENCY, Outcome.PASS), exit_code=1)
    fixed = run(record(LATENCY, Outcome.PASS), time_utc="2026-01-02T00:00:00+00:00")

    assert _words(broken)[1] == "1 passed, pytest ended with 1"
    assert _colour(broken) == _colour(broken, fixed) == "#c11a23"


def test_a_failure_that_a_newer_run_mended_is_over() -> None:
    failed = run(record(LATENCY, Outcome.FAIL), exit_code=1)
    mended = run(record(LATENCY, Outcome.PASS), time_utc="2026-01-02T00:00:00+00:00")

    assert _words(failed, mended)[1] == "1 passed"


def test_an_empty_run_says_that_nothing_was_tested() -> None:
    assert _words(run()) == ["device gates", "nothing tested"]


@pytest.mark.parametrize(
    ("outcome", "colour"),
    [(Outcome.PASS, "#1a7f37"), (Outcome.FAIL, "#c11a23"), (Outcome.INCONCLUSIVE, "#8a6100")],
)
def test_its_colour_is_that_of_the_worst(outcome: Outcome, colour: str) -> None:
    root = ElementTree.fromstring(
        badge.render([run(record(LATENCY, Outcome.PASS), record(FALLBACK, outcome))])
    )

    assert [path.get("fill") for path in root.iter(f"{_SVG}path")] == [colour]


def test_a_name_is_data(tmp_path: Path) -> None:
    name = '"><script>\u202e\x1b[31m&'

    badge.write([run(record(LATENCY, Outcome.PASS, device=name))], tmp_path / "new" / "b.svg")

    drawn = (tmp_path / "new" / "b.svg").read_text(encoding="utf-8")
    root = ElementTree.fromstring(drawn)
    assert {element.tag for element in root.iter()} == {
        f"{_SVG}{tag}" for tag in ("svg", "title", "rect", "path", "g", "text")
    }
    assert "\u202e" not in drawn
    assert "\x1b" not in drawn


def test_a_name_of_any_length_leaves_a_badge_of_bounded_width() -> None:
    root = ElementTree.fromstring(
        badge.render([run(record(LATENCY, Outcome.PASS, device="x" * 5000))])
    )

    assert int(root.get("width") or 0) < 600


def test_the_command_writes_what_is_asked_for_and_no_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    writer = results.Writer(tmp_path)
    ruled = run(record(LATENCY, Outcome.PASS))
    for line in (*ruled.plans, *ruled.records, ruled.end):
        assert line is not None
        writer.write(line)

    code = tiny.command("report", "--badge", "out/badge.svg")

    assert code == 0
    assert "1 passed" in Path("out/badge.svg").read_text(encoding="utf-8")
    assert not Path("report.html").exists()
