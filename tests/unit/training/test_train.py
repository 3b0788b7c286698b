"""Check training on a network of two layers: it learns, and it resumes bit for bit."""

import csv
import dataclasses
import re

import numpy as np
import pytest

pytest.importorskip("keras")

import keras

from harness.errors import ConfigError
from harness.training import checkpoint, train
from harness.training.batches import Batch
from harness.training.train import Recipe
from tests.keras_warnings import ARRAY_COPY

pytestmark = [pytest.mark.train, ARRAY_COPY]

RECIPE = Recipe(
    steps=12, batch=2, patch_px=8, learning_rate=0.02, log_every_steps=2, checkpoint_every_steps=4
)


class HalvedNoise:
    """Answer noise, and the same noise halved as its target."""

    def batch(self, step: int) -> Batch:
        blurred = np.random.default_rng([1, step]).random((2, 8, 8, 3), dtype=np.float32)
        return blurred, blurred * np.float32(0.5)


def _tiny() -> keras.Model:
    image = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(4, 3, padding="same")(image)
    return keras.Model(image, keras.layers.Conv2D(3, 3, padding="same")(x))


def _run(folder, recipe=RECIPE, stop_after=None):
    return train.train(
        _tiny, HalvedNoise(), recipe=recipe, folder=folder, stop_after=stop_after, progress=False
    )


def test_training_lowers_the_loss_and_logs_it(tmp_path):
    _run(tmp_path, dataclasses.replace(RECIPE, steps=60))

    with (tmp_path / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == list(range(2, 61, 2))
    assert float(rows[-1]["l1"]) < 0.5 * float(rows[0]["l1"])
    assert float(rows[-1]["psnr_db"]) > float(rows[0]["psnr_db"])


def test_a_killed_training_continues_bit_for_bit(tmp_path):
    whole = _run(tmp_path / "whole")
    _run(tmp_path / "killed", stop_after=8)
    log = tmp_path / "killed" / "log.csv"
    log.write_text(log.read_text() + "10,0.5,1.0\n")  # logged, then killed

    resumed = _run(tmp_path / "killed")

    assert resumed.first_step == 8
    for one, other in zip(
        [*whole.model.variables, *whole.model.optimizer.variables],
        [*resumed.model.variables, *resumed.model.optimizer.variables],
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)
    assert (tmp_path / "killed/log.csv").read_text() == (tmp_path / "whole/log.csv").read_text()


def test_progress_shows_loss_psnr_speed_and_time_left_before_the_first_line_of_the_log(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("FORCE_COLOR", "1")  # as a terminal would be
    monkeypatch.setenv("COLUMNS", "120")
    recipe = dataclasses.replace(RECIPE, log_every_steps=12, checkpoint_every_steps=12)

    train.train(_tiny, HalvedNoise(), recipe=recipe, folder=tmp_path, stop_after=3)

    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", capsys.readouterr().out)
    assert re.search(r"step 3/12 .* L1 0\.\d+ +PSNR \d+\.\d+ dB \d+\.\d steps/s left \d", shown)
    assert (tmp_path / "log.csv").read_text() == "step,l1,psnr_db\n"


def test_held_out_frames_are_asked_at_each_checkpoint_and_after_a_cut_the_curve_goes_on(tmp_path):
    curve = tmp_path / "held_out.csv"
    steps = iter([30.0, 31.0, 32.0])

    def validate(model: keras.Model) -> float:
        return next(steps)

    for stop_after in (8, None):
        train.train(
            _tiny,
            HalvedNoise(),
            recipe=RECIPE,
            folder=tmp_path,
            validate=validate,
            stop_after=stop_after,
            progress=False,
        )

    assert curve.read_text() == "step,psnr_db\n4,30.0000\n8,31.0000\n12,32.0000\n"


def test_a_folder_of_another_recipe_is_refused(tmp_path):
    _run(tmp_path, stop_after=4)

    with pytest.raises(ConfigError, match="other learning_rate, seed"):
        _run(tmp_path, dataclasses.replace(RECIPE, seed=9, learning_rate=0.5))


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    _run(tmp_path, stop_after=4)
    image = keras.Input((None, None, 3))
    other = keras.Model(image, keras.layers.Conv2D(3, 3, padding="same")(image))
    other.compile(optimizer="adam", loss="mae")

    with pytest.raises(ConfigError, match="variables of another network"):
        checkpoint.restore(other, tmp_path / "checkpoint.npz")


def test_weights_come_back_as_they_were_saved_in_equal_bytes(tmp_path):
    model, other = _tiny(), _tiny()
    other_names = {layer.name for layer in other.layers}
    clone = keras.models.clone_model(model)

    checkpoint.save_weights(model, tmp_path / "a.npz")
    checkpoint.load_weights(clone, tmp_path / "a.npz")
    checkpoint.save_weights(clone, tmp_path / "b.npz")

    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert other_names != {layer.name for layer in model.layers}
    with pytest.raises(ConfigError, match="weights of another design"):
        checkpoint.load_weights(other, tmp_path / "a.npz")


def test_the_paper_recipe_is_the_papers():
    paper = train.paper()

    assert (paper.steps, paper.batch, paper.patch_px) == (1_000_000, 16, 256)
    assert paper.rate_at(0) == 2e-4
    assert paper.rate_at(4_999) == 2e-4
    assert paper.rate_at(5_000) == pytest.approx(2e-4 * 0.98)


def test_the_small_recipe_lets_the_rate_fall_about_50_fold():
    recipe = train.small(steps=20_000)

    assert recipe.rate_at(0) / recipe.rate_at(19_999) == pytest.approx(50.0, rel=0.05)


@pytest.mark.parametrize("steps", [12_000, 100_000])
def test_the_study_trains_on_a_patch_of_96_px_a_step_and_keeps_ten_checkpoints(steps):
    recipe = train.study(steps=steps, seed=2)

    assert (recipe.patch_px, recipe.batch, recipe.seed) == (96, 1, 2)
    assert recipe.steps == 10 * recipe.checkpoint_every_steps == steps
    assert recipe.rate_at(0) / recipe.rate_at(steps - 1) == pytest.approx(50.0, rel=0.05)


def test_checkpoints_between_log_lines_are_refused():
    with pytest.raises(ConfigError, match="must be a multiple"):
        Recipe(log_every_steps=100, checkpoint_every_steps=150)


def test_mixed_precision_keeps_float32_weights(tmp_path):
    trained = _run(tmp_path, dataclasses.replace(RECIPE, mixed_precision=True), stop_after=2)

    assert trained.model.layers[1].compute_dtype == "float16"
    assert {variable.dtype for variable in trained.model.weights} == {"float32"}
    assert keras.config.dtype_policy().name == "float32"
