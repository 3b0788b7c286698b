"""Rule on the first inference (L)."""

from harness import gate, observations, verdict
from harness.budgets import Budget
from harness.cases import SizedCase
from harness.images import Size
from harness.lab import DeviceUnderTest
from harness.requests import Request
from harness.subjects import Subject, Variant

GATE = verdict.FIRST_INFERENCE
ASKED_BY = ("first_inference_ms",)
"""Keys of a budget; one without any of them asks nothing of this gate."""


def asks(case: SizedCase) -> list[Request]:
    """Return what a case will ask: the latency that the latency gate asks for too."""
    return [observations.asks_latency(case)]


def test_a_first_inference_keeps_its_budget(
    device: DeviceUnderTest,
    subject: Subject,
    variant: Variant,
    size: Size,
    budget: Budget,
    check: gate.Check,
) -> None:
    """L3: loading, preparing and the first inference keep the budget of this device and size."""
    latency = observations.latency_of_one(device, subject, variant, size, budget)

    check(gate.first_inference(latency, budget))
