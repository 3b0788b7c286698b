"""Rule on times: latency, the first inference, growth with the resolution."""

import itertools
from dataclasses import replace

from harness import metrics
from harness.budgets import Budget, ScalingBudget
from harness.gate.ruling import inconclusive, rule
from harness.latency import Estimate, Latency
from harness.scaling import Scaling
from harness.verdict import Lack, Outcome, Verdict


def latency(fact: Latency | Estimate, budget: Budget | None) -> tuple[Verdict, ...]:
    """Judge the median (L1) and the 95th percentile (L2) against a budget."""
    limit_ms = budget.latency_ms if budget else None
    median = rule(
        metrics.LATENCY_MS,
        fact.ms,
        limit_ms,
        fact.provenance,
        low=fact.low_ms,
        high=fact.high_ms,
        cause=_costs(fact) if isinstance(fact, Estimate) else "",
    )
    if isinstance(fact, Estimate):
        if limit_ms is not None and not fact.absolute:
            median = replace(
                median,
                outcome=Outcome.INCONCLUSIVE,
                lacks=Lack.PHONE,
                cause=f"relative only: {fact.basis}",
                remedy="attach this phone to decide",
            )
        return (median,)
    if budget is None or budget.p95_ms is None:
        return (median,)
    return (median, rule(metrics.P95_MS, fact.p95_ms, budget.p95_ms, fact.provenance))


def _costs(fact: Estimate) -> str:
    """Return what an estimate is made of, the most costly first."""
    costly = sorted(fact.shares.items(), key=lambda item: -item[1])[:3]
    shares = ", ".join(f"{label} {share:.0%}" for label, share in costly)
    on_cpu = f"; {fact.cpu_share:.0%} of it on the CPU" if fact.cpu_share > 0.0 else ""
    return f"most of it {shares or 'unknown'}{on_cpu}"


def first_inference(fact: Latency | Estimate, budget: Budget) -> Verdict:
    """Judge loading, preparing and the first inference together (L3)."""
    if isinstance(fact, Estimate):
        return inconclusive(
            metrics.FIRST_INFERENCE_MS,
            Lack.PHONE,
            "an estimate says nothing of loading, preparing and the first inference",
            remedy="attach a phone to measure them",
        )
    return rule(
        metrics.FIRST_INFERENCE_MS,
        fact.init_ms + fact.first_ms,
        budget.first_inference_ms,
        fact.provenance,
        cause=f"{fact.init_ms:.4g} ms of loading and preparing, {fact.first_ms:.4g} ms of the "
        "first inference",
    )


def energy(fact: Latency | Estimate, budget: Budget) -> Verdict:
    """Judge what one inference takes of the battery (E1)."""
    if isinstance(fact, Estimate):
        return inconclusive(
            metrics.ENERGY_MJ,
            Lack.PHONE,
            "an estimate says nothing of energy",
            remedy="attach a phone that says what it draws",
        )
    if fact.energy_mj is None:
        why = fact.provenance.device_state.get("energy", "it does not say what it draws")
        return inconclusive(
            metrics.ENERGY_MJ,
            Lack.FACT,
            f"the phone's energy is not known: {why}",
            remedy="measure on a phone with power rails (Pixel 6 and later), or over Wi-Fi with "
            "the charger out",
        )
    return rule(metrics.ENERGY_MJ, fact.energy_mj, budget.energy_mj, fact.provenance)


def scaling(fact: Scaling, budget: ScalingBudget | None) -> tuple[Verdict, ...]:
    """Judge the growth exponent (S1), cliffs (S2) and placement changes (S3)."""
    step = fact.worst_step
    jump = f"ms per megapixel jumps at {step.below} -> {step.above}"
    p = fact.provenance
    return (
        rule(
            metrics.SCALING_EXPONENT,
            fact.exponent,
            budget.exponent if budget else None,
            p,
            cause=_points(fact),
        ),
        rule(
            metrics.CLIFF_RATIO,
            step.ratio,
            budget.cliff_ratio if budget else None,
            p,
            cause=f"{jump}: {step.cause or 'cause unknown'}",
        ),
        rule(
            metrics.PLACEMENT_CHANGES,
            len(fact.placement_changes),
            0,
            p,
            cause="; ".join(fact.placement_changes),
        ),
    )


def _points(fact: Scaling) -> str:
    return ", ".join(
        f"{b.size} {b.ms / a.ms:.2f}x the ms for {b.size.megapixels / a.size.megapixels:.2f}x "
        "the pixels"
        for a, b in itertools.pairwise(fact.points)
    )
