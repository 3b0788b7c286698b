"""Measure how far exported files drift from their FP32 reference, wherever they may run.

A gate judges a file by what stands in for a phone's arithmetic: other software for each kind of
delegate. Limits are measured by the same software, so that a file is not found wrong for being
run elsewhere than its limits were.
"""

import functools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from harness import agreement, clips, fidelity, goldens, samples, text
from harness.agreement import Agreement
from harness.devices import numerics
from harness.devices.emulated import Emulated
from harness.errors import HarnessError
from harness.evidence import now_utc
from harness.goldens import Golden
from harness.inputs import Inputs, Values
from harness.limits import Limits, LimitsOn, OutputLimits
from harness.profiles import Target
from harness.roles import Role
from harness.samples import Sample
from harness.stacks import xnnpack
from harness.subjects import Precision, Subject, Variant

_FLOAT_WEIGHTS = (Precision.FP32, Precision.INT8_DYNAMIC)
"""Computed in float32 on a CPU, and in float16 by most accelerators."""
_CEILING_DB = 100.0
"""Goldens are stored in 16 bits, which alone costs about this much."""
_LEAST_RELATIVE_L2 = 5e-5
"""What float32 rounding of another CPU may cost; as golden/deblur_unet allows."""
_ONE_STEP_L2 = {Precision.INT8_PTQ: 1 / 255, Precision.INT8_QAT: 1 / 255}
"""What integer rounding of another CPU may cost: one of 255 steps of a white image."""
_QUALITY_DROP_DB = 0.5
"""What arXiv 2004.12599 paid for a smaller net."""
_DRIFT_MARGIN_DB = 3.0
"""Half the margin of integer arithmetic: first and last frame are off by the same rounding."""
_FP16_MARGIN = (12.0, "phones' own fp16 differs from these by up to 10 dB")
_INTEGER_MARGIN = (6.0, "vendors round differently")
_FP32_MARGIN = (3.0, "CPUs round differently")
_EXPECTED_DB = {
    Precision.FP32: 60.0, Precision.FP16: 45.0, Precision.INT16_PTQ: 35.0,
    Precision.INT8_PTQ: 25.0, Precision.INT8_QAT: 25.0, Precision.INT8_DYNAMIC: 25.0,
}  # fmt: skip
"""PSNR to FP32 that a sound export keeps. Half of the significand's bits, or of the levels, are
given up; a file that is farther away is another net or a broken one, whatever it measures."""
_OTHER_NET_DB = 20.0
"""The same for a second FP32 file, such as a pruned net."""


@dataclass(frozen=True, kw_only=True)
class Drift:
    """The worst distance of a file's outputs from the FP32 goldens, by one stand-in.

    Attributes:
        on: What ran it.
        delegate: Through which delegate.
        psnr_db: Least PSNR of any image of any frame; infinite where no output is one.
        worst_tile_psnr_db: Least PSNR of any tile of any frame, likewise.
        relative_l2: Largest relative L2 distance of an image (ratio).
        quality_drop_db: Most PSNR lost against a sharp target; 0 where there is none.
        tensors: The least agreement of each output that is no image, by name.
        lost_db: Most PSNR that the last frame of a clip lost to its first; None without clips.
    """

    on: str
    delegate: str
    psnr_db: float
    worst_tile_psnr_db: float
    relative_l2: float
    quality_drop_db: float
    tensors: Mapping[str, Agreement] = field(default_factory=dict)
    lost_db: float | None = None


@dataclass(frozen=True, kw_only=True)
class Allowance:
    """What a file may drift, from what it was seen to.

    Attributes:
        limits: On every delegate that `limits_on` does not name.
        limits_on: On accelerators, where they compute otherwise.
        doubts: What a person should look at, one line each.
    """

    limits: Limits
    limits_on: tuple[LimitsOn, ...]
    doubts: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Reference:
    """A sample, and what the FP32 variant makes of it: its judged outputs.

    Attributes:
        sample: What it is given.
        outputs: What it makes of it; of a clip, of the first frame.
        last: Of a clip, what it makes of the last frame.
    """

    sample: Sample
    outputs: tuple[Values, ...]
    last: tuple[Values, ...]


