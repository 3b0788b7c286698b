"""How the values of a series are compared: exactly, or by a level of which more is worse."""

import math

from harness import metrics
from harness.evidence import Evidence
from harness.history.entries import SeriesKey
from harness.verdict import Sense

_COUNTS = frozenset(metric.name for metric in metrics.ALL if metric.counts)
_DB = 20.0
"""Decibels of a tenfold amplitude: dB are a logarithm already, and the rule takes one."""


def sense_of(metric: str) -> Sense:
    """Return the side on which a metric is better; of an unknown one, less is.

    The name of an output may stand before the metric's, as in `mask/iou`.
    """
    known = metrics.NAMED.get(metric.rpartition("/")[2])
    return known.sense if known is not None else Sense.AT_MOST


def is_exact(series: SeriesKey) -> bool:
    """Return whether the facts of a series should repeat to the last digit."""
    try:
        repeats = Evidence(series.evidence).repeats
    except ValueError:
        repeats = False
    return series.metric in _COUNTS or repeats


def of(series: SeriesKey, value: float) -> float | None:
    """Return a value as the rule takes it: above 0, more is worse; None where it has none."""
    if series.metric.endswith("_db"):
        sign = 1.0 if sense_of(series.metric) is Sense.AT_MOST else -1.0
        value = math.pow(10.0, sign * max(-2000.0, min(2000.0, value)) / _DB)
    return value if value > 0 else None


def value(series: SeriesKey, level: float) -> float:
    """Return a level as its metric has it."""
    if not series.metric.endswith("_db"):
        return level
    sign = 1.0 if sense_of(series.metric) is Sense.AT_MOST else -1.0
    return sign * _DB * math.log10(level)
