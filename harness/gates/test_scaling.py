"""Rule on how latency grows with resolution (S)."""

from unittest import SkipTest

from harness import gate, observations, verdict
from harness.cases import Case
from harness.lab import DeviceUnderTest
from harness.requests import Request, Verb
from harness.subjects import Subject, Variant

GATE = verdict.SCALING


def asks(case: Case) -> list[Request]:
    """Return what a case will ask at each resolution: latency, placement, an NPU's memory."""
    sizes = case.subject.scaling.sizes if case.subject.scaling else ()
    run_sizes = dict.fromkeys(case.subject.run_size(size) for size in sizes)
    spills = case.target.delegate in observations.SPILLING
    verbs = (Verb.TIME, Verb.PLACE, *([Verb.MEMORY] if spills else []))
    return [Request.of(case, verb, size) for size in run_sizes for verb in verbs]


def test_latency_grows_with_resolution_as_budgeted(
    device: DeviceUnderTest, subject: Subject, variant: Variant, check: gate.Check
) -> None:
    """S1 to S3: growth exponent, cliffs and placement changes keep the scaling budget.

    Of a photograph in tiles, latency is that of all of them.
    """
    if subject.scaling is None or len(subject.scaling.sizes) < 2:
        raise SkipTest(f"not asked: {subject.name} states no two resolutions under [scaling]")

    growth = observations.sweep(device, subject, variant, subject.scaling.sizes)

    check(*gate.scaling(growth, subject.scaling))
