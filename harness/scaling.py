"""Describe how latency grows with resolution. Arithmetic only."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from harness.errors import MeasurementError
from harness.evidence import Provenance
from harness.images import Size

_OFF_CHIP_STEP = 0.1
"""Share of the time by which kernels must leave on-chip memory to be named as a cause."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """The latency and placement at one resolution; `ms` may be measured or estimated."""

    size: Size
    ms: float
    partitions: int
    cpu_ops: int
    spill_mib: float | None = None
    off_chip_share: float | None = None


@dataclass(frozen=True, kw_only=True)
class Cliff:
    """A step between two resolutions at which the cost per megapixel jumps.

    Attributes:
        below: Resolution before the jump.
        above: Resolution after it.
        ratio: ms per megapixel above over ms per megapixel below.
        cause: What is known to have changed between the two, or ''.
    """

    below: Size
    above: Size
    ratio: float
    cause: str


@dataclass(frozen=True, kw_only=True)
class Scaling:
    """Latency against size.

    Attributes:
        points: In order of pixels.
        exponent: Slope of log latency on log pixels, by least squares; 1 is linear.
        worst_step: The step with the largest ratio of ms per megapixel.
        placement_changes: Steps at which CPU ops or partitions change, described.
        provenance: Of the weakest point.
    """

    points: tuple[Point, ...]
    exponent: float
    worst_step: Cliff
    placement_changes: tuple[str, ...]
    provenance: Provenance


def describe(points: Sequence[Point], *, provenance: Provenance) -> Scaling:
    """Fit the growth exponent and find cliffs and placement changes.

    Args:
        points: At least two, of different sizes.
        provenance: Of the weakest point.

    Raises:
        MeasurementError: fewer than two sizes, or a latency that is not positive and finite.
    """
    ordered = sorted(points, key=lambda point: point.size.megapixels)
    sizes = {p.size.megapixels for p in ordered}
    if len(sizes) < 2 or not all(0.0 < p.ms < math.inf for p in ordered):
        raise MeasurementError(
            "scaling needs positive, finite latencies at two or more resolutions"
        )
    return Scaling(
        points=tuple(ordered),
        exponent=_slope(
            [math.log(p.size.megapixels) for p in ordered], [math.log(p.ms) for p in ordered]
        ),
        worst_step=max(steps(ordered), key=lambda cliff: cliff.ratio),
        placement_changes=tuple(
            f"{b.size}: {_placement(a)} -> {_placement(b)}"
            for a, b in itertools.pairwise(ordered)
            if _placement(a) != _placement(b)
        ),
        provenance=provenance,
    )


def steps(points: Sequence[Point]) -> tuple[Cliff, ...]:
    """Return the step from each size to the next larger one, with what is known to change there.

    Args:
        points: Of different sizes and positive, finite latencies.
    """
    ordered = sorted(points, key=lambda point: point.size.megapixels)
    return tuple(_step(below, above) for below, above in itertools.pairwise(ordered))


def _slope(x: Sequence[float], y: Sequence[float]) -> float:
    mean_x, mean_y = math.fsum(x) / len(x), math.fsum(y) / len(y)
    spread = math.fsum((a - mean_x) ** 2 for a in x)
    return math.fsum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)) / spread


def _step(below: Point, above: Point) -> Cliff:
    causes = []
    if _placement(below) != _placement(above):
        causes.append(f"placement {_placement(below)} -> {_placement(above)}")
    if (below.spill_mib or 0.0) < (above.spill_mib or 0.0):
        causes.append(f"spill {below.spill_mib or 0.0:.1f} -> {above.spill_mib:.1f} MiB")
    if (above.off_chip_share or 0.0) > (below.off_chip_share or 0.0) + _OFF_CHIP_STEP:
        causes.append(
            f"working set beyond on-chip memory: {below.off_chip_share or 0.0:.0%} -> "
            f"{above.off_chip_share:.0%} of the time"
        )
    ratio = (above.ms / above.size.megapixels) / (below.ms / below.size.megapixels)
    return Cliff(below=below.size, above=above.size, ratio=ratio, cause="; ".join(causes))


def _placement(point: Point) -> str:
    ops = f"{point.cpu_ops} CPU op{'' if point.cpu_ops == 1 else 's'}"
    return f"{ops} in {point.partitions} partition{'' if point.partitions == 1 else 's'}"
