"""Find lasting changes in noisy series, night by night."""

import dataclasses
import datetime
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import changes
from harness.changes import Kind, LastingChange, Night, Reading, Remembered, Rule
from harness.errors import MeasurementError

QUIET = [10.0, 10.1, 9.9, 10.05, 9.95]
NPU, GPU = ("npu",), ("gpu", "cpu")


def date(index):
    return (datetime.date(2026, 1, 1) + datetime.timedelta(days=index)).isoformat()


def nights(*values, units=(), phone="pixel4"):
    """Return nights of one series 'm'; None is a night without it, a Reading is taken as is."""
    return [
        Night(date=date(i), phone=phone, readings=() if v is None else (reading(v, units, i),))
        for i, v in enumerate(values)
    ]


def reading(value, units=(), index=0):
    if isinstance(value, Reading):
        return value
    return Reading(series="m", values=(value,), units=units[index] if units else ())


def fleet(table, **night):
    """Return nights of many series, from one row of values a night."""
    return [
        Night(
            date=date(i),
            phone="pixel4",
            readings=tuple(Reading(series=f"m{k}", values=(v,)) for k, v in enumerate(row)),
            **{name: values[i] for name, values in night.items()},
        )
        for i, row in enumerate(table)
    ]


def summary(found):
    return [(one.kind, one.began, one.found, round(one.ratio, 2)) for one in found]


def test_two_nights_off_a_quiet_level_are_a_new_level():
    found = changes.find(nights(*QUIET, 11.5, 11.6))

    assert summary(found) == [(Kind.LEVEL, date(5), date(6), 1.15)]
    assert str(found[0]) == f"pixel4: m +15.5% (10 -> 11.55) since {date(5)}"


def test_one_night_off_the_level_is_no_news():
    assert not changes.find(nights(*QUIET, 20.0, *QUIET))


def test_an_improvement_is_told_as_a_regression_is():
    assert summary(changes.find(nights(*QUIET, 5.0, 5.0))) == [
        (Kind.LEVEL, date(5), date(6), 0.5)
    ]  # fmt: skip


def test_a_return_is_said_as_such_and_wants_three_nights():
    values = [*QUIET, 15.0, 15.1, 15.0, 15.1, 10.0, 10.1]

    assert len(changes.find(nights(*values))) == 1
    found = changes.find(nights(*values, 10.0))
    assert found[1].kind is Kind.RETURN
    assert found[1].back_to == date(4)
    assert f"back to the level of {date(4)}" in str(found[1])


@pytest.mark.parametrize(
    "values",
    [
        [10.0, 9.0, 11.0, 9.5, 10.0, 11.9, 12.0],  # a noisy past
        [*QUIET, 11.0, 15.0],  # two nights that do not agree
        [*QUIET, 10.7, 11.5],  # one of them near the old level
        [*QUIET, 13.0, *QUIET, 12.0, 12.0],  # a spike before
    ],
)
def test_what_may_be_chance_wants_a_third_night(values):
    assert not changes.find(nights(*values))
    assert len(changes.find(nights(*values, values[-1]))) == 1


def test_an_interval_that_holds_the_old_level_wants_a_third_night():
    wide = Reading(series="m", values=(11.5,), low=9.0, high=14.0)
    narrow = Reading(series="m", values=(11.5,), low=11.3, high=11.7)

    assert not changes.find(nights(*QUIET, wide, wide))
    assert changes.find(nights(*QUIET, wide, wide, wide))
    assert changes.find(nights(*QUIET, narrow, narrow))


def test_a_confirming_measurement_takes_the_place_of_the_second_night():
    agreed = Reading(series="m", values=(12.0,), confirming=(11.9, 12.1))

    assert summary(changes.find(nights(*QUIET, agreed))) == [
        (Kind.LEVEL, date(5), date(5), 1.2)
    ]  # fmt: skip


def test_a_confirming_measurement_that_disagrees_withdraws_the_first():
    withdrawn = Reading(series="m", values=(12.0,), confirming=(10.0, 10.1))

    assert not changes.find(nights(*QUIET, withdrawn, 12.0))


def test_a_hopping_series_is_not_news_every_few_nights():
    hops = [10.0, 13.0, 13.0, 10.0, 13.0, 10.0, 10.0, 13.0] * 6

    found = changes.find(nights(*hops))

    assert len(found) <= 1


def test_another_unit_is_told_on_its_first_night_even_at_the_same_latency():
    found = changes.find(nights(*QUIET, 10.0, units=[NPU] * 5 + [GPU]))

    assert [(one.kind, one.found) for one in found] == [(Kind.UNIT, date(5))]
    assert found[0].cause == "another unit, npu -> gpu+cpu"


