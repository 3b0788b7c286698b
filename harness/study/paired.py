"""Mean differences over the same frames, with intervals that respect whole photographs.

Frames cut from one photograph are alike, so that they are not independent evidence: the interval
is that of a bootstrap which draws whole photographs.

Source: Field and Welsh, "Bootstrapping clustered data", Journal of the Royal Statistical Society B
69(3), 2007 (the cluster bootstrap); Efron and Tibshirani, "An Introduction to the Bootstrap", 1993,
chapter 13 (percentile intervals).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from harness.errors import MeasurementError

CONFIDENCE = 0.95
RESAMPLES = 10_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Interval:
    """A mean over frames with the interval that it lies in.

    Attributes:
        mean_db: Mean over frames.
        low_db: Lower end of the interval.
        high_db: Upper end.
        confidence: How often such an interval holds the true mean.
        frames: Frames in all.
        photographs: Photographs that they were cut from.
    """

    mean_db: float
    low_db: float
    high_db: float
    confidence: float
    frames: int
    photographs: int

    def __str__(self) -> str:
        """Return the mean and its interval, in dB without the unit."""
        return f"{self.mean_db:+.3f} ({self.low_db:+.3f} to {self.high_db:+.3f})"

    def inside(self, low_db: float, high_db: float) -> bool | None:
        """Say whether the mean lies between two values; None where the interval leaves it open."""
        if low_db <= self.low_db and self.high_db <= high_db:
            return True
        if self.high_db < low_db or high_db < self.low_db:
            return False
        return None

    @property
    def above_zero(self) -> bool | None:
        """Say whether the mean is above zero; None where the interval holds zero."""
        if self.low_db > 0.0:
            return True
        return False if self.high_db < 0.0 else None


def interval(
    values_db: Sequence[float],
    photographs: Sequence[str],
    *,
    comparisons: int = 1,
    seed: int = 1,
) -> Interval:
    """Return the mean of a value per frame and its interval, clustered by photograph.

    Args:
        values_db: One value per frame, such as the difference of two networks' PSNR.
        photographs: The photograph of each frame.
        comparisons: How many intervals a finding rests on; each is widened so that all hold
            together at 95 % (Bonferroni).
        seed: Seed of the draws.

    Raises:
        MeasurementError: There are fewer than two photographs, or a value is not finite.
    """
    values = np.asarray(values_db, dtype=np.float64)
    _, cluster = np.unique(np.asarray(photographs), return_inverse=True)
    counts = np.bincount(cluster)
    if len(counts) < 2:
        raise MeasurementError(
            f"frames of {len(counts)} photograph give no interval; measure at least two"
        )
    if not np.isfinite(values).all():
        raise MeasurementError("a frame's value is not finite, so that no mean can be given")
    sums = np.bincount(cluster, weights=values)
    drawn = np.random.default_rng(seed).integers(len(counts), size=(RESAMPLES, len(counts)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    confidence = 1.0 - (1.0 - CONFIDENCE) / comparisons
    low, high = np.quantile(means, [(1.0 - confidence) / 2.0, (1.0 + confidence) / 2.0])
    return Interval(
        mean_db=float(values.mean()),
        low_db=float(low),
        high_db=float(high),
        confidence=confidence,
        frames=len(values),
        photographs=len(counts),
    )
