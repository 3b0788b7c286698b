"""Train a design of the zoo by name: what `harness train` does."""

from __future__ import annotations

from pathlib import Path

import keras

from harness.errors import ConfigError
from harness.training import photos, reds
from harness.training.batches import Batches, PairBatches
from harness.training.checkpoint import load_weights
from harness.training.train import Recipe, Trained, train
from harness.zoo.designs import DESIGNS, Build


def design(name: str) -> Build:
    """Return the builder of a design.

    Raises:
        ConfigError: There is no such design.
    """
    if name not in DESIGNS:
        raise ConfigError(f"no design {name!r}; known: {', '.join(sorted(DESIGNS))}")
    return DESIGNS[name]


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
    stop_after: int | None = None,
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
        stop_after: Return after this step instead of the recipe's last.
        progress: Whether to draw a progress line.

    Raises:
        ConfigError: No such design, no data, or the folder holds another training.
    """
    build = design(name)

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
        stop_after=stop_after,
        progress=progress,
    )
