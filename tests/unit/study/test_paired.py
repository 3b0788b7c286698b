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


def _trainings(rng: np.random.Generator, *, count: int, mean: float, spread: float) -> list:
    """Draw the PSNR of some trainings of one design on 8 photographs with 2 frames each."""
    frames = np.repeat(np.linspace(20.0, 30.0, 8), 2)
    return [(frames + mean + rng.normal(scale=spread)).tolist() for _ in range(count)]


def test_the_spread_of_seeds_is_pooled_over_designs_and_those_with_one_tell_nothing():
    found = paired.seed_spread([[1.0, 3.0], [5.0, 5.0, 8.0], [100.0]])

    assert found.freedom == 3
    assert found.deviation_db == pytest.approx(math.sqrt((2.0 + 6.0) / 3))
    with pytest.raises(MeasurementError, match="two seeds"):
        paired.seed_spread([[1.0], [2.0]])


def test_95_of_100_intervals_between_designs_hold_the_true_mean_and_without_seeds_far_fewer_do():
    rng = np.random.default_rng(7)
    photographs = [f"p{i // 2}" for i in range(16)]
    with_seeds, without = [], []

    for _ in range(200):
        one = _trainings(rng, count=3, mean=0.0, spread=0.05)
        other = _trainings(rng, count=1, mean=0.0, spread=0.05)
        spread = paired.seed_spread(
            [np.mean(_trainings(rng, count=3, mean=0.0, spread=0.05), axis=1) for _ in range(3)]
        )
        with_seeds.append(
            _holds_zero(paired.between_designs(one, other, photographs, spread=spread))
        )
        differences = np.mean(one, axis=0) - np.mean(other, axis=0)
        without.append(_holds_zero(paired.interval(differences.tolist(), photographs)))

    assert 0.90 <= np.mean(with_seeds) <= 0.99
    assert np.mean(without) < 0.5


def test_more_trainings_and_fewer_comparisons_make_the_interval_narrower():
    rng = np.random.default_rng(9)
    photographs = [f"p{i // 2}" for i in range(16)]
    one = _trainings(rng, count=3, mean=0.2, spread=0.0)
    spread = paired.SeedSpread(deviation_db=0.05, freedom=6)

    def width(rival: list, comparisons: int = 1) -> float:
        found = paired.between_designs(
            one, rival, photographs, spread=spread, comparisons=comparisons
        )
        assert found.mean_db == pytest.approx(0.2)
        return found.high_db - found.low_db

    single, triple = (_trainings(rng, count=n, mean=0.0, spread=0.0) for n in (1, 3))
    assert width(triple) < width(single) < width(single, comparisons=5)
