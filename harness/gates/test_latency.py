"""Rule on latency budgets (L)."""

from harness import gate, observations, verdict
from harness.budgets import Budget
from harness.cases import SizedCase
from harness.images import Size
from harness.lab import DeviceUnderTest
from harness.latency import in_turn
from harness.requests import Request
from harness.subjects import Subject, Variant

GATE = verdict.LATENCY


def asks(case: SizedCase) -> list[Request]:
    """Return what a case will ask: its latency, up to the budget's decision."""
    return [observations.asks_latency(case)]


def test_an_inference_keeps_its_latency_budget(
    device: DeviceUnderTest,
    subject: Subject,
    variant: Variant,
    size: Size,
    budget: Budget,
    check: gate.Check,
) -> None:
    """L1, L2: the median and the 95th percentile keep the budget, of all tiles if there are any."""
    one = observations.latency_of_one(device, subject, variant, size, budget)

    check(*gate.latency(in_turn(one, observations.tiles_of(subject, size)), budget))
