"""Check how crops are cut, on pictures that the test draws."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness.errors import ConfigError
from harness.training import photos
from harness.training.photos import CropSet, Photograph

PHOTO = Photograph(package="some-package", path="a/photo.png")
CUT = CropSet(name="tiny", held_out=False, crops=3, size_px=32, seed=5, least_texture=0.0)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Return a cache that holds an unpacked package with one picture of 200x160 px."""
    path = tmp_path / PHOTO.package / PHOTO.path
    path.parent.mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (160, 200, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return tmp_path


def test_a_photograph_is_halved(cache):
    assert photos.load(PHOTO, cache=cache).shape == (80, 100, 3)


def test_a_large_photograph_is_brought_down_to_the_long_side(cache):
    Image.new("RGB", (4000, 1000)).save(cache / PHOTO.package / PHOTO.path)

    assert photos.load(PHOTO, cache=cache).shape == (400, photos.LONG_SIDE_PX, 3)


def test_equal_seeds_cut_equal_crops(cache):
    first = photos.make_pairs([PHOTO], cut=CUT, cache=cache)
    second = photos.make_pairs([PHOTO], cut=CUT, cache=cache)
    other = photos.make_pairs([PHOTO], cut=dataclasses.replace(CUT, seed=6), cache=cache)

    np.testing.assert_array_equal(first.blurred, second.blurred)
    assert not np.array_equal(first.blurred, other.blurred)


def test_crops_are_blurred_and_keep_their_titles(cache):
    pairs = photos.make_pairs([PHOTO], cut=CUT, cache=cache)

    assert pairs.blurred.shape == pairs.sharp.shape == (3, 32, 32, 3)
    assert pairs.titles == ("some-package/a/photo.png",) * 3
    for blurred, sharp in zip(pairs.blurred, pairs.sharp, strict=True):
        assert photos.texture(blurred) < photos.texture(sharp)


def test_flat_places_are_passed_over(cache):
    pixels = np.full((400, 400, 3), 128, np.uint8)
    pixels[:, 300:] = np.random.default_rng(0).integers(0, 256, (400, 100, 3))
    Image.fromarray(pixels).save(cache / PHOTO.package / PHOTO.path)

    pairs = photos.make_pairs(
        [PHOTO], cut=dataclasses.replace(CUT, crops=6, least_texture=5.0), cache=cache
    )

    assert all(photos.texture(sharp) > 1.0 for sharp in pairs.sharp)


def test_the_held_out_photographs_are_never_trained_on():
    held_out = {photo.path for photo in photos.PHOTOGRAPHS if photo.held_out}
    trained_on = {photo.path for photo in photos.PHOTOGRAPHS if not photo.held_out}

    assert not held_out & trained_on
    assert len(held_out) * photos.HELD_OUT.crops >= 30


def test_a_package_that_cannot_be_fetched_is_a_clear_error(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(ConfigError, match="cannot fetch the Debian package 'no-such'"):
        photos.fetch("no-such", cache=tmp_path / "cache")
