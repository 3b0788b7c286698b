"""The numbers of a variant on a device that are blessed, and its sweep over sizes."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from harness import fidelity, goldens, metrics, roles, samples, scaling, tiles
from harness.budgets import Budget
from harness.cases import Case, SizedCase
from harness.errors import ModelError
from harness.evidence import Provenance
from harness.goldens import Golden
from harness.images import Output, Size
from harness.inputs import Inputs, Values, matched
from harness.lab import DeviceUnderTest
from harness.latency import Estimate, Latency, in_turn
from harness.measures import Measure
from harness.metrics import Metric
from harness.profiles import GPU_FP32, Target
from harness.requests import Request, Verb
from harness.roles import Layout, Role
from harness.samples import Sample
from harness.scaling import Point, Scaling
from harness.stacks import known_failures
from harness.subjects import Subject, Variant
from harness.tiles import Tile
from harness.verdict import REGRESSION

SPILLING = ("qnn",)
"""Delegates whose compiler says what it moves out of on-chip memory."""
_INSTRUCTIONS_SPREAD_SHARE = 0.005
"""Source: measured under QEMU, where repeats spread by 0.15 %."""
_OWN_SPREAD_SHARE = 0.005
"""Of a measure whose unit nobody knows here: what rounding on another CPU may change."""


@dataclass(frozen=True, kw_only=True)
class Observation:
    """One number that can be blessed as a baseline.

    Attributes:
        metric: One of `metrics.BLESSED`, or a measure of the team's own.
        value: The number.
        spread: Change that is within noise, in the metric's unit.
        provenance: How it is known.
        low: Lower end of the interval of a measured number, or None.
        high: Upper end of it.
    """

    metric: Metric
    value: float
    spread: float
    provenance: Provenance
    low: float | None = None
    high: float | None = None

    @property
    def fingerprint(self) -> str | None:
        """Return the phone without its build number; None where no phone was measured."""
        return None if self.provenance.evidence.repeats else self.provenance.device


def tiles_of(subject: Subject, size: Size) -> int:
    """Return how many tiles a photograph takes; 1 where it is taken whole."""
    if subject.tiles is None or subject.run_size(size) == size:
        return 1
    return len(tiles.cut(size, subject.tiles.size, subject.tiles.overlap_px))


def asks_latency(case: SizedCase) -> Request:
    """Return the question for the latency of one inference, up to its budget's decision."""
    limit_ms = _of_one_ms(case.budget, tiles_of(case.subject, case.size))
    limits_ms = () if limit_ms is None else (limit_ms,)
    return Request.of(case, Verb.TIME, case.run_size, limits_ms=limits_ms)


def latency_of_one(
    device: DeviceUnderTest, subject: Subject, variant: Variant, size: Size, budget: Budget
) -> Latency | Estimate:
    """Measure or estimate one inference, of one tile where there are any, until a budget is clear.

    All who rule on it ask with this limit, and what several sizes ask of one tile is asked
    together: a phone is asked once, for all that is ruled on.
    """
    limit_ms = _of_one_ms(budget, tiles_of(subject, size))
    return device.time(variant, subject.run_size(size), limit_ms=limit_ms)


def _of_one_ms(budget: Budget, tiles_count: int) -> float | None:
    """Return the latency budget of one of several inferences."""
    return None if budget.latency_ms is None else budget.latency_ms / tiles_count


def parts(subject: Subject, sample: Sample | Golden) -> dict[Tile, Inputs]:
    """Return what the model is given for each tile of a photograph; nothing where it has none."""
    if subject.tiles is None or subject.run_size(sample.size) == sample.size:
        return {}
    size = subject.tiles.size
    axes = {spec.name: spec.axes for spec in subject.inputs}
    usual = roles.axes_of(Layout.NHWC)

    def shown(name: str, values: Values, tile: Tile) -> Values:
        along = axes.get(name, usual)
        return values if along is None else tiles.part(values, tile, size, sample.size, along)

    cut = tiles.cut(sample.size, size, subject.tiles.overlap_px)
    return {
        tile: Inputs({name: shown(name, values, tile) for name, values in sample.inputs.items()})
        for tile in cut
    }


def made(
    device: DeviceUnderTest, subject: Subject, variant: Variant, sample: Sample | Golden
) -> Output:
    """Return what a variant makes of a sample: whole, or of a photograph tile by tile."""
    cut = parts(subject, sample)
    if not cut:
        return device.feed(variant, sample.inputs, sample.size)
    size = subject.run_size(sample.size)
    outputs = {tile: device.feed(variant, given, size) for tile, given in cut.items()}
    return joined(subject, outputs, size)


