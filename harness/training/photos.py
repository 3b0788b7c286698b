"""Freely licensed photographs from Debian packages, and blurred crops made of them.

The packages are fetched with apt into a cache and never committed. Vector drawings and renderings
in the same packages are left out by name: `PHOTOGRAPHS` lists what is a photograph.
"""

from __future__ import annotations

import dataclasses
import hashlib
import subprocess
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow

from harness.errors import ConfigError
from harness.training.blur import Image, blur, random_kernel

_MATE = "usr/share/backgrounds/mate/nature"
_LOMIRI = "usr/share/backgrounds"
_PLASMA = "usr/share/wallpapers"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Photograph:
    """Say where a photograph is.

    Attributes:
        package: The Debian package that ships it.
        path: Its path inside the package.
        long_side_px: To what it is downscaled, so that one pixel holds real detail.
        held_out: True if it is for evaluation only.
    """

    package: str
    path: str
    long_side_px: int
    held_out: bool = False


def _mate(name: str, long_side_px: int, *, held_out: bool = False) -> Photograph:
    path = f"{_MATE}/{name}.jpg"
    return Photograph(
        package="mate-backgrounds", path=path, long_side_px=long_side_px, held_out=held_out
    )


def _lomiri(year: str, name: str, long_side_px: int, *, held_out: bool = False) -> Photograph:
    package = f"lomiri-wallpapers-{year}"
    path = f"{_LOMIRI}/{name}.jpg"
    return Photograph(package=package, path=path, long_side_px=long_side_px, held_out=held_out)


def _plasma(name: str, long_side_px: int, *, held_out: bool = False) -> Photograph:
    path = f"{_PLASMA}/{name}/contents/images/2560x1600.jpg"
    return Photograph(
        package="plasma-workspace-wallpapers",
        path=path,
        long_side_px=long_side_px,
        held_out=held_out,
    )


