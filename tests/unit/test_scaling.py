"""Tests of how latency grows with size."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import scaling
from harness.errors import MeasurementError
from harness.evidence import Evidence, Provenance
from harness.images import Size
from harness.scaling import Point, Scaling

MADE = Provenance(evidence=Evidence.PHONE, device="d", variant_sha256="")
SIZES = ("256x256", "512x288", "768x432", "1024x576", "1280x720")


def point(size: str, ms: float, **known: float) -> Point:
    placed = {"partitions": 1, "cpu_ops": 0} | known
    return Point(size=Size.parse(size), ms=ms, **placed)  # type: ignore[arg-type]


def describe(*points: Point) -> Scaling:
    return scaling.describe(points, provenance=MADE)


@given(exponent=st.floats(0.2, 3.0), factor=st.floats(0.1, 100.0))
def test_a_power_law_has_its_own_exponent(exponent: float, factor: float) -> None:
    points = [point(s, factor * Size.parse(s).megapixels ** exponent) for s in SIZES]

    assert describe(*points).exponent == pytest.approx(exponent, rel=1e-6)


def test_points_are_put_in_order_of_pixels() -> None:
    found = describe(*(point(s, Size.parse(s).megapixels) for s in reversed(SIZES)))

    assert tuple(str(p.size) for p in found.points) == SIZES


def test_a_cliff_is_the_step_whose_cost_per_pixel_jumps_most() -> None:
    linear = {s: 100 * Size.parse(s).megapixels for s in SIZES}
    linear["1024x576"] *= 3
    linear["1280x720"] *= 3

    step = describe(*(point(s, ms) for s, ms in linear.items())).worst_step

    assert (str(step.below), str(step.above)) == ("768x432", "1024x576")
    assert step.ratio == pytest.approx(3.0)
    assert step.cause == ""


def test_a_cliff_names_what_changed_with_it() -> None:
    found = describe(
        point("256x256", 10.0, spill_mib=0.5), point("512x512", 90.0, spill_mib=2.0, cpu_ops=3)
    )

    assert "placement 0 CPU ops in 1 partition -> 3 CPU ops in 1 partition" in (
        found.worst_step.cause
    )
    assert "spill 0.5 -> 2.0 MiB" in found.worst_step.cause


def test_a_cliff_where_kernels_outgrow_the_chip_says_so() -> None:
    found = describe(
        point("256x256", 10.0, off_chip_share=0.05), point("512x512", 90.0, off_chip_share=0.8)
    )

    assert found.worst_step.cause == ("working set beyond on-chip memory: 5% -> 80% of the time")


def test_each_change_of_placement_is_listed_with_its_size() -> None:
    found = describe(
        point("256x256", 1.0), point("512x288", 2.0, cpu_ops=1, partitions=3), point("768x432", 4.0)
    )

    assert len(found.placement_changes) == 2
    assert found.placement_changes[0].startswith("512x288: 0 CPU ops in 1 partition -> 1 CPU op ")


@pytest.mark.parametrize(
    "points",
    [
        [],
        [point("256x256", 1.0)],
        [point("256x256", 1.0), point("256x256", 2.0)],
        [point("256x256", 1.0), point("512x512", 0.0)],
        [point("256x256", 1.0), point("512x512", -1.0)],
        [point("256x256", 1.0), point("512x512", float("nan"))],
        [point("256x256", 1.0), point("512x512", float("inf"))],
    ],
    ids=["none", "one", "one size twice", "zero", "negative", "nan", "inf"],
)
def test_points_that_say_nothing_about_growth_are_void(points: list[Point]) -> None:
    with pytest.raises(MeasurementError):
        describe(*points)


def test_two_sizes_of_equal_pixels_beside_a_third_are_fine() -> None:
    found = describe(point("256x512", 1.0), point("512x256", 1.0), point("512x512", 2.0))

    assert found.exponent == pytest.approx(1.0)
