"""What a chaos trial is measured by: the time that the phones that were there would need."""

import pytest

from tests.trouble import Outage, least_s

PHONES = ("a", "b")


@pytest.mark.parametrize(
    ("outages", "wanted_s"),
    [
        ([], 5.0),
        ([("ab", 1.0, 4.0)], 8.0),  # all of it is added
        ([("a", 1.0, 4.0)], 6.5),  # half of it
        ([("a", 1.0, 4.0), ("ab", 2.0, 3.0)], 7.0),  # an outage within another
        ([("a", 6.0, 9.0)], 5.0),  # after the end
        ([("ab", 0.0, 3.0), ("a", 3.0, 99.0)], 13.0),
    ],
)
def test_phones_that_are_away_add_the_work_that_they_do_not_do(
    outages: list[tuple[str, float, float]], wanted_s: float
) -> None:
    found = [Outage(phones=frozenset(who), start_s=a, end_s=b) for who, a, b in outages]

    assert least_s(10.0, PHONES, found) == pytest.approx(wanted_s)
