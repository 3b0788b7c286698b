"""Turn a fact and a limit into a Verdict. No I/O, no devices, no pytest.

Each function returns verdicts that say what was seen, what the limit is, why, and what is
known to help. Without evidence or without a limit a gate rules INCONCLUSIVE, never PASS.
"""

import itertools
from collections.abc import Iterable
from dataclasses import replace
from typing import Protocol

from harness import agreement, measures, metrics
from harness import fidelity as fidelities
from harness.agreement import Agreement
from harness.baselines import Baseline
from harness.errors import MeasurementError, ModelError, StackMissing
from harness.evidence import Evidence, Provenance
from harness.fidelity import Fidelity
from harness.images import OUT_OF_RANGE_SHARE_MAX, Pixels
from harness.inputs import Values
from harness.latency import Estimate, Latency
from harness.measures import Measure
from harness.memory import Memory
from harness.metrics import Metric
from harness.model import Model
from harness.placement import NodePlacement, Placement
from harness.roles import OutputSpec, Role
from harness.scaling import Scaling
from harness.subjects import Budget, Limits, OutputLimits, ScalingBudget
from harness.verdict import REGRESSION, Lack, Outcome, Sense, Verdict


class Check(Protocol):
    """What records all verdicts given, then fails once if any of them is not a PASS."""

    def __call__(self, *verdicts: Verdict) -> None:
        """Raise GateError on a FAIL, else InconclusiveError on an INCONCLUSIVE."""


def rule(
    metric: Metric,
    observed: float,
    limit: float | None,
    provenance: Provenance,
    *,
    low: float | None = None,
    high: float | None = None,
    cause: str = "",
    remedy: str = "",
) -> Verdict:
    """Compare one value with one limit; an interval that straddles it decides nothing.

    Args:
        metric: What is judged.
        observed: The value.
        limit: The limit, or None where nobody has set one: INCONCLUSIVE.
        provenance: How the value is known.
        low: Lower end of the value's interval, or None where it has none.
        high: Upper end of it.
        cause: Why a broken limit is broken.
        remedy: What is known to help then.
    """
    lacks = None
    if limit is None:
        outcome, lacks = Outcome.INCONCLUSIVE, Lack.LIMIT
        cause, remedy = "subject.toml sets no limit for it", ""
    else:
        ends = (value for value in (low, observed, high) if value is not None)
        kept = {metric.sense.keeps(value, limit) for value in ends}
        if len(kept) > 1:
            outcome, lacks = Outcome.INCONCLUSIVE, Lack.PHONE
            cause, remedy = "", "attach a phone to decide"
            if not provenance.evidence.repeats:
                lacks, remedy = Lack.PRECISION, "measure it for longer, or on a quieter phone"
        elif kept == {True}:
            outcome, cause, remedy = Outcome.PASS, "", ""
        else:
            outcome = Outcome.FAIL
    return Verdict(
        gate=metric.gate,
        metric=metric.name,
        observed=observed,
        limit=limit,
        sense=metric.sense,
        unit=metric.unit,
        outcome=outcome,
        provenance=provenance,
        cause=cause,
        remedy=remedy,
        lacks=lacks,
        low=low,
        high=high,
    )


def inconclusive(metric: Metric, lacks: Lack, cause: str, *, remedy: str = "") -> Verdict:
    """Rule INCONCLUSIVE where there is nothing to judge."""
    return Verdict(
        gate=metric.gate,
        metric=metric.name,
        sense=metric.sense,
        unit=metric.unit,
        outcome=Outcome.INCONCLUSIVE,
        cause=cause,
        remedy=remedy,
        lacks=lacks,
    )


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


def finite(match: Fidelity, provenance: Provenance) -> Verdict:
    """Judge that the output holds no NaN and no infinity (F0)."""
    return _finite(match.non_finite_values, provenance)


def _finite(values: int, provenance: Provenance) -> Verdict:
    cause = "the output holds NaN or infinite values"
    return rule(metrics.NON_FINITE_VALUES, values, 0, provenance, cause=cause)


def in_range(match: Fidelity, provenance: Provenance) -> Verdict:
    """Judge that the output keeps to the range that its subject states (F0)."""
    return rule(
        metrics.OUT_OF_RANGE_SHARE,
        match.out_of_range_share,
        OUT_OF_RANGE_SHARE_MAX,
        provenance,
        cause="this share of the output lies beyond the output_range of subject.toml, where a "
        "display would cut it off",
    )


