"""Rule on a change (C): a variant against what it was, where `--against` names the earlier one."""

import math

import numpy as np

from harness import fidelity, gate, goldens, metrics, observations, samples, verdict
from harness.cases import Case, FrameCase, SizedCase
from harness.earlier import Earlier, EarlierImage
from harness.evidence import Evidence, Provenance
from harness.goldens import Expected, Golden
from harness.images import Output, Size
from harness.inputs import Values
from harness.lab import DeviceUnderTest
from harness.latency import both_in_turn
from harness.placement import describe_moves
from harness.placement import moved as moved_ops
from harness.requests import Request, Verb
from harness.roles import Role
from harness.subjects import Subject, Variant
from harness.tiles import Tile
from harness.verdict import Lack, Verdict

GATE = verdict.CHANGE
_INSTRUCTIONS_NOISE_SHARE = 0.005
"""Source: measured under QEMU, where repeats spread by 0.15 %."""
_PSNR_NOISE_DB = 0.01
"""As `harness bless` has it."""
_CHANGED = {metric.name: metric for metric in metrics.ALL if metric.gate == GATE}
_PLACED = (metrics.CPU_OPS.name, metrics.PARTITIONS.name)
_NOISE = {metrics.INSTRUCTIONS.name: 1.0, metrics.QUALITY_DB.name: 1.0}
"""Of which numbers the spread is noise: an estimate has none, a phone's has an interval."""
_ALLOWED = {metrics.LATENCY_MS.name: 1.0, metrics.INSTRUCTIONS.name: 1.0}
"""Which numbers may grow by the share of cost that subject.toml allows."""


def asks(case: SizedCase) -> list[Request]:
    """Return what a case will ask of both versions: on a frame pixels, else what it costs.

    Of a run there is no earlier version to ask.
    """
    if case.earlier is not None and isinstance(case, FrameCase):
        return observations.runs(case, samples.load(case.subject, case.frame))
    if case.earlier is not None:
        return observations.asks(case)
    if case.before is None:
        return []
    both: tuple[Case, ...] = (case, case.before)
    if isinstance(case, FrameCase):
        sample = samples.load(case.subject, case.frame)
        return [one for of in both for one in observations.runs(case, sample, before=of)]
    earlier, size = case.before.variant.model(), case.run_size
    return [
        Request.of(case, Verb.COMPARE, size, before=earlier),
        *(Request.of(one, verb, size) for verb in (Verb.PLACE, Verb.COUNT) for one in both),
    ]


