"""Checkpoints: every variable of the network and of its optimizer, written atomically."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import keras
import numpy as np

from harness.errors import ConfigError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """Where a checkpoint stands.

    Attributes:
        step: Steps done.
    """

    step: int


def save(model: keras.Model, path: Path, checkpoint: Checkpoint) -> None:
    """Write the variables of a compiled network and its optimizer; a kill leaves the old file."""
    arrays = {f"v{i}": keras.ops.convert_to_numpy(v) for i, v in enumerate(_variables(model))}
    partial = path.with_name(f"{path.stem}.partial.npz")
    with partial.open("wb") as file:
        np.savez(file, step=np.int64(checkpoint.step), **arrays)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def restore(model: keras.Model, path: Path) -> Checkpoint:
    """Read the variables back into a compiled network of the same kind.

    Raises:
        ConfigError: The checkpoint is of another network.
    """
    variables = _variables(model)
    with np.load(path) as file:
        arrays = [file[f"v{i}"] for i in range(len(file.files) - 1)]
        step = int(file["step"])
    shapes = [tuple(variable.shape) for variable in variables]
    if [array.shape for array in arrays] != shapes:
        raise ConfigError(
            f"{path.name} holds {len(arrays)} variables of another network than this one "
            f"({len(shapes)} variables); train into another folder"
        )
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)
    return Checkpoint(step=step)


def steps_done(path: Path) -> int:
    """Return the steps that a checkpoint holds; 0 where there is none."""
    if not path.is_file():
        return 0
    with np.load(path) as file:
        return int(file["step"])


def save_weights(model: keras.Model, path: Path) -> None:
    """Write the weights of a network alone, each under its layer's name; equal bytes for equal."""
    arrays = {variable.path: keras.ops.convert_to_numpy(variable) for variable in model.weights}
    partial = path.with_name(f"{path.stem}.partial.npz")
    np.savez(partial, **arrays)
    partial.replace(path)


def load_weights(model: keras.Model, path: Path) -> None:
    """Read weights that `save_weights` wrote into a network of the same design.

    Raises:
        ConfigError: The file holds weights of another design.
    """
    with np.load(path) as file:
        found = {name: file[name].shape for name in file.files}
        wanted = {variable.path: tuple(variable.shape) for variable in model.weights}
        if found != wanted:
            differing = sorted(set(found.items()) ^ set(wanted.items()))[:3]
            raise ConfigError(f"{path.name} holds weights of another design, see {differing}")
        for variable in model.weights:
            variable.assign(file[variable.path])


def _variables(model: keras.Model) -> list[Any]:
    return [*model.variables, *model.optimizer.variables]
