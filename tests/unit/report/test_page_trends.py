"""Tests of the page's history: sparklines of what a run found, and what changed when."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from harness import results
from harness.history import runs
from harness.history.entries import RunEntry
from harness.history.opening import open_store
from harness.report.page import rendering
from harness.report.page.trends import Trends, trends
from harness.results import Results
from harness.verdict import LATENCY, Outcome
from tests import large_runs, tiny
from tests.unit.report.pages import part, record, run


def _shown(ms: float = 12.0) -> Results:
    return run(
        record(LATENCY, Outcome.PASS, observed=ms),
        record(LATENCY, Outcome.PASS, observed=3.0, variant="steady"),
        time_utc="2026-02-01T00:00:00+00:00",
    )


def _past(values: Sequence[float]) -> tuple[RunEntry, ...]:
    """Return a run for each value, one a day, in which only the first variant moves."""
    entries = []
    for day, ms in enumerate(values, start=1):
        entry = runs.entry(_shown(ms))
        when = f"2026-01-{day:02d}T00:00:00+00:00"
        entries.append(replace(entry, id=f"night{day}", time_utc=when, commit=f"c{day}"))
    return tuple(entries)


def _trends(values: Sequence[float]) -> Trends:
    return trends([_shown()], _past(values))


def test_a_series_has_its_change_with_date_values_and_cause() -> None:
    found = _trends([10.0, 10.0, 12.0])

    (number, changed) = found.changed[0]
    assert (number, changed.series.variant) == (0, "int8_ptq")
    assert [fact.value for fact in changed.facts] == [10.0, 10.0, 12.0, 12.0]
    (turning,) = changed.turnings
    assert (turning.at, turning.worse) == (2, True)
    assert turning.says.startswith("2026-01-03: 10 to 12 (+20.0%): commit c2 -> c3")
    assert found.others == {"unet.steady": (1,)}


def test_what_became_better_or_came_back_is_marked_too() -> None:
    (_, changed) = _trends([10.0, 8.0, 10.0]).changed[0]

    assert [(turn.at, turn.worse) for turn in changed.turnings] == [
        (1, False), (2, True), (3, True),
    ]  # fmt: skip


def test_a_run_that_the_history_has_is_not_drawn_twice() -> None:
    shown = _shown()

    found = trends([shown], [*_past([12.0]), runs.entry(shown)])

    assert [len(trend.facts) for trend in found.all] == [2, 2]


def test_what_the_run_did_not_find_or_the_history_never_saw_is_not_drawn() -> None:
    other = replace(_past([1.0])[0], facts=())

    assert trends([_shown()], [other]).all == ()


def test_the_page_holds_the_numbers_of_each_sparkline_and_the_causes_as_text() -> None:
    page = rendering.render([_shown()], past=_past([10.0, 12.0]))

    data = part(page, "trends")
    assert data["series"][0]["values"] == [10.0, 12.0, 12.0]
    assert data["runs"][1] == ["2026-01-02T00:00", "night2", "c2"]
    section = page[page.index('id="history"') : page.index('id="untested"')]
    assert "10 to 12 (+20.0%)" in section
    assert "unet.steady: 1 number" in section


def test_a_page_without_a_history_says_nothing_of_one() -> None:
    assert 'id="history"' not in rendering.render([_shown()])


@pytest.mark.history
def test_the_command_draws_from_the_history_that_lies_in_its_place_or_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("sqlalchemy")
    monkeypatch.chdir(tmp_path)
    shape = large_runs.Shape(subjects=1, variants=1, phones=1, frames=0)
    path = large_runs.run(tmp_path, shape)
    entry = replace(runs.entry(results.load(path)), id="before", time_utc="2025-12-01T00:00:00Z")

    def drawn(*more: str) -> bool:
        assert tiny.command("report", path, "--out", "out.html", *more) == 0
        return 'id="history"' in (tmp_path / "out.html").read_text(encoding="utf-8")

    assert not drawn()
    with open_store("elsewhere.db") as store:
        store.add(entry)
    assert not drawn()
    assert drawn("--history", "elsewhere.db")
    (tmp_path / "elsewhere.db").rename(tmp_path / ".results" / "history.db")
    assert drawn()
