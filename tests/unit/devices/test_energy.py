"""Read what a phone says it draws."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.devices.benchmark import energy

PIXEL_6 = """t=349894
CH0(T=349894)[S10M_VDD_TPU], 5578756
CH1(T=349894)[VSYS_PWR_MODEM], 29110940
@@
t=359458
CH0(T=359458)[VSYS_PWR_WLAN_BT], 1000000
@@
"""


def test_the_rails_of_all_meters_are_summed_each_by_its_own_clock():
    before = energy.parse_rails(PIXEL_6)
    later = energy.parse_rails(
        PIXEL_6.replace("349894", "351894")
        .replace("359458", "361458")
        .replace("5578756", "7578756")
    )

    assert before is not None
    assert later is not None
    assert before.names == ("S10M_VDD_TPU", "VSYS_PWR_MODEM", "VSYS_PWR_WLAN_BT")
    assert later.since(before) == (pytest.approx(2.0), pytest.approx(2.0))


@pytest.mark.parametrize("text", ["", "@@", "cat: Permission denied", "t=5\n@@", "[A], 5\n@@"])
def test_a_phone_without_rails_has_none(text: str):
    assert energy.parse_rails(text) is None


@pytest.mark.parametrize("line", ["-350000 4000000", "350000 4000000", "-350 4000000"])
def test_current_is_read_in_micro_and_in_milliamperes_and_either_sign(line: str):
    assert energy.parse_power(f"12.34 {line}\n12.40  4000000\n") == [(12.34, pytest.approx(1.4))]


def test_samples_of_power_are_summed_over_their_time():
    assert energy.drawn([(1.0, 2.0), (2.0, 2.0), (4.0, 0.0)]) == (3.0, pytest.approx(4.0))


@given(st.text(max_size=200))
def test_what_a_phone_prints_is_read_or_left_out(text: str):
    energy.parse_rails(text)
    assert all(watts >= 0 for _, watts in energy.parse_power(text))