def test_nights_without_units_are_no_change_of_units():
    assert not changes.find(nights(*QUIET, 10.0, units=[NPU, NPU, (), (), NPU, NPU]))
    later = changes.find(nights(*QUIET, 10.0, units=[NPU, NPU, (), (), (), GPU]))
    assert [one.kind for one in later] == [Kind.UNIT]


def test_nights_that_a_series_missed_do_not_break_a_run():
    found = changes.find(nights(*QUIET, None, 11.5, None, None, 11.6))

    assert summary(found) == [(Kind.LEVEL, date(6), date(9), 1.15)]


def test_several_values_of_a_night_count_by_their_median():
    lone = Reading(series="m", values=(10.0, 10.1, 30.0))

    assert not changes.find(nights(*QUIET, lone, lone, lone))


def shifted(moved, nights_after=3, ratio=1.2, series=10):
    table = [[value + k for k in range(series)] for value in QUIET]
    last = [ratio * (10 + k) if k < moved else 10 + k for k in range(series)]
    return [*table, *[last] * nights_after]


def test_a_shift_that_most_models_share_is_one_finding():
    found = changes.find(fleet(shifted(8)))

    assert [one.kind for one in found] == [Kind.SHARED]
    assert [one.series for one in found[0].moves] == [f"m{k}" for k in range(8)]
    assert (found[0].began, found[0].found) == (date(5), date(6))
    assert "8 of 10 series, median +20.0%" in str(found[0])
    assert "nothing that was recorded" in found[0].cause


def test_a_shared_shift_with_another_driver_is_found_at_once_and_names_it():
    drivers = [(("driver", "1.2"),)] * 5 + [(("driver", "1.3"),)] * 3

    found = changes.find(fleet(shifted(8, ratio=1.05), conditions=drivers))

    assert [(one.kind, one.found) for one in found] == [(Kind.SHARED, date(5))]
    assert found[0].cause == "driver 1.2 -> 1.3"


def test_a_hot_night_is_not_news_and_a_hot_week_names_the_temperature():
    degrees = [31.0] * 5 + [44.0] * 3
    cool = [[10.0 + k for k in range(10)]]

    week = changes.find(fleet(shifted(10), temperature_c=degrees))
    night = changes.find(fleet(shifted(10, 1) + cool * 2, temperature_c=degrees))

    assert [one.cause for one in week] == ["temperature 31 -> 44 C"]
    assert not night


def test_many_models_on_another_unit_are_one_finding():
    table = shifted(9)
    before = fleet(table)
    after = [
        dataclasses.replace(
            night,
            readings=tuple(
                dataclasses.replace(one, units=NPU if i < 5 else GPU)
                for one in night.readings
                if i < 5 or one.series != "m9"
            ),
        )
        for i, night in enumerate(before)
    ]

    found = changes.find(after)

    assert [(one.kind, one.found, len(one.moves)) for one in found] == [(Kind.SHARED, date(5), 9)]
    assert found[0].cause == "another unit"


@pytest.mark.parametrize(
    ("table", "why"),
    [
        (shifted(5, series=7), "fewer than eight series"),
        (shifted(4), "fewer than half of them"),
    ],
)
def test_a_shift_that_few_share_is_told_series_by_series(table, why):
    found = changes.find(fleet(table))

    assert {one.kind for one in found} == {Kind.LEVEL}, why
    assert len(found) in (4, 5)


def test_a_shared_shift_is_not_subtracted_from_a_series_that_did_not_move():
    found = changes.find(fleet(shifted(8, nights_after=6)))

    assert not {"m8", "m9"} & {one.series for finding in found for one in finding.moves}


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_a_value_without_a_logarithm_is_refused(value):
    with pytest.raises(MeasurementError, match="is no measurement"):
        Reading(series="m", values=(10.0, value))


def test_a_reading_without_values_or_with_a_wrong_interval_is_refused():
    with pytest.raises(MeasurementError, match="without values"):
        Reading(series="m", values=())
    with pytest.raises(MeasurementError, match="below its start"):
        Reading(series="m", values=(10.0,), low=11.0, high=9.0)


def test_nights_out_of_order_or_with_a_series_twice_are_refused():
    first, second = nights(10.0, 10.0)
    twice = Night(date=date(0), phone="pixel4", readings=(reading(1.0), reading(2.0)))

    with pytest.raises(MeasurementError, match="sort the nights"):
        changes.find([second, first])
    with pytest.raises(MeasurementError, match="m is there twice"):
        changes.find([twice])
    with pytest.raises(MeasurementError, match="no ISO 8601 date"):
        changes.find([dataclasses.replace(first, date="yesterday")])
    with pytest.raises(MeasurementError, match="cannot follow"):
        changes.observe(Remembered(phone="reno3"), first)


