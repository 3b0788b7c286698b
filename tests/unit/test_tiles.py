"""Photographs in tiles."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import tiles
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

    cut = tiles.cut(Size(width_px=width, height_px=height), tile, overlap)
    parts = {one: tiles.part(whole, one, tile).repeat(scale, 1).repeat(scale, 2) for one in cut}

    assert all(part.shape == (1, 8 * scale, 8 * scale, 3) for part in parts.values())
    expected = whole.repeat(scale, 1).repeat(scale, 2)
    np.testing.assert_array_equal(tiles.joined(parts, scale), expected)


def test_errors_where_tiles_meet_are_told_from_others() -> None:
    cut = tiles.cut(Size(width_px=16, height_px=8), Size(width_px=8, height_px=8), 0)
    right = np.full((1, 8, 16, 3), 0.5, np.float32)
    wrong = right.copy()
    wrong[:, :, 7:9] += 0.1
    wrong[:, :, :2] += 0.001

    found = tiles.seam(wrong, right, cut, scale=1, output_range=(0.0, 1.0))

    assert found.seam_psnr_db == pytest.approx(10 * np.log10(1 / (0.01 / 2)), abs=0.01)
    assert found.drop_db > 30.0


def test_a_photograph_smaller_than_a_tile_is_refused() -> None:
    with pytest.raises(ModelError, match="smaller than its tiles"):
        tiles.cut(Size(width_px=4, height_px=8), Size(width_px=8, height_px=8), 0)
