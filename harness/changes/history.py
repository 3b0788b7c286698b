"""One series: what is remembered of it, and whether its last nights are a change."""

import bisect
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

from harness.changes.findings import Kind
from harness.changes.nights import Reading
from harness.changes.rule import Rule

_KEPT_NIGHTS = 40
"""Nights that a series remembers: more than any part of the rule looks back."""


@dataclass(frozen=True, kw_only=True)
class History:
    """What is remembered of one series; logarithms, oldest first.

    Attributes:
        dates: Of its nights.
        numbers: Of its nights, as the phone's are counted.
        logs: Their values.
        jumped: Whether a night was off the one before it.
        start: Index of the first night of the present level.
        run: Index of the first of the latest nights that are off it, or None.
        confirmed: Whether a confirming measurement stands for one night of the run.
        unsure: Whether the interval of a night of the run holds the old level.
        units: Units that last ran its ops; () if never known.
    """

    dates: tuple[str, ...]
    numbers: tuple[int, ...]
    logs: tuple[float, ...]
    jumped: tuple[bool, ...]
    start: int = 0
    run: int | None = None
    confirmed: bool = False
    unsure: bool = False
    units: tuple[str, ...] = ()

    def level(self, rule: Rule) -> float:
        """Return the logarithm of the level, without the nights that are off it."""
        end = len(self.logs) if self.run is None else self.run
        return statistics.median(self.logs[max(self.start, end - rule.level_nights) : end])

    def usual(self, rule: Rule) -> float:
        """Return the mean distance of the nights of the present level from their median."""
        end = len(self.logs) if self.run is None else self.run
        past = self.logs[self.start : end][-rule.past_nights :]
        middle = statistics.median(past)
        return statistics.fmean(abs(log - middle) for log in past)

    def back_to(self, log_level: float, end: int, rule: Rule) -> str:
        """Return the date of the latest night before an index that is on a level, or ''."""
        for index in range(end - 1, max(0, end - rule.past_nights) - 1, -1):
            if abs(self.logs[index] - log_level) <= math.log1p(rule.known_share):
                return self.dates[index]
        return ""

    def first_since(self, number: int) -> int:
        """Return the index of its first night that is not before a night of the phone."""
        return bisect.bisect_left(self.numbers, number)

    def restart(self, index: int) -> "History":
        """Return the history with a new level that starts at a night."""
        return replace(self, start=index, run=None, confirmed=False, unsure=False)


@dataclass(frozen=True, kw_only=True)
class View:
    """One reading beside the history that it was added to.

    Attributes:
        series: Its name.
        history: Of the series, with this reading.
        level: Logarithm of the level before it.
        distance: Logarithm of the reading, less the level.
        confirmed: Whether a confirming measurement agrees that it is off the level.
        kind: What sort of change it gave away, or None.
        began: Index of the first night of that change.
        back_to: Date of an earlier night on the new level, or ''.
        units: Which units ran ops before and now, in words, where they differ; else ''.
    """

    series: str
    history: History
    level: float
    distance: float = 0.0
    confirmed: bool = False
    kind: Kind | None = None
    began: int = 0
    back_to: str = ""
    units: str = ""

    @property
    def last(self) -> int:
        """Return the index of the reading in its history."""
        return len(self.history.logs) - 1


