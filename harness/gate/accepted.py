"""Rule on what a person accepted before."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from harness import metrics
from harness.accepted_outputs import AcceptedOutput
from harness.baselines import Baseline
from harness.evidence import Evidence, Provenance
from harness.gate.ruling import inconclusive, rule
from harness.metrics import Metric
from harness.verdict import REGRESSION, Lack, Outcome, Sense, Verdict


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


def regression(
    metric: Metric,
    observed: float,
    accepted: Iterable[Baseline],
    provenance: Provenance,
    *,
    file_sha256: str,
    today: str,
    low: float | None = None,
    high: float | None = None,
) -> Verdict:
    """Judge a value against what was blessed on its device, then against what may stay (R1).

    Args:
        metric: One of `metrics.BLESSED`.
        observed: The value.
        accepted: What a person accepted for the same variant, target and resolution: for each
            phone its baseline, and deviations that may stay until a day.
        provenance: How the value is known.
        file_sha256: Content hash of the exported file.
        today: The day on which deviations must still hold, ISO 8601.
        low: Lower end of the interval of a measured value, or None.
        high: Upper end of it, or None.
    """
    known = [b for b in accepted if (b.metric, b.evidence) == (metric.name, provenance.evidence)]
    known.sort(key=lambda b: (_is_another_phone(b, provenance), b.until))
    blessed = next((b for b in known if not b.until), None)

    def ruled(baseline: Baseline | None) -> Verdict:
        return no_regression(
            metric, observed, baseline, provenance, file_sha256=file_sha256, low=low, high=high
        )

    found = ruled(blessed)
    if found.outcome is Outcome.PASS:
        return found
    let = [b for b in known if b.until and not _is_another_phone(b, provenance)]
    for one in let:
        if one.until >= today and (stays := ruled(one)).outcome is Outcome.PASS:
            return replace(stays, accepted=f"until {one.until}: {one.because}")
    over = [f"{b.value:.4g} could stay until {b.until}" for b in let if b.until < today]
    return replace(found, cause="; ".join(filter(None, (found.cause, *over))))


def or_accepted(
    found: Sequence[Verdict],
    others: Sequence[AcceptedOutput],
    rule_on: Callable[[AcceptedOutput], Sequence[Verdict]],
    *,
    today: str,
) -> Sequence[Verdict]:
    """Return rulings on an output, or those against one that may stay where only that passes.

    Args:
        found: Against the golden.
        others: Accepted outputs of the same device.
        rule_on: Rules against one of them.
        today: The day on which they must still hold, ISO 8601.
    """
    if all(one.outcome is not Outcome.FAIL for one in found):
        return found
    for other in others:
        if other.until >= today:
            ruled = rule_on(other)
            if all(one.outcome is Outcome.PASS for one in ruled):
                let = f"until {other.until}: {other.because}"
                return [replace(one, accepted=let) for one in ruled]
    over = [f"another output could stay until {o.until}" for o in others if o.until < today]
    return [
        replace(one, cause="; ".join(filter(None, (one.cause, *over))))
        if one.outcome is Outcome.FAIL
        else one
        for one in found
    ]


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
        if not baseline.until
        and baseline.metric not in names
        and baseline.evidence.repeats is not attached
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