def joined(subject: Subject, outputs: Mapping[Tile, Output], size: Size) -> Output:
    """Return the photograph of which a model made every tile.

    Args:
        subject: The model.
        outputs: What it made of each tile.
        size: Of a tile.
    """
    last = list(outputs.values())[-1]
    names, specs = tuple(last.values), subject.output_specs
    order = matched([spec.name for spec in specs], names, what="outputs")
    axes = {names[position]: spec.axes for position, spec in zip(order, specs, strict=True)}
    whole = {
        name: tiles.joined({tile: o.values[name] for tile, o in outputs.items()}, size, along)
        for name, along in axes.items()
        if along is not None
    }
    repeats = [o.repeat_relative_l2 for o in outputs.values() if o.repeat_relative_l2 is not None]
    return Output(
        values={name: whole[name] for name in names},
        provenance=_of_all([output.provenance for output in outputs.values()]),
        repeat_relative_l2=max(repeats, default=None),
    )


def _of_all(provenances: Sequence[Provenance]) -> Provenance:
    """Return the weakest of the provenances of several tiles, with every device that made one."""
    weakest = max(provenances, key=lambda one: one.evidence.rank)
    devices = dict.fromkeys(one.device for one in provenances)
    return replace(weakest, device=", ".join(devices))


def given(subject: Subject, sample: Sample | Golden) -> list[Inputs]:
    """Return what the model is given of a sample: all of it, or each tile of a photograph."""
    return list(parts(subject, sample).values()) or [sample.inputs]


def runs(case: SizedCase, sample: Sample, *, before: Case | None = None) -> list[Request]:
    """Return the requests behind what `made` returns, of a case or of what it was before."""
    return [
        Request.of(before or case, Verb.RUN, case.run_size, inputs=one)
        for one in given(case.subject, sample)
    ]


def unseen(device: DeviceUnderTest, subject: Subject, variant: Variant, size: Size) -> str:
    """Return what a frame cannot show because it is smaller than what ships, or ''.

    A sum over all pixels passes fp16's largest number only where there are enough of them.
    """
    target = Target(profile=device.profile, delegate=device.delegate)
    budgets = subject.budgets_of(device.profile.name, device.delegate, variant.name)
    model = variant.model()
    if target.stack != "gpu" or target.delegate == GPU_FP32 or not budgets:
        return ""
    largest = Size.parse(budgets[-1].resolution)
    if largest.megapixels <= size.megapixels or not known_failures.reduces(model.graph):
        return ""
    try:
        shown, shipped = (model.at(subject.run_size(one)).graph for one in (size, largest))
    except ModelError:  # a gate of that size says so
        return ""
    found = known_failures.hidden(shown, shipped)
    if not found:
        return ""
    return (
        f"a frame of {size} cannot show what {largest} may do: {found[0]}; add a bright frame of "
        f"{largest}"
    )


def asks(case: SizedCase) -> list[Request]:
    """Return the requests behind the observations of a case."""
    found = [samples.load(case.subject, name) for name in _names(case.subject, case.size)]
    return [
        *(Request.of(case, verb, case.run_size) for verb in (Verb.TIME, Verb.PLACE, Verb.COUNT)),
        *(
            request
            for sample in found
            if sample.targets or case.variant.limits.own
            for request in runs(case, sample)
        ),
    ]


def _names(subject: Subject, size: Size) -> list[str]:
    """Return the frames of a resolution."""
    return [name for name in samples.names(subject) if goldens.size_of(subject, name) == size]


def of(
    device: DeviceUnderTest, subject: Subject, variant: Variant, size: Size
) -> tuple[Observation, ...]:
    """Return the observations of a variant at a size: latency, placement and quality.

    Quality is the mean PSNR in dB against the sharp targets of this size's frames.
    """
    run_size = subject.run_size(size)
    latency = in_turn(device.time(variant, run_size), tiles_of(subject, size))
    placement = device.place(variant, run_size)
    measured = isinstance(latency, Latency)  # an estimate repeats exactly: it has no noise
    found = [
        Observation(
            metric=metrics.BLESSED_LATENCY_MS,
            value=latency.ms,
            spread=_latency_spread_ms(latency),
            provenance=latency.provenance,
            low=latency.low_ms if measured else None,
            high=latency.high_ms if measured else None,
        ),
        Observation(
            metric=metrics.BLESSED_CPU_OPS,
            value=placement.cpu_ops,
            spread=0.0,
            provenance=placement.provenance,
        ),
        Observation(
            metric=metrics.BLESSED_PARTITIONS,
            value=placement.partitions,
            spread=0.0,
            provenance=placement.provenance,
        ),
    ]
    counted = device.count(variant, run_size)
    if counted is not None:
        found.append(
            Observation(
                metric=metrics.INSTRUCTIONS,
                value=counted.count,
                spread=_INSTRUCTIONS_SPREAD_SHARE * counted.count,
                provenance=counted.provenance,
            )
        )
    return (*found, *_quality(device, subject, variant, size))


