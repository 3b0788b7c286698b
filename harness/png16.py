"""Colour PNG of 16 bits, of which Pillow decodes one byte of each value at a time.

Pillow keeps no colour of more than 8 bits. It decodes such a file into the higher byte of each
value; told that the bytes come in the other order, it decodes the lower one.
"""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

WHITE = 65535
"""Value of white."""
_HIGH, _LOW = ";16B", ";16L"
"""How Pillow calls the order of a value's bytes; a PNG has the higher one first."""
_COLOUR_TYPES = {3: 2, 4: 6}
"""Number of a PNG's colour type by the number of channels. Source: ISO/IEC 15948, 11.2.2."""


def holds(image: Image.Image) -> bool:
    """Return whether an image that is opened and not decoded holds colour of 16 bits."""
    tiles = getattr(image, "tile", ())
    return image.mode in ("RGB", "RGBA") and any(";16" in str(tile) for tile in tiles)


def decode(image: Image.Image) -> NDArray[np.uint16]:
    """Return the values of a PNG as [H, W, 3], without the transparency that it may have.

    Raises:
        ValueError: it is no PNG, of whose bytes the order is known.
        OSError, zlib.error: it is damaged.
    """
    file = image.fp if isinstance(image, ImageFile.ImageFile) else None
    if image.format != "PNG" or file is None:
        raise ValueError(f"colour of 16 bits in a {image.format}; save it as PNG, or as .npy")
    file.seek(0)
    data = file.read()
    values = np.stack([_bytes(data, order)[..., :3] for order in (_LOW, _HIGH)], axis=-1)
    return values.view("<u2")[..., 0].astype(np.uint16)


def _bytes(data: bytes, order: str) -> NDArray[np.uint8]:
    """Return one byte of each value."""
    with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
        assert isinstance(image, ImageFile.ImageFile)
        image.tile = [one._replace(args=_in_order(one.args, order)) for one in image.tile]
        return np.asarray(image)


def _in_order(args: Any, order: str) -> Any:
    if isinstance(args, str):
        return args.replace(_HIGH, order)
    return tuple(one.replace(_HIGH, order) if isinstance(one, str) else one for one in args)


def write(path: Path, values: NDArray[np.uint16]) -> None:
    """Write values [H, W, 3], or [H, W, 4] with transparency, as a PNG."""
    height, width, channels = values.shape
    rows = values.astype(">u2").view(np.uint8).reshape(height, width, 2 * channels)
    left = np.zeros_like(rows)
    left[:, 1:] = rows[:, :-1]
    differences = (rows - left).reshape(height, -1)  # filter 1: what the pixel before has less
    filtered = np.concatenate([np.ones((height, 1), np.uint8), differences], axis=1)
    head = struct.pack(">IIBBBBB", width, height, 16, _COLOUR_TYPES[channels], 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(filtered.tobytes())), (b"IEND", b""))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*one) for one in chunks))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
