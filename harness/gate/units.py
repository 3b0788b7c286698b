"""Rule on the units that ops run on."""

from collections.abc import Iterable

from harness import metrics
from harness.budgets import Budget
from harness.gate.ruling import inconclusive, rule
from harness.placement import NodePlacement, Placement
from harness.verdict import Lack, Verdict


def residency(placement: Placement, budget: Budget | None) -> tuple[Verdict, ...]:
    """Judge CPU ops (P1), partitions (P2) and the CPU's share of the time (P3)."""
    p = placement.provenance
    attached = not p.evidence.repeats
    if placement.unattributed:
        told = len(placement.nodes) - placement.unattributed
        unclear = f"only {told} of {len(placement.nodes)} ops could be attributed to a unit"
        # On this host every stack that is installed places all ops.
        lacks = Lack.FACT if attached else Lack.STACK
        return (
            inconclusive(metrics.CPU_OPS, lacks, f"{unclear} ({p.note})" if p.note else unclear),
        )
    verdicts = [
        rule(
            metrics.CPU_OPS,
            placement.cpu_ops,
            budget.cpu_ops_allowed if budget else None,
            p,
            cause=describe_fallbacks(placement),
            remedy="; ".join(dict.fromkeys(n.remedy for n in placement.fallbacks if n.remedy)),
        ),
        rule(
            metrics.PARTITIONS,
            placement.partitions,
            budget.partitions_max if budget else None,
            p,
            cause="each change between accelerator and CPU copies the activations",
        ),
    ]
    if budget is not None and budget.cpu_time_share is not None:
        metric, share = metrics.CPU_TIME_SHARE, placement.cpu_time_share
        if share is None:
            lacks = Lack.FACT if attached else Lack.PHONE
            verdicts.append(inconclusive(metric, lacks, "the CPU's share of the time is unknown"))
        else:
            verdicts.append(rule(metric, share, budget.cpu_time_share, p))
    return tuple(verdicts)


def describe_fallbacks(placement: Placement) -> str:
    """Return one line that groups the CPU ops by op and reason."""
    groups: dict[tuple[str, str], list[NodePlacement]] = {}
    for node in placement.fallbacks:
        groups.setdefault((node.op, node.reason), []).append(node)
    parts = [
        f"{op} {_numbers(nodes)}: {reason or 'no reason known'}"
        for (op, reason), nodes in groups.items()
    ]
    return f"{placement.cpu_ops} of {len(placement.nodes)} ops on CPU ({'; '.join(parts)})"


def _numbers(nodes: Iterable[NodePlacement]) -> str:
    numbers = [f"#{node.index}" for node in nodes]
    shown = " ".join(numbers[:6])
    return shown if len(numbers) <= 6 else f"{shown} and {len(numbers) - 6} more"
