"""Keep the results of unchanged work, by content; safe under several processes.

An entry is data: a checksum, then bytes, an .npy file without objects, or JSON that is read into
the type its maker names. Nothing in the cache is ever unpickled. The folder must belong to this
user, and nobody else may write to it, because compiled contexts and programs lie there too. Where
it cannot be used, work goes on in a folder of this process, and `trouble` says why, once.
"""

import atexit
import functools
import hashlib
import io
import json
import os
import re
import shutil
import stat
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from harness import files, schema
from harness.errors import ConfigError
from harness.evidence import sha256_of

T = TypeVar("T")
ARRAYS = tuple[np.ndarray, ...]
"""Kind of a value of several arrays."""
_DIGEST_BYTES = hashlib.sha256().digest_size
_PACKAGE = Path(__file__).parent
_counts = Counter(misses=0)
_MODULE = re.compile(r"\bharness((?:\.\w+)+)")
_FROM = re.compile(r"^\s*from harness([\w.]*) import (?:\(([^)]*)\)|([^\n]*))", re.MULTILINE)


def root() -> Path:
    """Return the cache folder: $HARNESS_CACHE, or the user's cache folder for this package.

    Where that one cannot be used, it is a folder of this process alone, which goes when it ends.
    """
    named = os.environ.get("HARNESS_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    folder = Path(named) if named else Path(base) / "pytest-device-harness"
    return folder if _why_not(folder) is None else _own_folder()


def misses() -> int:
    """Return how many values this process has computed because the cache did not have them."""
    return _counts["misses"]


def trouble() -> str:
    """Return one line that says why the cache is not used, or ''."""
    return "; ".join(_troubles())


def key_of(maker: str, *parts: object) -> str:
    """Return the key of an entry: all that it depends on, and the code that makes it.

    Args:
        maker: `__name__` of the module that makes the entry. Its source, and that of every module
            of this package that it names, directly or not, is part of the key.
        parts: What it is made from, whatever `schema.dump` takes: a Target with every field of
            its profile, options, versions, hashes of contents. Order matters, types matter.
    """
    data = json.dumps([code_sha256(maker), schema.dump(parts)], sort_keys=True)
    return sha256_of(data.encode())


@functools.cache
def code_sha256(maker: str) -> str:
    """Return a hash of the sources of a module and of all that it names of this package."""
    pending, seen = [maker], dict[str, bytes]()
    while pending:
        name = pending.pop()
        source = _source(name)
        if name in seen or source is None:
            continue
        seen[name] = source
        text = source.decode("utf-8")
        pending += [f"harness{found}" for found in _MODULE.findall(text)]
        for package, several, one_line in _FROM.findall(text):
            names = re.findall(r"\w+", several or one_line)
            pending += [f"harness{package}.{part}" for part in names]
    return sha256_of(json.dumps({name: sha256_of(seen[name]) for name in sorted(seen)}).encode())


def remember(folder: str, key: str, compute: Callable[[], T], *, kind: Any) -> T:
    """Return the remembered value of a key, computing and storing it the first time.

    Two processes may compute the same value; each stores it whole, and the last one stays.
    A damaged entry, or one that does not fit its type, is computed again.

    Args:
        folder: Its name within the cache, one for each kind of value.
        key: From `key_of`: everything that the value depends on.
        compute: Makes the value.
        kind: Its type: `bytes`, `np.ndarray`, `ARRAYS`, or what `schema.parse` takes, such as a
            dataclass, `float` or `tuple[bool, ...]`.
    """
    path = root() / folder / key[:2] / key
    value = read(path, kind)
    if value is None:
        _counts["misses"] += 1
        value = compute()
        data = _packed(value)
        write(path, hashlib.sha256(data).digest() + data)
    result: T = value
    return result


def read(path: Path, kind: Any) -> Any:
    """Return the value of a type that `remember` stored, or None if it is not there whole."""
    try:
        stored = path.read_bytes()
    except OSError:
        return None
    digest, data = stored[:_DIGEST_BYTES], stored[_DIGEST_BYTES:]
    if hashlib.sha256(data).digest() != digest:
        return None
    try:
        if kind is bytes:
            return data
        if kind in (np.ndarray, ARRAYS):
            arrays = tuple(_arrays(data))
            return arrays[0] if kind is np.ndarray else arrays
        return schema.parse(kind, json.loads(data), where=str(path))
    except (ConfigError, ValueError, EOFError, RecursionError):  # of a type that has changed
        return None


def _arrays(data: bytes) -> Iterator[np.ndarray[Any, Any]]:
    """Yield the arrays that were written one behind the other."""
    file = io.BytesIO(data)
    while file.tell() < len(data):
        yield np.load(file, allow_pickle=False)


def write(path: Path, data: bytes) -> None:
    """Write a file so that other processes see it whole or not at all; a full disk is no error."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        files.write_whole(path, data)
    except OSError as error:
        _say(f"{path.parent} takes no more entries ({error.strerror})")


def _packed(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    arrays = (value,) if isinstance(value, np.ndarray) else value
    if isinstance(arrays, tuple) and all(isinstance(one, np.ndarray) for one in arrays):
        file = io.BytesIO()
        for array in arrays:
            np.save(file, array, allow_pickle=False)
        return file.getvalue()
    return json.dumps(schema.dump(value)).encode()


def _source(module: str) -> bytes | None:
    """Return the source of a module of this package, or None where a name is not one."""
    path = _PACKAGE.joinpath(*module.split(".")[1:])
    for file in (path.with_name(f"{path.name}.py"), path / "__init__.py"):
        if file.is_file():
            return file.read_bytes()
    return None


@functools.cache
def _why_not(folder: Path) -> str | None:
    """Make a cache folder where there is none; return why it cannot be used, or None."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = folder.stat()
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        why = f"cannot be written ({error.strerror})"
    else:
        if found.st_uid == os.geteuid() and not stat.S_IMODE(found.st_mode) & 0o022:
            return None
        why = "is another user's, or others may write to it"
    _say(f"the cache {folder} {why}: nothing is remembered; `chmod 700` it or set HARNESS_CACHE")
    return why


@functools.cache
def _own_folder() -> Path:
    """Return a folder that goes when this process ends."""
    folder = tempfile.mkdtemp(prefix="harness-cache-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


@functools.cache
def _troubles() -> list[str]:
    """Return what was said of this process's cache."""
    return []


def _say(line: str) -> None:
    if not _troubles():  # one line; what follows from the first trouble is not news
        _troubles().append(line)
