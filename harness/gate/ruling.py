"""What every gate rules with: one value, one limit, one Verdict."""

from collections.abc import Sequence
from typing import Protocol

from harness.evidence import Provenance
from harness.metrics import Metric
from harness.verdict import Lack, Outcome, Verdict


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
    ends = [value for value in (low, observed, high) if value is not None]
    outcome, lacks, wanted = _decide(metric, ends, limit, provenance)
    if outcome is Outcome.FAIL:
        wanted = remedy
    elif limit is None:
        cause = "subject.toml sets no limit for it"
    else:
        cause = ""
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
        remedy=wanted,
        lacks=lacks,
        low=low,
        high=high,
    )


def _decide(
    metric: Metric, ends: Sequence[float], limit: float | None, provenance: Provenance
) -> tuple[Outcome, Lack | None, str]:
    """Return the outcome of an interval, what it lacks, and what would bring that."""
    if limit is None:
        return Outcome.INCONCLUSIVE, Lack.LIMIT, ""
    kept = {metric.sense.keeps(value, limit) for value in ends}
    if len(kept) == 1:
        return (Outcome.PASS if kept == {True} else Outcome.FAIL), None, ""
    if provenance.evidence.repeats:
        return Outcome.INCONCLUSIVE, Lack.PHONE, "attach a phone to decide"
    return Outcome.INCONCLUSIVE, Lack.PRECISION, "measure it for longer, or on a quieter phone"


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
