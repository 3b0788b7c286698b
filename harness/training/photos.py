"""Freely licensed photographs from Debian packages, and blurred crops made of them.

The packages are fetched with apt into a cache and never committed. Vector drawings and renderings
in the same packages are left out by name: `PHOTOGRAPHS` lists what is a photograph.
"""

from __future__ import annotations

import csv
import dataclasses
import enum
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow

from harness import child, schema
from harness.errors import ConfigError, DeviceError
from harness.training.blur import (
    GREATEST_EXTENT_PX,
    LEAST_EXTENT_PX,
    Image,
    blur,
    random_kernel,
)

LONG_SIDE_PX = 1600
REDUCED_FACTOR = 0.75  # of photographs that their authors have brought down to the size of a page
NEAR_DUPLICATE_BITS = 8  # of 64; see `difference_hash`
_DOWNLOAD_TIMEOUT_S = 600.0


class PhotoUse(enum.StrEnum):
    """What a photograph is for."""

    TRAINING = "training"
    HELD_OUT = "held_out"


class Pixels(enum.StrEnum):
    """Whose pixels a photograph has: a camera's own, or reduced by the author."""

    CAMERA = "camera"
    REDUCED = "reduced"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Photograph:
    """A photograph in a Debian package.

    Attributes:
        package: The Debian package that ships it.
        path: Its path inside the package.
        use: For training, or held out for evaluation only.
        pixels: A camera's own, or already reduced by the author.
        licence: Its licence; authors are named in the package's `copyright` file.
    """

    package: str
    path: str
    use: PhotoUse = PhotoUse.TRAINING
    pixels: Pixels = Pixels.CAMERA
    licence: str = ""

    @property
    def title(self) -> str:
        """Return the photograph's name: package and path."""
        return f"{self.package}/{self.path}"


def _listed() -> tuple[Photograph, ...]:
    """Read `photographs.csv` beside this module.

    The CC0 photograph `seeding_by_Clements_Engelhardt` is missing on purpose: golden frames are
    made of it.
    """
    path = Path(__file__).with_name("photographs.csv")
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return tuple(schema.parse(Photograph, row, where=path.name) for row in rows)


PHOTOGRAPHS = _listed()


