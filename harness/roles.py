"""What a model's inputs and outputs are: images, states, levels; as a person describes them.

An image is kept as the tensor's own channels, float32 [1, H, W, C], 0 black and 1 white, and turned
into what the model takes here: its layout, its range, its normalization.
"""

import enum
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from harness.errors import ConfigError
from harness.images import UNIT_RANGE, Pixels
from harness.inputs import Values, matched

_LUMA = (0.299, 0.587, 0.114)
_BLUE_DIFFERENCE = (-0.168736, -0.331264, 0.5)
_RED_DIFFERENCE = (0.5, -0.418688, -0.081312)
"""Y, Cb and Cr of full-range RGB. Source: ITU-T T.871 (JFIF), section 7."""
_FEW = (1, 2, 3, 4, 6, 8, 9, 12)
"""Numbers of channels that images have; a feature map has more."""


class Role(enum.StrEnum):
    """What an input or output is."""

    IMAGE = "image"
    STATE = "state"
    SCALAR = "scalar"
    MAP = "map"
    CONSTANT = "constant"
    TENSOR = "tensor"


class Layout(enum.StrEnum):
    """Where the channels of an image lie."""

    NHWC = "nhwc"
    NCHW = "nchw"


class Channels(enum.StrEnum):
    """What the channels of an image are; `raw` is a Bayer mosaic packed into four planes."""

    RGB = "rgb"
    BGR = "bgr"
    LUMA = "luma"
    YUV = "yuv"
    RAW = "raw"
    PLANES = "planes"


CHANNEL_COUNTS = {
    Channels.RGB: 3, Channels.BGR: 3, Channels.LUMA: 1, Channels.YUV: 3, Channels.RAW: 4,
}  # fmt: skip
"""Channels that an image of a kind has; PLANES may have any number."""


@dataclass(frozen=True, kw_only=True)
class Axes:
    """The axes of a tensor along which an image's height and width run."""

    height: int
    width: int


