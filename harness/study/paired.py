"""Mean differences over the same frames, with intervals that respect whole photographs.

Frames cut from one photograph are alike, so that they are not independent evidence: the interval
is that of a bootstrap which draws whole photographs.

Source: Field and Welsh, "Bootstrapping clustered data", Journal of the Royal Statistical Society B
69(3), 2007 (the cluster bootstrap); Efron and Tibshirani, "An Introduction to the Bootstrap", 1993,
chapter 13 (percentile intervals).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from harness.errors import MeasurementError
from harness.statistics import student_quantile

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


@dataclasses.dataclass(frozen=True, kw_only=True)
class SeedSpread:
    """The spread of mean PSNR among trainings of one design that differ in their seed alone.

    Attributes:
        deviation_db: Standard deviation, pooled over designs.
        freedom: Degrees of freedom that it was estimated with.
    """

    deviation_db: float
    freedom: int


def seed_spread(means_db: Sequence[Sequence[float]]) -> SeedSpread:
    """Return the spread among trainings, pooled over designs as if all had the same.

    Args:
        means_db: For each design the mean PSNR of each of its trainings; designs with one
            training tell nothing and may be among them.

    Raises:
        MeasurementError: No design was trained twice.
    """
    several = [np.asarray(means) for means in means_db if len(means) > 1]
    freedom = sum(len(means) - 1 for means in several)
    if not freedom:
        raise MeasurementError("no design was trained with two seeds; run `harness study train`")
    squares = sum(float(np.square(means - means.mean()).sum()) for means in several)
    return SeedSpread(deviation_db=math.sqrt(squares / freedom), freedom=freedom)


def between_designs(
    better_db: Sequence[Sequence[float]],
    worse_db: Sequence[Sequence[float]],
    photographs: Sequence[str],
    *,
    spread: SeedSpread,
    comparisons: int = 1,
) -> Interval:
    """Return by how much one design exceeds another, whatever the frames and the seeds.

    The interval over photographs of the two designs' means over their trainings is widened, root
    of the sum of squares, by Student's interval of the trainings.

    Args:
        better_db: PSNR of each training of the first design, a value per frame.
        worse_db: The same of the second.
        photographs: The photograph of each frame.
        spread: Of the trainings of one design.
        comparisons: As for `interval`.

    Raises:
        MeasurementError: As `interval`.
    """
    differences = np.mean(better_db, axis=0) - np.mean(worse_db, axis=0)
    found = interval(differences.tolist(), photographs, comparisons=comparisons)
    quantile = student_quantile((1.0 + found.confidence) / 2.0, spread.freedom)
    trainings = 1.0 / len(better_db) + 1.0 / len(worse_db)
    half_db = quantile * spread.deviation_db * math.sqrt(trainings)
    return dataclasses.replace(
        found,
        low_db=found.mean_db - math.hypot(found.mean_db - found.low_db, half_db),
        high_db=found.mean_db + math.hypot(found.high_db - found.mean_db, half_db),
    )
