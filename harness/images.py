"""Read frames, and hold what a model made of them."""

import contextlib
import functools
import io
import math
import re
import struct
import warnings
import weakref
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harness import files, png16, text
from harness.errors import BlessedDataError, ConfigError, ModelError
from harness.evidence import Provenance, sha256_of
from harness.graph import Tensor

PIXELS_MAX = 2**25
"""Most pixels of an image: 7680x4320 fits, and takes 400 MB as float32 RGB."""

_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")
_DAMAGE = (
    OSError, ValueError, SyntaxError, LookupError, EOFError, TypeError, AttributeError,
    ArithmeticError, MemoryError, struct.error, zlib.error, Image.DecompressionBombError,
)  # fmt: skip
"""What Pillow raises on a file that is no image, or a damaged one."""

T = TypeVar("T")
Pixels = NDArray[np.float32]
"""An image as float32 [1, H, W, 3], sRGB, 0 black and 1 white."""
UNIT_RANGE = (0.0, 1.0)
"""Values of black and white in a frame, and in an output where a subject states no others."""

OVERSHOOT_SHARE = 0.05
"""How far a value may lie beyond the stated range, as a share of its width, before it counts as
outside. A residual network rings beyond white and black; a display clips that.

Source: the outputs of golden/, of which 0.11 % at most lie farther out.
"""
OUT_OF_RANGE_SHARE_MAX = 0.01
"""Most of an output that may lie outside its range: more is another range, or a broken model."""


@dataclass(frozen=True, kw_only=True, order=True)
class Size:
    """A resolution in pixels; written `1280x720`."""

    width_px: int
    height_px: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `1280x720`.

        Raises:
            ConfigError: the text is not a width, an x and a height.
        """
        match = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text)
        if match is None:
            raise ConfigError(f"{text!r} is not a resolution; write it as 1280x720")
        return cls(width_px=int(match[1]), height_px=int(match[2]))

    @classmethod
    def of(cls, pixels: NDArray[Any]) -> Self:
        """Return the size of an image of shape [1, H, W, C]."""
        return cls(width_px=int(pixels.shape[2]), height_px=int(pixels.shape[1]))

    @property
    def megapixels(self) -> float:
        """Return the number of pixels in millions."""
        return self.width_px * self.height_px / 1e6

    def __str__(self) -> str:
        """Return `1280x720`."""
        return f"{self.width_px}x{self.height_px}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Output:
    """What a device made of its inputs.

    Attributes:
        values: Real values by name of the model's output, in its order, float32, unclipped.
        provenance: Where they come from.
        repeat_relative_l2: Relative L2 distance of the first inference after loading from a later
            one on the same inputs, the largest of the outputs'; None where only one was made.
    """

    values: Mapping[str, NDArray[np.float32]]
    provenance: Provenance
    repeat_relative_l2: float | None = None

    @property
    def pixels(self) -> Pixels:
        """Return the only output, float32 [1, H, W, 3], unclipped.

        Raises:
            ModelError: the model has several.
        """
        if len(self.values) != 1:
            shown = ", ".join(repr(text.brief(name)) for name in self.values)
            raise ModelError(f"the model has several outputs ({shown}); ask for one in `values`")
        return next(iter(self.values.values()))

    def __repr__(self) -> str:
        """Return its shapes and the evidence."""
        shapes = ", ".join("x".join(map(str, value.shape)) for value in self.values.values())
        return text.repr_of(self, f"{shapes} [{self.provenance.evidence.value}]")


def load(path: Path) -> Pixels:
    """Read an image as float32 [1, H, W, 3] in [0, 1]; colour PNG may have 16 bits.

    Raises:
        BlessedDataError: the file is missing or is not an image.
    """
    return _decode(path, *_state(path))


def _state(path: Path) -> tuple[int, int]:
    """Return when a file was changed, in ns, and its bytes: what is read of it holds as long."""
    try:
        state = path.stat()
    except OSError:
        raise BlessedDataError(f"{path}: no such frame") from None
    return state.st_mtime_ns, state.st_size


@functools.lru_cache(maxsize=16)
def _decode(path: Path, _modified_ns: int, _size_bytes: int) -> Pixels:
    """Decode an image once for as long as its file stays as it is; read-only."""
    with opened(path) as image:
        deep = png16.holds(image)
        stored = np.asarray(png16.decode(image) if deep else to_rgb(image), dtype=np.float32)
    pixels = (stored / np.float32(png16.WHITE if deep else 255.0))[np.newaxis]
    pixels.flags.writeable = False
    return pixels


def to_rgb(image: Image.Image) -> Image.Image:
    """Return an image as 8-bit RGB; grey values of 16 bits are rounded to 8, never cut off.

    Raises:
        ValueError: its values are of a kind whose white is not known, such as float.
    """
    if not image.mode.startswith(("I", "F")):
        return image.convert("RGB")
    grey = np.asarray(image, dtype=np.float64)
    if image.mode == "F" or grey.min() < 0.0 or grey.max() > png16.WHITE:
        raise ValueError(f"pixels of kind {image.mode!r} state no white; save it as 8-bit PNG")
    grey = np.round(grey * (255.0 / png16.WHITE))
    return Image.fromarray(grey.astype(np.uint8)).convert("RGB")


def out_of_range_share(pixels: Pixels, output_range: tuple[float, float]) -> float:
    """Return the share of values (0..1) that lie outside a range by more than an overshoot.

    NaN and infinite values are counted elsewhere, and left out here.
    """
    low, high = output_range
    beyond = OVERSHOOT_SHARE * (high - low)
    outside = (pixels < low - beyond) | (pixels > high + beyond)
    return float(np.count_nonzero(outside & np.isfinite(pixels)) / max(pixels.size, 1))


class ArrayMemo(Generic[T]):
    """What was worked out of read-only arrays, kept for as long as they live."""

    def __init__(self) -> None:
        """Start empty."""
        self._known: dict[tuple[object, ...], T] = {}

    def of(self, arrays: tuple[NDArray[Any], ...], more: object, compute: Callable[[], T]) -> T:
        """Return what `compute` makes of some arrays; of writable ones it is made each time.

        Args:
            arrays: What it is made of, by identity.
            more: What else it depends on; hashable.
            compute: Makes it.
        """
        if any(array.flags.writeable for array in arrays):
            return compute()
        key = (*(id(array) for array in arrays), more)
        if key not in self._known:
            self._known[key] = compute()
            for array in arrays:
                weakref.finalize(array, self._known.pop, key, None)
        return self._known[key]


_HASHES = ArrayMemo[str]()


def sha256_of_pixels(pixels: NDArray[Any]) -> str:
    """Return a hash of an image's shape and values; of a read-only one it is worked out once."""
    return _HASHES.of(
        (pixels,), None, lambda: sha256_of(repr(pixels.shape).encode() + pixels.tobytes())
    )


