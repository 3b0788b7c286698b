"""Keep the results of unchanged work, by content; safe under several processes."""

import contextlib
import hashlib
import json
import os
import pickle
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from harness.evidence import sha256_of

T = TypeVar("T")
_DIGEST_BYTES = hashlib.sha256().digest_size


def root() -> Path:
    """Return the cache folder: $HARNESS_CACHE, or the user's cache folder for this package."""
    named = os.environ.get("HARNESS_CACHE")
    if named:
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "pytest-device-harness"


def key_of(*parts: object) -> str:
    """Return a stable key for anything that JSON can hold; order matters, types matter."""
    return sha256_of(json.dumps(parts, sort_keys=True).encode())


def remember(room: str, key: str, compute: Callable[[], T]) -> T:
    """Return the remembered value of a key, computing and storing it the first time.

    Two processes may compute the same value; each stores it whole, and the last one stays.
    A damaged entry is computed again.

    Args:
        room: Folder within the cache, one for each kind of value.
        key: From `key_of`: everything that the value depends on.
        compute: Makes the value, which must be picklable.
    """
    path = root() / room / key[:2] / key
    value = read(path)
    if value is None:
        value = compute()
        data = pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
        write(path, hashlib.sha256(data).digest() + data)
    result: T = value
    return result


def read(path: Path) -> Any:
    """Return the value that `remember` stored at a path, or None if it is not there whole."""
    try:
        stored = path.read_bytes()
    except OSError:
        return None
    digest, data = stored[:_DIGEST_BYTES], stored[_DIGEST_BYTES:]
    if hashlib.sha256(data).digest() != digest:
        return None
    try:
        return pickle.loads(data)
    except (AttributeError, ImportError, TypeError):  # of a class that has changed since
        return None


def write(path: Path, data: bytes) -> None:
    """Write a file so that other processes see it whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise
