"""Rule on what a variant makes of an image."""

from harness import metrics
from harness.errors import MeasurementError, ModelError, StackMissing
from harness.evidence import Provenance
from harness.fidelity import Fidelity
from harness.gate.ruling import inconclusive, rule
from harness.images import OUT_OF_RANGE_SHARE_MAX, Output, Pixels
from harness.limits import Limits
from harness.measures import Measure
from harness.tiles import Seam
from harness.verdict import Lack, Verdict


def finite(match: Fidelity, provenance: Provenance) -> Verdict:
    """Judge that the output holds no NaN and no infinity (F0)."""
    return finite_values(match.non_finite_values, provenance)


def finite_values(values: int, provenance: Provenance) -> Verdict:
    """Judge that there is no value that is NaN or infinite (F0)."""
    cause = "the output holds NaN or infinite values"
    return rule(metrics.NON_FINITE_VALUES, values, 0, provenance, cause=cause)


def repeated(output: Output, provenance: Provenance, *, at_most_ratio: float | None) -> Verdict:
    """Judge that a phone makes the same of the same input twice (F0).

    Args:
        output: Of a device that made it twice.
        provenance: Of the output.
        at_most_ratio: The limit on the distance from the FP32 golden: what is kept of that must
            be kept between two inferences too.
    """
    assert output.repeat_relative_l2 is not None
    return rule(
        metrics.REPEAT_RELATIVE_L2,
        output.repeat_relative_l2,
        at_most_ratio,
        provenance,
        cause="the first inference after loading and a later one differ on the same input, as with "
        "a stale texture or a race in the driver",
        remedy="upload the input again before each inference; compute in fp32 to see whether it "
        "stays",
    )


def in_range(match: Fidelity, provenance: Provenance) -> Verdict:
    """Judge that the output keeps to the range that its subject states (F0)."""
    return rule(
        metrics.OUT_OF_RANGE_SHARE,
        match.out_of_range_share,
        OUT_OF_RANGE_SHARE_MAX,
        provenance,
        cause="this share of the output lies beyond the output_range of subject.toml, where a "
        "display would cut it off",
    )


def measured(
    measure: Measure, pixels: Pixels, reference: Pixels, provenance: Provenance
) -> Verdict:
    """Judge an output by a measure that its limits ask for (F5).

    Args:
        measure: The measure with its limit.
        pixels: The output, float32 [1, H, W, C].
        reference: The FP32 golden.
        provenance: Of the output.
    """
    metric = measure.metric
    try:
        value = measure.value(pixels, reference)
    except StackMissing as error:
        return inconclusive(metric, Lack.STACK, str(error))
    except (ModelError, MeasurementError) as error:
        return inconclusive(metric, Lack.FACT, str(error))
    return rule(metric, value, measure.limit, provenance)


def psnr(
    match: Fidelity, provenance: Provenance, *, at_least_db: float | None, hazard: str = ""
) -> Verdict:
    """Judge the PSNR against the FP32 golden (F1).

    Args:
        match: How far the output is from the golden.
        provenance: Of the output.
        at_least_db: The limit.
        hazard: What is known to be wrong with the file or the output, or ''.
    """
    return rule(
        metrics.PSNR_DB,
        match.psnr_db,
        at_least_db,
        provenance,
        cause="; ".join(filter(None, (f"largest error {match.max_error:.3g}", hazard))),
        remedy="`harness bisect` finds the op",
    )


def relative_l2(match: Fidelity, provenance: Provenance, *, at_most_ratio: float | None) -> Verdict:
    """Judge the relative L2 distance from the FP32 golden (F2)."""
    return rule(metrics.RELATIVE_L2, match.relative_l2, at_most_ratio, provenance)


def worst_tile(match: Fidelity, provenance: Provenance, *, at_least_db: float | None) -> Verdict:
    """Judge the PSNR of the worst 32 x 32 tile, which a whole-image figure can hide (F3)."""
    left, top = match.worst_tile_px
    return rule(
        metrics.WORST_TILE_PSNR_DB,
        match.worst_tile_psnr_db,
        at_least_db,
        provenance,
        cause=f"the 32x32 tile at x {left}, y {top}",
    )


def quality_drop(
    variant: Fidelity, fp32: Fidelity, provenance: Provenance, *, at_most_db: float | None
) -> Verdict:
    """Judge the PSNR against the sharp target that the variant loses to FP32 (F4).

    Args:
        variant: The variant's output against the sharp target.
        fp32: The blessed FP32 output against the sharp target.
        provenance: Where the variant's output came from.
        at_most_db: Most dB that may be lost.
    """
    return rule(
        metrics.QUALITY_DROP_DB,
        fp32.psnr_db - variant.psnr_db,
        at_most_db,
        provenance,
        cause=f"{fp32.psnr_db:.2f} -> {variant.psnr_db:.2f} dB against the sharp target",
    )


def drift(
    first: Fidelity, last: Fidelity, provenance: Provenance, *, at_most_db: float | None
) -> Verdict:
    """Judge what a clip's last frame has lost to its first: errors that its state piles up (F6).

    Args:
        first: The first frame against its FP32 golden.
        last: The last frame against its own.
        provenance: Of the last frame.
        at_most_db: Most dB that may be lost.
    """
    return rule(
        metrics.DRIFT_DB,
        first.psnr_db - last.psnr_db,
        at_most_db,
        provenance,
        cause=f"{first.psnr_db:.2f} dB in the first frame -> {last.psnr_db:.2f} dB in the last",
        remedy="keep the state in 16 bits or float",
    )


def seam(fact: Seam, provenance: Provenance, *, at_most_db: float | None) -> Verdict:
    """Judge how much worse a photograph is where its tiles meet (F7)."""
    return rule(
        metrics.SEAM_DB,
        fact.drop_db,
        at_most_db,
        provenance,
        cause=f"{fact.inside_psnr_db:.2f} dB inside its tiles, {fact.seam_psnr_db:.2f} dB where "
        "they meet",
        remedy="let tiles overlap by the model's receptive field",
    )


def fidelity(
    match: Fidelity, limits: Limits, provenance: Provenance, *, hazard: str = ""
) -> tuple[Verdict, ...]:
    """Judge an output against the FP32 golden with all limits of its variant.

    Args:
        match: How far the output is from the golden.
        limits: The variant's.
        provenance: Of the output.
        hazard: What is known to be wrong with the file or the output, or ''.
    """
    return (
        psnr(match, provenance, at_least_db=limits.psnr_db, hazard=hazard),
        relative_l2(match, provenance, at_most_ratio=limits.relative_l2),
        worst_tile(match, provenance, at_least_db=limits.worst_tile_psnr_db),
        finite(match, provenance),
        in_range(match, provenance),
    )
