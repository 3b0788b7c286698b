"""Score rules that look for changes, night by night, against what the series did afterwards.

The truth is made in hindsight. A required step is a change of level by at least 10 % that
lasts: the medians of the five nights before and the five after differ by that much, all five
nights after lie beyond the middle between the two, and the night before lies on the old side.
A neutral step is at least 5 % over three nights: to tell of it is neither a hit nor false.

`segments` makes a second truth, by another road: the best piecewise constant fit. A rule that
wants nights in a row and a truth that wants nights in a row are kin; this one is not.
"""

import itertools
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

LASTING_NIGHTS = 5
_NEUTRAL_NIGHTS = 3
_FOUND_NIGHTS = 3
_REQUIRED_SHARE = 0.10
_NEUTRAL_SHARE = 0.05
_PENALTY = 6.0
_SEGMENT_LEAST = 2
_PAST_LEAST = 2
"""Nights that must lie before a required step: with one, no rule can know the old level."""


@dataclass(frozen=True, kw_only=True)
class KnownSeries:
    """One series as it went.

    Attributes:
        name: Of the series.
        values: One a night, in order.
        other_units: Nights on which another unit ran most ops, or one came or went.
    """

    name: str
    values: tuple[float, ...]
    other_units: tuple[int, ...] = ()

    @property
    def logs(self) -> tuple[float, ...]:
        """Return the logarithms of its values over the first one: in any unit the same."""
        return tuple(math.log(value / self.values[0]) for value in self.values)


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """What a rule said of one series.

    Attributes:
        night: Index of the night on which it said so, knowing nothing later.
        direction: 1 for slower, -1 for faster.
    """

    night: int
    direction: int


@dataclass(frozen=True, kw_only=True)
class SeriesStep:
    """A change that a series really made.

    Attributes:
        night: Index of its first night.
        direction: 1 for slower, -1 for faster.
        required: Whether a rule must find it; else it may.
    """

    night: int
    direction: int
    required: bool


@dataclass(frozen=True, kw_only=True)
class RuleScore:
    """How well a rule did.

    Attributes:
        units: Unit changes.
        units_found: Of them, told on their first night.
        steps: Required steps.
        steps_found: Of them, told within three nights.
        delay_nights: Mean night of those on which they were told; the first is 1. 0 if none.
        series_nights: Nights on which an alarm can be judged.
        alarms: Alarms on those nights.
        false: Of them, those that match no step and no unit change.
    """

    units: int
    units_found: int
    steps: int
    steps_found: int
    delay_nights: float
    series_nights: int
    alarms: int
    false: int

    @property
    def unit_share(self) -> float | None:
        """Return the share of unit changes told on their first night, or None."""
        return self.units_found / self.units if self.units else None

    @property
    def step_share(self) -> float | None:
        """Return the share of required steps told within three nights, or None."""
        return self.steps_found / self.steps if self.steps else None

    @property
    def false_per_1000(self) -> float | None:
        """Return the false alarms per 1,000 series-nights, or None."""
        return 1000 * self.false / self.series_nights if self.series_nights else None

    @property
    def right_share(self) -> float | None:
        """Return the share of alarms that were right, or None."""
        return 1 - self.false / self.alarms if self.alarms else None


Truth = Callable[[KnownSeries], tuple[SeriesStep, ...]]


def lasting_steps(record: KnownSeries) -> tuple[SeriesStep, ...]:
    """Return the required and the neutral steps of a series."""
    logs = record.logs
    required = _steps(logs, _REQUIRED_SHARE, LASTING_NIGHTS, required=True)
    return required + _steps(logs, _NEUTRAL_SHARE, _NEUTRAL_NIGHTS, required=False)


def segments(record: KnownSeries) -> tuple[SeriesStep, ...]:
    """Return steps between the segments of the best piecewise constant fit, by medians.

    The fit minimizes the sum of absolute deviations, over the noise of the series, plus 6 a
    segment. Its noise is estimated from the differences of neighbouring nights.
    """
    logs = record.logs
    bounds = _fit(logs)
    steps = []
    for start, middle, end in zip(bounds, bounds[1:], bounds[2:], strict=False):
        change = statistics.median(logs[middle:end]) - statistics.median(logs[start:middle])
        if abs(change) >= math.log1p(_NEUTRAL_SHARE):
            lasts = end - middle >= LASTING_NIGHTS
            required = lasts and abs(change) >= math.log1p(_REQUIRED_SHARE)
            steps.append(SeriesStep(night=middle, direction=_sign(change), required=required))
    return tuple(steps)


