"""Rule on energy (E)."""

from harness import gate, observations, verdict
from harness.budgets import Budget
from harness.cases import SizedCase
from harness.images import Size
from harness.lab import DeviceUnderTest
from harness.latency import in_turn
from harness.requests import Request
from harness.subjects import Subject, Variant

GATE = verdict.ENERGY
ASKED_BY = ("energy_mj",)
"""Keys of a budget; one without any of them asks nothing of this gate."""


def asks(case: SizedCase) -> list[Request]:
    """Return what a case will ask: the latency that the latency gate asks for too."""
    return [observations.asks_latency(case)]


def test_an_inference_keeps_its_energy_budget(
    device: DeviceUnderTest,
    subject: Subject,
    variant: Variant,
    size: Size,
    budget: Budget,
    check: gate.Check,
) -> None:
    """E1: the millijoules of one inference keep the budget of this device and size."""
    one = observations.latency_of_one(device, subject, variant, size, budget)

    check(gate.energy(in_turn(one, observations.tiles_of(subject, size)), budget))
