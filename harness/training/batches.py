"""Batches that depend on nothing but a seed and the step, made ahead of time by a thread."""

from __future__ import annotations

import collections
import concurrent.futures
from collections.abc import Iterator
from typing import Protocol

import numpy as np
import numpy.typing as npt

from harness.training.photos import CropPairs

Batch = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]  # blurred, sharp: [N, P, P, 3]


class Batches(Protocol):
    """The batch of any step; equal steps give equal batches."""

    def batch(self, step: int) -> Batch:
        """Return blurred and sharp patches [N, P, P, 3], float32 in [0, 1], of one step."""
        ...


class PairBatches:
    """Patches out of crops held in memory, flipped, turned, their channels shuffled."""

    def __init__(self, pairs: CropPairs, *, batch: int, patch_px: int, seed: int) -> None:
        """Keep the crops.

        Args:
            pairs: Crops to draw from, at least `patch_px` wide.
            batch: Patches of a batch.
            patch_px: Side of a patch.
            seed: Seed of the draws.
        """
        self._pairs = pairs
        self._batch = batch
        self._patch_px = patch_px
        self._seed = seed

    def batch(self, step: int) -> Batch:
        """Return blurred and sharp patches [N, P, P, 3], float32 in [0, 1], of one step."""
        rng = np.random.default_rng([self._seed, step])
        room = self._pairs.sharp.shape[1] - self._patch_px + 1
        blurred, sharp = [], []
        for _ in range(self._batch):
            crop = rng.integers(len(self._pairs.sharp))
            top, left = rng.integers(room, size=2)
            window = (crop, slice(top, top + self._patch_px), slice(left, left + self._patch_px))
            turn, channels = random_turn(rng), rng.permutation(3)
            blurred.append(turned(self._pairs.blurred[window], turn)[..., channels])
            sharp.append(turned(self._pairs.sharp[window], turn)[..., channels])
        return to_float(np.stack(blurred)), to_float(np.stack(sharp))


def random_turn(rng: np.random.Generator) -> tuple[bool, bool, bool]:
    """Draw one of the eight symmetries of a square: flip rows, flip columns, transpose."""
    flip_rows, flip_columns, transpose = rng.integers(2, size=3)
    return bool(flip_rows), bool(flip_columns), bool(transpose)


def turned(patch: npt.NDArray[np.uint8], turn: tuple[bool, bool, bool]) -> npt.NDArray[np.uint8]:
    """Apply one of the eight symmetries of a square to [P, P, 3]."""
    flip_rows, flip_columns, transpose = turn
    patch = patch[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1]
    return patch.swapaxes(0, 1) if transpose else patch


def to_float(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Map 8-bit pixels to float32 in [0, 1]."""
    return pixels.astype(np.float32) * np.float32(1.0 / 255.0)


def ahead(batches: Batches, *, first: int, end: int, depth: int = 4) -> Iterator[Batch]:
    """Yield the batches of steps `first` to `end - 1`, made in threads while others train."""
    pending: collections.deque[concurrent.futures.Future[Batch]] = collections.deque()
    with concurrent.futures.ThreadPoolExecutor(max_workers=depth) as pool:
        for step in range(first, end):
            while len(pending) < depth and step + len(pending) < end:
                pending.append(pool.submit(batches.batch, step + len(pending)))
            yield pending.popleft().result()
