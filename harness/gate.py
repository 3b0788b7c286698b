"""Turn a fact and a limit into a Verdict. No I/O, no devices, no pytest.

Each function returns verdicts that say what was seen, what the limit is, why, and what is
known to help. Without evidence or without a limit a gate rules INCONCLUSIVE, never PASS.
"""

import itertools
from collections.abc import Iterable
from dataclasses import replace
from typing import Protocol

from harness.baselines import Baseline
from harness.evidence import Evidence, Provenance
from harness.fidelity import Fidelity
from harness.images import OUT_OF_RANGE_SHARE_MAX
from harness.latency import Estimate, Latency
from harness.placement import NodePlacement, Placement
from harness.scaling import Scaling
from harness.subjects import Budget, Limits, ScalingBudget
from harness.verdict import (
    FALLBACK,
    FIDELITY,
    LATENCY,
    REGRESSION,
    SCALING,
    Outcome,
    Sense,
    Verdict,
)

_ATTACHED = (Evidence.PHONE, Evidence.FAKE)
"""Evidence that only an attached phone gives; a run on this host owes none of it."""


class Check(Protocol):
    """Record all verdicts given, then fail once if any of them is not a PASS."""

    def __call__(self, *verdicts: Verdict) -> None:
        """Raise GateError on a FAIL, else InconclusiveError on an INCONCLUSIVE."""


def rule(
    gate: str,
    metric: str,
    observed: float,
    limit: float | None,
    sense: Sense,
    provenance: Provenance,
    *,
    because: str = "",
    unit: str = "",
) -> Verdict:
    """Compare one value with one limit.

    Args:
        gate: Short name of the gate.
        metric: What is judged, unit in the name.
        observed: The value.
        limit: The limit, or None where nobody has set one: INCONCLUSIVE.
        sense: On which side of the limit the value must lie.
        provenance: How the value is known.
        because: Cause and remedy, added to the message when the limit is broken.
        unit: Unit for the message, such as ` dB`.
    """
    seen = f"{metric} {observed:.4g}{unit}"
    if limit is None:
        outcome, text = Outcome.INCONCLUSIVE, f"{seen}; subject.toml sets no limit for it"
    else:
        inside = observed <= limit if sense is Sense.AT_MOST else observed >= limit
        outcome = Outcome.PASS if inside else Outcome.FAIL
        wish = "at most" if sense is Sense.AT_MOST else "at least"
        text = f"{seen}, {wish} {limit:.4g}{unit}"
        if because and not inside:
            text = f"{text}: {because}"
    return Verdict(
        gate=gate, metric=metric, observed=observed, limit=limit, sense=sense,
        outcome=outcome, provenance=provenance, because=text,
    )  # fmt: skip


def inconclusive(gate: str, metric: str, because: str, *, sense: Sense = Sense.AT_MOST) -> Verdict:
    """Rule INCONCLUSIVE where there is nothing to judge."""
    return Verdict(
        gate=gate, metric=metric, observed=None, limit=None, sense=sense,
        outcome=Outcome.INCONCLUSIVE, provenance=None, because=because,
    )  # fmt: skip


def latency(fact: Latency | Estimate, budget: Budget | None) -> tuple[Verdict, ...]:
    """Judge the median (L1) and the 95th percentile (L2) against a budget."""
    limit_ms = budget.latency_ms if budget else None
    if isinstance(fact, Estimate):
        return (_estimated(fact, limit_ms),)
    p = fact.provenance
    median = rule(LATENCY, "latency_ms", fact.median_ms, limit_ms, Sense.AT_MOST, p, unit=" ms")
    if limit_ms is not None and fact.low_ms is not None and fact.high_ms is not None:
        median = replace(median, low=fact.low_ms, high=fact.high_ms)
        if fact.low_ms <= limit_ms < fact.high_ms:
            median = replace(
                median,
                outcome=Outcome.INCONCLUSIVE,
                because=f"latency_ms {fact.median_ms:.4g} ({fact.low_ms:.4g} to "
                f"{fact.high_ms:.4g}) ms straddles {limit_ms:g} ms after {fact.runs} inferences",
            )
    if budget is None or budget.p95_ms is None:
        return (median,)
    p95 = rule(LATENCY, "p95_ms", fact.p95_ms, budget.p95_ms, Sense.AT_MOST, p, unit=" ms")
    return (median, p95)


