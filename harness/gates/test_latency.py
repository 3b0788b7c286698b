"""Rule on latency budgets (L)."""

from harness import gate, verdict
from harness.cases import SizedCase
from harness.images import Size
from harness.lab import DeviceUnderTest
from harness.requests import Request, Verb
from harness.subjects import Budget, Variant

GATE = verdict.LATENCY


def asks(case: SizedCase) -> list[Request]:
    """Return what a case will ask: its latency, up to the budget's decision."""
    return [Request.of(case, Verb.TIME, case.size, limit_ms=case.budget.latency_ms)]


def test_an_inference_keeps_its_latency_budget(
    device: DeviceUnderTest, variant: Variant, size: Size, budget: Budget, check: gate.Check
) -> None:
    """L1, L2: the median and the 95th percentile keep the budget of this device and size."""
    latency = device.time(variant, size, limit_ms=budget.latency_ms)

    check(*gate.latency(latency, budget))