def reference(subject: Subject, name: str) -> Reference:
    """Return a sample and what the FP32 variant makes of it on this host.

    Raises:
        BlessedDataError: the sample cannot be read.
        ModelError: the model cannot be read, resized or run.
    """
    sample = samples.load(subject, name)
    model = subject.reference.model().at(sample.size)

    def run(given: Inputs) -> Mapping[str, Values]:
        made = xnnpack.execute(model, given.of_graph(model.graph))
        return dict(zip(model.graph.output_names, made, strict=True))

    frames = list(
        clips.play(run, sample.inputs, sample.later, subject.inputs, subject.output_specs)
    )
    return Reference(sample=sample, outputs=frames[0], last=frames[-1] if sample.later else ())


def allow(subject: Subject, variant: Variant, targets: Sequence[Target]) -> Allowance:
    """Measure a variant of a subject with goldens on every kind of delegate of some targets.

    Raises:
        ModelError, DeviceError: the CPU kernels do not run it.
    """
    drifts, doubts = [], []
    for stand_in in _stand_ins(subject, variant, targets):
        try:
            drifts.append(_drift(subject, variant, stand_in))
        except HarnessError as error:
            if stand_in.target.delegate == "cpu":
                raise
            doubts.append(f"{variant.name}: not measured on {stand_in.on}: {error}")
    elsewhere = [drift for drift in drifts if drift.delegate != "cpu"]
    expected_db = _EXPECTED_DB[variant.precision]
    if variant.precision is Precision.FP32 and variant.name != subject.reference.name:
        expected_db = _OTHER_NET_DB
    if not subject.has_fp32:
        return _like_first(variant, drifts, targets, doubts)
    if variant.precision not in _FLOAT_WEIGHTS or not elsewhere:
        limits = _limits(drifts, _margin(variant.precision), expected_db)
        others: tuple[LimitsOn, ...] = ()
    else:
        at_home = [drift for drift in drifts if drift.delegate == "cpu"]
        limits = _limits(at_home or drifts, _margin(variant.precision), expected_db)
        there = _limits(elsewhere, _FP16_MARGIN, min(expected_db, _EXPECTED_DB[Precision.FP16]))
        others = (LimitsOn(delegates=_accelerated(targets), limits=there),)
    worst = min(drifts, key=lambda drift: drift.psnr_db)
    least_db = min(expected_db, _EXPECTED_DB[Precision.FP16])
    if worst.psnr_db < least_db:
        doubts.append(
            f"{variant.name}: {worst.psnr_db:.1f} dB to FP32 on {worst.on}, where "
            f"{variant.precision.value} keeps {least_db:g} dB; the limit stays there and the "
            "fidelity gate will FAIL: export it again, or set limits of your own"
        )
    doubts += _tensor_doubts(variant, drifts, least_db)
    return Allowance(limits=limits, limits_on=others, doubts=tuple(doubts))


def _accelerated(targets: Sequence[Target]) -> tuple[str, ...]:
    """Return the delegates of targets, without the CPU."""
    return tuple(sorted({target.delegate for target in targets if target.delegate != "cpu"}))


def _like_first(
    variant: Variant, drifts: Sequence[Drift], targets: Sequence[Target], doubts: Sequence[str]
) -> Allowance:
    """Return how far a file may be from the first outputs, on CPUs and elsewhere.

    There is no FP32 to be near to, so what a sound export keeps of that is not asked.
    """
    here = [drift for drift in drifts if drift.delegate == "cpu"]
    there = [drift for drift in drifts if drift.delegate != "cpu"]
    limits_on = (
        LimitsOn(delegates=_accelerated(targets), limits=_first_limits(variant, there)),
    ) if there and here else ()  # fmt: skip
    return Allowance(
        limits=_first_limits(variant, here or there), limits_on=limits_on, doubts=tuple(doubts)
    )


def _first_limits(variant: Variant, drifts: Sequence[Drift]) -> Limits:
    margin_db, why = _margin(variant.precision)
    least = _ONE_STEP_L2.get(variant.precision, _LEAST_RELATIVE_L2)

    def allowed(seen: Iterable[float]) -> float:
        return float(f"{max(least, *seen) * 10.0 ** (margin_db / 20.0):.2g}")

    worst = max(drift.relative_l2 for drift in drifts)
    shown = any(not math.isinf(drift.psnr_db) for drift in drifts)
    drop_db = max(drift.quality_drop_db for drift in drifts)
    lost = [drift.lost_db for drift in drifts if drift.lost_db is not None]
    on = ", ".join(dict.fromkeys(drift.on for drift in drifts))
    return Limits(
        first_relative_l2=allowed([worst]) if shown else None,
        quality_drop_db=max(_QUALITY_DROP_DB, math.ceil(10.0 * drop_db + 2.0) / 10.0)
        if shown
        else None,
        drift_db=float(math.ceil(max(lost) + _DRIFT_MARGIN_DB)) if lost and shown else None,
        outputs=tuple(
            OutputLimits(
                name=name,
                first_relative_l2=allowed(drift.tensors[name].relative_l2 for drift in drifts),
            )
            for name in drifts[0].tensors
        ),
        source=f"measured {now_utc()[:10]} by harness init on {on}: relative L2 {worst:.2g} from "
        f"its first outputs; {margin_db:g} dB of margin, as {why}",
    )


