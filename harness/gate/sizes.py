"""Rule on memory and on the size of the file."""

from harness import metrics
from harness.budgets import Budget
from harness.evidence import Evidence, Provenance
from harness.gate.ruling import rule
from harness.memory import Memory
from harness.model import Model
from harness.verdict import Verdict


def memory(fact: Memory, budget: Budget) -> tuple[Verdict, ...]:
    """Judge peak memory (M1) and weights (M2), each where the budget sets a limit for it."""
    parts = f"{fact.peak_activation_mib:.4g} MiB of activations at one time"
    cause = f"the graph alone has {parts} and {fact.weights_mib:.4g} MiB of weights"
    found = []
    if budget.peak_memory_mib is not None:
        found.append(
            rule(
                metrics.PEAK_MEMORY_MIB,
                fact.peak_mib,
                budget.peak_memory_mib,
                fact.provenance,
                cause=cause,
            )
        )
    if budget.weights_mib is not None:
        limit = budget.weights_mib
        found.append(rule(metrics.WEIGHTS_MIB, fact.weights_mib, limit, fact.provenance))
    return tuple(found)


def file_size(model: Model, budget: Budget) -> Verdict:
    """Judge the size of the exported file (M3); a fact of the file, whatever runs it."""
    made = Provenance(evidence=Evidence.RULES, device="", variant_sha256=model.sha256)
    return rule(metrics.FILE_SIZE_MIB, len(model.data) / 2**20, budget.file_size_mib, made)
