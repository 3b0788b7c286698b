"""Check the intervals: how often they hold the truth, and what they refuse."""

import math

import numpy as np
import pytest

from harness.errors import MeasurementError
from harness.study import paired
from harness.study.paired import Interval


def _frames(rng: np.random.Generator, *, photographs: int, each: int) -> tuple[list, list]:
    """Draw differences whose true mean is 0 and that one photograph's frames share."""
    shared = rng.normal(scale=0.1, size=photographs)
    values = shared[:, None] + rng.normal(scale=0.03, size=(photographs, each))
    titles = np.repeat([f"p{i}" for i in range(photographs)], each)
    return values.ravel().tolist(), titles.tolist()


def _holds_zero(one: Interval) -> bool:
    return one.low_db <= 0.0 <= one.high_db


def test_95_of_100_intervals_hold_the_true_mean_and_without_photographs_far_fewer_do(monkeypatch):
    monkeypatch.setattr(paired, "RESAMPLES", 1000)
    rng = np.random.default_rng(5)
    clustered, naive = [], []

    for _ in range(300):
        values, titles = _frames(rng, photographs=44, each=4)
        clustered.append(_holds_zero(paired.interval(values, titles)))
        alone = [str(i) for i in range(len(values))]
        naive.append(_holds_zero(paired.interval(values, alone)))

    assert 0.90 <= np.mean(clustered) <= 0.985  # 95 % +- 3 standard errors, less a little
    assert np.mean(naive) < 0.80


def test_a_constant_difference_has_no_spread():
    found = paired.interval([0.25] * 6, ["a", "a", "b", "b", "c", "c"])

    assert (found.mean_db, found.low_db, found.high_db) == pytest.approx((0.25, 0.25, 0.25))
    assert (found.frames, found.photographs) == (6, 3)


def test_a_photograph_with_more_frames_weighs_as_many_frames():
    found = paired.interval([1.0, 1.0, 1.0, 0.0], ["a", "a", "a", "b"])

    assert found.mean_db == 0.75


def test_equal_seeds_give_equal_intervals_and_more_comparisons_wider_ones():
    values, titles = _frames(np.random.default_rng(1), photographs=20, each=3)

    one, same = paired.interval(values, titles), paired.interval(values, titles)
    of_five = paired.interval(values, titles, comparisons=5)

    assert one == same
    assert of_five.low_db < one.low_db < one.high_db < of_five.high_db
    assert of_five.confidence == pytest.approx(0.99)


def test_frames_of_one_photograph_give_no_interval():
    with pytest.raises(MeasurementError, match="at least two"):
        paired.interval([0.1, 0.2], ["a", "a"])


def test_a_frame_without_a_finite_value_gives_no_interval():
    with pytest.raises(MeasurementError, match="not finite"):
        paired.interval([0.1, math.inf], ["a", "b"])


@pytest.mark.parametrize(
    ("low", "high", "inside", "above_zero"),
    [
        (1.2, 2.8, True, True),
        (0.5, 1.5, None, True),
        (0.1, 0.9, False, True),
        (3.1, 4.0, False, True),
        (-0.2, 0.1, False, None),
        (-0.2, -0.1, False, False),
        (0.5, 3.5, None, True),
    ],
)
def test_a_ruling_needs_the_whole_interval_on_one_side(low, high, inside, above_zero):
    found = Interval(
        mean_db=(low + high) / 2,
        low_db=low,
        high_db=high,
        confidence=0.95,
        frames=4,
        photographs=2,
    )

    assert found.inside(1.0, 3.0) is inside
    assert found.above_zero is above_zero
