"""Decide whether a candidate is slower or faster than its baseline, from interleaved runs.

Arithmetic only. The two run A B B A on the same phone in the same minutes, so that drift of the
phone falls out of each pair. After 8, 12, 20 and 32 pairs signed-rank tests look at the ratios,
one for each direction.
"""

import enum
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.errors import MeasurementError
from harness.statistics import hodges_lehmann, signed_rank_p


class Decision(enum.Enum):
    """What the pairs say so far."""

    SLOWER = "slower"
    FASTER = "faster"
    ALIKE = "as fast"
    UNDECIDED = "undecided"


@dataclass(frozen=True, kw_only=True)
class StoppingRule:
    """When to look and when to stop.

    Attributes:
        looks: Numbers of pairs after which the test is made.
        alphas: Largest p-value that rules SLOWER or FASTER, for each look; their sum bounds the
            false alarms of either.
        futility: Both p-values above this rule ALIKE at once.
        margin_share: A candidate is ruled SLOWER only if the middle of its ratios is beyond
            1 + this, and FASTER only below its inverse; one that is shown to lie between is ALIKE.
        found_share: Smallest slowdown that the plan is made to find; at the last look, a candidate
            that is shown not to be slower by as much is ALIKE.

    Source: looks, futility .3, margin 2 % and 5 % to be found are choices; what they give under
    phone-like noise is measured by tests/benchmarks/test_decision_rule.py. The shares of alpha sum
    to .005, so that false alarms stay within 0.5 % whatever the noise between pairs, as long as it
    is symmetric. The first look only stops for futility: eight pairs cannot reach less than 1/256.
    """

    looks: tuple[int, ...] = (8, 12, 20, 32)
    alphas: tuple[float, ...] = (0.0, 0.003, 0.0015, 0.0005)
    futility: float = 0.3
    margin_share: float = 0.02
    found_share: float = 0.05


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What the pairs say.

    Attributes:
        ruling: SLOWER, FASTER, ALIKE or UNDECIDED.
        ratio: Middle of candidate over baseline (Hodges-Lehmann).
        pairs: Pairs seen; runs a side.
        p_value: Of the last look, that the candidate is slower; one-sided.
    """

    ruling: Decision
    ratio: float
    pairs: int
    p_value: float


def describe(comparison: Comparison, plan: StoppingRule) -> str:
    """Return one line for a person: the ruling, its grounds, and what the rule can see.

    Source: the simulation of tests/benchmarks/test_decision_rule.py, for the default plan.
    """
    line = (
        f"{comparison.ruling.value}: {comparison.ratio:.3f}x the baseline after "
        f"{comparison.pairs} runs a side (p = {comparison.p_value:.2g}); false alarms at most "
        f"{math.fsum(plan.alphas):.1%}, a candidate within {plan.margin_share:.0%} is never "
        f"ruled slower, at most {plan.looks[-1]} runs a side"
    )
    found = f", +{plan.found_share:.0%} is found in 95% of cases"
    return line + (found if plan == StoppingRule() else "")


def order() -> Iterator[str]:
    """Yield which model runs next, for ever: A B B A."""
    while True:
        yield from ("baseline", "candidate", "candidate", "baseline")


def compare(
    baseline_ms: Sequence[float], candidate_ms: Sequence[float], plan: StoppingRule | None = None
) -> Comparison | None:
    """Look at the pairs, if it is time to look.

    Args:
        baseline_ms: Median milliseconds of each run of the baseline, in the order they ran.
        candidate_ms: The same of the candidate.
        plan: When to look and stop.

    Returns:
        What the pairs say; None where the plan does not look after so many pairs. UNDECIDED
        before the last look means to go on; at the last look the cost is spent.

    Raises:
        MeasurementError: the two have different numbers of runs, or a time is not positive.
    """
    plan = plan or StoppingRule()
    if len(baseline_ms) != len(candidate_ms):
        raise MeasurementError(
            f"{len(baseline_ms)} runs of the baseline, {len(candidate_ms)} of the candidate"
        )
    if not all(0.0 < ms < math.inf for ms in (*baseline_ms, *candidate_ms)):
        raise MeasurementError("a run's median is not a positive number of milliseconds")
    pairs = len(baseline_ms)
    if pairs not in plan.looks:
        return None
    logs = [math.log(b / a) for a, b in zip(baseline_ms, candidate_ms, strict=True)]
    p_value = signed_rank_p(logs)
    ratio = math.exp(hodges_lehmann(logs))
    return Comparison(
        ruling=_ruling(logs, ratio, p_value, plan), ratio=ratio, pairs=pairs, p_value=p_value
    )


def _ruling(logs: Sequence[float], ratio: float, p_slower: float, plan: StoppingRule) -> Decision:
    """Return what the logs of candidate over baseline say at a look."""
    alpha = plan.alphas[plan.looks.index(len(logs))]
    p_faster = signed_rank_p([-log for log in logs])
    margin = math.log1p(plan.margin_share)
    if p_slower <= alpha and ratio > 1 + plan.margin_share:
        return Decision.SLOWER
    if p_faster <= alpha and ratio < 1 / (1 + plan.margin_share):
        return Decision.FASTER
    p_beyond = max(signed_rank_p([margin + sign * log for log in logs]) for sign in (1, -1))
    if min(p_slower, p_faster) > plan.futility or p_beyond <= alpha:
        return Decision.ALIKE
    found = math.log1p(plan.found_share)
    p_found = signed_rank_p([found - log for log in logs])
    if len(logs) == plan.looks[-1] and p_found <= math.fsum(plan.alphas):
        return Decision.ALIKE
    return Decision.UNDECIDED
