"""The REDS deblurring data set as its authors ship it, as training patches and validation frames.

    DIR/train/train_blur/CCC/FFFFFFFF.png   and train_sharp     240 clips of 100 frames
    DIR/val/val_blur/CCC/FFFFFFFF.png       and val_sharp        30 clips of 100 frames

(`DIR/train_blur` and so on, without the `train` and `val` folders, are found too.) Every tenth
validation frame is used, 300 images; 15 patches are cut of each training frame.

Source: Nah et al., "NTIRE 2019 Challenge on Video Deblurring and Super-Resolution: Dataset and
Study", CVPRW 2019; the layout is that of the archives train_blur, train_sharp, val_blur, val_sharp.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from PIL import Image as Pillow

from harness.errors import ConfigError
from harness.training.batches import Batch, random_turn, to_float, turned
from harness.training.blur import Image

PATCHES_PER_FRAME = 15
VALIDATION_STEP = 10


@dataclasses.dataclass(frozen=True, kw_only=True)
class FramePair:
    """One blurred frame and its sharp target.

    Attributes:
        blurred: Path of the blurred PNG.
        sharp: Path of the sharp PNG.
    """

    blurred: Path
    sharp: Path

    def read(self) -> tuple[Image, Image]:
        """Return both images [H, W, 3], sRGB."""
        return _read(self.blurred), _read(self.sharp)


def training_frames(folder: Path) -> tuple[FramePair, ...]:
    """Return every training frame, in the order of clips and frames.

    Raises:
        ConfigError: A folder is missing, empty, or a blurred frame has no sharp one.
    """
    return _pairs(folder, "train")


def validation_frames(folder: Path) -> tuple[FramePair, ...]:
    """Return every tenth frame of each validation clip.

    Raises:
        ConfigError: A folder is missing, empty, or a blurred frame has no sharp one.
    """
    pairs = _pairs(folder, "val")
    clips: dict[Path, list[FramePair]] = {}
    for pair in pairs:
        clips.setdefault(pair.blurred.parent, []).append(pair)
    return tuple(pair for clip in clips.values() for pair in clip[::VALIDATION_STEP])


class RedsBatches:
    """Patches out of REDS frames: in each epoch 15 of every frame, in an order of its own."""

    def __init__(
        self, frames: tuple[FramePair, ...], *, batch: int, patch_px: int, seed: int
    ) -> None:
        """Keep the frames.

        Args:
            frames: Where to draw.
            batch: Patches of a batch.
            patch_px: Side of a patch.
            seed: Seed of orders and positions.
        """
        self._frames = frames
        self._batch = batch
        self._patch_px = patch_px
        self._seed = seed

    @property
    def steps_per_epoch(self) -> int:
        """Return the batches after which 15 patches of every frame have been drawn."""
        return len(self._frames) * PATCHES_PER_FRAME // self._batch

    def batch(self, step: int) -> Batch:
        """Return blurred and sharp patches [N, P, P, 3], float32 in [0, 1], of one step."""
        blurred, sharp = [], []
        for item in range(step * self._batch, (step + 1) * self._batch):
            rng = np.random.default_rng([self._seed, 1, item])
            pair = self._frames[self._frame_of(item)].read()
            height, width = pair[0].shape[:2]
            top = rng.integers(height - self._patch_px + 1)
            left = rng.integers(width - self._patch_px + 1)
            window = (slice(top, top + self._patch_px), slice(left, left + self._patch_px))
            turn = random_turn(rng)
            blurred.append(turned(pair[0][window], turn))
            sharp.append(turned(pair[1][window], turn))
        return to_float(np.stack(blurred)), to_float(np.stack(sharp))

    def _frame_of(self, item: int) -> int:
        """Return which frame the item-th patch is cut of: a new shuffle in each epoch."""
        epoch, place = divmod(item, len(self._frames) * PATCHES_PER_FRAME)
        order = np.random.default_rng([self._seed, 0, epoch]).permutation(
            len(self._frames) * PATCHES_PER_FRAME
        )
        return int(order[place]) % len(self._frames)


def _pairs(folder: Path, split: str) -> tuple[FramePair, ...]:
    blurred_folder = _find(folder, split, f"{split}_blur")
    sharp_folder = _find(folder, split, f"{split}_sharp")
    blurred = sorted(blurred_folder.glob("*/*.png"))
    if not blurred:
        raise ConfigError(f"{blurred_folder} holds no <clip>/<frame>.png")
    pairs = []
    for path in blurred:
        sharp = sharp_folder / path.relative_to(blurred_folder)
        if not sharp.is_file():
            raise ConfigError(f"REDS frame {path} has no sharp target; expected {sharp}")
        pairs.append(FramePair(blurred=path, sharp=sharp))
    return tuple(pairs)


def _find(folder: Path, split: str, name: str) -> Path:
    """Return DIR/split/name, DIR/name/name or DIR/name, whichever holds clips."""
    choices = (folder / split / name, folder / name / name, folder / name)
    for choice in choices:
        if choice.is_dir():
            inner = choice / name
            return inner if inner.is_dir() else choice
    raise ConfigError(
        f"no REDS folder {name!r} under {folder}; unpack {name}.zip so that "
        f"{choices[0]} or {choices[2]} holds the clips"
    )


def _read(path: Path) -> Image:
    with Pillow.open(path) as file:
        return np.asarray(file.convert("RGB"))