def size_of(path: Path) -> Size:
    """Return the size of an image file without decoding it.

    Raises:
        BlessedDataError: the file is missing or is not an image.
    """
    return _size(path, *_state(path))


@functools.lru_cache(maxsize=1024)
def _size(path: Path, _modified_ns: int, _size_bytes: int) -> Size:
    with opened(path) as image:
        return Size(width_px=image.width, height_px=image.height)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """Open an image file of at most 33 megapixels; its pixels are not decoded yet.

    Raises:
        BlessedDataError: the file, or what is done with it, shows that it is no such image.
    """
    data = files.read(path, at_most_bytes=files.IMAGE_BYTES_MAX, error=BlessedDataError)
    try:
        with warnings.catch_warnings():
            # Pillow only warns of up to 179 megapixels, and decodes them.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=_FORMATS)
        with image:
            if image.width * image.height > PIXELS_MAX:
                raise ValueError(
                    f"{image.width}x{image.height}; at most {PIXELS_MAX / 1e6:.0f} megapixels "
                    "are read"
                )
            yield image
    except _DAMAGE as error:
        raise BlessedDataError(f"{path}: not a readable image ({error!s:.200})") from None


def to_stored(pixels: Pixels, tensor: Tensor) -> NDArray[Any]:
    """Return pixels in the dtype and quantization of a model's input tensor.

    Source: TFLite 8-bit quantization specification, stored = round(real / scale) + zero_point.

    Raises:
        ModelError: the tensor has no per-tensor quantization, or a dtype images do not come in.
    """
    if tensor.dtype == "float32":
        return pixels.astype(np.float32)
    scale, zero_point = _quantization(tensor)
    limits = np.iinfo(tensor.dtype)
    stored = np.round(pixels.astype(np.float64) / scale) + zero_point
    return np.clip(stored, limits.min, limits.max).astype(tensor.dtype)


def from_stored(stored: NDArray[Any], tensor: Tensor) -> Pixels:
    """Return what a model's output tensor holds as float32 pixels, unclipped.

    Raises:
        ModelError: the tensor has no per-tensor quantization, or a dtype images do not come in.
    """
    if tensor.dtype == "float32":
        return stored.astype(np.float32)
    scale, zero_point = _quantization(tensor)
    return ((stored.astype(np.float64) - zero_point) * scale).astype(np.float32)


def _quantization(tensor: Tensor) -> tuple[float, int]:
    quantization = tensor.quantization
    known = tensor.dtype in ("int8", "uint8", "int16")
    if known and quantization is not None and len(quantization.scales) == 1:
        (scale,), zero_points = quantization.scales, quantization.zero_points
        if len(zero_points) == 1 and 0.0 < scale < math.inf:
            return scale, zero_points[0]
    found = f" with {quantization}" if quantization else " without quantization"
    raise ModelError(
        f"tensor {tensor.name!r} is {tensor.dtype}{found:.120}; an image input or output is "
        "float32, or int8, uint8 or int16 with one positive scale and one zero point"
    )
