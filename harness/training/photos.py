"""Freely licensed photographs from Debian packages, and blurred crops made of them.

The packages are fetched with apt into a cache and never committed. Vector drawings and renderings
in the same packages are left out by name: `PHOTOGRAPHS` lists what is a photograph.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow

from harness import child
from harness.errors import ConfigError, DeviceError
from harness.training.blur import (
    GREATEST_EXTENT_PX,
    LEAST_EXTENT_PX,
    Image,
    blur,
    random_kernel,
)

LONG_SIDE_PX = 1600
_DOWNLOAD_TIMEOUT_S = 600.0
_MATE = "usr/share/backgrounds/mate/nature"
_LOMIRI = "usr/share/backgrounds"
_PLASMA = "usr/share/wallpapers"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Photograph:
    """Say where a photograph is.

    Attributes:
        package: The Debian package that ships it.
        path: Its path inside the package.
        held_out: True if it is for evaluation only.
    """

    package: str
    path: str
    held_out: bool = False


def _mate(name: str, *, held_out: bool = False) -> Photograph:
    path = f"{_MATE}/{name}.jpg"
    return Photograph(package="mate-backgrounds", path=path, held_out=held_out)


def _lomiri(year: str, name: str, *, held_out: bool = False) -> Photograph:
    package = f"lomiri-wallpapers-{year}"
    path = f"{_LOMIRI}/{name}.jpg"
    return Photograph(package=package, path=path, held_out=held_out)


def _plasma(name: str, *, held_out: bool = False) -> Photograph:
    path = f"{_PLASMA}/{name}/contents/images/2560x1600.jpg"
    return Photograph(package="plasma-workspace-wallpapers", path=path, held_out=held_out)


# The held-out third covers leaves, rock, buildings, water, people's things and fur. The CC0
# photograph `seeding_by_Clements_Engelhardt` is missing on purpose: golden frames are made of it.
PHOTOGRAPHS = (
    _mate("Aqua"),
    _mate("Blinds"),
    _mate("Dune"),
    _mate("FreshFlower"),
    _mate("Garden"),
    _mate("GreenMeadow"),
    _mate("LadyBird", held_out=True),
    _mate("RainDrops", held_out=True),
    _mate("TwoWings"),
    _mate("Wood"),
    _mate("YellowFlower"),
    _lomiri("16.04", "Bridge_by_Sander_Klootwijk"),
    _lomiri("16.04", "Dragonfly_by_Bolly"),
    _lomiri("16.04", "Picture_0B_by_freespace", held_out=True),
    _lomiri("16.04", "Picture_1A_by_freespace"),
    _lomiri("16.04", "Wine_by_Jakkub_Mede"),
    _lomiri("16.04", "aitzgorri_by_Aitzol_Berasategi"),
    _lomiri("16.04", "free_by_Peter_Nerlich"),
    _lomiri("16.04", "friends_by_Aitzol_Berasategi", held_out=True),
    _lomiri("16.04", "greentock_by_Peter_Nerlich"),
    _lomiri("16.04", "life_by_Aitzol_Berasategi"),
    _lomiri("16.04", "picosdeeuropa_by_Aitzol_Berasategi", held_out=True),
    _lomiri("16.04", "sunset_by_Aitzol_Berasategi"),
    _lomiri("20.04", "Kleiber_by_Lukas_Baubkus"),
    _plasma("BytheWater"),
    _plasma("ColdRipple"),
    _plasma("ColorfulCups", held_out=True),
    _plasma("EveningGlow", held_out=True),
    _plasma("FallenLeaf"),
    _plasma("Grey"),
    _plasma("Kite"),
    _plasma("OneStandsOut", held_out=True),
    _plasma("Path"),
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class CropSet:
    """Say which crops to cut.

    Attributes:
        name: Name of the set.
        held_out: Whether it is cut from the photographs that are never trained on.
        crops: Crops per photograph.
        size_px: Side of a crop.
        seed: Seed of positions and camera paths.
        least_texture: Mean absolute gradient, in 8-bit steps, below which a crop is drawn again
            (at most 30 times).
        scales: Further factors, at most 1; each photograph's crops are shared among them.
    """

    name: str
    held_out: bool
    crops: int
    size_px: int
    seed: int
    least_texture: float
    scales: tuple[float, ...] = (1.0,)


TRAINING = CropSet(
    name="training",
    held_out=False,
    crops=240,
    size_px=128,
    seed=1,
    least_texture=5.0,
    scales=(1.0, 0.7),
)
HELD_OUT = CropSet(name="held_out", held_out=True, crops=5, size_px=256, seed=2, least_texture=6.0)
CALIBRATION = CropSet(
    name="calibration", held_out=False, crops=1, size_px=256, seed=3, least_texture=5.0
)


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
    except (DeviceError, ValueError) as error:
        raise ConfigError(
            f"cannot fetch the Debian package {package!r} ({error}); the photographs need a Debian "
            "or Ubuntu host with apt, or pass a REDS folder instead"
        ) from error
    partial.rename(folder)
    return folder


def package_versions(*, cache: Path) -> dict[str, str]:
    """Return the version of each package of `PHOTOGRAPHS`, read from the downloaded file's name."""
    versions = {}
    for package in sorted({photograph.package for photograph in PHOTOGRAPHS}):
        fetch(package, cache=cache)
        newest = max(cache.glob(f"{package}_*.deb"), key=lambda deb: deb.stat().st_mtime)
        versions[package] = newest.name.split("_")[1].replace("%3a", ":")
    return versions


