"""Rule on CPU fallback (P)."""

from harness import gate, verdict
from harness.budgets import Budget
from harness.cases import SizedCase
from harness.images import Size
from harness.lab import DeviceUnderTest
from harness.requests import Request, Verb
from harness.subjects import Subject, Variant

GATE = verdict.FALLBACK


def asks(case: SizedCase) -> list[Request]:
    """Return what a case will ask: where its ops run."""
    return [Request.of(case, Verb.PLACE, case.run_size)]


def test_every_op_stays_on_the_accelerator(
    device: DeviceUnderTest,
    subject: Subject,
    variant: Variant,
    size: Size,
    budget: Budget,
    check: gate.Check,
) -> None:
    """P1 to P3: CPU ops, partitions and the CPU's share of the time keep the budget."""
    placement = device.place(variant, subject.run_size(size))

    check(*gate.residency(placement, budget))
