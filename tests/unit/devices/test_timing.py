"""Stop repeating runs when the limit is decided or the cost is spent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.devices.benchmark import timing
from harness.devices.benchmark.benchmark_tool import Timings
from harness.devices.benchmark.timing import Effort
from harness.errors import MeasurementError

EFFORT = Effort(looks=(3, 6))


def test_between_looks_nothing_is_judged():
    assert timing.judge([1.0, 1.1], limits_ms=(), effort=EFFORT) is None
    assert timing.judge([1.0] * 4, limits_ms=(), effort=EFFORT) is None


def test_a_limit_far_away_is_decided_at_the_first_look():
    interval = timing.judge([10.0, 10.1, 9.9], limits_ms=[20.0], effort=EFFORT)

    assert interval is not None
    assert interval.decided
    assert interval.low_ms < interval.median_ms == 10.0 < interval.high_ms < 20.0


def test_a_limit_within_the_interval_asks_for_more_runs_and_ends_undecided():
    runs = [9.0, 10.0, 11.0, 9.0, 10.0, 11.0]

    assert timing.judge(runs[:3], limits_ms=[10.2], effort=EFFORT) is None
    interval = timing.judge(runs, limits_ms=[10.2], effort=EFFORT)
    assert interval is not None
    assert not interval.decided


def test_each_of_several_limits_has_to_be_decided():
    runs = [9.0, 10.0, 11.0, 9.0, 10.0, 11.0]

    assert timing.judge(runs[:3], limits_ms=[100.0, 10.2], effort=EFFORT) is None
    interval = timing.judge(runs[:3], limits_ms=[100.0, 0.1], effort=EFFORT)
    assert interval is not None
    assert interval.decided


def test_without_a_limit_the_first_look_is_enough():
    interval = timing.judge([9.0, 10.0, 11.0], limits_ms=(), effort=EFFORT)

    assert interval is not None
    assert interval.decided


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan"), float("inf")])
def test_a_median_that_is_no_time_is_an_error(bad: float):
    with pytest.raises(MeasurementError):
        timing.judge([1.0, 1.0, bad], limits_ms=(), effort=EFFORT)


@given(st.lists(st.floats(0.01, 1e4), min_size=3, max_size=3), st.floats(0.1, 10))
def test_the_interval_scales_with_the_unit(medians: list[float], scale: float):
    one = timing.judge(medians, limits_ms=(), effort=EFFORT)
    other = timing.judge([scale * ms for ms in medians], limits_ms=(), effort=EFFORT)

    assert one is not None
    assert other is not None
    if one.high_ms < 1e150 and one.low_ms > 1e-150:
        assert other.high_ms == pytest.approx(scale * one.high_ms, rel=1e-6)
        assert other.low_ms == pytest.approx(scale * one.low_ms, rel=1e-6)


def run_of(median_ms: float, *, runs: int = 10, stddev_ms: float = 0.0) -> Timings:
    return Timings(
        init_ms=1.0, first_ms=2 * median_ms, mean_ms=median_ms, stddev_ms=stddev_ms,
        min_ms=median_ms, max_ms=median_ms, runs=runs, median_ms=median_ms, p95_ms=median_ms,
    )  # fmt: skip


def test_joined_runs_keep_the_spread_between_them():
    joined = timing.join([run_of(1.0), run_of(2.0), run_of(3.0)])

    assert joined["median_ms"] == 2.0
    assert joined["mean_ms"] == 2.0
    assert joined["stddev_ms"] == pytest.approx((2 / 3) ** 0.5)
    assert (joined["min_ms"], joined["runs"]) == (1.0, 30)


def test_runs_without_percentiles_are_not_joined():
    bare = Timings(
        init_ms=1.0, first_ms=1.0, mean_ms=1.0, stddev_ms=0.0, min_ms=1.0, max_ms=1.0, runs=1
    )

    with pytest.raises(MeasurementError, match="percentiles"):
        timing.join([bare])
