"""Rule on regressions against blessed baselines (R)."""

from collections.abc import Callable

from harness import gate, goldens, verdict
from harness.baselines import Baseline
from harness.devices import facts
from harness.devices.device import Device
from harness.images import Size
from harness.subjects import Subject, Variant

GATE = verdict.REGRESSION


def test_no_metric_is_worse_than_its_baseline(
    device: Device,
    subject: Subject,
    variant: Variant,
    size: Size,
    baseline: Callable[[str, str], Baseline | None],
    accepted: tuple[Baseline, ...],
    check: gate.Check,
) -> None:
    """R1, R2: nothing is worse than what a person accepted, and all of it is observed."""
    observed = facts.of(device, subject, variant, size)
    frames = "; ".join(goldens.changes(subject))

    check(
        *(
            gate.inconclusive(
                GATE,
                fact.metric,
                f"{fact.metric} {fact.value:.4g} is of other frames than were blessed: {frames}",
                sense=fact.sense,
            )
            if frames and fact.metric == facts.QUALITY
            else gate.no_regression(
                fact.metric,
                fact.value,
                baseline(fact.metric, fact.provenance.evidence.value),
                fact.provenance,
                sense=fact.sense,
            )
            for fact in observed
        ),
        *gate.unobserved(((f.metric, f.provenance.evidence) for f in observed), accepted),
    )