def own(
    device: DeviceUnderTest,
    subject: Subject,
    variant: Variant,
    size: Size,
    measured_by: Sequence[Measure],
    references: Mapping[str, Sequence[Values]],
) -> tuple[Observation, ...]:
    """Return the team's own measures of a size's frames, the mean of each.

    Args:
        device: Where it runs.
        subject: The model.
        variant: Its file.
        size: Of the frames.
        measured_by: What the variant's limits ask for; only measures of the team's own count.
        references: What each judged output of a frame should be, by the frame's name.

    Raises:
        MeasurementError: a measure gives no number.
    """
    wanted = [one for one in measured_by if one.metric.name in variant.limits.own]
    values: dict[str, list[float]] = {one.metric.name: [] for one in wanted}
    provenance = None
    for name in _names(subject, size) if wanted else ():
        output = made(device, subject, variant, samples.load(subject, name))
        provenance = output.provenance
        shown = goldens.judged(subject.output_specs, output.values)
        for spec, pixels, right in zip(subject.judged_specs, shown, references[name], strict=True):
            for one in wanted if spec.role is Role.IMAGE else ():
                values[one.metric.name].append(one.value(pixels, right))
    if provenance is None:
        return ()
    return tuple(
        Observation(
            metric=replace(one.metric, gate=REGRESSION),
            value=statistics.fmean(values[one.metric.name]),
            spread=_OWN_SPREAD_SHARE * abs(statistics.fmean(values[one.metric.name])),
            provenance=provenance,
        )
        for one in wanted
        if values[one.metric.name]
    )


def _latency_spread_ms(latency: Latency | Estimate) -> float:
    """Return 3 standard deviations of a measurement, or 0.5 % of a deterministic estimate."""
    if isinstance(latency, Latency):
        return 3.0 * latency.stddev_ms
    return 0.005 * latency.estimate_ms


def _quality(
    device: DeviceUnderTest, subject: Subject, variant: Variant, size: Size
) -> tuple[Observation, ...]:
    """Return the mean PSNR against the sharp targets; nothing where there are none."""
    scores = []
    provenance = None
    for name in _names(subject, size):
        sample = samples.load(subject, name)
        if not sample.targets:
            continue
        output = made(device, subject, variant, sample)
        shown = roles.decoded(output.values, subject.output_specs)
        for spec, pixels in zip(subject.output_specs, shown, strict=True):
            if (target := sample.targets.get(spec.name)) is not None:
                match = fidelity.compare(pixels, target, output_range=spec.range)
                scores.append(match.psnr_db)
        provenance = output.provenance
    if provenance is None:
        return ()
    return (
        Observation(
            metric=metrics.QUALITY_DB,
            value=sum(scores) / len(scores),
            spread=0.01,
            provenance=provenance,
        ),
    )


def _spill_mib(device: DeviceUnderTest, variant: Variant, size: Size) -> float | None:
    """Return what a compiler spills; only an NPU's says so, and a phone is not asked in vain."""
    if device.delegate not in SPILLING:
        return None
    return device.memory(variant, size).spill_mib


def sweep(
    device: DeviceUnderTest, subject: Subject, variant: Variant, sizes: Sequence[Size]
) -> Scaling:
    """Return latency and placement of a variant at several sizes, of all tiles if there are any."""
    points = []
    provenances = []
    for size in sizes:
        run_size = subject.run_size(size)
        latency = in_turn(device.time(variant, run_size), tiles_of(subject, size))
        placement = device.place(variant, run_size)
        points.append(
            Point(
                size=size,
                ms=latency.ms,
                partitions=placement.partitions,
                cpu_ops=placement.cpu_ops,
                spill_mib=_spill_mib(device, variant, run_size),
                off_chip_share=(latency.off_chip_share if isinstance(latency, Estimate) else None),
            )
        )
        provenances.append(latency.provenance)
    weakest = max(provenances, key=lambda provenance: provenance.evidence.rank)
    return scaling.describe(points, provenance=weakest)
