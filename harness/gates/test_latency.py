"""Rule on latency budgets (L)."""

from harness import gate, observations, verdict
from harness.budgets import Budget
from harness.cases import SizedCase
from harness.images import Size
from harness.lab import DeviceUnderTest
from harness.latency import in_turn
from harness.requests import Request, Verb
from harness.subjects import Subject, Variant

GATE = verdict.LATENCY


def asks(case: SizedCase) -> list[Request]:
    """Return what a case will ask: its latency, up to the budget's decision."""
    limit_ms = _of_one(case.budget, observations.tiles_of(case.subject, case.size))
    return [Request.of(case, Verb.TIME, case.run_size, limit_ms=limit_ms)]


def _of_one(budget: Budget, tiles: int) -> float | None:
    """Return the budget of one of several inferences."""
    return None if budget.latency_ms is None else budget.latency_ms / tiles


def test_an_inference_keeps_its_latency_budget(
    device: DeviceUnderTest,
    subject: Subject,
    variant: Variant,
    size: Size,
    budget: Budget,
    check: gate.Check,
) -> None:
    """L1, L2: the median and the 95th percentile keep the budget, of all tiles if there are any."""
    tiles = observations.tiles_of(subject, size)
    latency = device.time(variant, subject.run_size(size), limit_ms=_of_one(budget, tiles))

    check(*gate.latency(in_turn(latency, tiles), budget))