@dataclass(frozen=True, kw_only=True)
class TensorSpec:
    """One input or output of a model.

    Attributes:
        name: Its name in the file's signature, or the tensor's.
        role: What it is.
        layout: Of an image, a map or a state.
        channels: Of an image.
        range: Of an image, the tensor's values for black and white.
        mean: Of an image, what is taken from each value afterwards; one for all, or one a channel.
        std: Of an image, what it is then divided by.
    """

    name: str
    role: Role = Role.IMAGE
    layout: Layout = Layout.NHWC
    channels: Channels = Channels.RGB
    range: tuple[float, float] = UNIT_RANGE
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a range or a normalization that nothing can be made of.

        Raises:
            ValueError: it is upside down, not finite or zero.
        """
        low, high = self.range
        if not -math.inf < low < high < math.inf:
            raise ValueError("range is [black, white], such as [0.0, 1.0]")
        if not all(math.isfinite(n) for n in (*self.mean, *self.std)) or 0.0 in self.std:
            raise ValueError("mean and std are finite numbers, and no std is 0")

    @property
    def file_name(self) -> str:
        """Return the name that its files begin with: letters, digits, _ and - of its own."""
        return re.sub(r"[^A-Za-z0-9_-]+", "_", self.name).strip("_") or "tensor"

    @property
    def channel_axis(self) -> int:
        """Return the axis of the channels, or of the classes."""
        return 1 if self.layout is Layout.NCHW else -1

    @property
    def axes(self) -> Axes | None:
        """Return its spatial axes, or None where it has none."""
        if self.role in (Role.SCALAR, Role.CONSTANT, Role.TENSOR):
            return None
        return axes_of(self.layout)

    def encode(self, image: Pixels) -> Values:
        """Return the tensor of an image [1, H, W, C] in [0, 1]."""
        low, high = self.range
        values = image.astype(np.float64) * (high - low) + low
        if self.mean:
            values -= np.asarray(self.mean)
        if self.std:
            values /= np.asarray(self.std)
        return _moved(values.astype(np.float32), to=self.layout)

    def decode(self, values: Values) -> Pixels:
        """Return the image [1, H, W, C] of a tensor, in its range."""
        if self.role is not Role.IMAGE:
            return values
        image = np.moveaxis(values, 1, -1) if self.layout is Layout.NCHW else values
        if not self.mean and not self.std:
            return np.ascontiguousarray(image)
        real = image.astype(np.float64)
        real *= np.asarray(self.std or (1.0,))
        real += np.asarray(self.mean or (0.0,))
        return real.astype(np.float32)


SpecT = TypeVar("SpecT", bound=TensorSpec)


@dataclass(frozen=True, kw_only=True)
class InputSpec(TensorSpec):
    """One input of a model.

    Attributes:
        value: Of a scalar or a map: what it is filled with, where a sample has no file for it.
        file: Of a constant: a .npy or .npz beside subject.toml.
        of: Of a state: the output that is fed back into it; the first time it is all zeros.
    """

    value: float | None = None
    file: Path | None = None
    of: str = ""

    def __post_init__(self) -> None:
        """Refuse keys that its role does not have, and a role without the keys that it needs.

        Raises:
            ValueError: so.
        """
        super().__post_init__()
        if (self.role is Role.CONSTANT) is not (self.file is not None):
            raise ValueError(f"{self.name}: `file` is what role = 'constant' needs, and no other")
        if (self.role is Role.STATE) is not bool(self.of):
            raise ValueError(f"{self.name}: `of` is what role = 'state' needs, and no other")
        if self.value is not None and self.role not in (Role.SCALAR, Role.MAP):
            raise ValueError(f"{self.name}: `value` is for role = 'scalar' and 'map'")


@dataclass(frozen=True, kw_only=True)
class OutputSpec(TensorSpec):
    """One output of a model."""

    def __post_init__(self) -> None:
        """Refuse a role that only inputs have.

        Raises:
            ValueError: so.
        """
        super().__post_init__()
        if self.role not in (Role.IMAGE, Role.STATE, Role.TENSOR):
            raise ValueError(f"{self.name}: an output is an image, a state or a tensor")


def decoded(values: Mapping[str, Values], specs: Sequence[OutputSpec]) -> tuple[Values, ...]:
    """Return a model's outputs as images and tensors, in the order of what describes them.

    Args:
        values: Real values by name of the model's output.
        specs: One for each.

    Raises:
        ModelError: what is described are not the model's outputs.
    """
    given = tuple(values.values())
    order = matched([spec.name for spec in specs], tuple(values), what="outputs")
    return tuple(spec.decode(given[i]) for i, spec in zip(order, specs, strict=True))


def axes_of(layout: Layout) -> Axes:
    """Return the spatial axes of a layout."""
    return Axes(height=1, width=2) if layout is Layout.NHWC else Axes(height=2, width=3)


def layout_of(shape: Sequence[int]) -> Layout | None:
    """Guess the layout of an image-like tensor from its shape; None where it is none.

    A number of channels that images have decides; then two equal edges do; then the shorter edge
    is the channels'.
    """
    if len(shape) != 4 or shape[0] != 1 or min(shape) < 0:
        return None
    _, first, middle, last = shape
    if last in _FEW and (first not in _FEW or first == middle):
        return Layout.NHWC
    if first in _FEW and last not in _FEW:
        return Layout.NCHW
    if middle in (first, last):
        return Layout.NHWC if first == middle else Layout.NCHW
    return Layout.NHWC if last <= first else Layout.NCHW


def of_rgb(rgb: Pixels, channels: Channels) -> Pixels:
    """Return an RGB image as channels of another kind; a mosaic for RAW has half the edges.

    Raises:
        ConfigError: RGB says nothing of such channels, or a mosaic has an odd edge.
    """
    if channels is Channels.RGB:
        return rgb
    if channels is Channels.BGR:
        return np.ascontiguousarray(rgb[..., ::-1])
    if channels is Channels.LUMA:
        return _weighted(rgb, _LUMA)
    if channels is Channels.YUV:
        parts = [
            _weighted(rgb, _LUMA),
            _weighted(rgb, _BLUE_DIFFERENCE) + 0.5,
            _weighted(rgb, _RED_DIFFERENCE) + 0.5,
        ]
        return np.concatenate(parts, axis=-1).astype(np.float32)
    if channels is Channels.RAW:
        return packed(np.select(*_cells(rgb))[..., np.newaxis])
    raise ConfigError("an RGB image does not say what planes are; give one grey file a plane")


def packed(mosaic: Pixels) -> Pixels:
    """Return a Bayer mosaic [1, H, W, 1] as four planes [1, H/2, W/2, 4], cell by cell.

    Raises:
        ConfigError: an edge is odd.
    """
    _, height, width, _ = mosaic.shape
    if height % 2 or width % 2:
        raise ConfigError(f"a Bayer mosaic of {width}x{height} has no whole cells of 2x2")
    cells = mosaic.reshape(1, height // 2, 2, width // 2, 2)
    return np.ascontiguousarray(
        cells.transpose(0, 1, 3, 2, 4).reshape(1, height // 2, width // 2, 4)
    )


def _cells(rgb: Pixels) -> tuple[list[NDArray[Any]], list[Pixels]]:
    """Return where an RGGB sensor sees each colour, and what it sees there."""
    _, height, width, _ = rgb.shape
    row, column = np.indices((height, width)) % 2
    where = [(row + column == 0), (row + column == 1), (row + column == 2)]
    return [np.broadcast_to(one, (1, height, width)) for one in where], [
        rgb[..., channel] for channel in range(3)
    ]


def _weighted(rgb: Pixels, weights: Sequence[float]) -> Pixels:
    weighted: NDArray[np.float64] = rgb.astype(np.float64) @ np.asarray(weights)
    return weighted[..., np.newaxis].astype(np.float32)


def _moved(values: Values, *, to: Layout) -> Values:
    return np.ascontiguousarray(np.moveaxis(values, -1, 1) if to is Layout.NCHW else values)
