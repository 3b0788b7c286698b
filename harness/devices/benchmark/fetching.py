"""Fetch the public builds of both benchmark tools, by version and content hash.

A build that was fetched once is known by its hash, in a file to commit beside it; another content
under the same address is refused. Only arm64 builds are public.

Source: TensorFlow Lite's performance measurement guide; litert-cli 0.2.1, core/constants.py.
"""

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import files, schema, web
from harness.errors import ConfigError, NetworkError
from harness.evidence import sha256_of

MIRROR = "HARNESS_TOOLS_URL"
"""Names the variable with the address of a mirror of storage.googleapis.com."""
_STORAGE = "https://storage.googleapis.com"
LITERT_VERSION = "2.3.0"
_TENSORFLOW = "tensorflow-nightly-public/prod/tensorflow/release/lite/tools/nightly/latest"
_TYPES = (
    "application/octet-stream", "binary/octet-stream", "application/x-executable",
    "application/x-sharedlib", "application/x-elf",
)  # fmt: skip
_BYTES_MAX = 256 * 2**20
_LIMIT_S = 300.0
LOCK = "tools.json"
"""Hashes of what was fetched, by address."""


@dataclass(frozen=True, kw_only=True)
class Build:
    """One file to fetch.

    Attributes:
        path: Below the server's address.
        file: Where it goes, below the folder of tools.
        tool: Whether it is a program; else a library.
    """

    path: str
    file: str
    tool: bool = True


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """What came of one file: its hash, and whether it was known; or why it could not be had."""

    build: Build
    address: str
    sha256: str = ""
    known: bool = False
    problem: str = ""


def builds(version: str = LITERT_VERSION) -> tuple[Build, ...]:
    """Return the files of TensorFlow Lite's tool and of LiteRT 2's tools of a version.

    Raises:
        ConfigError: that is no version.
    """
    if not re.fullmatch(r"[0-9A-Za-z][\w.-]{0,40}", version):
        raise ConfigError(
            f"--fetch-tools {version!r:.60}: write a version such as 2.3.0, or latest"
        )
    below = f"litert/binaries/{version}/android_arm64"
    return (
        Build(
            path=f"{_TENSORFLOW}/android_aarch64_benchmark_model",
            file="tensorflow-lite/benchmark_model",
        ),
        *(
            Build(
                path=f"{below}/{name}",
                file=f"litert-{version}/{name}",
                tool=not name.endswith(".so"),
            )
            for name in (
                "benchmark_model", "run_model", "libLiteRt.so", "libLiteRtClGlAccelerator.so",
            )
        ),
    )  # fmt: skip


def fetch(
    wanted: Sequence[Build],
    folder: Path,
    *,
    environ: Mapping[str, str] = os.environ,
    progress: Callable[[str], None] = lambda _: None,
) -> list[Fetched]:
    """Fetch files into a folder, and keep their hashes there.

    Raises:
        ConfigError: the folder's list of hashes is damaged, or the mirror is no address.
    """
    lock = folder / LOCK
    known = schema.load_json(dict[str, str], lock) if lock.exists() else {}
    outcomes = []
    for build in wanted:
        address = f"{(environ.get(MIRROR) or _STORAGE).rstrip('/')}/{build.path}"
        progress(address)
        outcomes.append(_fetch(build, address, folder, known.get(build.path, "")))
    known |= {one.build.path: one.sha256 for one in outcomes if one.sha256}
    if known:
        folder.mkdir(parents=True, exist_ok=True)
        files.write_whole(lock, json.dumps(known, indent=2, sort_keys=True).encode() + b"\n")
    return outcomes


def _fetch(build: Build, address: str, folder: Path, known: str) -> Fetched:
    try:
        data = web.get(address, types=_TYPES, at_most_bytes=_BYTES_MAX, timeout_s=_LIMIT_S)
    except NetworkError as error:
        return Fetched(build=build, address=address, problem=str(error))
    sha256 = sha256_of(data)
    if known and sha256 != known:
        problem = (
            f"another build than before: sha256 {sha256[:12]}, {LOCK} has {known[:12]}; delete "
            "its line there to take it"
        )
        return Fetched(build=build, address=address, problem=problem)
    if data[:4] != b"\x7fELF":
        return Fetched(build=build, address=address, problem="not a program for Android (no ELF)")
    path = folder / build.file
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_whole(path, data)
    if build.tool:
        path.chmod(0o755)
    return Fetched(build=build, address=address, sha256=sha256, known=bool(known))
