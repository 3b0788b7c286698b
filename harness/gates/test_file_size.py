"""Rule on the size of the exported file (M)."""

from harness import gate, verdict
from harness.budgets import Budget
from harness.cases import SizedCase
from harness.requests import Request
from harness.subjects import Variant

GATE = verdict.FILE_SIZE
ASKED_BY = ("file_size_mib",)
"""Keys of a budget; one without any of them asks nothing of this gate."""


def asks(case: SizedCase) -> list[Request]:
    """Return nothing: the file itself tells its size."""
    del case
    return []


def test_the_file_keeps_its_size_budget(
    variant: Variant, budget: Budget, check: gate.Check
) -> None:
    """M3: the exported file is no larger than its budget."""
    check(gate.file_size(variant.model(), budget))
