"""Rule on fidelity (F): against the FP32 golden and against the sharp target."""

from collections.abc import Mapping, Sequence
from unittest import SkipTest

from harness import (
    clips,
    evidence,
    fidelity,
    gate,
    metrics,
    observations,
    quantization,
    samples,
    tiles,
    verdict,
)
from harness.accepted_outputs import AcceptedOutput, outputs_of
from harness.budgets import Tiling
from harness.cases import FrameCase
from harness.goldens import Golden
from harness.images import Output
from harness.inputs import Inputs, Values
from harness.lab import DeviceUnderTest
from harness.measures import Measure
from harness.requests import Request
from harness.roles import Role
from harness.subjects import Subject, Variant
from harness.verdict import Lack, Verdict

GATE = verdict.FIDELITY


def asks(case: FrameCase) -> list[Request]:
    """Return what a case will ask: what the variant makes of the frame."""
    sample = samples.load(case.subject, case.frame)
    return observations.runs(case, sample)


def test_output_stays_close_to_the_fp32_golden(
    device: DeviceUnderTest,
    subject: Subject,
    variant: Variant,
    golden: Golden,
    accepted_outputs: tuple[AcceptedOutput, ...],
    check: gate.Check,
) -> None:
    """F0 to F3: each output keeps its limits; an image those of range, PSNR, L2 and tiles.

    Without an FP32 variant these are INCONCLUSIVE, and the output is held to the first one. An
    output that a person lets this device make for a time takes the golden's place where that fails.
    """
    output = observations.made(device, subject, variant, golden)
    hazard = quantization.clipping(variant.model().graph)
    made = output.provenance.noting(observations.unseen(device, subject, variant, golden.size))

    def held_to(references: Sequence[Values]) -> list[Verdict]:
        return [
            verdict
            for (values, expected), reference in zip(
                golden.paired(output.values), references, strict=True
            )
            for verdict in gate.output(
                values,
                reference,
                expected.spec,
                variant.limits,
                made,
                hazard=hazard,
                of_fp32=golden.of_fp32,
            )
        ]

    today = evidence.now_utc()[:10]
    others = [one for one in accepted_outputs if one.fits(output.provenance)]
    limit, twice = variant.limits.relative_l2, output.repeat_relative_l2 is not None
    check(
        *([gate.repeated(output, made, at_most_ratio=limit)] if twice else []),
        *gate.or_accepted(
            held_to([expected.fp32 for expected in golden.expected]),
            others,
            lambda one: held_to(outputs_of(subject, one)),
            today=today,
        ),
    )


def test_output_keeps_the_further_measures_that_its_limits_ask_for(
    device: DeviceUnderTest,
    subject: Subject,
    variant: Variant,
    golden: Golden,
    further: Sequence[Measure],
    check: gate.Check,
) -> None:
    """F5: SSIM, MS-SSIM, colour, shift, LPIPS and the team's own measures keep their limits."""
    output = observations.made(device, subject, variant, golden)

    check(
        *(
            verdict
            for values, expected in golden.paired(output.values)
            if expected.spec.role is Role.IMAGE
            for verdict in gate.named(
                (gate.measured(m, values, expected.fp32, output.provenance) for m in further),
                expected.spec,
            )
        )
    )


def test_the_last_frame_of_a_clip_is_as_close_as_its_first(
    device: DeviceUnderTest, variant: Variant, clip: Golden, check: gate.Check
) -> None:
    """F6: what a state hands on from frame to frame piles up no errors."""
    if not clip.later:
        raise SkipTest(f"not asked: {clip.name} is no clip")
    made: list[Output] = []

    def run(given: Inputs) -> Mapping[str, Values]:
        made.append(device.feed(variant, given, clip.size))
        return made[-1].values

    frames = list(clips.play(run, clip.inputs, clip.later, clip.input_specs, clip.specs))

    verdicts: list[Verdict] = []
    for expected, last, ours, late in zip(
        clip.expected, clip.last, frames[0], frames[-1], strict=True
    ):
        if expected.spec.role is Role.IMAGE:
            own = expected.output_range
            first = fidelity.compare(ours, expected.fp32, output_range=own)
            end = fidelity.compare(late, last, output_range=own)
            limit = variant.limits.drift_db
            ruled = gate.drift(first, end, made[-1].provenance, at_most_db=limit)
            verdicts += gate.named([ruled], expected.spec)
    check(*verdicts)


def test_a_photograph_in_tiles_has_no_seams(
    device: DeviceUnderTest,
    subject: Subject,
    tiling: Tiling,
    variant: Variant,
    golden: Golden,
    check: gate.Check,
) -> None:
    """F7: where tiles meet, the photograph is as close to FP32 in one piece as elsewhere."""
    cut = tuple(observations.parts(subject, golden))
    if len(cut) < 2:
        why = f"frame {golden.name} is no larger than a tile of {tiling.resolution}"
        check(gate.inconclusive(metrics.SEAM_DB, Lack.FRAME, why))
        return
    output = observations.made(device, subject, variant, golden)

    verdicts: list[Verdict] = []
    for values, expected in golden.paired(output.values):
        own = expected.output_range
        fact = tiles.seam(values, expected.fp32, cut, photograph=golden.size, output_range=own)
        ruled = gate.seam(fact, output.provenance, at_most_db=variant.limits.seam_db)
        verdicts += gate.named([ruled], expected.spec)
    check(*verdicts)


def test_output_keeps_its_quality_against_the_sharp_target(
    device: DeviceUnderTest,
    subject: Subject,
    variant: Variant,
    golden: Golden,
    check: gate.Check,
) -> None:
    """F4: the variant loses no more PSNR against the sharp target than it may."""
    if not any(expected.target is not None for expected in golden.expected):
        name = golden.expected[0].spec.file_name if golden.expected[0].spec.name else golden.name
        why = f"frame {golden.name} has no {name}.sharp.png beside it"
        check(gate.inconclusive(metrics.QUALITY_DROP_DB, Lack.TARGET, why))
        return
    output = observations.made(device, subject, variant, golden)

    verdicts: list[Verdict] = []
    for values, expected in golden.paired(output.values):
        if expected.target is not None:
            own = expected.output_range
            quality = fidelity.compare(values, expected.target, output_range=own)
            fp32 = fidelity.compare(expected.fp32, expected.target, output_range=own)
            limit = variant.limits.quality_drop_db
            ruled = gate.quality_drop(quality, fp32, output.provenance, at_most_db=limit)
            verdicts += gate.named([ruled], expected.spec)
    check(*verdicts)
