"""Turn held-out residuals into the 90 % interval of an estimate."""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from harness.errors import ConfigError

_COVERAGE = 0.90
# Two-sided 90 % quantile of Student's t by degrees of freedom; Source: any table of it.
_T_90 = (6.314, 2.920, 2.353, 2.132, 2.015, 1.943, 1.895, 1.860, 1.833)


def ratio(
    predicted_ms: Sequence[float],
    measured_ms: Sequence[float],
    families: Sequence[str] | None = None,
) -> float:
    """Return what to multiply and divide an estimate by to cover 90 % of new networks.

    With ten rows or more, the conformal quantile of the absolute log residuals: each family has
    the same weight, and one more family lies beyond all. With fewer than nine families that
    quantile does not exist, and the largest residual stands in; with fewer than ten rows, a
    Student interval of the residuals.

    Args:
        predicted_ms: Held-out predictions, at least two.
        measured_ms: The measurements.
        families: Of each row; without, each row is its own.

    Raises:
        ConfigError: fewer than two rows.

    Source: Lee, Barber and Willett, Distribution-free inference with hierarchical data
        (arXiv 2306.06342), for the quantile over families.
    """
    residuals = np.abs(np.log(np.asarray(predicted_ms) / np.asarray(measured_ms)))
    rows = len(residuals)
    if rows < 2:
        raise ConfigError(f"an interval needs two held-out rows or more, there are {rows}")
    if rows >= len(_T_90) + 1:
        return math.exp(_quantile(residuals, families or [str(row) for row in range(rows)]))
    deviation = math.sqrt(float(np.mean(residuals**2)))
    return math.exp(_T_90[rows - 2] * deviation * math.sqrt(1.0 + 1.0 / rows))


def _quantile(residuals: NDArray[np.float64], families: Sequence[str]) -> float:
    """Return the residual that a new family's is within, at the coverage aimed at."""
    sizes = Counter(families)
    weights = np.array([1.0 / (len(sizes) + 1) / sizes[name] for name in families])
    order = np.argsort(residuals)
    rank = int(np.searchsorted(np.cumsum(weights[order]), _COVERAGE - 1e-9))
    return float(residuals[order][min(rank, len(residuals) - 1)])


def widen(interval_ratio: float, *, macs: int, fitted_gmacs_max: float | None) -> float:
    """Return the interval for a network beyond those that constants were fitted to.

    The log of the interval grows by its own size with each factor of ten in MACs. That is an
    assumption, not a fit: no public rows of restoration networks at 720p exist to test it.
    """
    if fitted_gmacs_max is None or macs <= fitted_gmacs_max * 1e9:
        return interval_ratio
    return float(interval_ratio ** (1.0 + math.log10(macs / (fitted_gmacs_max * 1e9))))


def coverage(
    predicted_ms: Sequence[float], measured_ms: Sequence[float], interval_ratio: float
) -> float:
    """Return the share of measurements that lie in their interval."""
    log_ratio = np.abs(np.log(np.asarray(predicted_ms) / np.asarray(measured_ms)))
    return float(np.mean(log_ratio <= math.log(interval_ratio) + 1e-12))
