"""Rule on energy (E)."""

from harness import gate, verdict
from harness.budgets import Budget
from harness.cases import SizedCase
from harness.images import Size
from harness.lab import DeviceUnderTest
from harness.latency import in_turn
from harness.observations import tiles_of
from harness.requests import Request, Verb
from harness.subjects import Subject, Variant

GATE = verdict.ENERGY
ASKED_BY = ("energy_mj",)
"""Keys of a budget; one without any of them asks nothing of this gate."""


def asks(case: SizedCase) -> list[Request]:
    """Return what a case will ask: the latency that the latency gate asks for too."""
    return [Request.of(case, Verb.TIME, case.run_size, limit_ms=case.budget.latency_ms)]


def test_an_inference_keeps_its_energy_budget(
    device: DeviceUnderTest,
    subject: Subject,
    variant: Variant,
    size: Size,
    budget: Budget,
    check: gate.Check,
) -> None:
    """E1: the millijoules of one inference keep the budget of this device and size."""
    one = device.time(variant, subject.run_size(size), limit_ms=budget.latency_ms)

    check(gate.energy(in_turn(one, tiles_of(subject, size)), budget))
