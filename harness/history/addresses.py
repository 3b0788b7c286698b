"""Read runs from an address: a file here, or one that a server hands out."""

import tempfile
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from harness import web
from harness.errors import ConfigError
from harness.history import exchange
from harness.history.entries import RunEntry

BYTES_MAX = 2**28
TIMEOUT_S = 120.0
_TYPES = frozenset(
    {
        "application/json",
        "application/jsonl",
        "application/x-ndjson",
        "application/octet-stream",
        "binary/octet-stream",
        "text/plain",
    }
)


def read(address: str) -> tuple[RunEntry, ...]:
    """Return the runs of a path, or of a file://, http:// or https:// address.

    Raises:
        ConfigError: the address is wrong, or what lies there holds no runs.
        NetworkError: a server gave no usable answer in time.
    """
    scheme, mark, _ = address.partition("://")
    if not mark:
        return exchange.read(Path(address))
    if scheme == "file":
        return exchange.read(_path_of(address))
    data = web.get(address, types=_TYPES, at_most_bytes=BYTES_MAX, timeout_s=TIMEOUT_S)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "downloaded.jsonl"
        path.write_bytes(data)
        return exchange.read(path)


def _path_of(address: str) -> Path:
    parts = urlsplit(address)
    if parts.netloc not in ("", "localhost"):
        raise ConfigError(f"{address!r:.200}: names another host; file:///PATH is of this one")
    return Path(urllib.request.url2pathname(parts.path))
