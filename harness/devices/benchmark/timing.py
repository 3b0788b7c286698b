"""Repeat runs of the benchmark tool until a latency is decided, or its stated cost is spent.

One run of the tool is one sample: its inferences share a mood of the phone, so that hundreds
of them say little more than one. The interval therefore comes from the medians of runs.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.devices.benchmark.benchmark_tool import Timings
from harness.errors import MeasurementError
from harness.statistics import student_quantile


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How long to go on.

    Attributes:
        looks: Numbers of runs after which it is judged whether to stop.
        confidence: Of the interval, over all looks together (0..1).
    """

    looks: tuple[int, ...] = (3, 5, 8, 12)
    confidence: float = 0.99

    @property
    def most_runs(self) -> int:
        """Return the stated cost: the most runs of the tool."""
        return self.looks[-1]


@dataclass(frozen=True, kw_only=True)
class MedianInterval:
    """The middle of the run medians and the interval it lies in, in milliseconds."""

    median_ms: float
    low_ms: float
    high_ms: float
    decided: bool


def judge(
    medians_ms: Sequence[float], *, limits_ms: Sequence[float], effort: Effort
) -> MedianInterval | None:
    """Judge whether enough runs were made.

    Args:
        medians_ms: Median of each run so far.
        limits_ms: The budgets that the latency is ruled against; none asks only for the interval.
        effort: When to look, and the confidence.

    Returns:
        None to go on; else the interval. It is not decided where the cost is spent and the
        interval still straddles a limit.

    Raises:
        MeasurementError: a median is not a positive number.
    """
    if not all(0.0 < ms < math.inf for ms in medians_ms):
        raise MeasurementError("a run's median is not a positive number of milliseconds")
    runs = len(medians_ms)
    if runs not in effort.looks:
        return None
    low_ms, high_ms = _interval(medians_ms, (1 - effort.confidence) / len(effort.looks))
    decided = all(high_ms <= limit_ms or low_ms > limit_ms for limit_ms in limits_ms)
    if not decided and runs < effort.most_runs:
        return None
    return MedianInterval(
        median_ms=statistics.median(medians_ms), low_ms=low_ms, high_ms=high_ms, decided=decided
    )


def _interval(values: Sequence[float], alpha: float) -> tuple[float, float]:
    """Return Student's interval of the mean of logs, as times; alpha counts both ends."""
    logs = [math.log(value) for value in values]
    middle, spread = statistics.fmean(logs), statistics.stdev(logs)
    reach = student_quantile(1 - alpha / 2, len(logs) - 1) * spread / math.sqrt(len(logs))
    return math.exp(middle - reach), math.exp(middle + reach)


def join(runs: Sequence[Timings]) -> Mapping[str, float]:
    """Join runs of the tool that print percentiles into the fields of a Latency.

    The median is the middle of the runs' medians and p95 of their p95; the spread holds that
    between runs too.

    Raises:
        MeasurementError: there are no runs, or a build that prints no percentiles.
    """
    medians = [run.median_ms for run in runs if run.median_ms is not None]
    tails = [run.p95_ms for run in runs if run.p95_ms is not None]
    if not runs or len(medians) < len(runs) or len(tails) < len(runs):
        raise MeasurementError("a run of the benchmark tool has no percentiles")
    count = sum(run.runs for run in runs)
    mean_ms = sum(run.mean_ms * run.runs for run in runs) / count
    square = sum((run.stddev_ms**2 + (run.mean_ms - mean_ms) ** 2) * run.runs for run in runs)
    return {
        "median_ms": statistics.median(medians),
        "p95_ms": statistics.median(tails),
        "mean_ms": mean_ms,
        "stddev_ms": math.sqrt(square / count),
        "min_ms": min(run.min_ms for run in runs),
        "first_ms": statistics.median(run.first_ms for run in runs),
        "init_ms": statistics.median(run.init_ms for run in runs),
        "runs": count,
    }
