"""Rule on regressions against blessed baselines (R)."""

from collections.abc import Callable

from harness import gate, goldens, observations, verdict
from harness.baselines import Baseline
from harness.cases import SizedCase
from harness.images import Size
from harness.lab import DeviceUnderTest
from harness.requests import Request
from harness.subjects import Subject, Variant

GATE = verdict.REGRESSION


def asks(case: SizedCase) -> list[Request]:
    """Return what a case will ask: all that can be blessed."""
    return observations.asks(case)


def test_no_metric_is_worse_than_its_baseline(
    device: DeviceUnderTest,
    subject: Subject,
    variant: Variant,
    size: Size,
    baseline: Callable[[str, str], Baseline | None],
    accepted: tuple[Baseline, ...],
    check: gate.Check,
) -> None:
    """R1, R2: nothing is worse than what a person accepted, and all of it is observed."""
    observed = observations.of(device, subject, variant, size)
    frames = "; ".join(goldens.changes(subject))

    check(
        *(
            gate.inconclusive(
                GATE,
                one.metric,
                f"{one.metric} {one.value:.4g} is of other frames than were blessed: {frames}",
                sense=one.sense,
            )
            if frames and one.metric == observations.QUALITY
            else gate.no_regression(
                one.metric,
                one.value,
                baseline(one.metric, one.provenance.evidence.value),
                one.provenance,
                sense=one.sense,
            )
            for one in observed
        ),
        *gate.unobserved(((o.metric, o.provenance.evidence) for o in observed), accepted),
    )
