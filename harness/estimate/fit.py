"""Fit a few positive constants to measured milliseconds: robust, with stated starting values."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.errors import ConfigError

Vector = NDArray[np.float64]

_STEPS_MAX = 60
_ROBUST_SCALE = 0.15
"""Log residual from which a row starts to lose weight: about 15 %, several times the change of one
published row between releases (0.7 to 3.8 %, median)."""


@dataclass(frozen=True, kw_only=True)
class Free:
    """A constant to fit.

    Attributes:
        name: Of the constant.
        start: Where the search starts, and what the constant is drawn to.
        spread: Log standard deviation of that pull: 0.7 means within a factor of 2.
    """

    name: str
    start: float
    spread: float


@dataclass(frozen=True, kw_only=True)
class Score:
    """How well predictions meet measurements.

    Attributes:
        rows: How many.
        within_10: Share of rows within 10 % of the measurement.
        within_25: Share of rows within 25 %.
        median_error: Median absolute relative error.
        spearman: Rank correlation; NaN under three rows or where one side is all equal.
    """

    rows: int
    within_10: float
    within_25: float
    median_error: float
    spearman: float


def fit(
    free: Sequence[Free],
    predict: Callable[[Mapping[str, float]], Vector],
    measured_ms: Sequence[float],
    *,
    noise: float = 0.1,
) -> dict[str, float]:
    """Find the constants whose predictions are closest in log, robustly.

    Args:
        free: What to fit; every constant stays positive.
        predict: Milliseconds of each row under some constants.
        measured_ms: Milliseconds of each row as measured.
        noise: Log standard deviation of one row, against which the pull to the start is weighed.

    Returns:
        The constants by name.

    Raises:
        ConfigError: there are no rows.
    """
    if not measured_ms:
        raise ConfigError("nothing to fit: no measured row has a reference network")
    target = np.log(np.asarray(measured_ms, dtype=np.float64))
    start = np.log([item.start for item in free])
    pull = noise / np.array([item.spread for item in free])

    def residuals(x: Vector) -> Vector:
        values = {item.name: math.exp(v) for item, v in zip(free, x, strict=True)}
        return np.log(predict(values)) - target

    x = _minimize(residuals, np.asarray(start, dtype=np.float64), pull)
    return {item.name: math.exp(v) for item, v in zip(free, x, strict=True)}


def held_out(
    groups: Sequence[str], train_and_predict: Callable[[Sequence[int], Sequence[int]], Vector]
) -> Vector:
    """Predict every row from constants that never saw its group.

    Args:
        groups: Group of each row, such as its model family.
        train_and_predict: Fits to the rows of the first list and predicts those of the second.
    """
    predictions = np.full(len(groups), np.nan)
    for group in dict.fromkeys(groups):
        test = [i for i, name in enumerate(groups) if name == group]
        train = [i for i, name in enumerate(groups) if name != group]
        predictions[test] = train_and_predict(train, test)
    return predictions


def misfit(predicted_ms: Vector, measured_ms: Sequence[float]) -> float:
    """Return how far predictions are off in log, robustly: what `fit` makes small."""
    return _robust(np.log(predicted_ms / np.asarray(measured_ms, dtype=np.float64)))


def score(predicted_ms: Vector, measured_ms: Sequence[float]) -> Score:
    """Score predictions against measurements, in the measures that latency papers use."""
    measured = np.asarray(measured_ms, dtype=np.float64)
    error = np.abs(predicted_ms / measured - 1.0)
    return Score(
        rows=len(measured),
        within_10=float(np.mean(error <= 0.10)),
        within_25=float(np.mean(error <= 0.25)),
        median_error=float(np.median(error)),
        spearman=_spearman(predicted_ms, measured),
    )


def _minimize(residuals: Callable[[Vector], Vector], start: Vector, pull: Vector) -> Vector:
    """Run damped Gauss-Newton on soft-L1 residuals with a ridge to the start."""

    def objective(x: Vector) -> float:
        return _robust(residuals(x)) + float(np.sum((pull * (x - start)) ** 2))

    x, damping, best = start.copy(), 1e-2, objective(start)
    for _ in range(_STEPS_MAX):
        r = residuals(x)
        weight = 1.0 / np.sqrt(1.0 + (r / _ROBUST_SCALE) ** 2)
        slope = _jacobian(residuals, x, r)
        normal = slope.T @ (weight[:, None] * slope) + np.diag(pull**2)
        gradient = slope.T @ (weight * r) + pull**2 * (x - start)
        step = np.linalg.solve(normal + damping * np.diag(np.diag(normal) + 1e-9), -gradient)
        trial = x + np.clip(step, -1.0, 1.0)
        value = objective(trial)
        if value < best:
            done = best - value < 1e-10
            x, best, damping = trial, value, max(damping / 5.0, 1e-9)
            if done:
                break
        else:
            damping *= 5.0
            if damping > 1e6:
                break
    return x


def _robust(residuals: Vector) -> float:
    """Return the sum of squares of small residuals, which grows linearly for large ones."""
    scaled = (residuals / _ROBUST_SCALE) ** 2
    return float(np.sum(2.0 * (np.sqrt(1.0 + scaled) - 1.0))) * _ROBUST_SCALE**2


def _jacobian(residuals: Callable[[Vector], Vector], x: Vector, base: Vector) -> Vector:
    columns = []
    for i in range(len(x)):
        moved = x.copy()
        moved[i] += 1e-4
        columns.append((residuals(moved) - base) / 1e-4)
    return np.stack(columns, axis=1)


def _spearman(a: Vector, b: Vector) -> float:
    if len(a) < 3:
        return math.nan
    ranks = [_ranks(values) for values in (a, b)]
    if any(np.ptp(values) == 0.0 for values in ranks):
        return math.nan
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def _ranks(values: Vector) -> Vector:
    """Return the rank of each value; equal values share the mean of theirs."""
    below = np.sum(values[:, None] > values[None, :], axis=1)
    equal = np.sum(values[:, None] == values[None, :], axis=1)
    ranks: Vector = below + (equal - 1) / 2.0
    return ranks
