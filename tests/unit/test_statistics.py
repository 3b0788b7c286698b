"""Tests of quantiles, rank tests and middles, held against SciPy and NumPy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness.statistics import hodges_lehmann, percentile, signed_rank_p, student_quantile


@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.floats(-0.5, 0.5))
def test_the_p_value_is_scipys_exact_one(seed: int, count: int, shift: float):
    values = np.random.default_rng(seed).normal(shift, 1, count)

    expected = stats.wilcoxon(values, alternative="greater", method="exact").pvalue

    assert signed_rank_p(list(values)) == pytest.approx(float(expected), rel=1e-9)


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=12))
def test_ties_and_zeros_keep_the_p_value_a_probability(values: list[int]):
    up = signed_rank_p([float(v) for v in values])
    down = signed_rank_p([-float(v) for v in values])

    assert 0 < up <= 1
    assert up + down >= 1  # both hold the observed sum itself


@given(st.floats(0.5, 0.9999), st.integers(1, 60))
def test_the_student_quantile_is_scipys(share: float, freedom: int):
    expected = float(stats.t.ppf(share, freedom))

    assert student_quantile(share, freedom) == pytest.approx(expected, rel=1e-6, abs=1e-9)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30), st.floats(0.0, 1.0))
def test_a_percentile_is_numpys(values: list[float], share: float) -> None:
    expected = float(np.percentile(values, 100.0 * share))

    assert percentile(sorted(values), share) == pytest.approx(expected, abs=1e-6)


@given(st.lists(st.integers(-50, 50), min_size=1, max_size=12), st.integers(-9, 9))
def test_hodges_lehmann_moves_with_its_values(values: list[int], shift: int) -> None:
    moved = hodges_lehmann([float(v + shift) for v in values])

    assert moved == pytest.approx(hodges_lehmann([float(v) for v in values]) + shift)