def score(
    records: Sequence[KnownSeries],
    alarms: Sequence[Sequence[Alarm]],
    truth: Truth = lasting_steps,
) -> RuleScore:
    """Return how well the alarms of each series tell what it did."""
    parts = [
        _one(record, sorted(said, key=lambda alarm: alarm.night), truth(record))
        for record, said in zip(records, alarms, strict=True)
    ]
    found = sum(part.steps_found for part in parts)
    nights = sum(part.delay_nights * part.steps_found for part in parts)
    return RuleScore(
        units=sum(part.units for part in parts),
        units_found=sum(part.units_found for part in parts),
        steps=sum(part.steps for part in parts),
        steps_found=found,
        delay_nights=nights / found if found else 0.0,
        series_nights=sum(part.series_nights for part in parts),
        alarms=sum(part.alarms for part in parts),
        false=sum(part.false for part in parts),
    )


def _one(record: KnownSeries, alarms: Sequence[Alarm], steps: Sequence[SeriesStep]) -> RuleScore:
    judged = max(0, len(record.values) - LASTING_NIGHTS)
    required = [step for step in steps if step.required and step.night >= _PAST_LEAST]
    delays = [delay for step in required if (delay := _delay(step, alarms)) is not None]
    counted = [alarm for alarm in alarms if 1 <= alarm.night <= judged]
    told = {alarm.night for alarm in alarms}
    return RuleScore(
        units=len(record.other_units),
        units_found=sum(night in told for night in record.other_units),
        steps=len(required),
        steps_found=len(delays),
        delay_nights=statistics.fmean(delays) if delays else 0.0,
        series_nights=judged,
        alarms=len(counted),
        false=sum(not _right(alarm, steps, record.other_units) for alarm in counted),
    )


def _delay(step: SeriesStep, alarms: Sequence[Alarm]) -> int | None:
    """Return on which night of a step it was told, from 1, or None if not soon enough."""
    for alarm in alarms:
        night = alarm.night - step.night + 1
        if alarm.direction == step.direction and 1 <= night <= _FOUND_NIGHTS:
            return night
    return None


def _right(alarm: Alarm, steps: Sequence[SeriesStep], other_units: Sequence[int]) -> bool:
    """Return whether an alarm matches a step at most five nights old, or a unit change."""
    return any(0 <= alarm.night - night <= 1 for night in other_units) or any(
        step.direction == alarm.direction and 0 <= alarm.night - step.night <= LASTING_NIGHTS
        for step in steps
    )


def _steps(
    logs: Sequence[float], share: float, nights: int, *, required: bool
) -> tuple[SeriesStep, ...]:
    steps = []
    for night in range(1, len(logs) - nights + 1):
        after = logs[night : night + nights]
        old = statistics.median(logs[max(0, night - LASTING_NIGHTS) : night])
        new = statistics.median(after)
        direction, middle = _sign(new - old), (old + new) / 2
        lasts = all(direction * (log - middle) > 0 for log in after)
        sharp = direction * (logs[night - 1] - middle) < 0
        if abs(new - old) >= math.log1p(share) and lasts and sharp:
            steps.append(SeriesStep(night=night, direction=direction, required=required))
    return tuple(steps)


def _fit(logs: Sequence[float]) -> list[int]:
    """Return the bounds of the segments of the best fit, from 0 to the number of nights."""
    changes = sorted(abs(b - a) for a, b in itertools.pairwise(logs))
    noise = max(1.4826 * statistics.median(changes) / math.sqrt(2), 0.003) if changes else 1.0
    costs, before = [0.0], [0]
    for end in range(1, len(logs) + 1):
        starts = [0, *range(_SEGMENT_LEAST, end - _SEGMENT_LEAST + 1)]
        fits = {s: costs[s] + _PENALTY + _deviation(logs[s:end]) / noise for s in starts}
        before.append(min(starts, key=lambda start: (fits[start], start)))
        costs.append(fits[before[-1]])
    bounds = [len(logs)]
    while bounds[-1] > 0:
        bounds.append(before[bounds[-1]])
    return bounds[::-1]


def _deviation(logs: Sequence[float]) -> float:
    middle = statistics.median(logs)
    return math.fsum(abs(log - middle) for log in logs)


def _sign(number: float) -> int:
    return (number > 0) - (number < 0)
