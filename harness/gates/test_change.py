"""Rule on a change (C): a variant against what it was, where `--against` names the earlier one."""

from harness import fidelity, gate, metrics, samples, verdict
from harness.cases import Case, FrameCase, SizedCase
from harness.goldens import Golden
from harness.images import Size
from harness.lab import DeviceUnderTest
from harness.requests import Request, Verb
from harness.subjects import Variant
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
    device: DeviceUnderTest, variant: Variant, before: Variant, size: Size, check: gate.Check
) -> None:
    """C1 to C4: latency, CPU ops, partitions, size, MACs and instructions are no worse."""
    verdicts = [
        gate.latency_against(device.compare(variant, before, size)),
        *gate.placement_against(device.place(variant, size), device.place(before, size)),
        *gate.file_against(variant.model().at(size), before.model().at(size)),
    ]
    now, was = device.count(variant, size), device.count(before, size)
    if now is not None and was is not None:
        noise = _INSTRUCTIONS_NOISE_SHARE * was.count
        verdicts.append(
            gate.against(
                metrics.CHANGED_INSTRUCTIONS, now.count, was.count, now.provenance, within=noise
            )
        )
    check(*verdicts)


def test_pixels_are_no_worse_than_before(
    device: DeviceUnderTest, variant: Variant, before: Variant, golden: Golden, check: gate.Check
) -> None:
    """C5: the output is as close to the sharp target as the earlier file's."""
    now = device.feed(variant, golden.inputs, golden.size)
    was = device.feed(before, golden.inputs, golden.size)

    verdicts: list[Verdict] = []
    for (ours, expected), (theirs, _) in zip(
        golden.paired(now.values), golden.paired(was.values), strict=True
    ):
        if expected.target is None:
            continue
        own = expected.output_range
        ruled = gate.quality_against(
            fidelity.compare(ours, expected.target, output_range=own),
            fidelity.compare(theirs, expected.target, output_range=own),
            fidelity.compare(ours, theirs, output_range=own),
            now.provenance,
        )
        verdicts += gate.named([ruled], expected.spec)
    if not verdicts:
        why = f"frame {golden.name} has no sharp target by which two outputs can be ranked"
        verdicts = [gate.inconclusive(metrics.CHANGED_QUALITY_DB, Lack.TARGET, why)]
    check(*verdicts)
