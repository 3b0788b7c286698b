"""Train a design of the zoo by name: what `harness train` does."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from harness.errors import ConfigError
from harness.fidelity import image_psnr_db
from harness.training import photos, reds
from harness.training.batches import Batches, PairBatches, to_float
from harness.training.blur import GREATEST_EXTENT_PX, LEAST_EXTENT_PX
from harness.training.checkpoint import load_weights, save_weights
from harness.training.train import Recipe, Trained, restored_psnr_db, train
from harness.zoo.designs import DESIGNS, Build


def design(name: str, *, known: Mapping[str, Build] = DESIGNS) -> Build:
    """Return the builder of a design.

    Args:
        name: Name of the design.
        known: The designs of one size.

    Raises:
        ConfigError: There is no such design in that size.
    """
    if name not in known:
        raise ConfigError(f"no design {name!r} in this size; known: {', '.join(sorted(known))}")
    return known[name]


def batches_for(recipe: Recipe, *, cache: Path, reds_folder: Path | None = None) -> Batches:
    """Return where a training's patches come from: REDS, or shaken photographs.

    Args:
        recipe: Batch, patch size and seed.
        cache: Where photographs and their crops are kept.
        reds_folder: Where REDS lies unpacked, or None for photographs.

    Raises:
        ConfigError: REDS is not there, or the photographs cannot be fetched.
    """
    if reds_folder is not None:
        frames = reds.training_frames(reds_folder)
        return reds.RedsBatches(
            frames, batch=recipe.batch, patch_px=recipe.patch_px, seed=recipe.seed
        )
    if recipe.patch_px > photos.TRAINING.size_px:
        raise ConfigError(
            f"patches of {recipe.patch_px} px do not fit the photographs' crops of "
            f"{photos.TRAINING.size_px} px; use the small preset or a REDS folder"
        )
    pairs = photos.cached_pairs(photos.TRAINING, cache=cache)
    return PairBatches(pairs, batch=recipe.batch, patch_px=recipe.patch_px, seed=recipe.seed)


def train_subject(
    name: str,
    *,
    recipe: Recipe,
    folder: Path,
    cache: Path,
    reds_folder: Path | None = None,
    start_from: Path | None = None,
    validates: bool = False,
    stop_after: int | None = None,
    designs: Mapping[str, Build] = DESIGNS,
    progress: bool = True,
) -> Trained:
    """Train one design, or go on where its folder's checkpoint ends.

    Args:
        name: Name of the design.
        recipe: How to train.
        folder: Where checkpoints and the log are.
        cache: Where photographs and their crops are kept.
        reds_folder: Where REDS lies unpacked, or None for photographs.
        start_from: Weights to start from in place of random ones.
        validates: Whether to write the mean PSNR of the held-out photographs at each checkpoint.
        stop_after: Return after this step instead of the recipe's last.
        designs: The designs of the size to train.
        progress: Whether to draw a progress line.

    Raises:
        ConfigError: No such design, no data, or the folder holds another training.
    """
    build = design(name, known=designs)

    def started() -> keras.Model:
        model = build()
        if start_from is not None:
            load_weights(model, start_from)
        return model

    return train(
        started,
        batches_for(recipe, cache=cache, reds_folder=reds_folder),
        recipe=recipe,
        folder=folder,
        validate=held_out_validation(cache=cache) if validates else None,
        stop_after=stop_after,
        progress=progress,
    )


def held_out_validation(*, cache: Path) -> Callable[[keras.Model], float]:
    """Return what asks a network for its mean PSNR in dB on the held-out frames."""
    pairs = photos.cached_pairs(photos.HELD_OUT, cache=cache)

    def validate(model: keras.Model) -> float:
        return float(np.mean(restored_psnr_db(lambda frame: model.predict_on_batch(frame), pairs)))

    return validate


def held_out_psnr_db(*, cache: Path) -> float:
    """Return the mean PSNR of the held-out frames as they are: blurred, against sharp."""
    pairs = photos.cached_pairs(photos.HELD_OUT, cache=cache)
    return float(np.mean(restored_psnr_db(lambda frame: frame, pairs)))


def facts(
    recipe: Recipe, *, command: str, cache: Path, reds_folder: Path | None = None
) -> dict[str, Any]:
    """Return what a reader needs to train the same again, without paths of this machine.

    Args:
        recipe: How it was trained.
        command: The command that did.
        cache: Where photographs and their crops are kept.
        reds_folder: Not None if REDS was trained on.
    """
    known = {"command": command, "recipe": dataclasses.asdict(recipe)}
    if reds_folder is not None:
        return {**known, "data_set": "REDS"}
    return {
        **known,
        "data_packages": photos.package_versions(cache=cache),
        "blur_extent_px": [LEAST_EXTENT_PX, GREATEST_EXTENT_PX],
        "held_out_blurred_psnr_db": round(held_out_psnr_db(cache=cache), 4),
    }


def validate_on_reds(model: keras.Model, reds_folder: Path) -> dict[str, Any]:
    """Return the mean PSNR of every tenth REDS validation frame, blurred and restored, in dB.

    Raises:
        ConfigError: The validation frames are not there.
    """
    blurred, restored = [], []
    frames = reds.validation_frames(reds_folder)
    for pair in frames:
        frame, target = (to_float(image[None]) for image in pair.read())
        blurred.append(image_psnr_db(frame, target))
        restored.append(image_psnr_db(np.asarray(model.predict_on_batch(frame)), target))
    return {
        "frames": len(frames),
        "blurred_psnr_db": round(float(np.mean(blurred)), 4),
        "restored_psnr_db": round(float(np.mean(restored)), 4),
    }


def hand_over(trained: Trained, *, folder: Path, training: dict[str, Any]) -> Path:
    """Write `weights.npz` and `training.json` for `harness build`; returns the weights' path."""
    weights = folder / "weights.npz"
    save_weights(trained.model, weights)
    (folder / "training.json").write_text(json.dumps(training, indent=1) + "\n")
    return weights
