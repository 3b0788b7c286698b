"""Models and frames on a host, by content: each is sent there once, and checked when it is read."""

import contextlib
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness import files
from harness.errors import ConfigError, HarnessError
from harness.evidence import sha256_of

PART_BYTES = 4 * 2**20
"""Largest piece that is sent at one time; above 10 MB the engine warns of large messages."""
STORE_BYTES_MAX = 20 * 2**30
_HASH = re.compile(r"[0-9a-f]{64}")


class Contents:
    """A folder of files named by their SHA-256; several processes may share it."""

    def __init__(self, folder: Path, *, most_bytes: int = STORE_BYTES_MAX) -> None:
        """Keep files in a folder.

        Args:
            folder: Made when the first file comes.
            most_bytes: Most that is kept; the longest unused go first.
        """
        self._folder = folder
        self._most_bytes = most_bytes

    def lacking(self, hashes: Sequence[str]) -> tuple[str, ...]:
        """Return those of some hashes whose files are not here."""
        return tuple(one for one in hashes if not self._path(one).exists())

    def read(self, sha256: str) -> bytes:
        """Return the bytes with this hash; a file that was damaged is removed.

        Raises:
            HarnessError: there is none, or it was damaged.
        """
        path = self._path(sha256)
        data = files.read(path, at_most_bytes=files.MODEL_BYTES_MAX, error=HarnessError)
        if sha256_of(data) != sha256:
            path.unlink(missing_ok=True)
            raise HarnessError(f"{path}: was damaged on disk and is removed; it is sent again")
        os.utime(path)
        return data

    def take(self, sha256: str, sender: str, start: int, part: bytes, *, size_bytes: int) -> bool:
        """Take in a piece of a file; the last one gives it its name, once its hash is right.

        Args:
            sha256: Hash of the whole.
            sender: Hex digits unique to this sending: two may send one file at one time.
            start: Where the piece begins.
            part: The piece.
            size_bytes: Size of the whole.

        Returns:
            Whether the file is whole and in its place.

        Raises:
            ConfigError: a name, a size or the order of pieces is wrong, or the hash is.
            HarnessError: it cannot be written.
        """
        place = self._path(sha256)
        if not re.fullmatch(r"[0-9a-f]{8,64}", sender):
            raise ConfigError(f"contents: {sender!r:.80} is no sender")
        if len(part) > PART_BYTES or not 0 <= size_bytes <= files.MODEL_BYTES_MAX:
            raise ConfigError("contents: a piece, or the whole, is too large")
        path = self._folder / f"part.{sha256[:16]}.{sender}"
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with path.open("ab") as file:
                if file.tell() != start:
                    raise ConfigError(f"contents: a piece begins at {start}, not {file.tell()}")
                file.write(part)
                written = file.tell()
            if written < size_bytes:
                return False
            data = path.read_bytes()
            if len(data) != size_bytes or sha256_of(data) != sha256:
                path.unlink()
                raise ConfigError(f"contents: {sha256[:12]} arrived damaged")
            path.replace(place)
            self._make_room()
        except OSError as error:
            raise HarnessError(f"{self._folder}: cannot be written ({error.strerror})") from None
        return True

    def _make_room(self) -> None:
        found = []
        for path in self._folder.iterdir():
            with contextlib.suppress(FileNotFoundError):  # another process removed it
                state = path.stat()
                found.append((state.st_mtime_ns, state.st_size, path))
        left_bytes = sum(size for _, size, _ in found)
        for _, size_bytes, path in sorted(found)[:-1]:
            if left_bytes <= self._most_bytes:
                return
            path.unlink(missing_ok=True)
            left_bytes -= size_bytes

    def _path(self, sha256: str) -> Path:
        if not _HASH.fullmatch(sha256):
            raise ConfigError(f"contents: {sha256!r:.80} is no SHA-256")
        return self._folder / sha256


def pieces(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield a file piece by piece: where each begins, and its bytes."""
    for start in range(0, len(data), PART_BYTES):
        yield start, data[start : start + PART_BYTES]


def sender() -> str:
    """Return a new name of a sending."""
    return secrets.token_hex(8)