def _tensor_doubts(variant: Variant, drifts: Sequence[Drift], expected_db: float) -> Iterator[str]:
    """Yield a line for each output that is no image and is farther off than a sound export's."""
    sound = 10.0 ** (-expected_db / 20.0)
    for drift in drifts:
        for name, agreed in drift.tensors.items():
            if agreed.relative_l2 > sound:
                yield (
                    f"{variant.name}: output {text.brief(name)!r} is {agreed.relative_l2:.2g} "
                    f"(relative L2) from FP32 on {drift.on}, where {variant.precision.value} keeps "
                    f"{sound:.2g}; the fidelity gate will FAIL: export it again, or set limits of "
                    "your own"
                )


@dataclass(frozen=True, kw_only=True)
class _StandIn:
    """One way to run a variant: a target, and whether its accelerator makes fp16 of it."""

    target: Target
    on: str
    in_fp16: numerics.Numerics | None = None


def _stand_ins(subject: Subject, variant: Variant, targets: Sequence[Target]) -> Iterator[_StandIn]:
    """Yield each kind of arithmetic that any of the targets is judged by, once."""
    name = samples.names(subject)[0]
    graph = variant.model().at(samples.size_of(subject, name)).graph
    seen: set[tuple[str, bool]] = set()
    for target in targets:
        elsewhere = target.delegate != "cpu"
        chosen = numerics.choose(target, graph)
        if (chosen.name, elsewhere) not in seen:
            seen.add((chosen.name, elsewhere))
            yield _StandIn(target=target, on=chosen.name)
        half = numerics.choose(target, graph, in_fp16=True)
        in_fp16 = elsewhere and variant.precision in _FLOAT_WEIGHTS
        if in_fp16 and (half.name, elsewhere) not in seen:
            seen.add((half.name, elsewhere))
            yield _StandIn(target=target, on=half.name, in_fp16=half)


def _drift(subject: Subject, variant: Variant, stand_in: _StandIn) -> Drift:
    matches, drops, lost = [], [0.0], []
    tensors: dict[str, list[Agreement]] = {}
    for name in samples.names(subject):
        golden = goldens.load(subject, name)
        lost.append(_lost_db(variant, golden, stand_in))
        for made, expected in golden.paired(_run(variant, golden, golden.inputs, stand_in)):
            spec = expected.spec
            if spec.role is not Role.IMAGE:
                agreed = agreement.compare(made, expected.fp32, channel_axis=spec.channel_axis)
                tensors.setdefault(spec.name, []).append(agreed)
                continue
            compare = functools.partial(fidelity.compare, output_range=expected.output_range)
            matches.append(compare(made, expected.fp32))
            if expected.target is not None:
                kept = compare(made, expected.target)
                drops.append(compare(expected.fp32, expected.target).psnr_db - kept.psnr_db)
    return Drift(
        on=stand_in.on,
        delegate=stand_in.target.delegate,
        psnr_db=min((match.psnr_db for match in matches), default=math.inf),
        worst_tile_psnr_db=min((match.worst_tile_psnr_db for match in matches), default=math.inf),
        relative_l2=max((match.relative_l2 for match in matches), default=0.0),
        quality_drop_db=max(drops),
        tensors={name: agreement.least(found) for name, found in tensors.items()},
        lost_db=max(lost) if any(spec.role is Role.STATE for spec in subject.inputs) else None,
    )


