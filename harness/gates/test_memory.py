"""Rule on memory budgets (M)."""

from harness import gate, verdict
from harness.budgets import Budget
from harness.cases import SizedCase
from harness.images import Size
from harness.lab import DeviceUnderTest
from harness.requests import Request, Verb
from harness.subjects import Subject, Variant

GATE = verdict.MEMORY
ASKED_BY = ("peak_memory_mib", "weights_mib")
"""Keys of a budget; one without any of them asks nothing of this gate."""


def asks(case: SizedCase) -> list[Request]:
    """Return what a case will ask: its memory."""
    return [Request.of(case, Verb.MEMORY, case.run_size)]


def test_an_inference_keeps_its_memory_budget(
    device: DeviceUnderTest,
    subject: Subject,
    variant: Variant,
    size: Size,
    budget: Budget,
    check: gate.Check,
) -> None:
    """M1, M2: the peak and the weights keep the budget of this device and size."""
    memory = device.memory(variant, subject.run_size(size))

    check(*gate.memory(memory, budget))