def measured(
    measure: Measure, pixels: Pixels, reference: Pixels, provenance: Provenance
) -> Verdict:
    """Judge an output by a measure that its limits ask for (F5).

    Args:
        measure: The measure with its limit.
        pixels: The output, float32 [1, H, W, C].
        reference: The FP32 golden.
        provenance: Of the output.
    """
    metric = measure.metric
    try:
        value = measure.value(pixels, reference)
    except StackMissing as error:
        return inconclusive(metric, Lack.STACK, str(error))
    except (ModelError, MeasurementError) as error:
        return inconclusive(metric, Lack.FACT, str(error))
    return rule(metric, value, measure.limit, provenance)


def psnr(
    match: Fidelity, provenance: Provenance, *, at_least_db: float | None, hazard: str = ""
) -> Verdict:
    """Judge the PSNR against the FP32 golden (F1).

    Args:
        match: How far the output is from the golden.
        provenance: Of the output.
        at_least_db: The limit.
        hazard: What is known to be wrong with the file or the output, or ''.
    """
    return rule(
        metrics.PSNR_DB,
        match.psnr_db,
        at_least_db,
        provenance,
        cause="; ".join(filter(None, (f"largest error {match.max_error:.3g}", hazard))),
        remedy="`harness bisect` finds the op",
    )


def relative_l2(match: Fidelity, provenance: Provenance, *, at_most_ratio: float | None) -> Verdict:
    """Judge the relative L2 distance from the FP32 golden (F2)."""
    return rule(metrics.RELATIVE_L2, match.relative_l2, at_most_ratio, provenance)


def worst_tile(match: Fidelity, provenance: Provenance, *, at_least_db: float | None) -> Verdict:
    """Judge the PSNR of the worst 32 x 32 tile, which a whole-image figure can hide (F3)."""
    left, top = match.worst_tile_px
    return rule(
        metrics.WORST_TILE_PSNR_DB,
        match.worst_tile_psnr_db,
        at_least_db,
        provenance,
        cause=f"the 32x32 tile at x {left}, y {top}",
    )


def quality_drop(
    variant: Fidelity, fp32: Fidelity, provenance: Provenance, *, at_most_db: float | None
) -> Verdict:
    """Judge the PSNR against the sharp target that the variant loses to FP32 (F4).

    Args:
        variant: The variant's output against the sharp target.
        fp32: The blessed FP32 output against the sharp target.
        provenance: Where the variant's output came from.
        at_most_db: Most dB that may be lost.
    """
    return rule(
        metrics.QUALITY_DROP_DB,
        fp32.psnr_db - variant.psnr_db,
        at_most_db,
        provenance,
        cause=f"{fp32.psnr_db:.2f} -> {variant.psnr_db:.2f} dB against the sharp target",
    )


def fidelity(
    match: Fidelity, limits: Limits, provenance: Provenance, *, hazard: str = ""
) -> tuple[Verdict, ...]:
    """Judge an output against the FP32 golden with all limits of its variant.

    Args:
        match: How far the output is from the golden.
        limits: The variant's.
        provenance: Of the output.
        hazard: What is known to be wrong with the file or the output, or ''.
    """
    return (
        psnr(match, provenance, at_least_db=limits.psnr_db, hazard=hazard),
        relative_l2(match, provenance, at_most_ratio=limits.relative_l2),
        worst_tile(match, provenance, at_least_db=limits.worst_tile_psnr_db),
        finite(match, provenance),
        in_range(match, provenance),
    )


def output(
    made: Values,
    reference: Values,
    spec: OutputSpec,
    limits: Limits,
    provenance: Provenance,
    *,
    hazard: str = "",
) -> tuple[Verdict, ...]:
    """Judge one output against its FP32 golden: an image by its pixels, a tensor by agreement.

    Args:
        made: The output, as `roles.decoded` gives it.
        reference: The golden's.
        spec: What it is; where it has a name, that stands before each metric's.
        limits: The variant's.
        provenance: Of the output.
        hazard: What is known to be dangerous in the file, or ''.

    Raises:
        ModelError: the output has another shape than its golden.
    """
    own = limits.of(spec.name)
    cause = "; ".join(filter(None, (agreement.flat(made, reference), hazard)))
    if spec.role is Role.IMAGE:
        match = fidelities.compare(made, reference, output_range=spec.range)
        closest = replace(
            limits,
            psnr_db=limits.psnr_db if own.psnr_db is None else own.psnr_db,
            relative_l2=limits.relative_l2 if own.relative_l2 is None else own.relative_l2,
            worst_tile_psnr_db=limits.worst_tile_psnr_db
            if own.worst_tile_psnr_db is None
            else own.worst_tile_psnr_db,
        )
        if match.psnr_db < (closest.psnr_db or 0.0):
            moved = measures.moved(made, reference, output_range=spec.range)
            cause = "; ".join(filter(None, (cause, moved)))
        verdicts = fidelity(match, closest, provenance, hazard=cause)
    else:
        agreed = agreement.compare(made, reference, channel_axis=spec.channel_axis)
        verdicts = agrees(agreed, own, provenance, cause=cause)
    return named(verdicts, spec)


