"""Rule on fidelity (F): against the FP32 golden and against the sharp target."""

from collections.abc import Sequence

from harness import fidelity, gate, goldens, measures, metrics, quantization, verdict
from harness.cases import FrameCase
from harness.goldens import Golden
from harness.lab import DeviceUnderTest
from harness.measures import Measure
from harness.requests import Request, Verb
from harness.subjects import Variant
from harness.verdict import Lack

GATE = verdict.FIDELITY


def asks(case: FrameCase) -> list[Request]:
    """Return what a case will ask: what the variant makes of the frame."""
    frame, _ = goldens.load_frame(case.subject, case.frame)
    return [Request.of(case, Verb.RUN, case.size, inputs=frame)]


def test_output_stays_close_to_the_fp32_golden(
    device: DeviceUnderTest, variant: Variant, golden: Golden, check: gate.Check
) -> None:
    """F0 to F3: range, PSNR, relative L2 and the worst tile keep the variant's limits."""
    output = device.run(variant, golden.frame)

    match = fidelity.compare(output.pixels, golden.fp32_output, output_range=golden.output_range)

    hazard = quantization.clipping(variant.model().graph)
    if match.psnr_db < (variant.limits.psnr_db or 0.0):
        moved = measures.moved(output.pixels, golden.fp32_output, output_range=golden.output_range)
        hazard = "; ".join(filter(None, (moved, hazard)))
    check(*gate.fidelity(match, variant.limits, output.provenance, hazard=hazard))


def test_output_keeps_the_further_measures_that_its_limits_ask_for(
    device: DeviceUnderTest,
    variant: Variant,
    golden: Golden,
    further: Sequence[Measure],
    check: gate.Check,
) -> None:
    """F5: SSIM, MS-SSIM, colour, shift, LPIPS and the team's own measures keep their limits."""
    output = device.run(variant, golden.frame)

    check(
        *(
            gate.measured(measure, output.pixels, golden.fp32_output, output.provenance)
            for measure in further
        )
    )


def test_output_keeps_its_quality_against_the_sharp_target(
    device: DeviceUnderTest, variant: Variant, golden: Golden, check: gate.Check
) -> None:
    """F4: the variant loses no more PSNR against the sharp target than it may."""
    if golden.target is None:
        why = f"frame {golden.name} has no {golden.name}.sharp.png beside it"
        check(gate.inconclusive(metrics.QUALITY_DROP_DB, Lack.TARGET, why))
        return
    output = device.run(variant, golden.frame)

    quality = fidelity.compare(output.pixels, golden.target, output_range=golden.output_range)
    fp32 = fidelity.compare(golden.fp32_output, golden.target, output_range=golden.output_range)

    limit = variant.limits.quality_drop_db
    check(gate.quality_drop(quality, fp32, output.provenance, at_most_db=limit))
