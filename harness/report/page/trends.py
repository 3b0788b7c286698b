"""The history of the page: each number of a run over earlier runs, and what changed it when."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.history import news, runs
from harness.history.entries import FactEntry, RunEntry, SeriesKey
from harness.history.news import Moved, News
from harness.results import Results

_POINTS = 200
"""Most points of a series that are drawn, the newest."""
_FIRST = 24
"""Most series that stand open on the page because they changed."""

OPTION: dict[str, Any] = {
    "animation": False,
    "aria": {"enabled": True},
    "textStyle": {"fontFamily": "system-ui, sans-serif"},
    "grid": {"left": 6, "right": 12, "top": 22, "bottom": 6},
    "tooltip": {"trigger": "item", "renderMode": "richText", "confine": True},
    "xAxis": {"type": "category", "show": False, "boundaryGap": False},
    "yAxis": {"type": "value", "show": False, "scale": True},
    "series": [
        {
            "type": "line", "symbol": "circle", "symbolSize": 5, "showSymbol": True,
            "lineStyle": {"color": "--series0", "width": 1.5}, "itemStyle": {"color": "--series0"},
            "markPoint": {
                "silent": True, "symbol": "pin", "symbolSize": 24,
                "itemStyle": {"color": "--fail"},
                "label": {"color": "--back", "fontSize": 10, "fontWeight": "bold"},
            },
        }
    ],
}  # fmt: skip
"""What ECharts is given for every series; the script puts dates, values and marks in."""


@dataclass(frozen=True, kw_only=True)
class Turning:
    """A change of a series.

    Attributes:
        at: Number of its point.
        says: When, from what to what, and why.
        worse: Whether it is for the worse.
    """

    at: int
    says: str
    worse: bool


@dataclass(frozen=True, kw_only=True)
class Trend:
    """A number over runs, the oldest first.

    Attributes:
        series: What it is a number of.
        runs: Numbers of the runs, among those of all trends.
        facts: What they found.
        turnings: What changed it.
    """

    series: SeriesKey
    runs: tuple[int, ...]
    facts: tuple[FactEntry, ...]
    turnings: tuple[Turning, ...]

    @property
    def target(self) -> str:
        """Return phone and delegate."""
        return f"{self.series.profile}:{self.series.delegate}"

    @property
    def name(self) -> str:
        """Return subject and variant."""
        return ".".join(filter(None, (self.series.subject, self.series.variant)))

    @property
    def title(self) -> str:
        """Return what it is a number of, in words."""
        one = self.series
        at = " ".join(filter(None, (one.size, one.frame)))
        return f"{self.name} on {self.target}{f' {at}' if at else ''}: {one.metric} {one.evidence}"


@dataclass(frozen=True, kw_only=True)
class Trends:
    """All numbers of a page over earlier runs.

    Attributes:
        runs: The runs, the oldest first.
        all: The trends; those that changed first, the worse and newest of them in front.
    """

    runs: tuple[RunEntry, ...]
    all: tuple[Trend, ...]

    @property
    def changed(self) -> tuple[tuple[int, Trend], ...]:
        """Return those that changed and stand open, each with its number."""
        numbered = enumerate(self.all[:_FIRST])
        return tuple((number, one) for number, one in numbered if one.turnings)

    @property
    def others(self) -> dict[str, tuple[int, ...]]:
        """Return the numbers of the other trends by subject and variant."""
        found: dict[str, list[int]] = {}
        for number, one in enumerate(self.all):
            if number >= len(self.changed):
                found.setdefault(one.name, []).append(number)
        return {name: tuple(numbers) for name, numbers in found.items()}


def trends(results: Sequence[Results], past: Sequence[RunEntry]) -> Trends:
    """Return the numbers of runs over what a history knows; nothing where it knows none of them.

    Args:
        results: The runs that are shown.
        past: The runs of the history; one that is shown and not among them is added.
    """
    shown = [runs.entry(one) for one in results]
    known = {run.id for run in past}
    ordered = sorted([*past, *(one for one in shown if one.id not in known)], key=RunEntry.time)
    wanted = {fact.series: None for one in shown for fact in one.facts}
    points: dict[SeriesKey, list[tuple[int, FactEntry]]] = {series: [] for series in wanted}
    for number, run in enumerate(ordered):
        for fact in run.facts:
            if not fact.attempt and fact.series in points:
                points[fact.series].append((number, fact))
    moves: dict[SeriesKey, list[tuple[News, Moved]]] = {}
    for one in news.everything(ordered):
        for move in one.moves:
            moves.setdefault(move.series, []).append((one, move))
    found = [
        _trend(series, held[-_POINTS:], moves.get(series, ()), ordered)
        for series, held in points.items()
        if len(held) > 1
    ]
    return Trends(runs=tuple(ordered), all=tuple(sorted(found, key=_rank)))


def _rank(trend: Trend) -> tuple[bool, bool, int]:
    newest = trend.turnings[-1] if trend.turnings else None
    if newest is None:
        return True, True, 0
    return False, not newest.worse, -trend.runs[newest.at]


def _trend(
    series: SeriesKey,
    held: Sequence[tuple[int, FactEntry]],
    moves: Sequence[tuple[News, Moved]],
    ordered: Sequence[RunEntry],
) -> Trend:
    numbers = tuple(number for number, _ in held)
    at = {ordered[number].id: place for place, number in enumerate(numbers)}
    return Trend(
        series=series,
        runs=numbers,
        facts=tuple(fact for _, fact in held),
        turnings=tuple(_turning(at[one.run], one, move) for one, move in moves if one.run in at),
    )


def _turning(at: int, one: News, move: Moved) -> Turning:
    ratio = f" ({move.now / move.was - 1:+.1%})" if move.was > 0 and move.now != move.was else ""
    ruled = dict.fromkeys(filter(None, (move.outcome_was, move.outcome_now)))
    outcome = f", {' to '.join(ruled)}" if len(ruled) > 1 else ""
    others = len(one.moves) - 1
    shared = f"; with {others} other series" if others else ""
    says = f"{one.time_utc[:10]}: {move.was:.5g} to {move.now:.5g}{ratio}{outcome}: {one.cause}"
    return Turning(at=at, says=says + shared, worse=move.worse)


def given(found: Trends) -> dict[str, Any]:
    """Return what the script of the page draws sparklines and their tables from."""
    return {
        "option": OPTION,
        "runs": [[run.time_utc[:16], run.id, run.commit] for run in found.runs],
        "series": [
            {
                "title": one.title,
                "target": one.target,
                "runs": one.runs,
                "values": [_digits(fact.value) for fact in one.facts],
                "ends": _ends(one.facts),
                "outcomes": [fact.outcome for fact in one.facts],
                "turnings": [[turn.at, turn.says, turn.worse] for turn in one.turnings],
            }
            for one in found.all
        ],
    }


def _ends(facts: Sequence[FactEntry]) -> list[list[float] | None] | None:
    """Return the intervals, or None where no fact has one."""
    ends = [
        None if fact.low is None or fact.high is None else [_digits(fact.low), _digits(fact.high)]
        for fact in facts
    ]
    return ends if any(ends) else None


def _digits(value: float) -> float:
    return float(f"{value:.5g}")
