"""Rule on a variant against what it was before a change: better, equal, worse or undecided."""

import math
from collections.abc import Sequence

from harness import metrics, sequential
from harness.evidence import Evidence, Provenance
from harness.fidelity import Fidelity
from harness.gate.ruling import inconclusive
from harness.gate.units import describe_fallbacks
from harness.latency import EstimatePair, Pairs
from harness.metrics import Metric
from harness.model import Model
from harness.placement import Placement
from harness.sequential import Ruling
from harness.verdict import Change, Lack, Outcome, Sense, Verdict

_SAME = 1e-9
"""Relative difference of two floats that arithmetic in another order may make."""
_QUALITY_NOISE_DB = 0.01
"""Change of a PSNR that is within the noise of rounding, as `harness bless` has it."""
_OUTCOMES = {
    Change.BETTER: Outcome.PASS,
    Change.EQUAL: Outcome.PASS,
    Change.WORSE: Outcome.FAIL,
    Change.UNDECIDED: Outcome.INCONCLUSIVE,
}
_CHANGES = {
    Ruling.SLOWER: Change.WORSE,
    Ruling.FASTER: Change.BETTER,
    Ruling.ALIKE: Change.EQUAL,
    Ruling.UNDECIDED: Change.UNDECIDED,
}


def against(
    metric: Metric,
    now: float,
    before: float,
    provenance: Provenance,
    *,
    within: float = 0.0,
    cause: str = "",
) -> Verdict:
    """Compare a number that repeats with what it was (C1): any difference counts.

    Args:
        metric: What is judged.
        now: The number.
        before: What it was.
        provenance: How the number is known.
        within: Difference that is within noise, in the metric's unit.
        cause: What made the difference, or ''.
    """
    loss = now - before if metric.sense is Sense.AT_MOST else before - now
    if math.isclose(now, before, rel_tol=_SAME) or abs(loss) <= within:
        change = Change.EQUAL
    else:
        change = Change.WORSE if loss > 0.0 else Change.BETTER
    why = f"{change.value}, {before:.6g} before" if change is not Change.EQUAL else ""
    return Verdict(
        gate=metric.gate,
        metric=metric.name,
        observed=now,
        limit=before,
        sense=metric.sense,
        unit=metric.unit,
        outcome=_OUTCOMES[change],
        provenance=provenance,
        cause="; ".join(filter(None, (why, cause if change is Change.WORSE else ""))),
        change=change,
    )


def latency_against(fact: Pairs | EstimatePair) -> Verdict:
    """Judge the latency against the earlier file's (C2): estimates exactly, pairs by their test."""
    if isinstance(fact, EstimatePair):
        return against(metrics.CHANGED_LATENCY_MS, fact.now.ms, fact.before.ms, fact.now.provenance)
    plan = sequential.Plan()
    comparison = sequential.compare(fact.before_ms, fact.now_ms, plan)
    if comparison is None:
        pairs = f"{len(fact.now_ms)} pairs of runs, and {plan.looks} are looked at"
        return inconclusive(metrics.LATENCY_RATIO, Lack.FACT, pairs)
    change = _CHANGES[comparison.ruling]
    return Verdict(
        gate=metrics.LATENCY_RATIO.gate,
        metric=metrics.LATENCY_RATIO.name,
        observed=comparison.ratio,
        limit=1 + plan.margin_share,
        sense=metrics.LATENCY_RATIO.sense,
        outcome=_OUTCOMES[change],
        provenance=fact.provenance,
        cause=f"{change.value}; {sequential.describe(comparison, plan)}",
        lacks=Lack.PRECISION if change is Change.UNDECIDED else None,
        change=change,
    )


def placement_against(now: Placement, before: Placement) -> tuple[Verdict, ...]:
    """Judge CPU ops and partitions against the earlier file's (C3)."""
    p = now.provenance
    if now.unattributed or before.unattributed:
        lacks = Lack.STACK if p.evidence.repeats else Lack.FACT
        why = "ops could not be attributed to a unit"
        return (inconclusive(metrics.CHANGED_CPU_OPS, lacks, f"{why} ({p.note})"),)
    cause = describe_fallbacks(now) if now.fallbacks else ""
    return (
        against(metrics.CHANGED_CPU_OPS, now.cpu_ops, before.cpu_ops, p, cause=cause),
        against(metrics.CHANGED_PARTITIONS, now.partitions, before.partitions, p, cause=cause),
    )


def file_against(now: Model, before: Model) -> tuple[Verdict, ...]:
    """Judge size and MACs of a file at one resolution against the earlier file's (C4)."""
    made = Provenance(
        evidence=Evidence.RULES,
        device="",
        variant_sha256=now.sha256,
        file_sha256=now.file_sha256,
    )
    pairs: Sequence[tuple[Metric, float, float]] = (
        (metrics.CHANGED_FILE_SIZE_MIB, len(now.data) / 2**20, len(before.data) / 2**20),
        (metrics.MACS, _macs(now), _macs(before)),
    )
    return tuple(against(metric, new, old, made) for metric, new, old in pairs)


def _macs(model: Model) -> int:
    return sum(op.macs for op in model.graph.ops)


def quality_against(
    now: Fidelity, before: Fidelity, between: Fidelity, provenance: Provenance
) -> Verdict:
    """Judge the PSNR against the sharp target against the earlier output's (C5).

    Args:
        now: The output against the sharp target.
        before: The earlier file's output against it.
        between: The output against the earlier one.
        provenance: Where the output came from.
    """
    return against(
        metrics.CHANGED_QUALITY_DB,
        now.psnr_db,
        before.psnr_db,
        provenance,
        within=_QUALITY_NOISE_DB,
        cause=f"the two outputs are {between.psnr_db:.1f} dB apart",
    )
