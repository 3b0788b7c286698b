"""Read and write files: regular ones, up to a size, so that no pipe hangs and memory does not fill.

What is written is there whole or not at all.
"""

import contextlib
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from harness.errors import HarnessError

MODEL_BYTES_MAX = 2**31 - 1
"""Source: a flatbuffer's offsets are 32 bits with a sign."""
IMAGE_BYTES_MAX = 2**28
"""A 16-bit image of 33 megapixels without compression has 2**27.6."""
TEXT_BYTES_MAX = 2**26
RUN_BYTES_MAX = 2**29
"""A run of 20 subjects x 8 variants on 10 phones, 4 frames of each, has 2**26.6."""


def read(path: Path, *, at_most_bytes: int, error: type[HarnessError]) -> bytes:
    """Return a file's bytes.

    Args:
        path: A regular file; links to one are followed.
        at_most_bytes: Largest size that is read.
        error: What to raise.

    Raises:
        HarnessError: of the kind given; the file is missing, no regular file, or too large.
    """
    with _opened(path, error) as (file, size_bytes):
        # A buffer of the size asked for is made at once, so the limit is not asked for.
        data = file.read(size_bytes) if size_bytes <= at_most_bytes else None
    if data is None:
        raise error(
            f"{path}: cannot be read (larger than {at_most_bytes / 2**20:.0f} MiB, the most that "
            "is read of such a file)"
        )
    return data


def first_line(path: Path, *, at_most_bytes: int, error: type[HarnessError]) -> bytes:
    """Return a file's first line; of one that is longer than allowed, what is allowed.

    Raises:
        HarnessError: of the kind given; the file is missing or no regular file.
    """
    with _opened(path, error) as (file, _):
        return file.readline(at_most_bytes)


@contextlib.contextmanager
def _opened(path: Path, error: type[HarnessError]) -> Iterator[tuple[BinaryIO, int]]:
    """Give a regular file and its size; what goes wrong with it is the error."""
    try:
        # Without O_NONBLOCK, opening a pipe waits for someone to write to it.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            state = os.fstat(descriptor)
            if not stat.S_ISREG(state.st_mode):
                kind = "a folder" if stat.S_ISDIR(state.st_mode) else "a pipe, socket or device"
                raise error(f"{path}: cannot be read (it is {kind}; give a regular file)")
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                yield file, state.st_size
        finally:
            os.close(descriptor)
    except OSError as failure:
        raise error(f"{path}: cannot be read ({failure.strerror})") from None
    except ValueError as failure:  # a name with a NUL
        raise error(f"{str(path)!r:.200}: cannot be read ({failure})") from None
    except MemoryError:
        raise error(f"{path}: cannot be read (there is no memory for it)") from None


def read_model(path: Path, *, error: type[HarnessError]) -> bytes:
    """Return the bytes of a .tflite; what is larger than one is refused with what to do.

    Raises:
        HarnessError: of the kind given, as `read`.
    """
    try:
        size_bytes = path.stat().st_size
    except (OSError, ValueError):
        size_bytes = 0  # `read` says what is wrong with it
    if size_bytes > MODEL_BYTES_MAX:
        raise error(
            f"{path}: has {size_bytes / 2**20:.0f} MiB, and a .tflite of 2048 MiB or more is not "
            "read, wherever its weights lie in it: a model is held in memory whole; export it with "
            "weights of 16 or 8 bits, or in parts that are smaller"
        )
    return read(path, at_most_bytes=MODEL_BYTES_MAX, error=error)


def write_whole(path: Path, data: bytes | memoryview) -> None:
    """Write a file so that other processes see it whole or not at all.

    Raises:
        OSError: it cannot be written; nothing is left of it.
    """
    part = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.part")
    try:
        part.write_bytes(data)
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def check_private(path: Path, *, error: type[HarnessError]) -> None:
    """Refuse a file that others than its owner can read or write; a missing one is left to `read`.

    Raises:
        HarnessError: of the kind given.
    """
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except (OSError, ValueError):
        return
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise error(f"{path}: has mode {mode:o}, so others can use it; `chmod 600` it")


def read_text(path: Path, *, error: type[HarnessError]) -> str:
    """Return a UTF-8 file's text.

    Raises:
        HarnessError: as `read`, or the file is not UTF-8.
    """
    try:
        return read(path, at_most_bytes=TEXT_BYTES_MAX, error=error).decode("utf-8")
    except UnicodeDecodeError as failure:
        raise error(f"{path}: cannot be read ({failure})") from None