def test_dates_with_and_without_a_zone_are_compared_in_utc():
    first = Night(date="2026-01-01T23:00:00+02:00", phone="p", readings=(reading(1.0),))
    second = Night(date="2026-01-01T21:30:00", phone="p", readings=(reading(1.0),))

    assert changes.find([first, second]) == ()


logs = st.floats(-0.5, 0.5)
series_logs = st.lists(logs, min_size=1, max_size=60)


@given(series_logs, st.floats(1e-6, 1e6))
def test_the_unit_of_a_series_does_not_matter(values, scale):
    rounded = [round(math.exp(value), 3) for value in values]
    power = 2.0 ** round(math.log2(scale))  # exact in floating point

    plain = changes.find(nights(*rounded))
    scaled = changes.find(nights(*[value * power for value in rounded]))

    assert [one.kind for one in plain] == [one.kind for one in scaled]
    assert [(one.began, one.found) for one in plain] == [(one.began, one.found) for one in scaled]


@given(series_logs, st.integers(0, 60))
def test_what_is_told_of_the_first_nights_does_not_depend_on_later_ones(values, length):
    all_nights = nights(*[math.exp(value) for value in values])

    whole = changes.find(all_nights)
    part = changes.find(all_nights[:length])

    assert part == tuple(one for one in whole if one.found < date(length))


@given(st.lists(st.lists(logs, min_size=9, max_size=9), max_size=12), st.randoms())
def test_the_order_of_the_series_does_not_matter(table, random):
    ordered = fleet([[math.exp(value) for value in row] for row in table])
    mixed = [
        dataclasses.replace(night, readings=tuple(random.sample(night.readings, 9)))
        for night in ordered
    ]

    assert changes.find(mixed) == changes.find(ordered)


@given(series_logs)
def test_a_phone_does_not_change_what_is_told_of_another(values):
    one = nights(*[math.exp(value) for value in values])
    other = nights(*[math.exp(-value) for value in values], phone="reno3")
    both = [night for pair in zip(one, other, strict=True) for night in pair]

    assert set(changes.find(both)) == set(changes.find(one)) | set(changes.find(other))


@given(st.lists(st.floats(-0.02, 0.02), min_size=1, max_size=60))
def test_a_series_that_stays_within_two_percent_is_never_news(values):
    assert not changes.find(nights(*[10 * math.exp(value) for value in values]))


def per_1000_nights(table):
    count = sum(len(changes.find(nights(*row))) for row in np.exp(table).tolist())
    return 1000 * count / table.size


def heavy(random, shape):
    return 0.015 * random.standard_t(3, shape)


def drifting(random, shape):
    drift = 0.03 * np.sin(
        np.arange(shape[1]) * 2 * np.pi / 21 + random.uniform(0, 6, (shape[0], 1))
    )
    return drift + random.normal(0, 0.015, shape)


def rarely_bimodal(random, shape):
    return math.log(1.15) * (random.random(shape) < 0.05) + random.normal(0, 0.01, shape)


def often_bimodal(random, shape):
    return math.log(1.15) * (random.random(shape) < 0.5) + random.normal(0, 0.01, shape)


@pytest.mark.parametrize(
    ("noise", "most"),
    [
        (lambda random, shape: random.normal(0, 0.03, shape), 2),
        (heavy, 2),
        (drifting, 2),
        (rarely_bimodal, 4),
        (often_bimodal, 20),
    ],
    ids=["gaussian", "heavy-tailed", "drifting", "rarely bimodal", "often bimodal"],
)
def test_series_in_which_nothing_changes_stay_quiet(noise, most):
    """`most` is per 1,000 series-nights; '8 % off, twice' has 160 on the last of these."""
    assert per_1000_nights(noise(np.random.default_rng(7), (30, 100))) <= most


def test_a_phone_whose_temperature_drifts_is_not_news_every_week():
    random = np.random.default_rng(3)
    drift = 0.03 * np.sin(np.arange(100) * 2 * np.pi / 14)[:, None]
    table = np.exp(drift + random.normal(0, 0.015, (100, 12)))

    found = changes.find(fleet(table.tolist()))

    assert len(found) <= 4


@pytest.mark.parametrize("ratio", [1.12, 0.88, 1.3])
def test_a_step_in_a_quiet_series_is_found_within_three_nights(ratio):
    random = np.random.default_rng(11)
    table = random.normal(0, 0.01, (40, 18))
    table[:, 15:] += math.log(ratio)

    found = [changes.find(nights(*row)) for row in np.exp(table).tolist()]

    assert sum(any(one.began == date(15) for one in each) for each in found) >= 38


def test_the_rule_is_adjustable():
    strict = Rule(share=0.3)

    assert not changes.find(nights(*QUIET, 11.5, 11.6, 11.5), strict)
    assert isinstance(changes.find(nights(*QUIET, 15.0, 15.0), strict)[0], LastingChange)
