"""Let one nightly run go at a time in a folder; the lock ends with the process that holds it."""

import contextlib
import fcntl
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from harness import evidence, text
from harness.errors import ConfigError
from harness.results import FOLDER

_NAME = "nightly.lock"
_BYTES_MAX = 4096


@contextlib.contextmanager
def held(root: Path) -> Iterator[None]:
    """Hold the lock of a project during the block; a kill ends it too.

    Args:
        root: The project's folder; the lock is a file below its `.results`.

    Raises:
        ConfigError: another nightly run holds it, or it cannot be made.
    """
    path = root / FOLDER / _NAME
    try:
        path.parent.mkdir(exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be made ({error.strerror})") from None
    with os.fdopen(descriptor, "r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(
                f"a nightly run is under way here: {_holder(file.read(_BYTES_MAX))} holds {path}; "
                "wait for its end"
            ) from None
        holder = {
            "process": os.getpid(),
            "host": socket.gethostname(),
            "since": evidence.now_utc(),
        }
        file.truncate(0)
        file.write(json.dumps(holder).encode())
        file.flush()
        yield


def _holder(content: bytes) -> str:
    """Return who wrote a lock, as far as it says so."""
    try:
        holder = json.loads(content)
        said = f"process {holder['process']} on {holder['host']} since {holder['since']}"
    except (ValueError, TypeError, KeyError):
        return "a process that has not written its name yet"
    return text.line(said, text.NAME)