# The held-out third covers leaves, rock, buildings, water, people's things and fur. The CC0
# photograph `seeding_by_Clements_Engelhardt` is missing on purpose: golden frames are made of it.
PHOTOGRAPHS = (
    _mate("Aqua", 1280),
    _mate("Blinds", 1280),
    _mate("Dune", 1400),
    _mate("FreshFlower", 1100),
    _mate("Garden", 1280),
    _mate("GreenMeadow", 1000),
    _mate("LadyBird", 1280, held_out=True),
    _mate("RainDrops", 1400, held_out=True),
    _mate("TwoWings", 1280),
    _mate("Wood", 1600),
    _mate("YellowFlower", 1280),
    _lomiri("16.04", "Bridge_by_Sander_Klootwijk", 1920),
    _lomiri("16.04", "Dragonfly_by_Bolly", 1600),
    _lomiri("16.04", "Picture_0B_by_freespace", 1500, held_out=True),
    _lomiri("16.04", "Picture_1A_by_freespace", 1000),
    _lomiri("16.04", "Wine_by_Jakkub_Mede", 1700),
    _lomiri("16.04", "aitzgorri_by_Aitzol_Berasategi", 1600),
    _lomiri("16.04", "free_by_Peter_Nerlich", 1400),
    _lomiri("16.04", "friends_by_Aitzol_Berasategi", 1600, held_out=True),
    _lomiri("16.04", "greentock_by_Peter_Nerlich", 1400),
    _lomiri("16.04", "life_by_Aitzol_Berasategi", 1800),
    _lomiri("16.04", "picosdeeuropa_by_Aitzol_Berasategi", 1800, held_out=True),
    _lomiri("16.04", "sunset_by_Aitzol_Berasategi", 1600),
    _lomiri("20.04", "Kleiber_by_Lukas_Baubkus", 1800),
    _plasma("BytheWater", 1600),
    _plasma("ColdRipple", 1400),
    _plasma("ColorfulCups", 1600, held_out=True),
    _plasma("EveningGlow", 1800, held_out=True),
    _plasma("FallenLeaf", 1600),
    _plasma("Grey", 1600),
    _plasma("Kite", 1400),
    _plasma("OneStandsOut", 1600, held_out=True),
    _plasma("Path", 1600),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pairs:
    """Hold blurred crops and their sharp targets.

    Attributes:
        blurred: [N, S, S, 3], sRGB, 8 bit.
        sharp: The same shape.
        titles: The photograph of each crop.
    """

    blurred: npt.NDArray[np.uint8]
    sharp: npt.NDArray[np.uint8]
    titles: tuple[str, ...]


def fetch(package: str, *, cache: Path) -> Path:
    """Download and unpack one Debian package unless the cache has it.

    Returns:
        The folder that the package's files lie under.

    Raises:
        ConfigError: apt-get or dpkg is missing or failed.
    """
    folder = cache / package
    if folder.is_dir():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    partial = cache / f"{package}.partial"
    try:
        _run(["apt-get", "download", package], cwd=cache)
        newest = max(cache.glob(f"{package}_*.deb"), key=lambda deb: deb.stat().st_mtime)
        _run(["dpkg", "-x", newest.name, partial.name], cwd=cache)
    except (OSError, subprocess.CalledProcessError, ValueError) as error:
        raise ConfigError(
            f"cannot fetch the Debian package {package!r} ({error}); the photographs need a Debian "
            "or Ubuntu host with apt, or pass a REDS folder instead"
        ) from error
    partial.rename(folder)
    return folder


def load(photograph: Photograph, *, cache: Path) -> Image:
    """Fetch a photograph and downscale it, so that its crops are sharp at pixel scale.

    Returns:
        [H, W, 3], sRGB.
    """
    with Pillow.open(fetch(photograph.package, cache=cache) / photograph.path) as file:
        picture = file.convert("RGB")
    scale = photograph.long_side_px / max(picture.size)
    if scale < 1.0:
        size = (round(picture.width * scale), round(picture.height * scale))
        picture = picture.resize(size, Pillow.Resampling.LANCZOS)
    return np.asarray(picture)


def make_pairs(
    photographs: Iterable[Photograph],
    *,
    cache: Path,
    crops: int,
    size_px: int,
    seed: int,
    least_texture: float,
) -> Pairs:
    """Cut crops with detail out of photographs and shake each with a path of its own.

    Args:
        photographs: Where to cut.
        cache: Where packages are unpacked.
        crops: Crops per photograph.
        size_px: Side of a crop.
        seed: Seed of positions and paths; each photograph draws from a stream of its own.
        least_texture: Mean absolute gradient, in 8-bit steps, below which a crop is drawn again
            (at most 30 times).
    """
    blurred, sharp, titles = [], [], []
    for photograph in photographs:
        picture = load(photograph, cache=cache)
        title = f"{photograph.package}/{photograph.path}"
        rng = np.random.default_rng([seed, int(hashlib.sha256(title.encode()).hexdigest()[:8], 16)])
        for _ in range(crops):
            pair = _crop(picture, rng, size_px=size_px, least_texture=least_texture)
            blurred.append(pair[0])
            sharp.append(pair[1])
            titles.append(title)
    return Pairs(blurred=np.stack(blurred), sharp=np.stack(sharp), titles=tuple(titles))


def training_pairs(*, cache: Path, crops: int = 160, size_px: int = 160, seed: int = 1) -> Pairs:
    """Make, or read from the cache, the crops to train on."""
    photographs = [photograph for photograph in PHOTOGRAPHS if not photograph.held_out]
    return _cached(photographs, "train", cache, crops, size_px, seed, 3.0)


def held_out_pairs(*, cache: Path, crops: int = 5, size_px: int = 256, seed: int = 2) -> Pairs:
    """Make, or read from the cache, 40 crops of the photographs that are never trained on."""
    photographs = [photograph for photograph in PHOTOGRAPHS if photograph.held_out]
    return _cached(photographs, "held_out", cache, crops, size_px, seed, 6.0)


def calibration_pairs(*, cache: Path, crops: int = 5, size_px: int = 256, seed: int = 3) -> Pairs:
    """Make, or read from the cache, 125 training crops that quantization takes its ranges from."""
    photographs = [photograph for photograph in PHOTOGRAPHS if not photograph.held_out]
    return _cached(photographs, "calibration", cache, crops, size_px, seed, 3.0)


def texture(picture: Image) -> float:
    """Return the mean absolute gradient of the luma, in 8-bit steps per pixel."""
    luma = picture.astype(np.float64).mean(axis=-1)
    return float(np.abs(np.diff(luma, axis=0)).mean() + np.abs(np.diff(luma, axis=1)).mean())


def _crop(
    picture: Image, rng: np.random.Generator, *, size_px: int, least_texture: float
) -> tuple[Image, Image]:
    kernel = random_kernel(rng)
    whole_px = size_px + kernel.shape[0] - 1
    best, best_texture = picture[:whole_px, :whole_px], -1.0
    for _ in range(30):
        top = rng.integers(0, picture.shape[0] - whole_px + 1)
        left = rng.integers(0, picture.shape[1] - whole_px + 1)
        candidate = picture[top : top + whole_px, left : left + whole_px]
        if (found := texture(candidate)) > best_texture:
            best, best_texture = candidate, found
        if found >= least_texture:
            break
    return blur(best, kernel)


def _cached(
    photographs: list[Photograph],
    name: str,
    cache: Path,
    crops: int,
    size_px: int,
    seed: int,
    least_texture: float,
) -> Pairs:
    key = hashlib.sha256(repr((photographs, crops, size_px, seed, least_texture)).encode())
    path = cache / f"{name}_{key.hexdigest()[:12]}.npz"
    if path.is_file():
        with np.load(path) as file:
            titles = tuple(str(title) for title in file["titles"])
            return Pairs(blurred=file["blurred"], sharp=file["sharp"], titles=titles)
    pairs = make_pairs(
        photographs,
        cache=cache,
        crops=crops,
        size_px=size_px,
        seed=seed,
        least_texture=least_texture,
    )
    partial = path.with_suffix(".partial.npz")
    np.savez(partial, blurred=pairs.blurred, sharp=pairs.sharp, titles=np.array(pairs.titles))
    partial.replace(path)
    return pairs


def _run(command: list[str], *, cwd: Path) -> None:
    subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True)
