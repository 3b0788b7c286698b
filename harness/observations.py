"""The numbers of a variant on a device that are blessed, and its sweep over sizes."""

from collections.abc import Sequence
from dataclasses import dataclass

from harness import fidelity, goldens, scaling
from harness.cases import SizedCase
from harness.evidence import Provenance
from harness.images import Size
from harness.lab import DeviceUnderTest
from harness.latency import Estimate, Latency
from harness.requests import Request, Verb
from harness.scaling import Point, Scaling
from harness.subjects import Subject, Variant
from harness.verdict import Sense

QUALITY = "quality_db"
"""The metric that depends on which frames there are."""
_INSTRUCTIONS_SPREAD_SHARE = 0.005
"""Source: measured under QEMU, where repeats spread by 0.15 %."""


@dataclass(frozen=True, kw_only=True)
class Observation:
    """One number that can be blessed as a baseline.

    Attributes:
        metric: Unit in the name.
        value: The number.
        spread: Change that is within noise, in the metric's unit.
        sense: AT_MOST where less is better.
        provenance: How it is known.
    """

    metric: str
    value: float
    spread: float
    sense: Sense
    provenance: Provenance


def asks(case: SizedCase) -> list[Request]:
    """Return the requests behind the observations of a case."""
    frames = [goldens.load_frame(case.subject, name) for name in _names(case.subject, case.size)]
    return [
        *(Request.of(case, verb, case.size) for verb in (Verb.TIME, Verb.PLACE, Verb.COUNT)),
        *(
            Request.of(case, Verb.RUN, case.size, frame=frame)
            for frame, target in frames
            if target is not None
        ),
    ]


def _names(subject: Subject, size: Size) -> list[str]:
    """Return the frames of a resolution."""
    return [name for name in goldens.names(subject) if goldens.size_of(subject, name) == size]


def of(
    device: DeviceUnderTest, subject: Subject, variant: Variant, size: Size
) -> tuple[Observation, ...]:
    """Return the observations of a variant at a size: latency, placement and quality.

    Quality is the mean PSNR in dB against the sharp targets of this size's frames.
    """
    latency = device.time(variant, size)
    placement = device.place(variant, size)
    found = [
        Observation(
            metric="latency_ms",
            value=milliseconds(latency),
            spread=_latency_spread_ms(latency),
            sense=Sense.AT_MOST,
            provenance=latency.provenance,
        ),
        Observation(
            metric="cpu_ops",
            value=placement.cpu_ops,
            spread=0.0,
            sense=Sense.AT_MOST,
            provenance=placement.provenance,
        ),
        Observation(
            metric="partitions",
            value=placement.partitions,
            spread=0.0,
            sense=Sense.AT_MOST,
            provenance=placement.provenance,
        ),
    ]
    counted = device.count(variant, size)
    if counted is not None:
        found.append(
            Observation(
                metric="instructions",
                value=counted.count,
                spread=_INSTRUCTIONS_SPREAD_SHARE * counted.count,
                sense=Sense.AT_MOST,
                provenance=counted.provenance,
            )
        )
    return (*found, *_quality(device, subject, variant, size))


def milliseconds(latency: Latency | Estimate) -> float:
    """Return the median of a measurement, or the estimate."""
    return latency.median_ms if isinstance(latency, Latency) else latency.estimate_ms


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
        frame, target = goldens.load_frame(subject, name)
        if target is None:
            continue
        output = device.run(variant, frame)
        scores.append(fidelity.compare(output, target, output_range=subject.output_range).psnr_db)
        provenance = output.provenance
    if provenance is None:
        return ()
    return (
        Observation(
            metric=QUALITY,
            value=sum(scores) / len(scores),
            spread=0.01,
            sense=Sense.AT_LEAST,
            provenance=provenance,
        ),
    )


def sweep(device: DeviceUnderTest, variant: Variant, sizes: Sequence[Size]) -> Scaling:
    """Return latency and placement of a variant at several sizes."""
    points = []
    provenances = []
    for size in sizes:
        latency = device.time(variant, size)
        placement = device.place(variant, size)
        points.append(
            Point(
                size=size,
                ms=milliseconds(latency),
                partitions=placement.partitions,
                cpu_ops=placement.cpu_ops,
                spill_mib=device.memory(variant, size).spill_mib,
                off_chip_share=(latency.off_chip_share if isinstance(latency, Estimate) else None),
            )
        )
        provenances.append(latency.provenance)
    weakest = max(provenances, key=lambda provenance: provenance.evidence.rank)
    return scaling.describe(points, provenance=weakest)
