"""Decide from pairs of runs whether a candidate is slower."""

import math
from dataclasses import replace

import pytest

from harness import sequential
from harness.errors import MeasurementError
from harness.sequential import Comparison, Decision, StoppingRule

PLAN = StoppingRule(looks=(6, 12), alphas=(0.02, 0.005))
SPREAD = [1.0, 1.01, 0.99, 1.02, 0.98, 1.005]


def test_a_candidate_that_is_always_slower_is_ruled_slower():
    comparison = sequential.compare(SPREAD, [1.1 * ms for ms in SPREAD], PLAN)

    assert comparison is not None
    assert comparison.ruling is Decision.SLOWER
    assert comparison.ratio == pytest.approx(1.1)


def test_a_difference_within_the_margin_is_not_ruled_slower():
    comparison = sequential.compare(SPREAD, [1.015 * ms for ms in SPREAD], PLAN)

    assert comparison is not None
    assert comparison.p_value < PLAN.alphas[0]
    assert comparison.ruling is Decision.ALIKE


def test_a_candidate_that_is_as_fast_is_given_up_early():
    comparison = sequential.compare(SPREAD, SPREAD[::-1], PLAN)

    assert comparison is not None
    assert (comparison.ruling, comparison.pairs) == (Decision.ALIKE, 6)


def test_a_candidate_that_is_always_faster_is_ruled_faster():
    comparison = sequential.compare(SPREAD, [0.9 * ms for ms in SPREAD], PLAN)

    assert comparison is not None
    assert comparison.ruling is Decision.FASTER
    assert comparison.ratio == pytest.approx(0.9)


def test_a_candidate_that_is_shown_to_lie_within_the_margin_is_as_fast():
    slightly_slower = [1.005 * ms for ms in SPREAD]

    comparison = sequential.compare(SPREAD, slightly_slower, PLAN)

    assert comparison is not None
    assert comparison.p_value < PLAN.futility
    assert comparison.ruling is Decision.ALIKE


def test_the_last_look_rules_as_fast_what_is_shown_not_to_be_slower_by_what_is_to_be_found():
    last = StoppingRule(looks=(6,), alphas=(0.02,), found_share=0.05)
    slower_by_3_percent = [1.0, 1.03, 1.034, 1.036, 1.028, 1.032]

    ruled = sequential.compare([1.0] * 6, slower_by_3_percent, last)
    strict = sequential.compare([1.0] * 6, slower_by_3_percent, replace(last, found_share=0.03))

    assert ruled is not None
    assert ruled.ruling is Decision.ALIKE
    assert strict is not None
    assert strict.ruling is Decision.UNDECIDED


def test_between_looks_nothing_is_said():
    assert sequential.compare(SPREAD[:5], SPREAD[:5], PLAN) is None


def test_runs_that_are_not_paired_are_an_error():
    with pytest.raises(MeasurementError, match="6 runs of the baseline, 5"):
        sequential.compare(SPREAD, SPREAD[:5], PLAN)


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan")])
def test_a_time_that_is_none_is_an_error(bad: float):
    with pytest.raises(MeasurementError, match="positive"):
        sequential.compare(SPREAD, [*SPREAD[:5], bad], PLAN)


def test_the_order_is_a_b_b_a():
    order = sequential.order()

    assert [next(order) for _ in range(8)] == [
        "baseline", "candidate", "candidate", "baseline",
        "baseline", "candidate", "candidate", "baseline",
    ]  # fmt: skip


def test_the_shares_of_alpha_sum_to_half_a_percent():
    assert math.fsum(StoppingRule().alphas) <= 0.005
    assert len(StoppingRule().alphas) == len(StoppingRule().looks)


def test_a_comparison_is_described_with_what_the_rule_can_see():
    comparison = Comparison(ruling=Decision.SLOWER, ratio=1.0524, pairs=12, p_value=0.0005)

    assert sequential.describe(comparison, StoppingRule()) == (
        "slower: 1.052x the baseline after 12 runs a side (p = 0.0005); false alarms at most "
        "0.5%, a candidate within 2% is never ruled slower, at most 32 runs a side, "
        "+5% is found in 95% of cases"
    )
