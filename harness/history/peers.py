"""Other rules and engines that find changes, asked night by night for comparison.

asv, Otava and ruptures are used where they are installed; none is in an extra. Each sees only
the nights so far, and tells of a change once: when it first sees it.
"""

import importlib
import itertools
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from harness.history.yardstick import Alarm, KnownSeries

Changes = Callable[[Sequence[float]], list[tuple[int, int]]]
"""From the values so far: index of the first night of each change, and its direction."""


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A rule or engine to compare with.

    Attributes:
        name: How it is called in the table.
        changes: What it sees in the nights so far, or None where it is not installed.
        same_nights: Changes of one direction this near are the same one, seen again.
    """

    name: str
    changes: Changes | None
    same_nights: int = 1


def every() -> tuple[Peer, ...]:
    """Return the rules to compare with, in the order of the table."""
    return (
        Peer(name="5 % off last night", changes=plain(0.05), same_nights=0),
        Peer(name="asv, >= 5 %", changes=asv()),
        Peer(name="Otava, >= 5 %", changes=otava()),
        Peer(name="PELT (L1), >= 8 %", changes=pelt()),
    )


def plain(share: float) -> Changes:
    """Return the rule that compares each night with the one before it."""

    def changes(values: Sequence[float]) -> list[tuple[int, int]]:
        ratio = math.log(values[-1] / values[-2])
        last = len(values) - 1
        return [(last, 1 if ratio > 0 else -1)] if abs(ratio) > math.log1p(share) else []

    return changes


def asv() -> Changes | None:
    """Return asv's step detection with steps of at least 5 %, or None if not installed."""
    module = _module("asv.step_detect")
    if module is None:
        return None

    def changes(values: Sequence[float]) -> list[tuple[int, int]]:
        steps = module.detect_steps(list(values))
        return [
            (int(after[0]), 1 if after[2] > before[2] else -1)
            for before, after in itertools.pairwise(steps)
            if abs(math.log(after[2] / before[2])) >= math.log1p(0.05)
        ]

    return changes


def otava() -> Changes | None:
    """Return Apache Otava at p = 0.001 and 5 %, or None if not installed."""
    module = _module("otava.analysis")
    if module is None:
        return None

    def changes(values: Sequence[float]) -> list[tuple[int, int]]:
        points, _ = module.compute_change_points(
            [float(value) for value in values], window_len=50, max_pvalue=0.001, min_magnitude=0.05
        )
        return [
            (int(point.index), 1 if point.stats.forward_rel_change() > 0 else -1)
            for point in points
        ]

    return changes


def pelt() -> Changes | None:
    """Return PELT with absolute deviations (penalty 6, >= 8 %), or None if not installed."""
    module = _module("ruptures")
    if module is None:
        return None

    def changes(values: Sequence[float]) -> list[tuple[int, int]]:
        logs = [math.log(value) for value in values]
        steps = [abs(b - a) for a, b in itertools.pairwise(logs)]
        noise = max(1.4826 * statistics.median(steps) / math.sqrt(2), 0.003)
        scaled = np.asarray(logs).reshape(-1, 1) / noise
        ends = module.Pelt(model="l1", min_size=2, jump=1).fit(scaled).predict(pen=6)
        bounds = [0, *ends]
        found = []
        for start, middle, end in zip(bounds, bounds[1:], bounds[2:], strict=False):
            change = statistics.median(logs[middle:end]) - statistics.median(logs[start:middle])
            if abs(change) >= math.log1p(0.08):
                found.append((middle, 1 if change > 0 else -1))
        return found

    return changes


def alarms(changes: Changes, record: KnownSeries, same_nights: int) -> tuple[Alarm, ...]:
    """Return when a rule first tells of each change, seeing the nights one after the other."""
    told: list[tuple[int, int]] = []
    said = []
    for night in range(1, len(record.values)):
        for where, direction in changes(record.values[: night + 1]):
            same = (abs(where - w) <= same_nights and direction == d for w, d in told)
            if not any(same):
                told.append((where, direction))
                said.append(Alarm(night=night, direction=direction))
    return tuple(said)


def _module(name: str) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None