def _lost_db(variant: Variant, golden: Golden, stand_in: _StandIn) -> float:
    """Return what the last frame of a clip has lost to its first; 0 where it is no clip."""
    if not golden.later:
        return 0.0

    def run(given: Inputs) -> Mapping[str, Values]:
        return _run(variant, golden, given, stand_in)

    frames = list(clips.play(run, golden.inputs, golden.later, golden.input_specs, golden.specs))
    lost = [0.0]
    for expected, last, first, late in zip(
        golden.expected, golden.last, frames[0], frames[-1], strict=True
    ):
        if expected.spec.role is Role.IMAGE:
            compare = functools.partial(fidelity.compare, output_range=expected.output_range)
            lost.append(compare(first, expected.fp32).psnr_db - compare(late, last).psnr_db)
    return max(lost)


def _run(
    variant: Variant, golden: Golden, inputs: Inputs, stand_in: _StandIn
) -> Mapping[str, Values]:
    model = variant.model().at(golden.size)
    if stand_in.in_fp16 is None:
        return Emulated(stand_in.target).run(model, inputs).values
    made = stand_in.in_fp16.run(model, inputs.of_graph(model.graph))
    return dict(zip(model.graph.output_names, made, strict=True))


def _margin(precision: Precision) -> tuple[float, str]:
    """Return dB to spare on the delegates that a variant's own limits speak of, and why."""
    if precision is Precision.FP32:
        return _FP32_MARGIN
    return _FP16_MARGIN if precision is Precision.FP16 else _INTEGER_MARGIN


def _limits(drifts: Sequence[Drift], margin: tuple[float, str], expected_db: float) -> Limits:
    margin_db, why = margin
    psnr_db = min(drift.psnr_db for drift in drifts)
    tile_db = min(drift.worst_tile_psnr_db for drift in drifts)
    relative_l2 = max(drift.relative_l2 for drift in drifts)
    drop_db = max(drift.quality_drop_db for drift in drifts)
    on = ", ".join(dict.fromkeys(drift.on for drift in drifts))
    allowed_l2 = max(relative_l2, _LEAST_RELATIVE_L2) * 10.0 ** (margin_db / 20.0)
    tensors = tuple(_tensor_limits(drifts, margin_db, expected_db))
    if math.isinf(psnr_db):
        return Limits(
            outputs=tensors,
            source=f"measured {now_utc()[:10]} by harness init on {on}; {margin_db:g} dB of "
            f"margin, as {why}",
        )
    lost = [drift.lost_db for drift in drifts if drift.lost_db is not None]
    return Limits(
        drift_db=float(math.ceil(max(lost) + _DRIFT_MARGIN_DB)) if lost else None,
        outputs=tensors,
        psnr_db=_below(psnr_db, margin_db) if psnr_db >= expected_db else expected_db,
        worst_tile_psnr_db=_below(tile_db, margin_db),
        relative_l2=float(f"{allowed_l2:.2g}"),
        quality_drop_db=_QUALITY_DROP_DB
        if psnr_db < expected_db
        else max(_QUALITY_DROP_DB, math.ceil(10.0 * drop_db + 2.0) / 10.0),
        source=f"measured {now_utc()[:10]} by harness init: worst frame {psnr_db:.1f} dB, worst "
        f"tile {tile_db:.1f} dB, relative L2 {relative_l2:.2g}, most quality lost "
        f"{drop_db:.2f} dB, on {on}; {margin_db:g} dB of margin, as {why}",
    )


def _tensor_limits(
    drifts: Sequence[Drift], margin_db: float, expected_db: float
) -> Iterator[OutputLimits]:
    """Yield limits for each output that is no image, from the worst that was seen of it.

    What is farther off than a sound export keeps is no limit, as with images.
    """
    for name in drifts[0].tensors:
        worst = agreement.least([drift.tensors[name] for drift in drifts])
        sound = 10.0 ** (-expected_db / 20.0)
        seen = min(max(worst.relative_l2, _LEAST_RELATIVE_L2), sound)
        allowed = seen * 10.0 ** (margin_db / 20.0)
        yield OutputLimits(
            name=name,
            relative_l2=float(f"{allowed:.2g}"),
            cosine_similarity=math.floor(1e6 * (1.0 - allowed**2)) / 1e6,
            top1_agreement=_share_below(worst.top1_agreement),
        )


def _share_below(seen: float) -> float:
    """Return a share with a margin of 0.02; one that was kept whole is asked for whole."""
    return 1.0 if seen == 1.0 else max(0.0, math.floor(100.0 * seen - 2.0) / 100.0)


def _below(seen_db: float, margin_db: float) -> float:
    return float(math.floor(min(seen_db, _CEILING_DB) - margin_db))
