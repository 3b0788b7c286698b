"""Rule on a change (C): a variant against what it was, where `--against` names the earlier one."""

import numpy as np

from harness import fidelity, gate, metrics, samples, verdict
from harness.cases import Case, FrameCase, SizedCase
from harness.evidence import Provenance
from harness.goldens import Expected, Golden
from harness.images import Size
from harness.inputs import Values
from harness.lab import DeviceUnderTest
from harness.requests import Request, Verb
from harness.roles import Role
from harness.subjects import Subject, Variant
from harness.verdict import Lack, Verdict

GATE = verdict.CHANGE
_INSTRUCTIONS_NOISE_SHARE = 0.005
"""Source: measured under QEMU, where repeats spread by 0.15 %."""


def asks(case: SizedCase) -> list[Request]:
    """Return what a case will ask of both versions: on a frame pixels, else what it costs."""
    if case.before is None:
        return []
    both: tuple[Case, ...] = (case, case.before)
    if isinstance(case, FrameCase):
        sample = samples.load(case.subject, case.frame)
        return [Request.of(one, Verb.RUN, case.size, inputs=sample.inputs) for one in both]
    earlier = case.before.variant.model()
    return [
        Request.of(case, Verb.COMPARE, case.size, before=earlier),
        *(Request.of(one, verb, case.size) for verb in (Verb.PLACE, Verb.COUNT) for one in both),
    ]


def test_nothing_costs_more_than_before(
    device: DeviceUnderTest,
    subject: Subject,
    variant: Variant,
    before: Variant,
    size: Size,
    check: gate.Check,
) -> None:
    """C1 to C4: latency, CPU ops, partitions, size, MACs and instructions are no worse."""
    verdicts = [
        gate.latency_against(device.compare(variant, before, size), subject.change),
        *gate.placement_against(device.place(variant, size), device.place(before, size)),
        *gate.file_against(variant.model().at(size), before.model().at(size), subject.change),
    ]
    now, was = device.count(variant, size), device.count(before, size)
    if now is not None and was is not None:
        noise = _INSTRUCTIONS_NOISE_SHARE * was.count
        verdicts.append(
            gate.against(
                metrics.CHANGED_INSTRUCTIONS,
                now.count,
                was.count,
                now.provenance,
                within=noise,
                allowed=subject.change.cost_share * was.count,
            )
        )
    check(*verdicts)


def test_pixels_are_no_worse_than_before(
    device: DeviceUnderTest,
    subject: Subject,
    subject_before: Subject,
    variant: Variant,
    before: Variant,
    golden: Golden,
    check: gate.Check,
) -> None:
    """C5: the output is as close to the truth as the earlier file's, and told apart from it."""
    now = device.feed(variant, golden.inputs, golden.size)
    was = device.feed(before, golden.inputs, golden.size)

    same_network = subject.reference.sha256 == subject_before.reference.sha256
    verdicts: list[Verdict] = []
    for (ours, expected), (theirs, _) in zip(
        golden.paired(now.values), golden.paired(was.values), strict=True
    ):
        if expected.spec.role is Role.IMAGE:
            ruled = _pixels(ours, theirs, expected, now.provenance, same_network=same_network)
            verdicts += gate.named(ruled, expected.spec)
    if not verdicts:
        why = f"frame {golden.name} has no output that is an image"
        verdicts = [gate.inconclusive(metrics.PIXELS_DB, Lack.FACT, why)]
    check(*verdicts)


def _pixels(
    ours: Values, theirs: Values, expected: Expected, made: Provenance, *, same_network: bool
) -> tuple[Verdict, ...]:
    """Judge one image beside the earlier one, both against what it should be.

    Without a sharp target that is the FP32 golden, unless that is of another network: whatever is
    like the new one would be better.
    """
    own = expected.output_range
    if not np.isfinite(theirs).all():
        why = "the earlier output has values that are not finite"
        return (gate.inconclusive(metrics.PIXELS_DB, Lack.FACT, why),)
    between = fidelity.compare(ours, theirs, output_range=own)
    if expected.target is None and not same_network:
        return (gate.pixels_unranked(between, made),)
    truth = expected.fp32 if expected.target is None else expected.target
    return gate.pixels_against(
        fidelity.compare(ours, truth, output_range=own),
        fidelity.compare(theirs, truth, output_range=own),
        between,
        made,
        to_target=expected.target is not None,
    )
