"""How far a variant may drift from its FP32 golden and from the sharp target."""

import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class OwnLimit:
    """A limit of a measure that the team wrote itself: one of its two ends.

    Attributes:
        at_least: Least value.
        at_most: Largest value.
        unit: Such as `dB`, or ''.
    """

    at_least: float | None = None
    at_most: float | None = None
    unit: str = ""

    def __post_init__(self) -> None:
        """Refuse a limit with no end, or with two."""
        if (self.at_least is None) is (self.at_most is None):
            raise ValueError("give one of at_least and at_most")


@dataclass(frozen=True, kw_only=True)
class OutputLimits:
    """How far one output may drift from its FP32 golden.

    An image has the limits of its variant where these are absent; a tensor is judged by those
    that are here.

    Attributes:
        name: The output's.
        psnr_db: Of an image, least PSNR.
        worst_tile_psnr_db: Of an image, least PSNR of the worst 32 x 32 tile.
        relative_l2: Largest relative L2 distance (ratio).
        cosine_similarity: Of a tensor, least cosine similarity (-1..1).
        top1_agreement: Of a tensor, least share of positions whose largest class is the same.
        iou: Of a tensor, least intersection over union of the class maps (0..1).
        first_relative_l2: Of a subject without an FP32 variant, largest relative L2 distance from
            its first outputs.
    """

    name: str
    psnr_db: float | None = None
    worst_tile_psnr_db: float | None = None
    relative_l2: float | None = None
    cosine_similarity: float | None = None
    top1_agreement: float | None = None
    iou: float | None = None
    first_relative_l2: float | None = None


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How far a variant may drift. A limit that is absent rules INCONCLUSIVE, never PASS.

    Attributes:
        source: Why these limits: what was measured, when, with which margin.
        psnr_db: Least PSNR against the FP32 golden.
        relative_l2: Largest relative L2 distance from the FP32 golden (ratio).
        worst_tile_psnr_db: Least PSNR of the worst 32 x 32 tile against the FP32 golden.
        quality_drop_db: Most PSNR that may be lost against the sharp target.
        ssim: Least structural similarity (0..1); this and those below are asked for only where
            they are set.
        ms_ssim: Least structural similarity over five scales (0..1).
        delta_e_2000: Largest mean colour difference, CIEDE2000.
        shift_px: Farthest that the whole image may be moved.
        lpips: Largest perceptual distance.
        own: Limits of the team's own measures, by name.
        drift_db: Of a clip, most PSNR that its last frame may have less than its first.
        seam_db: Of a photograph in tiles, most PSNR that its seams may have less than the rest.
        first_relative_l2: Of a subject without an FP32 variant, largest relative L2 distance from
            its first outputs, those that its first variant made when they were blessed.
        outputs: Limits of single outputs, where the subject describes several.
    """

    source: str
    psnr_db: float | None = None
    relative_l2: float | None = None
    worst_tile_psnr_db: float | None = None
    quality_drop_db: float | None = None
    ssim: float | None = None
    ms_ssim: float | None = None
    delta_e_2000: float | None = None
    shift_px: float | None = None
    lpips: float | None = None
    own: Mapping[str, OwnLimit] = field(default_factory=dict)
    drift_db: float | None = None
    seam_db: float | None = None
    first_relative_l2: float | None = None
    outputs: tuple[OutputLimits, ...] = ()

    def of(self, output: str) -> OutputLimits:
        """Return the limits of one output; none of its own where nothing is said of it."""
        for one in self.outputs:
            if one.name == output:
                return one
        return OutputLimits(name=output)


@dataclass(frozen=True, kw_only=True)
class LimitsOn:
    """Limits that take the place of a variant's own on some delegates.

    Attributes:
        delegates: Delegates; patterns allowed.
        limits: The limits there, such as fp16 ones on an NPU that runs FP32 models in fp16.
    """

    delegates: tuple[str, ...]
    limits: Limits

    def covers(self, delegate: str) -> bool:
        """Return whether the limits count on a delegate."""
        return any(fnmatch.fnmatchcase(delegate, pattern) for pattern in self.delegates)
