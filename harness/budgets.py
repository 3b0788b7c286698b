"""Where variants ship, and what they may cost there: in time, memory, placement and growth."""

import fnmatch
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from harness.errors import ConfigError
from harness.images import Size


@dataclass(frozen=True, kw_only=True)
class Where:
    """Variants on devices through delegates.

    Attributes:
        devices: Profile names; patterns allowed.
        delegates: Delegates; patterns allowed.
        variants: Variant names; patterns allowed.
    """

    devices: tuple[str, ...]
    delegates: tuple[str, ...]
    variants: tuple[str, ...]

    def covers(self, device: str, delegate: str, variant: str) -> bool:
        """Return whether this entry speaks of the triple."""
        return (
            _any_match(device, self.devices)
            and _any_match(delegate, self.delegates)
            and _any_match(variant, self.variants)
        )


@dataclass(frozen=True, kw_only=True)
class Shipping(Where):
    """Variants that ship to devices, or are withheld from them, and why.

    Attributes:
        because: The reason, for a person.
    """

    because: str


@dataclass(frozen=True, kw_only=True)
class Budget(Where):
    """What variants may cost on devices through delegates at one resolution.

    Attributes:
        resolution: Such as `1280x720`.
        source: Who set it and why.
        latency_ms: Most milliseconds of the median inference.
        p95_ms: Most milliseconds of the 95th percentile.
        cpu_ops_allowed: Most ops that may fall back to the CPU.
        partitions_max: Most partitions, those on the CPU included.
        cpu_time_share: Most of the latency that may be spent on the CPU (0..1).
        peak_memory_mib: Most memory at the peak of an inference.
        weights_mib: Most memory of all constants.
        file_size_mib: Largest exported file.
        first_inference_ms: Most milliseconds of loading, preparing and the first inference.
        energy_mj: Most millijoules of one inference.
    """

    resolution: str
    source: str
    latency_ms: float | None = None
    p95_ms: float | None = None
    cpu_ops_allowed: int = 0
    partitions_max: int = 1
    cpu_time_share: float | None = None
    peak_memory_mib: float | None = None
    weights_mib: float | None = None
    file_size_mib: float | None = None
    first_inference_ms: float | None = None
    energy_mj: float | None = None

    def sets(self, keys: Collection[str]) -> bool:
        """Return whether this sets a limit for any of some keys.

        Raises:
            ConfigError: a budget has no such key.
        """
        known = vars(self)
        for key in keys:
            if key not in known:
                raise ConfigError(f"a budget has no key {key!r}; known: {', '.join(known)}")
        return any(known[key] is not None for key in keys)


@dataclass(frozen=True, kw_only=True)
class ScalingBudget:
    """How latency may grow with resolution.

    Attributes:
        resolutions: Such as `256x256`; with fewer than two there is no growth to ask about.
        exponent: Largest growth exponent; 1 is linear in pixels.
        cliff_ratio: Largest ratio of ms per megapixel between neighbouring resolutions.
        source: Who set it and why.
    """

    resolutions: tuple[str, ...]
    exponent: float
    cliff_ratio: float
    source: str

    @property
    def sizes(self) -> tuple[Size, ...]:
        """Return the resolutions in order of pixels."""
        return tuple(sorted((Size.parse(r) for r in self.resolutions), key=lambda s: s.megapixels))


@dataclass(frozen=True, kw_only=True)
class Tiling:
    """How a photograph is cut into tiles for the model, as phones do.

    Attributes:
        resolution: Of a tile, such as `512x512`.
        overlap_px: What neighbours share.
    """

    resolution: str
    overlap_px: int = 0

    def __post_init__(self) -> None:
        """Refuse an overlap of half a tile or more.

        Raises:
            ValueError: so, or it is negative.
        """
        size = Size.parse(self.resolution)
        if not 0 <= 2 * self.overlap_px < min(size.width_px, size.height_px):
            raise ValueError(f"overlap_px is less than half of a tile of {self.resolution}")

    @property
    def size(self) -> Size:
        """Return the resolution of a tile."""
        return Size.parse(self.resolution)


@dataclass(frozen=True, kw_only=True)
class ChangeAllowance:
    """How much worse a change may make what repeats before its gate fails; it is told all the same.

    Attributes:
        file_size_share: Of the exported file; a new exporter rewrites its metadata.
        cost_share: Of the estimated latency, the MACs and the instructions.
        source: Who set it and why.

    Source: choices. 2 % is the margin within which the test of measured pairs rules nothing
    slower; 1 % of a file is more than metadata and padding, and less than a layer.
    """

    file_size_share: float = 0.01
    cost_share: float = 0.02
    source: str = ""

    def __post_init__(self) -> None:
        """Refuse a share that is negative, or that allows anything.

        Raises:
            ValueError: it is.
        """
        for name in ("file_size_share", "cost_share"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} is a share, 0 to 1")


def _any_match(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
