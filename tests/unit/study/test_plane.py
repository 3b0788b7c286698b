"""Check the plane: which points are on the front, and which ops pruning leaves as slow."""

import csv

import pytest

pytest.importorskip("matplotlib")

from harness.errors import ConfigError
from harness.evidence import Evidence
from harness.study import curves, pictures, plane
from harness.study.facts import OnPhone
from harness.study.paired import Interval
from harness.study.plane import FileOnPhone

pytestmark = pytest.mark.study


def _point(name: str, *, ms: float, gain_db: float, phone: str = "pixel4") -> FileOnPhone:
    return FileOnPhone(
        phone=phone,
        subject=name,
        variant="fp32",
        gain=Interval(
            mean_db=gain_db,
            low_db=gain_db - 0.1,
            high_db=gain_db + 0.1,
            confidence=0.95,
            frames=8,
            photographs=4,
        ),
        gmacs=5.0,
        cost=_cost(ms, {}),
    )


def _cost(ms: float, op_ms: dict[str, float]) -> OnPhone:
    return OnPhone(
        cpu_ops=0,
        kinds=(),
        partitions=1,
        placed_by=Evidence.RULES,
        estimate_ms=ms,
        low_ms=0.5 * ms,
        high_ms=2.0 * ms,
        op_ms=op_ms,
        absolute=True,
    )


def test_a_point_that_is_slower_and_worse_is_not_on_the_front():
    fast = _point("fast", ms=10.0, gain_db=0.5)
    slow_and_good = _point("good", ms=30.0, gain_db=1.0)
    slow_and_bad = _point("bad", ms=20.0, gain_db=0.4)
    as_slow_and_worse = _point("worse", ms=30.0, gain_db=0.9)

    assert plane.front([slow_and_bad, slow_and_good, as_slow_and_worse, fast]) == (
        fast,
        slow_and_good,
    )


def test_each_phone_has_a_front_of_its_own():
    found = [
        _point("a", ms=10.0, gain_db=0.5),
        _point("a", ms=90.0, gain_db=0.5, phone="galaxy_s24"),
    ]

    table = plane.plane_table(found)

    assert [row[table.header.index("front")] for row in table.rows] == ["yes", "yes"]


def test_the_ops_that_pruning_leaves_as_slow_are_named_the_costliest_first():
    before = _cost(20.0, {"CONV_2D #1": 8.0, "CONV_2D #2": 4.0, "ADD #3": 6.0, "RELU #4": 0.01})
    after = _cost(16.0, {"CONV_2D #1": 4.0, "CONV_2D #2": 3.9, "ADD #3": 6.0, "RELU #4": 0.01})

    assert plane.saves_nothing(before, after) == "ADD #3 6 to 6 ms, CONV_2D #2 4 to 3.9 ms"


def test_equal_points_give_equal_pictures_without_a_date():
    found = [_point("a", ms=10.0, gain_db=0.5), _point("b", ms=20.0, gain_db=0.7)]

    picture = pictures.plane(found)

    assert picture == pictures.plane(found)
    assert b"pixel4" in picture
    assert b"<dc:date>" not in picture


def test_learning_curves_are_gathered_and_read_back(tmp_path):
    for name, lines in (("one", "100,24.1000\n200,24.5000\n"), ("two", "100,23.0000\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "held_out.csv").write_text("step,psnr_db\n" + lines)

    found = curves.gather(tmp_path)
    curves.save(found, tmp_path / curves.NAME)

    assert curves.load(tmp_path / curves.NAME) == found
    assert found["one"] == [(100, 24.1), (200, 24.5)]
    assert b"two" in pictures.curves(found)
    with (tmp_path / curves.NAME).open() as file:
        assert next(csv.reader(file)) == list(curves.HEADER)


def test_the_table_of_trainings_says_where_each_ended_and_what_its_last_tenth_gained():
    table = curves.table(
        {
            "net_seed1": [(90, 25.0), (100, 25.2)],
            "other": [(100, 23.0)],
            "net_seed2": [(90, 25.0), (100, 24.9)],
        }
    )

    assert table.rows == (
        ("net_seed1", "100", "25.200", "+0.200", "+0.050"),
        ("net_seed2", "100", "24.900", "-0.100", "+0.050"),
        ("other", "100", "23.000", "", ""),
    )


def test_no_curve_yet_is_a_clear_error(tmp_path):
    with pytest.raises(ConfigError, match="run `harness study train`"):
        curves.gather(tmp_path)


def test_what_the_last_tenth_of_the_steps_gained():
    assert curves.last_tenth_db([(50, 24.0), (90, 25.0), (100, 25.2)]) == pytest.approx(0.2)
    assert curves.last_tenth_db([(100, 25.2)]) is None
