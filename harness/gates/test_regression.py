"""Rule on regressions against blessed baselines (R)."""

from collections.abc import Callable

from harness import gate, verdict
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
    check: gate.Check,
) -> None:
    """R1: nothing is worse than what a person accepted, beyond its spread."""
    observed = facts.of(device, subject, variant, size)

    check(
        *(
            gate.no_regression(
                fact.metric,
                fact.value,
                baseline(fact.metric, fact.provenance.evidence.value),
                fact.provenance,
                sense=fact.sense,
            )
            for fact in observed
        )
    )
