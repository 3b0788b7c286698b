"""Check how crops are cut, on pictures that the test draws."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness.errors import ConfigError
from harness.training import photos
from harness.training.photos import CropSet, Photograph, PhotoUse, Pixels

PHOTO = Photograph(package="some-package", path="a/photo.png")
CUT = CropSet(name="tiny", use=PhotoUse.TRAINING, crops=3, size_px=32, seed=5, least_texture=0.0)


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


def test_a_photograph_that_its_author_has_reduced_keeps_three_quarters(cache):
    reduced = dataclasses.replace(PHOTO, pixels=Pixels.REDUCED)

    assert photos.load(reduced, cache=cache).shape == (120, 150, 3)


def test_at_least_40_photographs_are_held_out_several_times_and_none_is_trained_on():
    titles = [photo.title for photo in photos.PHOTOGRAPHS]
    held_out = [photo for photo in photos.PHOTOGRAPHS if photo.use is PhotoUse.HELD_OUT]

    assert len(set(titles)) == len(titles)
    assert len(held_out) >= 40
    assert photos.HELD_OUT.crops > 1


def test_every_photograph_names_its_licence():
    assert all(photo.licence for photo in photos.PHOTOGRAPHS)


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_held_out_copy_of_a_training_photograph_is_refused(mirrored, cache):
    picture = _scene(seed=3)
    other = picture[:, ::-1] if mirrored else picture
    copy = dataclasses.replace(PHOTO, path="a/copy.jpg", use=PhotoUse.HELD_OUT)
    Image.fromarray(picture).save(cache / PHOTO.package / PHOTO.path)
    smaller = Image.fromarray(other).resize((300, 200))
    smaller.save(cache / copy.package / copy.path, quality=60)

    with pytest.raises(ConfigError, match=r"held-out some-package/a/copy\.jpg is nearly"):
        photos.refuse_near_duplicates([PHOTO, copy], cache=cache)


def test_another_scene_is_no_near_duplicate(cache):
    held_out = dataclasses.replace(PHOTO, path="a/other.png", use=PhotoUse.HELD_OUT)
    for photo, seed in ((PHOTO, 3), (held_out, 4)):
        Image.fromarray(_scene(seed=seed)).save(cache / photo.package / photo.path)

    found = photos.nearest([PHOTO, held_out], cache=cache)

    assert [one.training for one in found] == [PHOTO]
    assert found[0].bits > photos.NEAR_DUPLICATE_BITS


def _scene(*, seed: int) -> np.ndarray:
    """Draw soft blobs with fine grain on top, as a photograph has both."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (8, 12, 3), dtype=np.uint8))
    soft = np.asarray(coarse.resize((600, 400), Image.Resampling.BICUBIC), dtype=np.int16)
    return np.clip(soft + rng.integers(-8, 9, soft.shape), 0, 255).astype(np.uint8)


def test_a_package_that_cannot_be_fetched_is_a_clear_error(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(ConfigError, match="cannot fetch the Debian package 'no-such'"):
        photos.fetch("no-such", cache=tmp_path / "cache")