def _estimated(fact: Estimate, limit_ms: float | None) -> Verdict:
    outcome = Outcome.INCONCLUSIVE
    seen = f"latency_ms {fact.estimate_ms:.3g} ({fact.low_ms:.3g} to {fact.high_ms:.3g}) ms"
    if limit_ms is None:
        text = f"{seen}; subject.toml sets no latency_ms here"
    elif not fact.absolute:
        text = f"{seen} relative only: {fact.basis}; attach this phone to judge {limit_ms:g} ms"
    elif fact.high_ms <= limit_ms:
        outcome, text = Outcome.PASS, f"{seen}, at most {limit_ms:g} ms"
    elif fact.low_ms > limit_ms:
        outcome = Outcome.FAIL
        costly = sorted(fact.shares.items(), key=lambda item: -item[1])[:3]
        shares = ", ".join(f"{label} {share:.0%}" for label, share in costly)
        text = f"{seen}, at most {limit_ms:g} ms; most of it: {shares or 'unknown'}"
        if fact.cpu_share > 0.0:
            text += f"; {fact.cpu_share:.0%} of it on the CPU"
    else:
        text = f"{seen} straddles {limit_ms:g} ms; attach a phone to decide"
    return Verdict(
        gate=LATENCY, metric="latency_ms", observed=fact.estimate_ms, limit=limit_ms,
        sense=Sense.AT_MOST, outcome=outcome, provenance=fact.provenance, because=text,
        low=fact.low_ms, high=fact.high_ms,
    )  # fmt: skip


def residency(placement: Placement, budget: Budget | None) -> tuple[Verdict, ...]:
    """Judge CPU ops (P1), partitions (P2) and the CPU's share of the time (P3)."""
    p = placement.provenance
    if placement.unattributed:
        told = len(placement.nodes) - placement.unattributed
        return (
            inconclusive(
                FALLBACK,
                "cpu_ops",
                f"only {told} of {len(placement.nodes)} ops could be attributed to a unit"
                + (f" ({p.note})" if p.note else ""),
            ),
        )
    limit = budget.cpu_ops_allowed if budget else None
    verdicts = [
        rule(
            FALLBACK, "cpu_ops", placement.cpu_ops, limit, Sense.AT_MOST, p,
            because=describe_fallbacks(placement),
        ),
        rule(
            FALLBACK, "partitions", placement.partitions,
            budget.partitions_max if budget else None, Sense.AT_MOST, p,
            because="each change between accelerator and CPU copies the activations",
        ),
    ]  # fmt: skip
    if budget is not None and budget.cpu_time_share is not None:
        if placement.cpu_time_share is None:
            verdicts.append(
                inconclusive(FALLBACK, "cpu_time_share", "the CPU's share of the time is unknown")
            )
        else:
            verdicts.append(
                rule(
                    FALLBACK,
                    "cpu_time_share",
                    placement.cpu_time_share,
                    budget.cpu_time_share,
                    Sense.AT_MOST,
                    p,
                )
            )
    return tuple(verdicts)


def describe_fallbacks(placement: Placement) -> str:
    """Return one line that groups the CPU ops by op and reason, with the known remedies."""
    groups: dict[tuple[str, str], list[NodePlacement]] = {}
    for node in placement.fallbacks:
        groups.setdefault((node.op, node.reason), []).append(node)
    parts = [
        f"{op} {_numbers(nodes)}: {reason or 'no reason known'}"
        for (op, reason), nodes in groups.items()
    ]
    remedies = dict.fromkeys(node.remedy for node in placement.fallbacks if node.remedy)
    text = f"{placement.cpu_ops} of {len(placement.nodes)} ops on CPU ({'; '.join(parts)})"
    return "; ".join([text, *remedies])


def _numbers(nodes: Iterable[NodePlacement]) -> str:
    numbers = [f"#{node.index}" for node in nodes]
    shown = " ".join(numbers[:6])
    return shown if len(numbers) <= 6 else f"{shown} and {len(numbers) - 6} more"


def finite(match: Fidelity) -> Verdict:
    """Judge that the output holds no NaN and no infinity (F0)."""
    return rule(
        FIDELITY, "non_finite_values", match.non_finite_values, 0, Sense.AT_MOST,
        match.provenance, because="the output holds NaN or infinite values",
    )  # fmt: skip


def in_range(match: Fidelity) -> Verdict:
    """Judge that the output keeps to the range that its subject states (F0)."""
    return rule(
        FIDELITY, "out_of_range_share", match.out_of_range_share, OUT_OF_RANGE_SHARE_MAX,
        Sense.AT_MOST, match.provenance,
        because="this share of the output lies beyond the output_range of subject.toml, where "
        "a display would cut it off",
    )  # fmt: skip


def psnr(match: Fidelity, *, at_least_db: float | None) -> Verdict:
    """Judge the PSNR against the FP32 golden (F1)."""
    return rule(
        FIDELITY, "psnr_db", match.psnr_db, at_least_db, Sense.AT_LEAST, match.provenance,
        unit=" dB", because=f"largest error {match.max_error:.3g}; `harness bisect` finds the op",
    )  # fmt: skip


def relative_l2(match: Fidelity, *, at_most_ratio: float | None) -> Verdict:
    """Judge the relative L2 distance from the FP32 golden (F2)."""
    return rule(
        FIDELITY, "relative_l2", match.relative_l2, at_most_ratio, Sense.AT_MOST,
        match.provenance,
    )  # fmt: skip


