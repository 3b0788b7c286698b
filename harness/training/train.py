"""Train a network to restore frames; continue bit for bit after a kill."""

from __future__ import annotations

import csv
import dataclasses
import itertools
import json
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from harness.errors import ConfigError
from harness.fidelity import image_psnr_db
from harness.training.batches import Batch, Batches, ahead, to_float
from harness.training.checkpoint import Checkpoint, restore, save
from harness.training.photos import CropPairs


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """A recipe of training: steps, rates, patches, seed.

    Attributes:
        steps: Optimizer steps in all.
        batch: Patches per step.
        patch_px: Side of a patch.
        learning_rate: Adam's rate at step 0.
        decay_ratio: By what the rate is multiplied after each `decay_every_steps`.
        decay_every_steps: See `decay_ratio`.
        seed: Seed of the weights and of every batch.
        mixed_precision: Whether to compute in float16 and keep float32 weights.
        log_every_steps: Steps of one line of the CSV log.
        checkpoint_every_steps: Steps between checkpoints, a multiple of `log_every_steps`.
    """

    steps: int = 1_000_000
    batch: int = 16
    patch_px: int = 256
    learning_rate: float = 2e-4
    decay_ratio: float = 0.98
    decay_every_steps: int = 5_000
    seed: int = 1
    mixed_precision: bool = False
    log_every_steps: int = 100
    checkpoint_every_steps: int = 1_000

    def __post_init__(self) -> None:
        """Refuse checkpoints in the middle of a log line."""
        if self.checkpoint_every_steps % self.log_every_steps:
            raise ConfigError(
                f"checkpoint_every_steps = {self.checkpoint_every_steps} must be a multiple of "
                f"log_every_steps = {self.log_every_steps}"
            )

    def rate_at(self, step: int) -> float:
        """Return Adam's learning rate at a step."""
        return float(self.learning_rate * self.decay_ratio ** (step // self.decay_every_steps))


def paper(*, steps: int = 1_000_000, seed: int = 1) -> Recipe:
    """Return the paper's recipe; in fewer steps the rate falls as far in all, 57-fold."""
    return Recipe(steps=steps, seed=seed, decay_every_steps=max(1, steps // 200))


def small(*, steps: int = 40_000, seed: int = 1) -> Recipe:
    """Return the recipe for a CPU: 64 px patches, and a higher rate that falls 50-fold in all.

    The paper's 1M steps at 2e-4 let the rate fall 57-fold; a short run starts at 1e-3 and falls
    about as far in its own time.
    """
    return Recipe(
        steps=steps,
        patch_px=64,
        learning_rate=1e-3,
        decay_every_steps=max(1, steps // 194),
        seed=seed,
    )


STUDY_STEPS = 12_000


def study(*, steps: int = STUDY_STEPS, seed: int = 1) -> Recipe:
    """Return the recipe by which networks are compared: `small` with one 96 px patch a step.

    Small steps learn most in a given time: UNet on one core reached 24.97, 25.12 and 25.22 dB on
    held-out frames with 4, 2 and 1 patches a step, after 127, 138 and 161 s.
    """
    recipe = small(steps=steps, seed=seed)
    tenth = max(1, steps // 1000) * recipe.log_every_steps
    return dataclasses.replace(recipe, patch_px=96, batch=1, checkpoint_every_steps=tenth)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trained:
    """What a training gave.

    Attributes:
        model: The network after the last step, its policy float32.
        seconds: Wall time of this call's steps.
        data_share: Share of that time spent waiting for batches.
        first_step: The step that this call began with (0 unless it resumed).
    """

    model: keras.Model
    seconds: float
    data_share: float
    first_step: int


def train(
    build: Callable[[], keras.Model],
    batches: Batches,
    *,
    recipe: Recipe,
    folder: Path,
    validate: Callable[[keras.Model], float] | None = None,
    stop_after: int | None = None,
    progress: bool = True,
) -> Trained:
    """Train a network with L1 and Adam, from the last checkpoint in `folder` if there is one.

    Writes `folder/checkpoint.npz` atomically, `folder/log.csv`, `folder/recipe.json` and, where
    it validates, `folder/held_out.csv`.

    Args:
        build: Builds the network; called after seeds and precision are set.
        batches: Where patches come from.
        recipe: Steps, rates, seeds.
        folder: Where checkpoints and the log are.
        validate: Returns the network's mean PSNR in dB on held-out frames; asked at each
            checkpoint, before it is written.
        stop_after: Return after this step instead of the recipe's last (for tests and budgets).
        progress: Whether to draw a progress line.

    Raises:
        ConfigError: The folder holds a training by another recipe.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _claim(folder, recipe)
    model = _compiled(build, recipe)
    checkpoint = folder / "checkpoint.npz"
    first = restore(model, checkpoint).step if checkpoint.is_file() else 0
    end = recipe.steps if stop_after is None else min(stop_after, recipe.steps)
    log, held_out = folder / "log.csv", folder / "held_out.csv"
    _cut_log(log, "step,l1,psnr_db", at_step=first)
    if validate is not None:
        _cut_log(held_out, "step,psnr_db", at_step=first)

    def keep(done: int) -> None:
        if validate is not None:
            _append(held_out, done, f"{validate(model):.4f}")
        save(model, checkpoint, Checkpoint(step=done))

    started = time.perf_counter()
    with _bar(progress) as bar:
        waited = _steps(model, batches, recipe, range(first, end), log=log, bar=bar, keep=keep)
    seconds = time.perf_counter() - started
    share = waited / seconds if seconds else 0.0
    return Trained(model=model, seconds=seconds, data_share=share, first_step=first)


def _steps(
    model: keras.Model,
    batches: Batches,
    recipe: Recipe,
    steps: range,
    *,
    log: Path,
    bar: Progress,
    keep: Callable[[int], None],
) -> float:
    """Take steps, and return the seconds that they waited for batches.

    Args:
        model: Compiled.
        batches: Where patches come from.
        recipe: Rates, and how often to log and to keep.
        steps: Those to take, counted from 0.
        log: Gets step, L1 and PSNR.
        bar: Shows them.
        keep: Called with the number of steps taken where the model is to be kept.
    """
    waited = 0.0
    source = _timed(ahead(batches, first=steps.start, end=steps.stop))
    task = bar.add_task("train", total=recipe.steps, completed=steps.start, now="the first step")
    for step, (batch, seconds) in zip(steps, source, strict=True):
        done = step + 1
        waited += seconds
        model.optimizer.learning_rate = recipe.rate_at(step)
        loss, mse = (float(mean) for mean in model.train_on_batch(*batch))
        decibels = -10.0 * math.log10(max(mse, 1e-12))
        bar.update(task, completed=done, now=f"L1 {loss:.4f}  PSNR {decibels:.2f} dB")
        if done % recipe.log_every_steps == 0:
            _append(log, done, f"{loss:.6f}", f"{decibels:.3f}")
            model.reset_metrics()
        if done % recipe.checkpoint_every_steps == 0 or done == steps.stop:
            keep(done)
    return waited


def restored_psnr_db(
    restore_frame: Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]], pairs: CropPairs
) -> tuple[float, ...]:
    """Return the PSNR in dB of each frame after restoration, against its sharp target.

    Args:
        restore_frame: Maps [1, H, W, 3] float32 in [0, 1] to the same shape.
        pairs: Frames and targets.
    """
    return tuple(
        image_psnr_db(restore_frame(to_float(blurred[None])), to_float(sharp[None]))
        for blurred, sharp in zip(pairs.blurred, pairs.sharp, strict=True)
    )


def _compiled(build: Callable[[], keras.Model], recipe: Recipe) -> keras.Model:
    keras.utils.set_random_seed(recipe.seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf  # the one setting that Keras does not reach

        tf.config.experimental.enable_op_determinism()
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16" if recipe.mixed_precision else "float32")
    try:
        model = build()
    finally:
        keras.config.set_dtype_policy(policy)
    model.compile(
        optimizer=keras.optimizers.Adam(recipe.learning_rate),
        loss="mean_absolute_error",
        metrics=["mean_squared_error"],
        jit_compile=False,
    )
    model.optimizer.build(model.trainable_variables)
    return model


def _claim(folder: Path, recipe: Recipe) -> None:
    """Write the recipe down, or check that the folder's training follows the same one."""
    path = folder / "recipe.json"
    fields = dataclasses.asdict(recipe)
    if path.is_file():
        found = json.loads(path.read_text())
        if found != fields:
            changed = sorted(key for key in fields if found.get(key) != fields[key])
            raise ConfigError(
                f"{folder.name} holds a training with other {', '.join(changed)}; "
                "choose another folder or delete it"
            )
    path.write_text(json.dumps(fields, indent=1) + "\n")


def _cut_log(log: Path, header: str, *, at_step: int) -> None:
    """Drop log lines after the checkpoint that training continues from."""
    lines = log.read_text().splitlines() if log.is_file() else []
    kept = [line for line in lines[1:] if int(line.split(",")[0]) <= at_step]
    log.write_text("\n".join([header, *kept]) + "\n")


def _append(log: Path, step: int, *figures: str) -> None:
    with log.open("a", newline="") as file:
        csv.writer(file, lineterminator="\n").writerow([step, *figures])


class _StepsPerSecond(ProgressColumn):
    """The speed of a training, once two steps are done."""

    def render(self, task: Task) -> Text:
        """Return the speed as text."""
        return Text("" if task.speed is None else f"{task.speed:.1f} steps/s")


def _bar(shown: bool) -> Progress:
    return Progress(
        TextColumn("step {task.completed:.0f}/{task.total:.0f}"),
        BarColumn(),
        TextColumn("{task.fields[now]}"),
        _StepsPerSecond(),
        TextColumn("left"),
        TimeRemainingColumn(),
        disable=not shown,
    )


def _timed(source: Iterator[Batch]) -> Iterator[tuple[Batch, float]]:
    """Yield each batch with the seconds spent waiting for it."""
    for _ in itertools.count():
        began = time.perf_counter()
        try:
            batch = next(source)
        except StopIteration:
            return
        yield batch, time.perf_counter() - began