def named(verdicts: Iterable[Verdict], spec: OutputSpec) -> tuple[Verdict, ...]:
    """Return verdicts about one output, whose name stands before each metric's."""
    if not spec.name:
        return tuple(verdicts)
    return tuple(replace(one, metric=f"{spec.file_name}/{one.metric}") for one in verdicts)


def agrees(
    match: Agreement, limits: OutputLimits, provenance: Provenance, *, cause: str = ""
) -> tuple[Verdict, ...]:
    """Judge a tensor that is no image by the limits that are set for it.

    Args:
        match: How far it agrees with its golden.
        limits: The output's; INCONCLUSIVE where there are none.
        provenance: Of the output.
        cause: What is known to be wrong with it, or ''.
    """
    measured = (
        (metrics.RELATIVE_L2, match.relative_l2, limits.relative_l2),
        (metrics.COSINE_SIMILARITY, match.cosine_similarity, limits.cosine_similarity),
        (metrics.TOP1_AGREEMENT, match.top1_agreement, limits.top1_agreement),
        (metrics.IOU, match.iou, limits.iou),
    )
    asked = [one for one in measured if one[2] is not None] or [measured[0]]
    return (
        *(rule(metric, seen, limit, provenance, cause=cause) for metric, seen, limit in asked),
        _finite(match.non_finite_values, provenance),
    )


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


def no_regression(
    metric: Metric,
    observed: float,
    baseline: Baseline | None,
    provenance: Provenance,
    *,
    file_sha256: str,
    low: float | None = None,
    high: float | None = None,
) -> Verdict:
    """Judge a value against the blessed one, allowing its spread (R1).

    A number of another phone of the same profile is not compared: two of them differ by more
    than a regression may.

    Args:
        metric: One of `metrics.BLESSED`.
        observed: The value.
        baseline: What a person accepted on the same evidence, or None: INCONCLUSIVE.
        provenance: How the value is known.
        file_sha256: Content hash of the exported file.
        low: Lower end of the interval of a measured value, or None.
        high: Upper end of it.
    """
    if baseline is None or _is_another_phone(baseline, provenance):
        cause = "no baseline on evidence of this kind"
        if baseline is not None:
            blessed_on = baseline.fingerprint or "a phone that was not written down"
            cause = f"blessed on {blessed_on}, measured on {provenance.device}"
        found = rule(metric, observed, None, provenance, low=low, high=high)
        remedy = "accept it with `harness bless`"
        return replace(found, lacks=Lack.BASELINE, cause=cause, remedy=remedy)
    at_most = metric.sense is Sense.AT_MOST
    limit = baseline.value + (baseline.spread if at_most else -baseline.spread)
    of = "the same" if baseline.file_sha256 == file_sha256 else "another"
    cause = f"blessed {baseline.value:.4g} of {of} file ({baseline.because})"
    return rule(metric, observed, limit, provenance, low=low, high=high, cause=cause)


def _is_another_phone(baseline: Baseline, provenance: Provenance) -> bool:
    return not provenance.evidence.repeats and baseline.fingerprint != provenance.device


def unobserved(
    observed: Iterable[tuple[str, Evidence]], accepted: Iterable[Baseline]
) -> tuple[Verdict, ...]:
    """Rule INCONCLUSIVE on each blessed metric that a run did not observe (R2).

    Args:
        observed: Metric and evidence of each fact of the run.
        accepted: What a person accepted for the same variant, target and resolution.
    """
    facts = tuple(observed)
    names = {metric for metric, _ in facts}
    attached = not all(evidence.repeats for _, evidence in facts)
    return tuple(
        _unobserved(baseline, attached=attached)
        for baseline in accepted
        if baseline.metric not in names and baseline.evidence.repeats is not attached
    )


def _unobserved(baseline: Baseline, *, attached: bool) -> Verdict:
    known = {metric.name: metric for metric in metrics.BLESSED}
    metric = known.get(baseline.metric, Metric(gate=REGRESSION, name=baseline.metric))
    lacks = Lack.FACT if attached else Lack.STACK
    return inconclusive(
        metric,
        Lack.FRAME if metric is metrics.QUALITY_DB else lacks,
        f"{baseline.metric} {baseline.value:.4g} [{baseline.evidence.value}] is blessed, and "
        "this run observed no such number: what it needs is gone or not installed",
    )