def worst_tile(match: Fidelity, *, at_least_db: float | None) -> Verdict:
    """Judge the PSNR of the worst 32 x 32 tile, which a whole-image figure can hide (F3)."""
    left, top = match.worst_tile_px
    return rule(
        FIDELITY, "worst_tile_psnr_db", match.worst_tile_psnr_db, at_least_db, Sense.AT_LEAST,
        match.provenance, unit=" dB", because=f"the 32x32 tile at x {left}, y {top}",
    )  # fmt: skip


def quality_drop(against_fp32: Fidelity, fp32: Fidelity, *, at_most_db: float | None) -> Verdict:
    """Judge the PSNR against the sharp target that the variant loses to FP32 (F4).

    Args:
        against_fp32: The variant's output against the sharp target.
        fp32: The blessed FP32 output against the sharp target.
        at_most_db: Most dB that may be lost.
    """
    return rule(
        FIDELITY, "quality_drop_db", fp32.psnr_db - against_fp32.psnr_db, at_most_db,
        Sense.AT_MOST, against_fp32.provenance, unit=" dB",
        because=f"{fp32.psnr_db:.2f} -> {against_fp32.psnr_db:.2f} dB against the sharp target",
    )  # fmt: skip


def fidelity(match: Fidelity, limits: Limits) -> tuple[Verdict, ...]:
    """Judge an output against the FP32 golden with all limits of its variant."""
    return (
        psnr(match, at_least_db=limits.psnr_db),
        relative_l2(match, at_most_ratio=limits.relative_l2),
        worst_tile(match, at_least_db=limits.worst_tile_psnr_db),
        finite(match),
        in_range(match),
    )


def scaling(fact: Scaling, budget: ScalingBudget | None) -> tuple[Verdict, ...]:
    """Judge the growth exponent (S1), cliffs (S2) and placement changes (S3)."""
    step = fact.worst_step
    sizes = f"{step.below} -> {step.above}"
    return (
        rule(
            SCALING, "scaling_exponent", fact.exponent, budget.exponent if budget else None,
            Sense.AT_MOST, fact.provenance, because=_points(fact),
        ),
        rule(
            SCALING, "cliff_ratio", step.ratio, budget.cliff_ratio if budget else None,
            Sense.AT_MOST, fact.provenance,
            because=f"ms per megapixel jumps at {sizes}: {step.cause or 'cause unknown'}",
        ),
        rule(
            SCALING, "placement_changes", len(fact.placement_changes), 0, Sense.AT_MOST,
            fact.provenance, because="; ".join(fact.placement_changes),
        ),
    )  # fmt: skip


def _points(fact: Scaling) -> str:
    return ", ".join(
        f"{b.size} {b.ms / a.ms:.2f}x the ms for {b.size.megapixels / a.size.megapixels:.2f}x "
        "the pixels"
        for a, b in itertools.pairwise(fact.points)
    )


def no_regression(
    metric: str,
    observed: float,
    baseline: Baseline | None,
    provenance: Provenance,
    *,
    sense: Sense = Sense.AT_MOST,
) -> Verdict:
    """Judge a value against the blessed one, allowing its spread (R1).

    Args:
        metric: Unit in the name.
        observed: The value.
        baseline: What a person accepted on the same evidence, or None: INCONCLUSIVE.
        provenance: How the value is known.
        sense: AT_MOST where less is better.
    """
    if baseline is None:
        return Verdict(
            gate=REGRESSION, metric=metric, observed=observed, limit=None, sense=sense,
            outcome=Outcome.INCONCLUSIVE, provenance=provenance,
            because="no baseline on evidence of this kind; accept it with `harness bless`",
        )  # fmt: skip
    if sense is Sense.AT_MOST:
        limit = baseline.value + baseline.spread
    else:
        limit = baseline.value - baseline.spread
    return rule(
        REGRESSION, metric, observed, limit, sense, provenance,
        because=f"blessed {baseline.value:.4g} ({baseline.because})",
    )  # fmt: skip


def unobserved(
    observed: Iterable[tuple[str, Evidence]], accepted: Iterable[Baseline]
) -> tuple[Verdict, ...]:
    """Rule INCONCLUSIVE on each blessed metric that a run did not observe (R2).

    Args:
        observed: Metric and evidence of each fact of the run.
        accepted: What a person accepted for the same variant, target and resolution.
    """
    facts = tuple(observed)
    metrics = {metric for metric, _ in facts}
    attached = any(evidence in _ATTACHED for _, evidence in facts)
    return tuple(
        inconclusive(
            REGRESSION,
            baseline.metric,
            f"{baseline.metric} {baseline.value:.4g} [{baseline.evidence.value}] is blessed, and "
            "this run observed no such number: what it needs is gone or not installed",
        )
        for baseline in accepted
        if baseline.metric not in metrics and (baseline.evidence in _ATTACHED) is attached
    )
