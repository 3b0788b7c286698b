"""Golden frames: crops of CC0 and public-domain photographs, shaken like the training data.

None of these photographs is trained on. Titles, authors and licences are in `SOURCES.md` beside
the frames.
"""

from __future__ import annotations

import dataclasses
import sys
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image as Pillow

from harness import child
from harness.errors import ConfigError
from harness.training.blur import Image, blur, camera_path, shake_kernel
from harness.training.photos import Photograph, fetch

SKIMAGE_VERSION = "0.26.0"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cut:
    """How a golden frame is cut and shaken.

    Attributes:
        name: Name of the frame's two files.
        source: File in scikit-image's `data` folder, or None for the dandelion photograph.
        long_side_px: To what the photograph is downscaled (it is never enlarged).
        top_px: Where the sharp frame begins, in the downscaled photograph.
        left_px: The same, from the left.
        width_px: Width of the frame.
        height_px: Height of the frame.
        extent_px: Extent of the camera's path.
        seed: Seed of that path.
    """

    name: str
    source: str | None
    long_side_px: int
    top_px: int
    left_px: int
    extent_px: float
    seed: int
    width_px: int = 256
    height_px: int = 256


DANDELIONS = Photograph(
    package="lomiri-wallpapers-16.04",
    path="usr/share/backgrounds/seeding_by_Clements_Engelhardt.jpg",
)

CUTS = (
    Cut(
        name="astronaut",
        source="astronaut.png",
        long_side_px=512,
        top_px=10,
        left_px=100,
        extent_px=7.0,
        seed=11,
    ),
    Cut(
        name="coffee",
        source="coffee.png",
        long_side_px=600,
        top_px=70,
        left_px=250,
        extent_px=9.0,
        seed=12,
    ),
    Cut(
        name="chelsea",
        source="chelsea.png",
        long_side_px=451,
        top_px=20,
        left_px=90,
        extent_px=7.0,
        seed=13,
    ),
    Cut(
        name="rocket",
        source="rocket.jpg",
        long_side_px=640,
        top_px=120,
        left_px=190,
        extent_px=12.0,
        seed=14,
    ),
    Cut(
        name="dandelion",
        source=None,
        long_side_px=1480,
        top_px=120,
        left_px=420,
        extent_px=8.0,
        seed=15,
    ),
    Cut(
        name="dandelions_720p",
        source=None,
        long_side_px=1480,
        top_px=60,
        left_px=90,
        width_px=1280,
        height_px=720,
        extent_px=9.0,
        seed=16,
    ),
)


def cut_frame(cut: Cut, photograph: Image) -> tuple[Image, Image]:
    """Cut a frame out of a photograph and shake it.

    Args:
        cut: Where and how.
        photograph: [H, W, 3], sRGB, already downscaled.

    Returns:
        The blurred and the sharp frame, both [height_px, width_px, 3].

    Raises:
        ConfigError: The frame and the blur's border do not fit into the photograph.
    """
    rng = np.random.default_rng(cut.seed)
    kernel = shake_kernel(camera_path(rng, extent_px=cut.extent_px))
    edge = kernel.shape[0] // 2
    top, left = cut.top_px - edge, cut.left_px - edge
    bottom, right = cut.top_px + cut.height_px + edge, cut.left_px + cut.width_px + edge
    if min(top, left) < 0 or bottom > photograph.shape[0] or right > photograph.shape[1]:
        raise ConfigError(
            f"frame {cut.name!r} with its border of {edge} px leaves the photograph of "
            f"{photograph.shape[1]}x{photograph.shape[0]} px"
        )
    return blur(photograph[top:bottom, left:right], kernel)


def write_frames(folder: Path, *, cache: Path) -> tuple[Path, ...]:
    """Write `<name>.blurred.png` and `<name>.sharp.png` of every cut."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for cut in CUTS:
        if cut.source is None:
            file = fetch(DANDELIONS.package, cache=cache) / DANDELIONS.path
            photograph = _downscaled(Pillow.open(file), cut.long_side_px)
        else:
            photograph = _skimage_photograph(cut.source, cut.long_side_px, cache=cache)
        for kind, pixels in zip(("blurred", "sharp"), cut_frame(cut, photograph), strict=True):
            path = folder / f"{cut.name}.{kind}.png"
            Pillow.fromarray(pixels).save(path, optimize=True)
            written.append(path)
    return tuple(written)


def _skimage_photograph(name: str, long_side_px: int, *, cache: Path) -> Image:
    """Read a photograph out of scikit-image's wheel, fetched with pip and not installed."""
    wheels = list(cache.glob(f"scikit_image-{SKIMAGE_VERSION}-*.whl"))
    if not wheels:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", str(cache)]
        wheel_name = f"scikit-image=={SKIMAGE_VERSION}"
        done = child.run([*command, wheel_name], stage="pip download", timeout_s=600.0)
        if done.exit_code:
            raise ConfigError(f"cannot fetch {wheel_name}: {done.stderr.strip()[-300:]}")
        wheels = list(cache.glob(f"scikit_image-{SKIMAGE_VERSION}-*.whl"))
    with zipfile.ZipFile(wheels[0]) as wheel, wheel.open(f"skimage/data/{name}") as file:
        return _downscaled(Pillow.open(file), long_side_px)


def _downscaled(picture: Pillow.Image, long_side_px: int) -> Image:
    picture = picture.convert("RGB")
    scale = long_side_px / max(picture.size)
    if scale < 1.0:
        size = (round(picture.width * scale), round(picture.height * scale))
        picture = picture.resize(size, Pillow.Resampling.LANCZOS)
    return np.asarray(picture)
