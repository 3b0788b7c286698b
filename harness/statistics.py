"""Quantiles, rank tests and middles of a few values. Arithmetic only; nothing of phones."""

import functools
import math
import statistics
from collections.abc import Sequence


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the linearly interpolated percentile of ascending values; `share` in 0..1."""
    position = share * (len(ordered) - 1)
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


def signed_rank_p(values: Sequence[float]) -> float:
    """Return the exact one-sided p-value that the middle of `values` is above 0.

    Zeros are left out; equal sizes share their ranks.

    Source: Wilcoxon signed-rank test; exact distribution by counting sums of ranks.
    """
    moved = sorted((abs(v), v > 0) for v in values if v != 0.0)
    if not moved:
        return 1.0
    doubled: list[int] = []
    for size, _ in moved:
        below = sum(1 for other, _ in moved if other < size)
        equal = sum(1 for other, _ in moved if other == size)
        doubled.append(2 * below + equal + 1)  # twice the mean rank, so that ties stay whole
    observed = sum(rank for rank, (_, positive) in zip(doubled, moved, strict=True) if positive)
    counts = _rank_sums(tuple(doubled))
    return sum(counts[observed:]) / (1 << len(doubled))


@functools.lru_cache(maxsize=64)
def _rank_sums(ranks: tuple[int, ...]) -> tuple[int, ...]:
    """Return how many choices of signs give each sum of positive ranks."""
    counts = [1] + [0] * sum(ranks)
    for rank in ranks:
        for total in range(len(counts) - 1, rank - 1, -1):
            counts[total] += counts[total - rank]
    return tuple(counts)


def hodges_lehmann(values: Sequence[float]) -> float:
    """Return the median of the means of all pairs of values, each with itself too."""
    return statistics.median((a + b) / 2 for i, a in enumerate(values) for b in values[i:])


def student_quantile(share: float, freedom: int) -> float:
    """Return the quantile of Student's t, for shares from one half up.

    Source: Abramowitz and Stegun 26.7.3 and 26.7.4, inverted by bisection.
    """
    low, high = 0.0, 1.0
    while _student_cdf(high, freedom) < share:
        high *= 2
    for _ in range(200):
        middle = (low + high) / 2
        if _student_cdf(middle, freedom) < share:
            low = middle
        else:
            high = middle
    return high


def _student_cdf(t: float, freedom: int) -> float:
    """Return P(T <= t) for t >= 0 and a whole number of degrees of freedom."""
    theta = math.atan(t / math.sqrt(freedom))
    cosine = math.cos(theta)
    term, total = 1.0, 1.0
    if freedom % 2:
        term = total = cosine if freedom > 1 else 0.0
        for k in range(3, freedom - 1, 2):
            term *= cosine**2 * (k - 1) / k
            total += term
        both = 2 / math.pi * (theta + math.sin(theta) * total)
    else:
        for k in range(2, freedom - 1, 2):
            term *= cosine**2 * (k - 1) / k
            total += term
        both = math.sin(theta) * total
    return (1 + both) / 2
