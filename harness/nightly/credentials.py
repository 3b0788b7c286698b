"""Read secrets from where they belong: a variable of the environment, or a file of one user.

A secret is never an argument, an ini key or part of a record. What is read from the environment
is taken out of it, so that no program that this one starts can see it.
"""

import os
from pathlib import Path

from harness import files
from harness.errors import ConfigError

_BYTES_MAX = 16_384
_VARIABLE = "env:"
_FILE = "file:"
_SYSTEMD = "CREDENTIALS_DIRECTORY"
"""Folder of what systemd's LoadCredential= hands over; only the service can enter it."""


def read(source: str, *, purpose: str) -> str:
    """Return a secret.

    Args:
        source: `env:NAME`, or `file:PATH` of a file that nobody but its owner can read.
        purpose: What it is for, for messages.

    Raises:
        ConfigError: the source is neither, is missing or empty, or others can read the file.
    """
    if source.startswith(_VARIABLE):
        name = source.removeprefix(_VARIABLE)
        secret = os.environ.pop(name, "")
        missing = f"{purpose}: the environment has no {name!r:.80}"
    elif source.startswith(_FILE):
        path = Path(source.removeprefix(_FILE))
        _check_mode(path)
        secret = files.read(path, at_most_bytes=_BYTES_MAX, error=ConfigError).decode(
            "utf-8", errors="replace"
        )
        missing = f"{purpose}: {path} is empty"
    else:  # it may be the secret itself: it is not repeated
        raise ConfigError(f"{purpose}: a secret is named as env:NAME or file:PATH, never given")
    secret = secret.strip()
    if not secret:
        raise ConfigError(missing)
    if not secret.isprintable() or not secret.isascii():
        raise ConfigError(f"{purpose}: the secret is no single line of ASCII")
    return secret


def _check_mode(path: Path) -> None:
    folder = os.environ.get(_SYSTEMD)
    if folder and path.resolve().parent == Path(folder).resolve():
        return  # an access list lets the service in, which looks like a group's right
    files.check_private(path, error=ConfigError)
