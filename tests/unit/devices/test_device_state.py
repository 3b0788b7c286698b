"""Read a phone's state, and rule whether a number taken in it counts."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.devices.phone import device_state
from harness.devices.phone.device_state import Contract, CpuPolicy, State
from tests.phones import PIXEL_4

PRINTED = """@@zones
cpu-0-0 52000
skin-therm 31500
quiet_therm 33
broken -273000
empty 0
@@thermal
    Thermal Status: 1
@@battery
  AC powered: false
  USB powered: true
  level: 76
  temperature: 291
@@power
  mWakefulness=Awake
@@load
1.50 1.2 1.1 3/999 1
@@cpu
4 5 6|2419200|1900800|1000000
0 1 2 3|1785600|1785600|
@@boot
abc-def
@@uptime
1000.50 700.1
1700001000
"""
GOOD = State(
    temperature_c=30.0,
    thermal_status=0,
    battery_percent=80,
    charging=True,
    screen_on=True,
    load=1.0,
    policies=(CpuPolicy(cpus=(0, 1, 2, 3), max_mhz=1785, allowed_mhz=1785, current_mhz=None),),
    boot_id="a",
    uptime_s=100.0,
    clock_offset_s=1e9,
    sentinel=1000,
)


def test_everything_a_phone_prints_is_read():
    assert device_state.parse(PRINTED) == State(
        temperature_c=33.0,
        thermal_status=1,
        battery_percent=76,
        charging=True,
        screen_on=True,
        load=1.5,
        policies=(
            CpuPolicy(cpus=(0, 1, 2, 3), max_mhz=1785, allowed_mhz=1785, current_mhz=None),
            CpuPolicy(cpus=(4, 5, 6), max_mhz=2419, allowed_mhz=1900, current_mhz=1000),
        ),
        boot_id="abc-def",
        uptime_s=1000.5,
        clock_offset_s=1700001000 - 1000.5,
    )


def test_a_phone_that_hides_its_zones_gives_the_batterys_temperature():
    hidden = PRINTED.replace("skin-therm 31500\nquiet_therm 33\n", "").replace(
        "cpu-0-0 52000\n", ""
    )

    assert device_state.parse(hidden).temperature_c == 29.1


def test_androids_own_skin_temperature_stands_in_for_hidden_zones():
    skin = (
        "Thermal Status: 0\n"
        "\tTemperature{mValue=44.0, mType=0, mName=cpu, mStatus=0}\n"
        "\tTemperature{mValue=32.5, mType=3, mName=skin, mStatus=0}\n"
    )
    hidden = re.sub(r"@@zones\n[^@]*", "@@zones\n", PRINTED).replace("Thermal Status: 1\n", skin)

    state = device_state.parse(hidden)

    assert (state.temperature_c, state.thermal_status) == (32.5, 0)


def test_a_load_that_is_hidden_is_read_from_cpuinfo():
    assert device_state.parse("@@load\nLoad: 2.25 / 2.1 / 2.0\n").load == 2.25


def test_silence_is_absence_and_voids_a_measurement():
    silent = device_state.parse("")

    found = device_state.breaches(silent, Contract())

    assert silent == State()
    assert "the temperature cannot be read" in found
    assert "the battery's charge cannot be read" in found


@given(st.text())
def test_any_text_is_a_state(text: str):
    assert isinstance(device_state.parse(text), State)


@given(st.lists(st.sampled_from(PRINTED.splitlines())), st.text())
def test_shuffled_output_is_a_state(lines: list[str], rest: str):
    assert isinstance(device_state.parse("\n".join([*lines, rest])), State)


def test_a_good_state_keeps_the_contract():
    assert device_state.breaches(GOOD, Contract(), best_sentinel=1050) == []
    assert device_state.load_breaches(GOOD, Contract()) == []
    assert device_state.changes(GOOD, replace(GOOD, uptime_s=200.0), Contract()) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"temperature_c": 38.1}, "temperature 38.1°C, at most 38°C"),
        ({"thermal_status": 1}, "thermal status 1"),
        ({"battery_percent": 19}, "battery 19 %"),
        ({"screen_on": False}, "screen is not on"),
        ({"sentinel": 840}, "slow mode: .* 80%"),
    ],
)
def test_each_breach_is_named(change: dict[str, object], words: str):
    found = device_state.breaches(
        replace(GOOD, **change),  # type: ignore[arg-type]
        Contract(),
        best_sentinel=1050,
    )

    assert len(found) == 1
    assert re.search(words, found[0])


def test_a_capped_clock_is_a_breach_unless_the_harness_bounded_it():
    capped = replace(GOOD, policies=(replace(GOOD.policies[0], allowed_mhz=900),))

    assert device_state.breaches(capped, Contract()) == ["cpu 0-3 is held to 900 of 1785 MHz"]
    assert device_state.breaches(replace(capped, fixed_performance=True), Contract()) == []


def test_a_rule_that_is_switched_off_is_not_asked():
    loose = Contract(temperature_c=None, battery_percent=None, screen_on=None, thermal_status=None)

    assert device_state.breaches(State(), loose) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"boot_id": "b"}, "rebooted"),
        ({"charging": False}, "charger"),
        ({"screen_on": False}, "screen"),
        ({"clock_offset_s": 1e9 - 3600}, "clock jumped by -3600 s"),
        ({"clock_offset_s": None}, "clock cannot be read"),
    ],
)
def test_what_changes_during_a_run_voids_it(change: dict[str, object], words: str):
    found = device_state.changes(GOOD, replace(GOOD, **change), Contract())  # type: ignore[arg-type]

    assert any(words in reason for reason in found)


def test_the_mask_is_the_profiles_clusters_but_the_slowest():
    assert device_state.affinity_mask(PIXEL_4, ()) == "f0"


def test_the_mask_follows_from_the_clocks_where_the_profile_has_none():
    unknown = replace(PIXEL_4, cpu=())
    policies = device_state.parse(PRINTED).policies

    assert device_state.affinity_mask(unknown, policies) == "70"
    assert device_state.affinity_mask(unknown, ()) == ""


def test_the_state_is_stored_with_units_and_without_what_is_unknown():
    record = replace(GOOD, thermal_status=None).record()

    assert record["temperature_c"] == 30.0
    assert record["cpu0_allowed_mhz"] == 1785
    assert "thermal_status" not in record
