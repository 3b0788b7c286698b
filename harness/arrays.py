"""Arrays: read from files within bounds and never as objects of Python, and multiplied."""

import io
import zipfile
import zlib
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness import files
from harness.errors import BlessedDataError

DAMAGE = (
    OSError, ValueError, LookupError, EOFError, TypeError, AttributeError, RuntimeError,
    MemoryError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What NumPy and zipfile raise on a damaged file."""
_RANK_MAX = 8


def load(path: Path) -> NDArray[np.float32]:
    """Return the one array of a .npy or .npz file of at most 256 MiB as float32; read-only.

    Raises:
        BlessedDataError: the file is missing, damaged or too large, or holds no array of numbers.
    """
    data = files.read(path, at_most_bytes=files.IMAGE_BYTES_MAX, error=BlessedDataError)
    try:
        array = _only(data) if path.suffix.lower() == ".npz" else _npy(data)
        if array.dtype.kind not in "biuf":
            raise ValueError(f"it holds {array.dtype}, not numbers")
        values = array.astype(np.float32)
    except DAMAGE as error:
        raise BlessedDataError(f"{path}: not a readable array ({error!s:.200})") from None
    values.flags.writeable = False
    return values


def members(data: bytes) -> dict[str, NDArray[Any]]:
    """Return the arrays of a .npz by name.

    Raises:
        ValueError: it unpacks to more than 256 MiB.
        DAMAGE: it is no .npz.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        size_bytes = sum(entry.file_size for entry in archive.infolist())
    if size_bytes > files.IMAGE_BYTES_MAX:
        raise ValueError(f"{size_bytes / 2**20:.0f} MiB when unpacked")
    with np.load(io.BytesIO(data), allow_pickle=False) as stored:
        return dict(stored)


def _only(data: bytes) -> NDArray[Any]:
    found = members(data)
    if len(found) != 1:
        raise ValueError(f"it holds {len(found)} arrays; keep one in it")
    return next(iter(found.values()))


def _npy(data: bytes) -> NDArray[Any]:
    """Read a .npy whose header claims no more than the file holds."""
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    read_header = (
        np.lib.format.read_array_header_1_0
        if version == (1, 0)
        else np.lib.format.read_array_header_2_0
    )
    shape, _, dtype = read_header(file)
    if dtype.hasobject or len(shape) > _RANK_MAX:
        raise ValueError(f"it holds {dtype} of {len(shape)} dimensions")
    if prod(shape) * dtype.itemsize > len(data):
        raise ValueError("it claims more than it holds")
    file.seek(0)
    array: NDArray[Any] = np.load(file, allow_pickle=False)
    return array


def inner_product(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return the sum of the products of two arrays of one shape.

    BLAS would be as quick, but its threads keep every core busy for 0.1 s after each call, where
    inferences run.
    """
    return float(np.einsum("i,i->", one.reshape(-1), other.reshape(-1)))
