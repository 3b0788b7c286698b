"""Check how golden frames are cut, and that the committed ones have their sources."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness.errors import ConfigError
from harness.training import frames

FRAMES = Path(__file__).parents[3] / "golden" / "deblur_unet" / "frames"


def test_a_frame_is_cut_where_the_table_says():
    picture = np.random.default_rng(0).integers(0, 256, (400, 500, 3), dtype=np.uint8)
    cut = dataclasses.replace(frames.CUTS[0], top_px=40, left_px=50)

    blurred, sharp = frames.cut_frame(cut, picture)

    np.testing.assert_array_equal(sharp, picture[40:296, 50:306])
    assert blurred.shape == sharp.shape


def test_a_frame_outside_its_photograph_is_refused():
    with pytest.raises(ConfigError, match="leaves the photograph"):
        frames.cut_frame(frames.CUTS[0], np.zeros((260, 260, 3), np.uint8))


@pytest.mark.parametrize("cut", frames.CUTS, ids=lambda cut: cut.name)
def test_a_committed_frame_has_its_size_and_its_source(cut):
    for kind in ("blurred", "sharp"):
        with Image.open(FRAMES / f"{cut.name}.{kind}.png") as picture:
            assert picture.size == (cut.width_px, cut.height_px)
            assert picture.mode == "RGB"
    assert f"`{cut.name}`" in (FRAMES / "SOURCES.md").read_text()