def load(photograph: Photograph, *, cache: Path, scale: float = 1.0) -> Image:
    """Fetch a photograph and at least halve it, so that its crops are sharp at pixel scale.

    A camera's own pixels are soft (colour filter, lens, JPEG); every photograph is halved, and the
    larger ones brought down to `LONG_SIDE_PX`.

    Args:
        photograph: What to fetch.
        cache: Where packages are unpacked.
        scale: A further factor, at most 1, that makes another training picture of it.

    Returns:
        [H, W, 3], sRGB.
    """
    with Pillow.open(fetch(photograph.package, cache=cache) / photograph.path) as file:
        picture = file.convert("RGB")
    factor = scale * min(0.5, LONG_SIDE_PX / max(picture.size))
    size = (round(picture.width * factor), round(picture.height * factor))
    return np.asarray(picture.resize(size, Pillow.Resampling.LANCZOS))


def make_pairs(photographs: Iterable[Photograph], *, cut: CropSet, cache: Path) -> Pairs:
    """Cut crops with detail out of photographs and shake each with a path of its own.

    Each photograph draws from a random stream of its own, so that adding one changes no other.

    Args:
        photographs: Where to cut.
        cut: How many crops, how large, how detailed.
        cache: Where packages are unpacked.
    """
    blurred, sharp, titles = [], [], []
    for photograph in photographs:
        pictures = [load(photograph, cache=cache, scale=scale) for scale in cut.scales]
        title = f"{photograph.package}/{photograph.path}"
        stream = int(hashlib.sha256(title.encode()).hexdigest()[:8], 16)
        rng = np.random.default_rng([cut.seed, stream])
        for i in range(cut.crops):
            pair = _crop(pictures[i % len(pictures)], rng, cut)
            blurred.append(pair[0])
            sharp.append(pair[1])
            titles.append(title)
    return Pairs(blurred=np.stack(blurred), sharp=np.stack(sharp), titles=tuple(titles))


def cached_pairs(cut: CropSet, *, cache: Path) -> Pairs:
    """Make a crop set of `PHOTOGRAPHS`, or read it from the cache."""
    photographs = [photo for photo in PHOTOGRAPHS if photo.held_out == cut.held_out]
    key = hashlib.sha256(
        repr((photographs, cut, LONG_SIDE_PX, LEAST_EXTENT_PX, GREATEST_EXTENT_PX)).encode()
    ).hexdigest()[:12]
    path = cache / f"{cut.name}_{key}.npz"
    if path.is_file():
        with np.load(path) as file:
            titles = tuple(str(title) for title in file["titles"])
            return Pairs(blurred=file["blurred"], sharp=file["sharp"], titles=titles)
    pairs = make_pairs(photographs, cut=cut, cache=cache)
    partial = path.with_suffix(".partial.npz")
    np.savez(partial, blurred=pairs.blurred, sharp=pairs.sharp, titles=np.array(pairs.titles))
    partial.replace(path)
    return pairs


def texture(picture: Image) -> float:
    """Return the mean absolute gradient of the luma, in 8-bit steps per pixel."""
    luma = picture.astype(np.float64).mean(axis=-1)
    return float(np.abs(np.diff(luma, axis=0)).mean() + np.abs(np.diff(luma, axis=1)).mean())


def _crop(picture: Image, rng: np.random.Generator, cut: CropSet) -> tuple[Image, Image]:
    kernel = random_kernel(rng)
    whole_px = cut.size_px + kernel.shape[0] - 1
    best, best_texture = picture[:whole_px, :whole_px], -1.0
    for _ in range(30):
        top = rng.integers(0, picture.shape[0] - whole_px + 1)
        left = rng.integers(0, picture.shape[1] - whole_px + 1)
        candidate = picture[top : top + whole_px, left : left + whole_px]
        if (found := texture(candidate)) > best_texture:
            best, best_texture = candidate, found
        if found >= cut.least_texture:
            break
    return blur(best, kernel)


def _run(command: list[str], *, cwd: Path) -> None:
    stage = " ".join(command[:2])
    done = child.run(command, stage=stage, timeout_s=_DOWNLOAD_TIMEOUT_S, cwd=cwd)
    if done.exit_code:
        raise DeviceError(f"{stage} ended with {done.exit_code}: {done.stderr.strip()[-300:]}")
