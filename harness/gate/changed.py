"""Rule on a variant against what it was before a change: better, equal, worse or undecided."""

import math
from collections.abc import Sequence

from harness import metrics, placement, sequential
from harness.budgets import ChangeAllowance
from harness.evidence import Evidence, Provenance
from harness.fidelity import Fidelity, rms_of
from harness.gate.ruling import inconclusive
from harness.gate.units import describe_fallbacks
from harness.latency import EstimatePair, Pairs
from harness.metrics import Metric
from harness.model import Model
from harness.placement import Placement
from harness.sequential import Decision
from harness.verdict import Change, Lack, MovedOp, Outcome, Sense, Verdict

_SAME = 1e-9
"""Relative difference of two floats that arithmetic in another order may make."""
_QUALITY_NOISE_DB = 0.01
"""Change of a PSNR that is within the noise of rounding, as `harness bless` has it."""
_ROUNDING_DB = 58.92
"""PSNR of two images that differ as an image does from its rounding to 8 bits.

Source: an error that is uniform over one step of 255 has the mean square step^2 / 12.
"""
_USUAL = ChangeAllowance()
OUTCOMES = {
    Change.BETTER: Outcome.PASS,
    Change.EQUAL: Outcome.PASS,
    Change.WORSE: Outcome.FAIL,
    Change.UNDECIDED: Outcome.INCONCLUSIVE,
}
"""What the gate rules on a change."""
_CHANGES = {
    Decision.SLOWER: Change.WORSE,
    Decision.FASTER: Change.BETTER,
    Decision.ALIKE: Change.EQUAL,
    Decision.UNDECIDED: Change.UNDECIDED,
}


def against(
    metric: Metric,
    now: float,
    before: float,
    provenance: Provenance,
    *,
    within: float = 0.0,
    allowed: float = 0.0,
    cause: str = "",
    moved: tuple[MovedOp, ...] = (),
) -> Verdict:
    """Compare a number that repeats with what it was (C1): any difference counts.

    What is worse by no more than is allowed is called worse, and passes.

    Args:
        metric: What is judged.
        now: The number.
        before: What it was.
        provenance: How the number is known.
        within: Difference that is within noise, in the metric's unit.
        allowed: How much worse it may be, in the metric's unit.
        cause: What made the difference, or ''.
        moved: The ops that moved, where that is what is judged.
    """
    loss = now - before if metric.sense is Sense.AT_MOST else before - now
    if math.isclose(now, before, rel_tol=_SAME) or abs(loss) <= within:
        change = Change.EQUAL
    else:
        change = Change.WORSE if loss > 0.0 else Change.BETTER
    why = f"{change.value}, {before:.6g} before" if change is not Change.EQUAL else ""
    kept = change is Change.WORSE and loss <= allowed
    if kept:
        why += f"; {abs(now / before - 1):.2%} more, and {allowed / before:.2g} of it is allowed"
    return Verdict(
        gate=metric.gate,
        metric=metric.name,
        observed=now,
        limit=before + allowed if metric.sense is Sense.AT_MOST else before - allowed,
        sense=metric.sense,
        unit=metric.unit,
        outcome=Outcome.PASS if kept else OUTCOMES[change],
        provenance=provenance,
        cause="; ".join(filter(None, (why, cause if change is Change.WORSE else ""))),
        change=change,
        moved=moved,
    )


def latency_against(fact: Pairs | EstimatePair, allowance: ChangeAllowance = _USUAL) -> Verdict:
    """Judge the latency against the earlier file's (C2): estimates exactly, pairs by their test.

    Args:
        fact: Both latencies.
        allowance: By how much an estimate may grow; the test of pairs has a margin of its own.
    """
    if isinstance(fact, EstimatePair):
        return against(
            metrics.CHANGED_LATENCY_MS,
            fact.now.ms,
            fact.before.ms,
            fact.now.provenance,
            allowed=allowance.cost_share * fact.before.ms,
        )
    plan = sequential.StoppingRule()
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
        outcome=OUTCOMES[change],
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
    moves = placement.moved(before.nodes, now.nodes)
    fallbacks = describe_fallbacks(now) if now.fallbacks else ""
    cause = placement.describe_moves(moves) or fallbacks
    return (
        against(metrics.CHANGED_CPU_OPS, now.cpu_ops, before.cpu_ops, p, cause=cause, moved=moves),
        against(metrics.CHANGED_PARTITIONS, now.partitions, before.partitions, p, cause=cause),
    )


def file_against(
    now: Model, before: Model, allowance: ChangeAllowance = _USUAL
) -> tuple[Verdict, ...]:
    """Judge size and MACs of a file at one resolution against the earlier file's (C4)."""
    made = Provenance(
        evidence=Evidence.RULES,
        device="",
        variant_sha256=now.sha256,
        file_sha256=now.file_sha256,
    )
    sizes = len(now.data) / 2**20, len(before.data) / 2**20
    pairs: Sequence[tuple[Metric, float, float, float]] = (
        (metrics.CHANGED_FILE_SIZE_MIB, *sizes, allowance.file_size_share),
        (metrics.MACS, _macs(now), _macs(before), allowance.cost_share),
    )
    return tuple(
        against(metric, new, old, made, allowed=share * old) for metric, new, old, share in pairs
    )


def _macs(model: Model) -> int:
    return sum(op.macs for op in model.graph.ops)


def pixels_against(
    now: Fidelity,
    before: Fidelity,
    between: Fidelity,
    provenance: Provenance,
    *,
    to_target: bool,
    rounding_rms: float = 0.0,
) -> tuple[Verdict, Verdict]:
    """Judge new pixels beside the earlier file's (C5): which are closer, and how far apart.

    Args:
        now: The output against the sharp target, or against the FP32 golden where there is none.
        before: The earlier file's output against the same.
        between: The output against the earlier one.
        provenance: Where the output came from.
        to_target: Whether it is the sharp target.
        rounding_rms: Of what is only kept in 16 bits, root mean square of the rounding as a share
            of the range; errors that differ by less are not told apart.
    """
    metric = metrics.CHANGED_QUALITY_DB if to_target else metrics.CHANGED_PSNR_DB
    apart_rms = abs(rms_of(now.psnr_db) - rms_of(before.psnr_db))
    within = math.inf if apart_rms <= rounding_rms else _QUALITY_NOISE_DB
    closer = against(metric, now.psnr_db, before.psnr_db, provenance, within=within)
    return closer, _apart(between, provenance, closer)


def pixels_unranked(between: Fidelity, provenance: Provenance) -> Verdict:
    """Judge new pixels beside the earlier file's where nothing tells which are better (C5)."""
    return _apart(between, provenance, None)


def _apart(between: Fidelity, provenance: Provenance, closer: Verdict | None) -> Verdict:
    """Judge how far two outputs are apart; what is closer to the truth says in which direction."""
    change = Change.UNDECIDED if closer is None else closer.change
    cause = "no sharp target tells which of two networks' outputs is better"
    if between.psnr_db >= _ROUNDING_DB:
        change, cause = Change.EQUAL, ""
    elif closer is not None and change is not None:
        cause = f"the two outputs differ, {change.value} by {closer.metric}"
    assert change is not None
    return Verdict(
        gate=metrics.PIXELS_DB.gate,
        metric=metrics.PIXELS_DB.name,
        observed=between.psnr_db,
        sense=metrics.PIXELS_DB.sense,
        unit=metrics.PIXELS_DB.unit,
        outcome=OUTCOMES[change],
        provenance=provenance,
        cause=cause,
        lacks=Lack.TARGET if change is Change.UNDECIDED else None,
        change=change,
    )
