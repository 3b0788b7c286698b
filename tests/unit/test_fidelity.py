"""Tests of the distance between images."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from harness import fidelity
from harness.errors import BlessedDataError, ModelError
from harness.fidelity import compare
from harness.images import Pixels


def flat(value: float, height: int = 64, width: int = 96) -> Pixels:
    return np.full((1, height, width, 3), value, np.float32)


images_of = hnp.arrays(
    np.float32,
    st.tuples(st.just(1), st.integers(1, 70), st.integers(1, 70), st.just(3)),
    elements=st.floats(0, 1, width=32),
    fill=st.floats(0, 1, width=32),
)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Pixels, Pixels]:
    first = draw(images_of)
    noise = draw(hnp.arrays(np.float32, first.shape, elements=st.floats(0, 1, width=32)))
    return first, noise


@pytest.mark.parametrize("offset", [0.5, 0.25, 0.125, 1 / 1024])
def test_a_constant_offset_has_the_psnr_of_its_closed_form(offset: float) -> None:
    match = compare(flat(0.25 + offset), flat(0.25))

    assert match.psnr_db == pytest.approx(-20 * math.log10(offset), abs=1e-9)
    assert match.worst_tile_psnr_db == pytest.approx(match.psnr_db)
    assert match.max_error == offset
    assert match.relative_l2 == pytest.approx(offset / 0.25)


@pytest.mark.parametrize("output_range", [(-1.0, 1.0), (0.0, 255.0)])
def test_a_range_changes_no_figure_of_images_that_look_alike(
    output_range: tuple[float, float],
) -> None:
    low, high = output_range
    rng = np.random.default_rng(2)
    wanted, got = (rng.random((1, 40, 70, 3)).astype(np.float32) for _ in range(2))

    plain = compare(got, wanted)
    ranged = fidelity.compare(
        got * (high - low) + low,
        wanted * (high - low) + low,
        output_range=output_range,
    )

    assert ranged.psnr_db == pytest.approx(plain.psnr_db, abs=1e-4)
    assert ranged.relative_l2 == pytest.approx(plain.relative_l2, rel=1e-5)
    assert ranged.worst_tile_psnr_db == pytest.approx(plain.worst_tile_psnr_db, abs=1e-4)


def test_values_beyond_a_small_overshoot_are_counted() -> None:
    output = flat(0.5, 10, 10)
    output[0, 0, :, 0] = [-0.06, -0.04, 0, 1, 1.04, 1.06, 9, -9, np.nan, np.inf]

    match = compare(output, flat(0.5, 10, 10))

    assert match.out_of_range_share == pytest.approx(4 / 300)
    assert match.non_finite_values == 2


def test_uniform_noise_has_the_psnr_of_its_variance() -> None:
    noise = np.random.default_rng(3).uniform(-0.1, 0.1, (1, 512, 512, 3)).astype(np.float32)

    match = compare(flat(0.5, 512, 512) + noise, flat(0.5, 512, 512))

    assert match.psnr_db == pytest.approx(10 * math.log10(3 / 0.1**2), abs=0.02)


def test_equal_images_are_at_the_ceiling() -> None:
    match = compare(flat(0.3), flat(0.3))

    assert match.psnr_db == match.worst_tile_psnr_db == fidelity.PSNR_CEILING_DB
    assert match.relative_l2 == match.max_error == 0.0
    assert match.non_finite_values == 0


def test_one_bad_tile_shows_in_the_worst_tile_with_its_place() -> None:
    output = flat(0.5, 96, 128)
    output[0, 32:64, 64:96] = 1.0

    match = compare(output, flat(0.5, 96, 128))

    assert match.worst_tile_psnr_db == pytest.approx(20 * math.log10(2))
    assert match.worst_tile_px == (64, 32)
    assert match.psnr_db == pytest.approx(20 * math.log10(2) + 10 * math.log10(12))


def test_a_narrow_edge_tile_is_judged_by_its_own_pixels() -> None:
    output = flat(0.5, 64, 65)
    output[0, :32, 64:] = 1.0

    match = compare(output, flat(0.5, 64, 65))

    assert match.worst_tile_px == (64, 0)
    assert match.worst_tile_psnr_db == pytest.approx(20 * math.log10(2))


def test_values_outside_the_display_range_are_compared_as_they_would_be_shown() -> None:
    match = compare(flat(7.0), flat(1.0))

    assert match.psnr_db == fidelity.PSNR_CEILING_DB


def test_black_differs_infinitely_from_black_in_relative_terms() -> None:
    assert compare(flat(0.1), flat(0.0)).relative_l2 == math.inf
    assert compare(flat(0.0), flat(0.0)).relative_l2 == 0.0


def test_images_of_different_shapes_are_not_compared() -> None:
    with pytest.raises(ModelError, match="bless the subject again"):
        compare(flat(0.5, 64, 64), flat(0.5, 64, 96))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_reference_that_is_not_finite_is_an_error(bad: float) -> None:
    reference = flat(0.5)
    reference[0, 0, 0, 0] = bad

    with pytest.raises(BlessedDataError, match="non-finite"):
        compare(flat(0.5), reference)


@given(
    pair=pairs(),
    bad=st.sampled_from([np.nan, np.inf, -np.inf]),
    places=st.lists(st.integers(0, 10**6), min_size=1, max_size=9),
)
def test_values_that_are_not_finite_are_counted_and_never_flatter(
    pair: tuple[Pixels, Pixels], bad: float, places: list[int]
) -> None:
    output, reference = pair
    finite = compare(output, reference)
    broken = output.copy()
    spots = {place % broken.size for place in places}
    broken.reshape(-1)[list(spots)] = bad

    match = compare(broken, reference)

    assert match.non_finite_values == len(spots)
    assert match.psnr_db <= finite.psnr_db
    assert match.worst_tile_psnr_db <= finite.worst_tile_psnr_db
    assert match.relative_l2 >= finite.relative_l2
    assert match.max_error >= max(finite.max_error, 0.5)


@given(pair=pairs())
def test_error_is_symmetric(pair: tuple[Pixels, Pixels]) -> None:
    there, back = compare(*pair), compare(*reversed(pair))

    assert there.psnr_db == back.psnr_db
    assert there.worst_tile_psnr_db == back.worst_tile_psnr_db
    assert there.max_error == back.max_error


@given(pair=pairs())
def test_the_worst_tile_is_never_better_than_the_whole(pair: tuple[Pixels, Pixels]) -> None:
    match = compare(*pair)

    assert match.worst_tile_psnr_db <= match.psnr_db + 1e-9


@given(pair=pairs(), columns=st.integers(0, 70), rows=st.integers(0, 70))
def test_moving_both_images_alike_keeps_the_error(
    pair: tuple[Pixels, Pixels], columns: int, rows: int
) -> None:
    still = compare(*pair)
    moved = compare(*(np.roll(image, (rows, columns), (1, 2)) for image in pair))

    assert moved.psnr_db == pytest.approx(still.psnr_db)
    assert moved.relative_l2 == pytest.approx(still.relative_l2)
    assert moved.max_error == still.max_error


@given(pair=pairs(), share=st.floats(0.1, 0.9))
def test_moving_towards_the_reference_never_worsens_the_psnr(
    pair: tuple[Pixels, Pixels], share: float
) -> None:
    output, reference = pair
    nearer = (reference + np.float32(share) * (output - reference)).astype(np.float32)

    assert compare(nearer, reference).psnr_db >= compare(output, reference).psnr_db - 1e-3


@given(low=st.floats(0, 1), high=st.floats(0, 1))
def test_psnr_falls_as_the_error_grows(low: float, high: float) -> None:
    low, high = sorted((low, high))

    assert fidelity.psnr_db(low) >= fidelity.psnr_db(high) >= 0.0


def test_the_psnr_of_two_images_is_that_of_the_clipped_output():
    target = np.zeros((1, 4, 4, 3), np.float32)

    assert fidelity.image_psnr_db(target + 0.1, target) == pytest.approx(20.0, abs=1e-4)
    assert fidelity.image_psnr_db(target + 1.5, target) == pytest.approx(0.0)
