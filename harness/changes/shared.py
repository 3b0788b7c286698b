"""A shift that many series of one phone share: one finding, with its cause named."""

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from harness.changes.findings import Kind, LastingChange, Move
from harness.changes.history import History, View, side
from harness.changes.nights import Night
from harness.changes.rule import Rule


@dataclass(frozen=True, kw_only=True)
class Remembered:
    """What is remembered of one phone.

    Attributes:
        phone: Its name.
        series: The history of each series.
        date: Of its last night, or ''.
        nights: How many it has had.
        conditions: Last known value of each condition.
        temperature_c: Last known temperature.
        shift: Direction of a shared shift that a second night must confirm, or 0.
        shift_date: Date of the night it was first seen.
        shift_night: Number of that night.
        shift_cause: What differed then.
    """

    phone: str
    series: dict[str, History] = field(default_factory=dict)
    date: str = ""
    nights: int = 0
    conditions: tuple[tuple[str, str], ...] = ()
    temperature_c: float | None = None
    shift: int = 0
    shift_date: str = ""
    shift_night: int = 0
    shift_cause: str = ""


def shared(
    watch: Remembered, night: Night, views: Sequence[View], rule: Rule
) -> tuple[Remembered, LastingChange | None]:
    """Add a night's conditions to a phone, and tell of a shift that its series share.

    It is found at once where something that was recorded about the phone changed, or the units
    did; else by a second night, or by confirming measurements, like any other change.
    """
    changed, warmer = _software(watch, night), _temperature(watch, night, rule)
    watch = _remember(watch, night)
    forgotten = replace(watch, shift=0)
    limit = math.log1p(rule.group_move if changed else rule.off_share)
    direction = _direction(views, limit, rule)
    if not direction:
        return forgotten, None
    again = watch.shift == direction
    began, number = (watch.shift_date, watch.shift_night) if again else (night.date, watch.nights)
    moved = _moved(views, direction * limit, number)
    units = _most(sum(view.kind is Kind.UNIT for view in moved), moved)
    causes = [watch.shift_cause if again else "", Kind.UNIT.value if units else "", changed, warmer]
    cause = "; ".join(dict.fromkeys(part for part in causes if part))
    confirmed = _most(sum(view.confirmed for view in moved), moved)
    if not (again or changed or units or confirmed):
        pending = replace(
            watch, shift=direction, shift_date=began, shift_night=number, shift_cause=cause
        )
        return pending, None
    if len(moved) < rule.group_least / 2:
        return forgotten, None  # the others were told one by one on an earlier night
    restarted = {
        view.series: view.history.restart(view.history.first_since(number)) for view in moved
    }
    return replace(forgotten, series={**watch.series, **restarted}), LastingChange(
        kind=Kind.SHARED,
        phone=night.phone,
        moves=tuple(move(view, view.history.first_since(number)) for view in moved),
        began=began,
        found=night.date,
        back_to=_back_to(moved, number, rule),
        cause=cause or "nothing that was recorded about the phone differs",
        watched=len(views),
    )


def move(view: View, began: int) -> Move:
    """Return the change of a series whose new level began at a night."""
    after = statistics.median(view.history.logs[began:])
    return Move(
        series=view.series,
        before=math.exp(view.level),
        after=math.exp(after),
        units=view.units,
    )


def _software(watch: Remembered, night: Night) -> str:
    """Return in words which conditions differ from those last known, or ''."""
    before = dict(watch.conditions)
    return "; ".join(
        f"{name} {before[name]} -> {value}"
        for name, value in sorted(night.conditions)
        if before.get(name, value) != value
    )


def _temperature(watch: Remembered, night: Night, rule: Rule) -> str:
    """Return in words how much warmer or colder the phone is, or '' if it is much the same."""
    before, now = watch.temperature_c, night.temperature_c
    if before is None or now is None or abs(now - before) < rule.warmer_c:
        return ""
    return f"temperature {before:.0f} -> {now:.0f} C"


def _remember(watch: Remembered, night: Night) -> Remembered:
    return replace(
        watch,
        conditions=tuple(sorted({**dict(watch.conditions), **dict(night.conditions)}.items())),
        temperature_c=watch.temperature_c if night.temperature_c is None else night.temperature_c,
    )


def _direction(views: Sequence[View], limit: float, rule: Rule) -> int:
    """Return the direction in which most series moved, or 0."""
    if len(views) < rule.group_least:
        return 0
    sides = Counter(side(view.distance, limit) for view in views)
    way = 1 if sides[1] >= sides[-1] else -1
    enough = sides[way] >= rule.group_share * len(views)
    return way if enough and sides[way] >= rule.group_odds * sides[-way] else 0


def _moved(views: Sequence[View], limit: float, number: int) -> list[View]:
    """Return what lies beyond a limit, without what is told by itself as it began earlier."""
    return [
        view
        for view in views
        if (view.distance > limit if limit > 0 else view.distance < limit)
        and (view.kind is None or view.began >= view.history.first_since(number))
    ]


def _most(some: int, moved: Sequence[View]) -> bool:
    return bool(moved) and 2 * some >= len(moved)


def _back_to(moved: Sequence[View], began: int, rule: Rule) -> str:
    """Return the date to whose level at least half of the series came back, or ''."""
    dates: Counter[str] = Counter()
    for view in moved:
        first = view.history.first_since(began)
        dates[view.history.back_to(view.history.logs[-1], first, rule)] += 1
    date, times = max(sorted(dates.items()), key=lambda item: item[1])
    return date if 2 * times >= len(moved) else ""