@dataclasses.dataclass(frozen=True, kw_only=True)
class CropPairs:
    """Blurred crops and their sharp targets.

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
    """Which crops to cut.

    Attributes:
        name: Name of the set.
        use: From which photographs it is cut: those for training, or those held out.
        crops: Crops per photograph.
        size_px: Side of a crop.
        seed: Seed of positions and camera paths.
        least_texture: Mean absolute gradient, in 8-bit steps, below which a crop is drawn again
            (at most 30 times).
        scales: Further factors, at most 1; each photograph's crops are shared among them.
    """

    name: str
    use: PhotoUse
    crops: int
    size_px: int
    seed: int
    least_texture: float
    scales: tuple[float, ...] = (1.0,)


TRAINING = CropSet(
    name="training",
    use=PhotoUse.TRAINING,
    crops=270,
    size_px=128,
    seed=1,
    least_texture=5.0,
    scales=(1.0, 0.7, 0.5),
)
HELD_OUT = CropSet(
    name="held_out", use=PhotoUse.HELD_OUT, crops=4, size_px=256, seed=2, least_texture=6.0
)
CALIBRATION = CropSet(
    name="calibration", use=PhotoUse.TRAINING, crops=1, size_px=256, seed=3, least_texture=5.0
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
    """Fetch a photograph and reduce it, so that its crops are sharp at pixel scale.

    A camera's own pixels are soft (colour filter, lens, JPEG); such a photograph is halved, and a
    larger one brought down to `LONG_SIDE_PX`. One that its author has reduced already is only
    brought to `REDUCED_FACTOR`, against the blocks of its JPEG.

    Args:
        photograph: What to fetch.
        cache: Where packages are unpacked.
        scale: A further factor, at most 1, that makes another training picture of it.

    Returns:
        [H, W, 3], sRGB.
    """
    with Pillow.open(fetch(photograph.package, cache=cache) / photograph.path) as file:
        picture = file.convert("RGB")
    most = 0.5 if photograph.pixels is Pixels.CAMERA else REDUCED_FACTOR
    factor = scale * min(most, LONG_SIDE_PX / max(picture.size))
    size = (round(picture.width * factor), round(picture.height * factor))
    return np.asarray(picture.resize(size, Pillow.Resampling.LANCZOS))


def make_pairs(photographs: Iterable[Photograph], *, cut: CropSet, cache: Path) -> CropPairs:
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
        stream = int(hashlib.sha256(photograph.title.encode()).hexdigest()[:8], 16)
        rng = np.random.default_rng([cut.seed, stream])
        for i in range(cut.crops):
            pair = _crop(pictures[i % len(pictures)], rng, cut)
            blurred.append(pair[0])
            sharp.append(pair[1])
            titles.append(photograph.title)
    return CropPairs(blurred=np.stack(blurred), sharp=np.stack(sharp), titles=tuple(titles))


def key_of(cut: CropSet) -> str:
    """Return a key that changes with the photographs, crops or blurs of a set."""
    described = repr((_of(cut), cut, LONG_SIDE_PX, LEAST_EXTENT_PX, GREATEST_EXTENT_PX))
    return hashlib.sha256(described.encode()).hexdigest()[:12]


def _of(cut: CropSet) -> list[Photograph]:
    return [photo for photo in PHOTOGRAPHS if photo.use == cut.use]


def cached_pairs(cut: CropSet, *, cache: Path) -> CropPairs:
    """Make a crop set of `PHOTOGRAPHS`, or read it from the cache.

    Raises:
        ConfigError: A held-out photograph is nearly one that is trained on.
    """
    photographs = _of(cut)
    path = cache / f"{cut.name}_{key_of(cut)}.npz"
    if path.is_file():
        with np.load(path) as file:
            titles = tuple(str(title) for title in file["titles"])
            return CropPairs(blurred=file["blurred"], sharp=file["sharp"], titles=titles)
    if cut.use is PhotoUse.HELD_OUT:
        refuse_near_duplicates(PHOTOGRAPHS, cache=cache)
    pairs = make_pairs(photographs, cut=cut, cache=cache)
    partial = path.with_suffix(".partial.npz")
    np.savez(partial, blurred=pairs.blurred, sharp=pairs.sharp, titles=np.array(pairs.titles))
    partial.replace(path)
    return pairs


def difference_hash(picture: Pillow.Image) -> int:
    """Return 64 bits that near-duplicates share: where the luma of a 9x8 thumbnail falls.

    Source: Krawetz, "Kind of Like That", 2013 (dHash).
    """
    luma = np.asarray(picture.convert("L").resize((9, 8), Pillow.Resampling.BOX), dtype=np.int16)
    bits = (luma[:, 1:] < luma[:, :-1]).ravel()
    return int("".join("1" if bit else "0" for bit in bits), 2)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Nearest:
    """The training photograph that a held-out one is most like.

    Attributes:
        held_out: The held-out photograph.
        training: The nearest training photograph, mirrored or not.
        bits: Bits of 64 in which their difference hashes differ.
    """

    held_out: Photograph
    training: Photograph
    bits: int


def nearest(photographs: Sequence[Photograph], *, cache: Path) -> tuple[Nearest, ...]:
    """Return for each held-out photograph the training photograph that it is most like."""
    hashes: dict[str, tuple[int, int]] = {}
    for one in photographs:
        with Pillow.open(fetch(one.package, cache=cache) / one.path) as file:
            picture = file.convert("RGB")
        mirrored = picture.transpose(Pillow.Transpose.FLIP_LEFT_RIGHT)
        hashes[one.title] = (difference_hash(picture), difference_hash(mirrored))
    training = [one for one in photographs if one.use is PhotoUse.TRAINING]
    found = []
    for held_out in photographs:
        if held_out.use is PhotoUse.HELD_OUT:
            own = hashes[held_out.title][0]
            bits, index = min(
                (min((own ^ other).bit_count() for other in hashes[one.title]), i)
                for i, one in enumerate(training)
            )
            found.append(Nearest(held_out=held_out, training=training[index], bits=bits))
    return tuple(found)


def refuse_near_duplicates(photographs: Sequence[Photograph], *, cache: Path) -> None:
    """Check that no held-out photograph is nearly one that is trained on.

    Raises:
        ConfigError: One is; the message names both.
    """
    for one in nearest(photographs, cache=cache):
        if one.bits <= NEAR_DUPLICATE_BITS:
            raise ConfigError(
                f"held-out {one.held_out.title} is nearly {one.training.title}, which is trained "
                f"on ({one.bits} of 64 bits of their hashes differ); take one out of the list"
            )


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
