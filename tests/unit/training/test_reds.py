"""Check the REDS reader on a tiny tree of the real shape."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness.errors import ConfigError
from harness.training import reds


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write 2 training and 2 validation clips of 20 frames of 24x16 px."""
    for split in ("train", "val"):
        for clip in range(2):
            for frame in range(20):
                for kind, value in (("blur", 100), ("sharp", 200)):
                    path = tmp_path / split / f"{split}_{kind}" / f"{clip:03}" / f"{frame:08}.png"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    pixels = np.full((16, 24, 3), value + clip * 20 + frame, np.uint8)
                    Image.fromarray(pixels).save(path)
    return tmp_path


def test_every_training_frame_has_its_sharp_target(folder):
    frames = reds.training_frames(folder)

    assert len(frames) == 40
    blurred, sharp = frames[23].read()
    assert blurred[0, 0, 0] == 123
    assert sharp[0, 0, 0] == 223


def test_every_tenth_validation_frame_of_each_clip_is_used(folder):
    names = [
        f"{pair.blurred.parent.name}/{pair.blurred.stem}" for pair in reds.validation_frames(folder)
    ]

    assert names == ["000/00000000", "000/00000010", "001/00000000", "001/00000010"]


def test_the_real_counts_give_300_validation_images():
    clips, frames_of_a_clip = 30, 100

    assert clips * len(range(0, frames_of_a_clip, reds.VALIDATION_STEP)) == 300


def test_an_epoch_draws_15_patches_of_every_frame(folder):
    frames = reds.training_frames(folder)
    batches = reds.RedsBatches(frames, batch=20, patch_px=8, seed=1)

    drawn: list[int] = []
    for step in range(batches.steps_per_epoch):
        blurred, _ = batches.batch(step)
        drawn += np.rint(blurred[:, 0, 0, 0] * 255).astype(int).tolist()

    assert batches.steps_per_epoch == 40 * 15 // 20
    values, counts = np.unique(drawn, return_counts=True)
    assert len(values) == 40
    assert set(counts.tolist()) == {15}


def test_a_batch_depends_on_seed_and_step_alone(folder):
    frames = reds.training_frames(folder)
    first = reds.RedsBatches(frames, batch=4, patch_px=8, seed=1)
    second = reds.RedsBatches(frames, batch=4, patch_px=8, seed=1)
    second.batch(0)

    np.testing.assert_array_equal(first.batch(5)[0], second.batch(5)[0])


def test_a_blurred_frame_without_its_target_is_an_error(folder):
    (folder / "train" / "train_sharp" / "001" / "00000003.png").unlink()

    with pytest.raises(ConfigError, match="has no sharp target"):
        reds.training_frames(folder)


def test_a_missing_folder_is_an_error_that_names_the_archive(tmp_path):
    with pytest.raises(ConfigError, match=r"unpack train_blur\.zip"):
        reds.training_frames(tmp_path)