def test_nothing_costs_more_than_before(
    device: DeviceUnderTest,
    subject: Subject,
    variant: Variant,
    before: Variant,
    size: Size,
    check: gate.Check,
) -> None:
    """C1 to C4: latency, CPU ops, partitions, size, MACs and instructions are no worse.

    Both files are cut into the tiles of today's subject, and latency is that of all of them.
    """
    tiles, size = observations.tiles_of(subject, size), subject.run_size(size)
    compared = both_in_turn(device.compare(variant, before, size), tiles)
    verdicts = [
        gate.latency_against(compared, subject.change),
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
    now = observations.made(device, subject, variant, golden)
    was = observations.made(device, subject, before, golden)

    same_network = subject.reference.sha256 == subject_before.reference.sha256
    check(*_beside(golden, now, was, same_network=same_network))


def test_nothing_costs_more_than_the_run_measured(
    device: DeviceUnderTest,
    subject: Subject,
    variant: Variant,
    earlier: Earlier,
    size: Size,
    check: gate.Check,
) -> None:
    """C6: latency, CPU ops, partitions, instructions, quality, file size and MACs, against a run's.

    A mean over frames is compared where the run had the same ones.
    """
    run_size = subject.run_size(size)
    placement = device.place(variant, run_size)
    was = earlier.placements.get(str(run_size))
    moved = moved_ops(was.nodes, placement.nodes) if was is not None else ()
    others = _other_frames(subject, earlier, size)
    verdicts = []
    for one in observations.of(device, subject, variant, size):
        metric = _CHANGED[one.metric.name]
        before = earlier.number(one.metric.name, str(size), one.provenance.evidence)
        if others and before is not None and one.metric is metrics.QUALITY_DB:
            verdicts.append(gate.image_since(metric, earlier, Lack.FRAME, others))
            continue
        ruled = gate.since(
            metric,
            one.value,
            before,
            one.provenance,
            run=earlier.run,
            low=one.low,
            high=one.high,
            within=_NOISE.get(one.metric.name, 0.0) * one.spread,
            allowed_share=_ALLOWED.get(one.metric.name, 0.0) * subject.change.cost_share,
            cause=describe_moves(moved) if one.metric.name in _PLACED else "",
            moved=moved if one.metric.name == metrics.CPU_OPS.name else (),
        )
        verdicts.append(ruled)
    check(*verdicts, *_file_since(variant, earlier, run_size, subject))


def _other_frames(subject: Subject, earlier: Earlier, size: Size, *names: str) -> str:
    """Return how the frames of a resolution, or some by name, are others than the run's, or ''."""
    run_size = str(subject.run_size(size))
    wanted = names or [n for n in samples.names(subject) if goldens.size_of(subject, n) == size]
    given = {
        name: [one.sha256 for one in observations.given(subject, samples.load(subject, name))]
        for name in wanted
    }
    return earlier.other_frames("" if names else str(size), run_size, given)


def _file_since(variant: Variant, earlier: Earlier, size: Size, subject: Subject) -> list[Verdict]:
    """Judge size and MACs of a file that is another than the run's; of the same there is none."""
    model, share = variant.model(), subject.change
    if model.sha256 in earlier.files:
        return []
    made = Provenance(
        evidence=Evidence.RULES, device="", variant_sha256=model.sha256, file_sha256=model.sha256
    )
    found = (
        (metrics.CHANGED_FILE_SIZE_MIB, len(model.data) / 2**20, share.file_size_share),
        (metrics.MACS, model.at(size).graph.macs, share.cost_share),
    )
    return [
        gate.since(
            metric,
            value,
            earlier.number(metric.name, str(size), made.evidence),
            made,
            run=earlier.run,
            allowed_share=allowed,
        )
        for metric, value, allowed in found
    ]


def test_pixels_are_no_worse_than_the_run_made(
    device: DeviceUnderTest,
    subject: Subject,
    variant: Variant,
    earlier: Earlier,
    golden: Golden,
    check: gate.Check,
) -> None:
    """C7: the output is as close to the truth as the run's, and told apart from it."""
    now = observations.made(device, subject, variant, golden)
    kept = _kept(device, subject, variant, golden, earlier, now)
    same_network = subject.reference.sha256 == earlier.reference_sha256
    kind = now.provenance.evidence
    was = kept.output if kept is not None else None
    if was is None and (others := _other_frames(subject, earlier, golden.size, golden.name)):
        check(gate.image_since(metrics.PIXELS_DB, earlier, Lack.FRAME, others))
    elif was is None and same_network:
        check(*_psnr_since(golden, now, earlier))
    elif kept is None or was is None:
        why = f"keeps no image of frame {golden.name}, and tested no such FP32 file"
        check(gate.image_since(metrics.PIXELS_DB, earlier, Lack.FACT, why))
    elif was.provenance.evidence is not kind:
        why = (
            f"made its image on {was.provenance.evidence.value} evidence, this one on {kind.value}"
        )
        check(gate.image_since(metrics.PIXELS_DB, earlier, Lack.FACT, why))
    elif not kind.repeats and was.provenance.device != now.provenance.device:
        why = f"made its image on {was.provenance.device}, this one on {now.provenance.device}"
        check(gate.image_since(metrics.PIXELS_DB, earlier, Lack.PHONE, why))
    else:
        check(*_beside(golden, now, was, same_network=same_network, copied=kept.copied))


def _psnr_since(golden: Golden, now: Output, earlier: Earlier) -> list[Verdict]:
    """Judge the PSNR against one FP32 golden, where the run keeps numbers and no images."""
    verdicts: list[Verdict] = []
    for ours, expected in golden.paired(now.values):
        spec = expected.spec
        if spec.role is not Role.IMAGE:
            continue
        name = "/".join(filter(None, (spec.name and spec.file_name, metrics.PSNR_DB.name)))
        kind = now.provenance.evidence
        was = earlier.number(name, str(golden.size), kind, frame=golden.name)
        db = fidelity.compare(ours, expected.fp32, output_range=expected.output_range).psnr_db
        ruled = gate.since(
            metrics.CHANGED_PSNR_DB, db, was, now.provenance, run=earlier.run, within=_PSNR_NOISE_DB
        )
        verdicts += gate.named([ruled], spec)
    return verdicts


def _kept(
    device: DeviceUnderTest,
    subject: Subject,
    variant: Variant,
    golden: Golden,
    earlier: Earlier,
    now: Output,
) -> EarlierImage | None:
    """Return what the run keeps of a frame, put together of its tiles; None where one lacks."""
    cut, size = observations.parts(subject, golden), subject.run_size(golden.size)
    if not cut:
        return earlier.image(str(golden.size), golden.inputs.sha256, now)
    kept: dict[Tile, EarlierImage] = {}
    for tile, given in cut.items():
        one = earlier.image(str(size), given.sha256, device.feed(variant, given, size))
        if one is None:
            return None
        kept[tile] = one
    whole = observations.joined(subject, {tile: one.output for tile, one in kept.items()}, size)
    return EarlierImage(output=whole, copied=any(one.copied for one in kept.values()))


def _beside(
    golden: Golden,
    now: Output,
    was: Output,
    *,
    same_network: bool,
    copied: bool = False,
) -> list[Verdict]:
    """Judge each image of two outputs; the earlier one may be a run's copy in 16 bits."""
    verdicts: list[Verdict] = []
    for (ours, expected), (theirs, _) in zip(
        golden.paired(now.values), golden.paired(was.values), strict=True
    ):
        if expected.spec.role is Role.IMAGE:
            ruled = _pixels(
                ours,
                theirs,
                expected,
                now.provenance,
                same_network=same_network,
                copied=copied and not np.array_equal(ours, theirs),
            )
            verdicts += gate.named(ruled, expected.spec)
    if not verdicts:
        why = f"frame {golden.name} has no output that is an image"
        verdicts = [gate.inconclusive(metrics.PIXELS_DB, Lack.FACT, why)]
    return verdicts


def _pixels(
    ours: Values,
    theirs: Values,
    expected: Expected,
    made: Provenance,
    *,
    same_network: bool,
    copied: bool,
) -> tuple[Verdict, ...]:
    """Judge one image beside the earlier one, both against what it should be.

    Without a sharp target that is the FP32 golden, which is kept in 16 bits, unless that is of
    another network: whatever is like the new one would be better.
    """
    own = expected.output_range
    if not np.isfinite(theirs).all():
        why = "the earlier output has values that are not finite"
        return (gate.inconclusive(metrics.PIXELS_DB, Lack.FACT, why),)
    between = fidelity.compare(ours, theirs, output_range=own)
    if expected.target is None and not same_network:
        return (gate.pixels_unranked(between, made),)
    truth = expected.fp32 if expected.target is None else expected.target
    kept = [theirs] if copied else []
    kept += [truth] if expected.target is None else []
    return gate.pixels_against(
        fidelity.compare(ours, truth, output_range=own),
        fidelity.compare(theirs, truth, output_range=own),
        between,
        made,
        to_target=expected.target is not None,
        rounding_rms=math.hypot(*(fidelity.rounding_rms(one, own) for one in kept)),
    )
