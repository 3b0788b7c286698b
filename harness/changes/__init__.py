"""Find lasting changes in noisy series, night by night. Arithmetic only.

A series is one number that is measured every night, such as the median latency of a variant on
a phone. Its level is the median of its last five nights. A night is off the level where it is
more than 8 % away. Two nights off in a row, on the same side, are a change; where something
speaks for chance, three are wanted. A change of the unit that runs the ops is a fact of
placement and is told on its first night.

What many series of one phone do on the same night is one finding with its cause named. It is
never subtracted from the series: most updates of a phone move few of its models.

`docs/regressions.md` has the error figures of this rule and how it was chosen.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from harness.changes.findings import Kind, LastingChange, Move
from harness.changes.history import View, look
from harness.changes.nights import Night, Reading, time_of
from harness.changes.rule import Rule
from harness.changes.shared import Remembered, move, shared
from harness.errors import MeasurementError

__all__ = [
    "Kind",
    "LastingChange",
    "Move",
    "Night",
    "Reading",
    "Remembered",
    "Rule",
    "find",
    "observe",
    "time_of",
]


def observe(
    watch: Remembered, night: Night, rule: Rule | None = None
) -> tuple[Remembered, tuple[LastingChange, ...]]:
    """Add a night to what is known of a phone, and tell what it gave away.

    Args:
        watch: The phone so far; `Remembered(phone=...)` before its first night.
        night: Its next night.
        rule: What is a change.

    Returns:
        The phone with this night, and the findings: a shared one first, then by series.

    Raises:
        MeasurementError: the night is earlier than the last, of another phone, or holds a
            series twice.
    """
    rule = rule or Rule()
    _check(watch, night)
    readings = sorted(night.readings, key=lambda reading: reading.series)
    number = watch.nights + 1
    views = [look(watch.series.get(one.series), one, night.date, number, rule) for one in readings]
    histories = {**watch.series, **{view.series: view.history for view in views}}
    watch = replace(watch, nights=number, date=night.date, series=histories)
    seen = [view for view in views if view.last]
    watch, common = shared(watch, night, seen, rule)
    folded = {one.series for one in common.moves} if common else set()
    own = tuple(
        _finding(view, view.kind, night, len(seen))
        for view in seen
        if view.kind and view.series not in folded
    )
    return watch, ((common, *own) if common else own)


def find(nights: Iterable[Night], rule: Rule | None = None) -> tuple[LastingChange, ...]:
    """Return what a sequence of nights gives away, in their order; phones may alternate."""
    watches: dict[str, Remembered] = {}
    findings: list[LastingChange] = []
    for night in nights:
        watch = watches.get(night.phone) or Remembered(phone=night.phone)
        watches[night.phone], new = observe(watch, night, rule)
        findings += new
    return tuple(findings)


def _finding(view: View, kind: Kind, night: Night, watched: int) -> LastingChange:
    return LastingChange(
        kind=kind,
        phone=night.phone,
        moves=(move(view, view.began),),
        began=view.history.dates[view.began],
        found=night.date,
        back_to=view.back_to,
        cause=f"{kind.value}, {view.units}" if view.units else "",
        watched=watched,
    )


def _check(watch: Remembered, night: Night) -> None:
    if night.phone != watch.phone:
        raise MeasurementError(f"a night of {night.phone} cannot follow nights of {watch.phone}")
    when = time_of(night.date)
    if watch.date and when < time_of(watch.date):
        raise MeasurementError(
            f"{night.phone}: {night.date} comes after {watch.date}; sort the nights by time"
        )
    for name, times in Counter(reading.series for reading in night.readings).items():
        if times > 1:
            raise MeasurementError(
                f"{night.phone} {night.date}: {name} is there twice; "
                "put all values of a night into one reading"
            )
