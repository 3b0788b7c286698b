"""Photographs in tiles."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import roles, tiles
from harness.errors import ModelError
from harness.images import Size


@given(
    width=st.integers(8, 60), height=st.integers(8, 60), overlap=st.integers(0, 3),
    scale=st.integers(1, 2),
)  # fmt: skip
def test_what_is_cut_and_not_changed_is_put_together_as_it_was(
    width: int, height: int, overlap: int, scale: int
) -> None:
    tile = Size(width_px=8, height_px=8)
    whole = np.random.default_rng(0).random((1, height, width, 3)).astype(np.float32)

    size = Size(width_px=width, height_px=height)
    cut = tiles.cut(size, tile, overlap)
    shown = {one: tiles.part(whole, one, tile, size) for one in cut}
    parts = {one: part.repeat(scale, 1).repeat(scale, 2) for one, part in shown.items()}

    assert all(part.shape == (1, 8 * scale, 8 * scale, 3) for part in parts.values())
    expected = whole.repeat(scale, 1).repeat(scale, 2)
    np.testing.assert_array_equal(tiles.joined(parts, tile), expected)


def test_a_plane_of_half_the_size_with_its_channels_first_is_cut_beside_its_photograph() -> None:
    size, tile = Size(width_px=24, height_px=16), Size(width_px=12, height_px=8)
    plane = np.random.default_rng(0).random((1, 2, 8, 12)).astype(np.float32)
    first = roles.axes_of(roles.Layout.NCHW)

    cut = tiles.cut(size, tile, 4)
    parts = {one: tiles.part(plane, one, tile, size, first) for one in cut}

    assert {part.shape for part in parts.values()} == {(1, 2, 4, 6)}
    np.testing.assert_array_equal(tiles.joined(parts, tile, first), plane)


def test_a_tile_that_begins_within_a_pixel_of_another_input_is_refused() -> None:
    size, tile = Size(width_px=24, height_px=16), Size(width_px=12, height_px=8)
    plane = np.zeros((1, 8, 12, 2), np.float32)

    cut = tiles.cut(size, tile, 1)

    with pytest.raises(ModelError, match="multiples of 2"):
        _ = [tiles.part(plane, one, tile, size) for one in cut]


def test_errors_where_tiles_meet_are_told_from_others() -> None:
    size = Size(width_px=16, height_px=8)
    cut = tiles.cut(size, Size(width_px=8, height_px=8), 0)
    right = np.full((1, 8, 16, 3), 0.5, np.float32)
    wrong = right.copy()
    wrong[:, :, 7:9] += 0.1
    wrong[:, :, :2] += 0.001

    found = tiles.seam(wrong, right, cut, photograph=size, output_range=(0.0, 1.0))

    assert found.seam_psnr_db == pytest.approx(10 * np.log10(1 / (0.01 / 2)), abs=0.01)
    assert found.drop_db > 30.0


def test_a_photograph_smaller_than_a_tile_is_refused() -> None:
    with pytest.raises(ModelError, match="smaller than its tiles"):
        tiles.cut(Size(width_px=4, height_px=8), Size(width_px=8, height_px=8), 0)
