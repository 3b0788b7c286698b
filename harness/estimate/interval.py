"""Turn held-out residuals into the 90 % interval of an estimate."""

import math
from collections.abc import Sequence

import numpy as np

from harness.errors import ConfigError

_COVERAGE = 0.90
# Two-sided 90 % quantile of Student's t by degrees of freedom; Source: any table of it.
_T_90 = (6.314, 2.920, 2.353, 2.132, 2.015, 1.943, 1.895, 1.860, 1.833)


def ratio(predicted_ms: Sequence[float], measured_ms: Sequence[float]) -> float:
    """Return what to multiply and divide an estimate by to cover 90 % of new rows.

    With ten or more rows, the conformal quantile of the absolute log residuals; with fewer, that
    quantile does not exist and a Student interval of the residuals stands in.

    Args:
        predicted_ms: Held-out predictions, at least two.
        measured_ms: The measurements.

    Raises:
        ConfigError: fewer than two rows.
    """
    residuals = np.abs(np.log(np.asarray(predicted_ms) / np.asarray(measured_ms)))
    rows = len(residuals)
    if rows < 2:
        raise ConfigError(f"an interval needs two held-out rows or more, there are {rows}")
    if rows >= len(_T_90) + 1:
        rank = min(rows, math.ceil(_COVERAGE * (rows + 1)))
        return math.exp(float(np.sort(residuals)[rank - 1]))
    deviation = math.sqrt(float(np.mean(residuals**2)))
    return math.exp(_T_90[rows - 2] * deviation * math.sqrt(1.0 + 1.0 / rows))


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
