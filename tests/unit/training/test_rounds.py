"""Check the study's trainings: which there are, and whose turn it is."""

import collections
import dataclasses

import numpy as np
import pytest

pytest.importorskip("keras")

import keras

from harness.errors import ConfigError
from harness.training import photos, rounds
from harness.training.rounds import Training
from harness.training.train import Recipe
from harness.zoo import designs
from tests.keras_warnings import ARRAY_COPY

pytestmark = [pytest.mark.train, ARRAY_COPY]

RECIPE = Recipe(steps=10, batch=2, patch_px=8, log_every_steps=2, checkpoint_every_steps=2)
TWO = tuple(Training(name=name, design="tiny", recipe=RECIPE) for name in ("first", "second"))


def _at(folder, training, step):
    path = folder / training.name / "checkpoint.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, step=np.int64(step))


def test_architectures_are_trained_with_three_seeds_and_upsamplings_with_two():
    plan = rounds.plan()

    seeds = collections.defaultdict(list)
    for one in plan[1:]:
        seeds[one.design].append(one.recipe.seed)
    architectures = {
        "unet_resize_bilinear_prelu", "deblur_edsr", "deblur_fpn", "deblur_rdn", "deblur_dbpn",
        "deblur_sgn",
    }  # fmt: skip
    assert len(seeds) == 11
    assert all(
        numbers == ([1, 2, 3] if design in architectures else [1, 2])
        for design, numbers in seeds.items()
    )
    assert plan[0].design == "deblur_unet"
    assert {(one.recipe.steps, one.recipe.patch_px, one.recipe.batch) for one in plan[1:]} == {
        (12_000, 96, 1)
    }
    assert len({one.name for one in plan}) == len(plan)


def test_the_training_that_is_furthest_behind_has_its_turn(tmp_path):
    _at(tmp_path, TWO[0], 4)
    turns = rounds.turns(TWO, folder=tmp_path, slice_steps=4)

    seen = []
    for training, end in turns:
        seen.append((training.name, end))
        _at(tmp_path, training, end)

    assert seen == [
        ("second", 4), ("first", 8), ("second", 8), ("first", 10), ("second", 10),
    ]  # fmt: skip


def test_a_turn_that_was_cut_is_finished_first(tmp_path):
    _at(tmp_path, TWO[0], 8)
    _at(tmp_path, TWO[1], 6)

    assert next(rounds.turns(TWO, folder=tmp_path, slice_steps=4)) == (TWO[1], 8)


def test_a_training_in_other_hands_is_passed_over(tmp_path):
    first = rounds.turns(TWO, folder=tmp_path, slice_steps=10)
    second = rounds.turns(TWO, folder=tmp_path, slice_steps=10)

    assert [next(first), next(second)] == [(TWO[0], 10), (TWO[1], 10)]
    _at(tmp_path, TWO[1], 10)
    assert next(second, None) is None  # the one that is left is still in the first one's hands
    assert next(first, None) == (TWO[0], 10)  # which was cut before it did anything
    first.close()
    assert next(rounds.turns(TWO, folder=tmp_path, slice_steps=10)) == (TWO[0], 10)


def test_a_slice_of_nothing_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="at least 1"):
        next(rounds.turns(TWO, folder=tmp_path, slice_steps=0))


def test_rounds_leave_weights_and_curves_of_every_training(tmp_path, monkeypatch):
    def tiny() -> keras.Model:
        image = keras.Input((None, None, 3))
        return keras.Model(image, keras.layers.Conv2D(3, 3, padding="same")(image))

    rng = np.random.default_rng(0)
    sharp = rng.integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
    pairs = photos.CropPairs(blurred=np.roll(sharp, 1, axis=2), sharp=sharp, titles=("a", "b", "c"))
    monkeypatch.setattr(photos, "cached_pairs", lambda cut, cache: pairs)
    monkeypatch.setattr(photos, "package_versions", lambda cache: {"photos": "1"})
    monkeypatch.setitem(designs.DESIGNS, "tiny", tiny)
    told = []
    short = dataclasses.replace(RECIPE, steps=4)

    rounds.go_on(
        [dataclasses.replace(one, recipe=short) for one in TWO],
        folder=tmp_path,
        golden=tmp_path,
        cache=tmp_path,
        slice_steps=2,
        tell=told.append,
        progress=False,
    )

    assert [line.split(" of ")[0] for line in told[::2]] == [
        "first: to step 2", "second: to step 2", "first: to step 4", "second: to step 4",
    ]  # fmt: skip
    (tmp_path / "first" / "checkpoint.npz").unlink()
    (tmp_path / "first" / "data.txt").write_text("other\n")
    with pytest.raises(ConfigError, match="first was trained on other photographs"):
        rounds.go_on(
            [dataclasses.replace(TWO[0], recipe=short)],
            folder=tmp_path,
            golden=tmp_path,
            cache=tmp_path,
            slice_steps=2,
            tell=told.append,
            progress=False,
        )
    for name in ("first", "second"):
        assert (tmp_path / name / "weights.npz").is_file()
        curve = (tmp_path / name / "held_out.csv").read_text().splitlines()
        assert [line.split(",")[0] for line in curve] == ["step", "2", "4"]
