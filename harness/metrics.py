"""Every quantity that the gates judge: its name, unit, sense and gate, in one table."""

from dataclasses import dataclass, replace

from harness.verdict import (
    CHANGE,
    ENERGY,
    FALLBACK,
    FIDELITY,
    FILE_SIZE,
    FIRST_INFERENCE,
    LATENCY,
    MEMORY,
    REGRESSION,
    SCALING,
    Sense,
)


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A quantity that a gate judges.

    Attributes:
        gate: Short name of its gate.
        name: Its name, with the unit in it where it has one.
        sense: The side of its limit on which it must lie.
        unit: Such as `dB`, or ''.
        about: What it is, in a few words.
        heading: Heading of its gate's column in a summary, or '' where another metric heads it.
        limit: Key of subject.toml that limits it, where that is called otherwise; or ''.
        counts: Whether it counts things, so that whoever counted finds the same.
    """

    gate: str
    name: str
    sense: Sense = Sense.AT_MOST
    unit: str = ""
    about: str = ""
    heading: str = ""
    limit: str = ""
    counts: bool = False

    @property
    def key(self) -> str:
        """Return the key of subject.toml that limits it."""
        return self.limit or self.name


LATENCY_MS = Metric(
    gate=LATENCY,
    name="latency_ms",
    unit="ms",
    about="median of one inference, or its estimate",
    heading="latency ms",
)
P95_MS = Metric(
    gate=LATENCY, name="p95_ms", unit="ms", about="95th percentile; measured latency only"
)
CPU_OPS = Metric(
    gate=FALLBACK,
    name="cpu_ops",
    about="ops that fall back to the CPU",
    heading="CPU ops",
    limit="cpu_ops_allowed",
    counts=True,
)
PARTITIONS = Metric(
    gate=FALLBACK,
    name="partitions",
    about="groups of ops on one unit, those on the CPU included",
    limit="partitions_max",
    counts=True,
)
CPU_TIME_SHARE = Metric(
    gate=FALLBACK, name="cpu_time_share", about="share of the time on the CPU, 0 to 1"
)
NON_FINITE_VALUES = Metric(
    gate=FIDELITY, name="non_finite_values", about="NaN and infinite values", counts=True
)
OUT_OF_RANGE_SHARE = Metric(
    gate=FIDELITY,
    name="out_of_range_share",
    about="share of values that a display would cut off: outside `output_range` by more than 5 % "
    "of its width",
)
PSNR_DB = Metric(
    gate=FIDELITY,
    name="psnr_db",
    sense=Sense.AT_LEAST,
    unit="dB",
    about="against the FP32 golden, its peak the width of `output_range`",
    heading="PSNR dB",
)
RELATIVE_L2 = Metric(gate=FIDELITY, name="relative_l2", about="against the FP32 golden")
WORST_TILE_PSNR_DB = Metric(
    gate=FIDELITY,
    name="worst_tile_psnr_db",
    sense=Sense.AT_LEAST,
    unit="dB",
    about="the worst 32x32 tile, which a whole image hides",
)
QUALITY_DROP_DB = Metric(
    gate=FIDELITY,
    name="quality_drop_db",
    unit="dB",
    about="PSNR against the sharp target, lost to FP32, or to the first outputs without one",
)
FIRST_RELATIVE_L2 = Metric(
    gate=FIDELITY,
    name="first_relative_l2",
    about="of a subject without an FP32 model, against the outputs that its first file made when "
    "they were blessed",
)
REPEAT_RELATIVE_L2 = Metric(
    gate=FIDELITY,
    name="repeat_relative_l2",
    about="on a phone, the first inference against a later one of the same input",
)
SSIM = Metric(
    gate=FIDELITY,
    name="ssim",
    sense=Sense.AT_LEAST,
    about="structural similarity to the FP32 golden, 1 where alike",
)
MS_SSIM = Metric(
    gate=FIDELITY,
    name="ms_ssim",
    sense=Sense.AT_LEAST,
    about="structural similarity over five scales, 1 where alike",
)
DELTA_E_2000 = Metric(
    gate=FIDELITY,
    name="delta_e_2000",
    about="mean colour difference from the FP32 golden, CIEDE2000; 1 is just seen",
)
SHIFT_PX = Metric(
    gate=FIDELITY, name="shift_px", unit="px", about="how far the whole image is moved"
)
LPIPS = Metric(
    gate=FIDELITY, name="lpips", about="perceptual distance from the FP32 golden, by AlexNet"
)
SCALING_EXPONENT = Metric(
    gate=SCALING,
    name="scaling_exponent",
    about="growth of ms with pixels; 1 is linear",
    heading="exponent",
    limit="exponent",
)
CLIFF_RATIO = Metric(
    gate=SCALING, name="cliff_ratio", about="largest jump of ms per megapixel between neighbours"
)
PLACEMENT_CHANGES = Metric(
    gate=SCALING,
    name="placement_changes",
    about="resolutions at which CPU ops or partitions change",
    counts=True,
)
PEAK_MEMORY_MIB = Metric(
    gate=MEMORY,
    name="peak_memory_mib",
    unit="MiB",
    about="peak activations and weights of the graph; on a phone the peak that the tool reports",
    heading="peak MiB",
)
WEIGHTS_MIB = Metric(gate=MEMORY, name="weights_mib", unit="MiB", about="all constants")
FILE_SIZE_MIB = Metric(
    gate=FILE_SIZE, name="file_size_mib", unit="MiB", about="the exported file", heading="file MiB"
)
FIRST_INFERENCE_MS = Metric(
    gate=FIRST_INFERENCE,
    name="first_inference_ms",
    unit="ms",
    about="loading, preparing and the first inference; measured only",
    heading="first ms",
)
ENERGY_MJ = Metric(
    gate=ENERGY,
    name="energy_mj",
    unit="mJ",
    about="what one more inference takes above the idle phone; only where a phone says so",
    heading="energy mJ",
)
BLESSED_LATENCY_MS = replace(LATENCY_MS, gate=REGRESSION, heading="baseline ms")
BLESSED_CPU_OPS = replace(CPU_OPS, gate=REGRESSION, heading="")
BLESSED_PARTITIONS = replace(PARTITIONS, gate=REGRESSION)
INSTRUCTIONS = Metric(
    gate=REGRESSION, name="instructions", about="instructions of one inference on the CPU"
)
QUALITY_DB = Metric(
    gate=REGRESSION,
    name="quality_db",
    sense=Sense.AT_LEAST,
    unit="dB",
    about="mean PSNR against the sharp targets",
)

DRIFT_DB = Metric(
    gate=FIDELITY,
    name="drift_db",
    unit="dB",
    about="of a clip, PSNR against the FP32 golden lost from its first frame to its last",
)
SEAM_DB = Metric(
    gate=FIDELITY,
    name="seam_db",
    unit="dB",
    about="of a photograph in tiles, PSNR against the FP32 golden that its seams have less than "
    "the rest",
)
COSINE_SIMILARITY = Metric(
    gate=FIDELITY,
    name="cosine_similarity",
    sense=Sense.AT_LEAST,
    about="of an output that is no image, with the FP32 golden",
)
TOP1_AGREEMENT = Metric(
    gate=FIDELITY,
    name="top1_agreement",
    sense=Sense.AT_LEAST,
    about="share of positions whose largest class is that of the FP32 golden",
)
IOU = Metric(
    gate=FIDELITY,
    name="iou",
    sense=Sense.AT_LEAST,
    about="intersection over union of the class maps, the mean over classes",
)
CHANGED_LATENCY_MS = replace(LATENCY_MS, gate=CHANGE, about="its estimate", heading="change ms")
LATENCY_RATIO = Metric(
    gate=CHANGE,
    name="latency_ratio",
    about="measured ms over those before, from pairs of runs in A B B A order",
)
CHANGED_CPU_OPS = replace(CPU_OPS, gate=CHANGE, heading="")
CHANGED_PARTITIONS = replace(PARTITIONS, gate=CHANGE)
CHANGED_FILE_SIZE_MIB = replace(FILE_SIZE_MIB, gate=CHANGE, heading="")
MACS = Metric(gate=CHANGE, name="macs", about="multiply-accumulates of one inference")
CHANGED_INSTRUCTIONS = replace(INSTRUCTIONS, gate=CHANGE)
CHANGED_QUALITY_DB = replace(
    QUALITY_DB, gate=CHANGE, about="PSNR of a frame against its sharp target"
)
CHANGED_PSNR_DB = replace(
    PSNR_DB,
    gate=CHANGE,
    about="against the FP32 golden, where there is no sharp target",
    heading="",
)
PIXELS_DB = Metric(
    gate=CHANGE,
    name="pixels_db",
    sense=Sense.AT_LEAST,
    unit="dB",
    about="PSNR of the new output against the earlier file's",
)

BLESSED = (BLESSED_LATENCY_MS, BLESSED_CPU_OPS, BLESSED_PARTITIONS, INSTRUCTIONS, QUALITY_DB)
"""What a person accepts as a baseline."""
ALL = (
    LATENCY_MS,
    P95_MS,
    CPU_OPS,
    PARTITIONS,
    CPU_TIME_SHARE,
    NON_FINITE_VALUES,
    OUT_OF_RANGE_SHARE,
    PSNR_DB,
    RELATIVE_L2,
    WORST_TILE_PSNR_DB,
    QUALITY_DROP_DB,
    FIRST_RELATIVE_L2,
    REPEAT_RELATIVE_L2,
    SSIM,
    MS_SSIM,
    DELTA_E_2000,
    SHIFT_PX,
    LPIPS,
    DRIFT_DB,
    SEAM_DB,
    COSINE_SIMILARITY,
    TOP1_AGREEMENT,
    IOU,
    SCALING_EXPONENT,
    CLIFF_RATIO,
    PLACEMENT_CHANGES,
    PEAK_MEMORY_MIB,
    WEIGHTS_MIB,
    FILE_SIZE_MIB,
    FIRST_INFERENCE_MS,
    ENERGY_MJ,
    *BLESSED,
    CHANGED_LATENCY_MS,
    LATENCY_RATIO,
    CHANGED_CPU_OPS,
    CHANGED_PARTITIONS,
    CHANGED_FILE_SIZE_MIB,
    MACS,
    CHANGED_INSTRUCTIONS,
    CHANGED_QUALITY_DB,
    CHANGED_PSNR_DB,
    PIXELS_DB,
)
"""In the order of the gates; no two of one gate share a name."""
HEADINGS = {metric.gate: metric for metric in ALL if metric.heading}
"""The metric that heads each gate's column."""
NAMED = {metric.name: metric for metric in reversed(ALL)}
"""By name, as the first gate of several has it."""
