"""Score rules that look for changes against what the series did afterwards."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.history import peers, yardstick
from harness.history.yardstick import Alarm, KnownSeries, RuleScore, SeriesStep

STEP = (10.0,) * 6 + (12.0,) * 6
REQUIRED = SeriesStep(night=6, direction=1, required=True)


def record(values=STEP, other_units=()):
    return KnownSeries(name="m", values=tuple(values), other_units=tuple(other_units))


def score(*alarms, values=STEP, other_units=()):
    return yardstick.score([record(values, other_units)], [alarms])


def test_a_step_that_lasts_five_nights_is_required():
    assert REQUIRED in yardstick.lasting_steps(record())


@pytest.mark.parametrize(
    "values",
    [
        (10.0,) * 6 + (12.0,) * 4,  # too short to be judged
        (10.0,) * 6 + (12.0, 12.0, 10.0, 12.0, 12.0, 12.0),  # back in between
        (10.0,) * 6 + (10.9,) * 6,  # too small
        (10.0,) * 5 + (12.0,) + (12.0,) * 0 + (10.0,) * 6,  # a spike
    ],
)
def test_what_does_not_last_or_is_small_is_not_required(values):
    assert not [step for step in yardstick.lasting_steps(record(values)) if step.required]


def test_five_percent_over_three_nights_is_neutral():
    values = (10.0,) * 6 + (10.7,) * 3 + (10.0,) * 5

    assert SeriesStep(night=6, direction=1, required=False) in yardstick.lasting_steps(
        record(values)
    )
    assert score(Alarm(night=7, direction=1), values=values).false == 0


@pytest.mark.parametrize(("night", "found"), [(5, 0), (6, 1), (8, 1), (9, 0)])
def test_a_step_is_found_on_its_first_three_nights_only(night, found):
    assert score(Alarm(night=night, direction=1)).steps_found == found


def test_an_alarm_of_the_other_direction_or_before_the_step_is_false():
    result = score(Alarm(night=6, direction=-1), Alarm(night=3, direction=1))

    assert (result.false, result.alarms, result.right_share) == (2, 2, 0.0)
    assert result.false_per_1000 == pytest.approx(2000 / 7)


def test_an_alarm_on_a_unit_change_is_right_and_counts_as_found_on_its_night_only():
    flat = (10.0,) * 12

    assert score(Alarm(night=4, direction=-1), values=flat, other_units=(4,)).units_found == 1
    late = score(Alarm(night=5, direction=-1), values=flat, other_units=(4,))
    assert (late.units_found, late.false) == (0, 0)
    assert score(Alarm(night=6, direction=-1), values=flat, other_units=(4,)).false == 1


def test_alarms_on_the_last_nights_are_not_judged():
    assert score(Alarm(night=10, direction=-1)).alarms == 0


def test_a_series_without_steps_has_no_share_of_them():
    result = score(values=(10.0,) * 3)

    assert (result.step_share, result.unit_share, result.right_share) == (None, None, None)
    assert result.false_per_1000 is None


def test_segments_find_the_step_by_another_road():
    assert yardstick.segments(record()) == (REQUIRED,)
    assert not yardstick.segments(record((10.0, 10.1) * 6))


def test_the_fit_is_the_one_that_ruptures_finds():
    ruptures = pytest.importorskip("ruptures", reason="ruptures is not installed")
    numpy = pytest.importorskip("numpy")
    random = numpy.random.default_rng(5)
    for _ in range(20):
        logs = random.normal(0, 0.02, 25) + numpy.repeat(random.normal(0, 0.2, 5), 5)
        noise = 1.4826 * numpy.median(numpy.abs(numpy.diff(logs))) / math.sqrt(2)
        scaled = (logs / max(noise, 0.003)).reshape(-1, 1)
        ends = ruptures.Pelt(model="l1", min_size=2, jump=1).fit(scaled).predict(pen=6)

        assert yardstick._fit(logs.tolist()) == [0, *ends]


@given(st.lists(st.floats(1, 100), min_size=1, max_size=30), st.sampled_from([0.25, 2.0, 64.0]))
def test_the_truth_does_not_depend_on_the_unit(values, scale):
    def nights(truth, factor):
        return [(s.night, s.direction) for s in truth(record(v * factor for v in rounded))]

    rounded = [round(value, 1) for value in values]
    assert nights(yardstick.segments, 1) == nights(yardstick.segments, scale)


def test_no_alarms_and_every_alarm_are_the_two_ends():
    none = score()
    every = score(*(Alarm(night=n, direction=d) for n in range(12) for d in (1, -1)))

    assert (none.step_share, none.false) == (0.0, 0)
    assert every.step_share == 1.0
    assert every.delay_nights == 1.0
    assert every.false > 0
    assert isinstance(every, RuleScore)


def test_the_plain_rule_tells_of_every_big_night():
    changes = peers.plain(0.05)

    said = peers.alarms(changes, record((10, 10, 12, 12, 10, 9.9)), 0)

    assert said == (Alarm(night=2, direction=1), Alarm(night=4, direction=-1))


def test_a_change_that_is_seen_again_is_told_once():
    said = peers.alarms(lambda values: [(3, 1)] if len(values) > 4 else [], record(), 1)

    assert said == (Alarm(night=4, direction=1),)


@pytest.mark.parametrize("engine", [peers.asv, peers.otava, peers.pelt])
def test_an_engine_that_is_installed_finds_a_plain_step(engine):
    changes = engine()
    if changes is None:
        pytest.skip(f"{engine.__name__} is not installed")
    values = [10.0, 10.1, 9.9, 10.0, 10.1, 9.9, 10.0, 13.0, 13.1, 12.9, 13.0, 13.1]

    assert (7, 1) in changes(values)


def test_an_engine_that_is_missing_is_none(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ruptures", None)

    assert peers.pelt() is None