def look(history: History | None, reading: Reading, date: str, number: int, rule: Rule) -> View:
    """Put a reading of a night, given by date and number, beside its history and rule on it."""
    first, log = _log(reading.values), _log(reading.confirming or reading.values)
    night = History(
        dates=(date,), numbers=(number,), logs=(log,), jumped=(False,), units=reading.units
    )
    if history is None:
        return View(series=reading.series, history=night, level=log)
    level, limit = history.level(rule), math.log1p(rule.off_share)
    other_units = _differ(history.units, reading.units)
    jumped = not other_units and side(log - history.logs[-1], math.log1p(rule.share)) != 0
    off = side(log - level, limit)
    view = View(
        series=reading.series,
        history=_append(history, replace(night, jumped=(jumped,))),
        level=level,
        distance=log - level,
        confirmed=off != 0 and bool(reading.confirming) and side(first - level, limit) == off,
    )
    if other_units:
        units = f"{'+'.join(history.units)} -> {'+'.join(reading.units)}"
        back_to = view.history.back_to(log, view.last, rule) if off else ""
        restarted = view.history.restart(view.last)
        view = replace(view, history=restarted, began=view.last, back_to=back_to)
        return replace(view, kind=Kind.UNIT, units=units)
    if not off:
        return replace(view, history=view.history.restart(view.history.start))
    return _rule_on(replace(view, history=_lengthen(view, reading.holds(level))), rule)


def side(distance: float, limit: float) -> int:
    """Return 1 above a limit, -1 below its opposite, 0 between."""
    return (distance > limit) - (distance < -limit)


def _log(values: Sequence[float]) -> float:
    return math.log(statistics.median(values))


def _differ(before: Sequence[str], now: Sequence[str]) -> bool:
    """Return whether another unit runs most ops, or one came or went; unknown is no change."""
    return bool(before and now) and (before[0] != now[0] or set(before) != set(now))


def _append(history: History, night: History) -> History:
    """Return the history with one more night, and without what is too old to matter."""
    gone = max(0, len(history.logs) + 1 - _KEPT_NIGHTS)
    return replace(
        history,
        dates=(*history.dates, *night.dates)[gone:],
        numbers=(*history.numbers, *night.numbers)[gone:],
        logs=(*history.logs, *night.logs)[gone:],
        jumped=(*history.jumped, *night.jumped)[gone:],
        start=max(0, history.start - gone),
        run=None if history.run is None else max(0, history.run - gone),
        units=night.units or history.units,
    )


def _lengthen(view: View, unsure: bool) -> History:
    """Return the history with its last night added to the run of nights off the level."""
    history, run = view.history, view.history.run
    if run is None or (history.logs[run] > view.level) != (view.distance > 0):
        return replace(history, run=view.last, confirmed=view.confirmed, unsure=unsure)
    return replace(
        history,
        confirmed=history.confirmed or view.confirmed,
        unsure=history.unsure or unsure,
    )


def _rule_on(view: View, rule: Rule) -> View:
    """Find a change where enough nights in a row are off the level."""
    history, run = view.history, view.history.run
    if run is None:
        return view
    new_level = statistics.median(history.logs[run:])
    back_to = history.back_to(new_level, run, rule)
    shift = abs(new_level - view.level)
    nights = len(history.logs) - run + history.confirmed
    if shift <= math.log1p(rule.share) or nights < _nights_wanted(
        history, run, view.level, new_level, bool(back_to), rule
    ):
        return view
    return replace(
        view,
        history=history.restart(run),
        kind=Kind.RETURN if back_to else Kind.LEVEL,
        began=run,
        back_to=back_to,
    )


def _nights_wanted(
    history: History, run: int, level: float, new_level: float, known: bool, rule: Rule
) -> int:
    """Return how many nights off the level in a row make a change here."""
    jumps = sum(history.jumped[max(0, run - rule.past_nights) : run])
    if known and jumps >= rule.bimodal_jumps:
        longer = 2 * (jumps - rule.bimodal_jumps + 1)
        return min(rule.longest_nights, rule.doubtful_nights + longer)
    off, shift = history.logs[run:], abs(new_level - level)
    doubtful = (
        known
        or history.unsure
        or min(abs(log - level) for log in off) <= math.log1p(rule.share)
        or max(off) - min(off) > rule.spread * shift
        or shift < rule.noise * history.usual(rule)
        or jumps >= rule.restless_jumps
    )
    return rule.doubtful_nights if doubtful else rule.sure_nights
