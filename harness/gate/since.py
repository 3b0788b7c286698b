"""Rule on a variant against what an earlier run found of it: better, equal, worse or undecided.

The earlier file is not run again, so a phone's two latencies are of different days.
"""

from collections.abc import Iterator
from dataclasses import replace

from harness import metrics
from harness.changes import Rule
from harness.earlier import Earlier, Number
from harness.evidence import Evidence, Provenance
from harness.gate.changed import OUTCOMES, against
from harness.gate.ruling import inconclusive
from harness.metrics import Metric
from harness.verdict import Change, Lack, MovedOp, Verdict

_DAYS_APART = "two runs of different days, not A B B A on one"
_ERRORS = (
    "of 1,000 pairs of published nights without a lasting change 105 are farther apart; "
    "--against=REV decides in one run"
)
"""Source: tests/data/nightly_history.csv.gz, neighbouring nights more than 8 % apart, those left
out on which a lasting step of docs/regressions.md or another unit begins (659 of 6,261)."""


def since(
    metric: Metric,
    now: float,
    was: Number | None,
    provenance: Provenance,
    *,
    run: str,
    low: float | None = None,
    high: float | None = None,
    within: float = 0.0,
    allowed_share: float = 0.0,
    cause: str = "",
    moved: tuple[MovedOp, ...] = (),
) -> Verdict:
    """Compare a number with what an earlier run found (C6).

    What repeats, and a count whoever counted it, is compared exactly. Latencies that a phone
    measured differ if the interval of their ratio lies beyond the margin of a night's change.

    Args:
        metric: One of the gate of change.
        now: Today's number.
        was: That of the run, or None where it has none.
        provenance: How today's is known.
        run: Name of the run.
        low: Lower end of the interval of today's number, or None.
        high: Upper end of it.
        within: Difference that is within noise, in the metric's unit.
        allowed_share: How much worse it may be, as a share of what it was.
        cause: What made the difference, or '' for what differs in the provenance.
        moved: The ops that moved, where that is what is judged.
    """
    if was is None:
        return _undecided(metric, Lack.FACT, f"{run} holds no {metric.name} of it")
    if reason := _incomparable(was.provenance, provenance, run=run):
        return _undecided(metric, *reason)
    if not provenance.evidence.repeats and metric is metrics.CHANGED_LATENCY_MS:
        return _measured(now, was, provenance, low=low, high=high)
    differs = "; ".join(_differences(was.provenance, provenance))
    return against(
        metric,
        now,
        was.value,
        provenance,
        within=within,
        allowed=allowed_share * abs(was.value),
        cause=cause or differs,
        moved=moved,
    )


def _incomparable(was: Provenance, now: Provenance, *, run: str) -> tuple[Lack, str] | None:
    """Return what is lacking to compare two numbers that were found so, and why; else None."""
    kind, kind_was = now.evidence, was.evidence
    if kind is not kind_was:
        lacks = Lack.PHONE if kind_was is Evidence.PHONE else Lack.FACT
        why = f"{run} knew it by {kind_was.value}, this one knows it by {kind.value}"
        return lacks, f"{why}: the two are not compared"
    if not kind.repeats and was.device != now.device:
        return Lack.PHONE, f"{run} measured {was.device}, this one {now.device}: another phone"
    return None


def _measured(
    now_ms: float, was: Number, provenance: Provenance, *, low: float | None, high: float | None
) -> Verdict:
    """Judge the ratio of two latencies that one phone measured on different days."""
    metric, margin = metrics.LATENCY_RATIO, 1 + Rule().share
    if low is None or high is None or was.low is None or was.high is None:
        why = f"a measurement was not repeated and has no interval; {_DAYS_APART}"
        return _undecided(metric, Lack.PRECISION, why)
    least, most = low / was.high, high / was.low
    change = Change.UNDECIDED
    if least > margin:
        change = Change.WORSE
    elif most < 1 / margin:
        change = Change.BETTER
    elif least >= 1 / margin and most <= margin:
        change = Change.EQUAL
    return Verdict(
        gate=metric.gate,
        metric=metric.name,
        observed=now_ms / was.value,
        low=least,
        high=most,
        limit=margin,
        sense=metric.sense,
        outcome=OUTCOMES[change],
        provenance=provenance,
        cause=f"{change.value}, {was.value:.4g} ms then, {now_ms:.4g} ms now; {_DAYS_APART}, "
        f"so {Rule().share:.0%} is the margin; {_ERRORS}",
        lacks=Lack.PRECISION if change is Change.UNDECIDED else None,
        change=change,
    )


def image_since(metric: Metric, earlier: Earlier, lacks: Lack, why: str) -> Verdict:
    """Rule undecided on pixels that cannot be held beside those of a run (C7)."""
    return _undecided(metric, lacks, f"{earlier.run} {why}")


def _undecided(metric: Metric, lacks: Lack, cause: str) -> Verdict:
    return replace(inconclusive(metric, lacks, cause), change=Change.UNDECIDED)


def _differences(was: Provenance, now: Provenance) -> Iterator[str]:
    """Yield in words what differs between two provenances besides time and commit."""
    parts = [
        {
            "file": one.file_sha256[:12],
            "harness": one.harness_version,
            "device": one.device,
            **one.runtime,
        }
        for one in (was, now)
    ]
    for name in dict.fromkeys([*parts[0], *parts[1]]):
        before, after = (part.get(name, "") for part in parts)
        if before != after:
            yield f"{name} {before or 'unknown'} -> {after or 'unknown'}"
