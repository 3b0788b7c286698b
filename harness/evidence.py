"""Say how a fact is known, and keep enough to know it again."""

import datetime
import enum
import functools
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness import __version__, child, text
from harness.errors import DeviceError


class Evidence(enum.Enum):
    """How strong the ground of a fact is, strongest first."""

    PHONE = "PHONE"
    """Measured on the device itself."""
    VENDOR = "VENDOR"
    """The vendor's own compiler, simulator or runtime, run on the host."""
    VENDOR_MODEL = "VENDOR+MODEL"
    """The vendor's estimator with a fitted correction."""
    HOST = "HOST"
    """The phone's kernels, run on another CPU."""
    RULES = "RULES"
    """Published op rules."""
    MODEL = "MODEL"
    """A fitted estimate."""
    FAKE = "FAKE"
    """The fake phone that ships with the harness: for tests and rehearsals only."""

    @property
    def repeats(self) -> bool:
        """Return whether the same question gives the same answer: all but measurements do."""
        return self not in (Evidence.PHONE, Evidence.FAKE)

    @property
    def rank(self) -> int:
        """Return the strength, 0 for the strongest."""
        return list(Evidence).index(self)


def weakest(kinds: Iterable[Evidence]) -> Evidence:
    """Return the weakest of several kinds of evidence, which is what a joint ruling rests on."""
    return max(kinds, key=lambda kind: kind.rank)


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """All that is needed to take a fact again.

    Attributes:
        evidence: How the fact is known.
        device: Fingerprint of the device, or of the stack and profile that stood in for it.
        variant_sha256: Content hash of the .tflite as it was run, resized for the frame.
        file_sha256: Content hash of the file as it was exported; '' where there is no file.
        runtime: Versions of the software that took part, by name.
        harness_version: Version of this package.
        git_commit: Commit of the working tree, with `+dirty` where it had changes; or empty.
        time_utc: When, ISO 8601.
        device_state: State of the device while measuring (temperature_c, battery, clocks ...).
        note: What a reader must know to read the number right.
        lab: Name of the lab that gave the fact, as `--lab` has it; or '' for this host.
    """

    evidence: Evidence
    device: str
    variant_sha256: str
    file_sha256: str = ""
    runtime: Mapping[str, str] = field(default_factory=dict)
    harness_version: str = __version__
    git_commit: str = ""
    time_utc: str = ""
    device_state: Mapping[str, float | str] = field(default_factory=dict)
    note: str = ""
    lab: str = ""

    def noting(self, more: str) -> "Provenance":
        """Return the provenance with more for a reader to know, or itself where that is ''."""
        return replace(self, note="; ".join(filter(None, (self.note, more)))) if more else self

    def __post_init__(self) -> None:
        """Make printable what a phone said of itself."""
        for name in ("device", "note", "lab"):
            object.__setattr__(self, name, text.line(getattr(self, name)))
        for name in ("runtime", "device_state"):
            values = {
                text.line(str(key), text.NAME): text.line(value)
                if isinstance(value, str)
                else value
                for key, value in getattr(self, name).items()
            }
            object.__setattr__(self, name, values)


def sha256_of(data: bytes | memoryview) -> str:
    """Return the SHA-256 of bytes as 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def now_utc() -> str:
    """Return the present time as ISO 8601 in UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


@functools.cache
def git_commit(folder: Path) -> str:
    """Return the commit that `folder` is at, with `+dirty` for local changes, or ''."""
    try:
        done = child.run(
            [
                "git",
                "-C",
                folder,
                "describe",
                "--always",
                "--abbrev=12",
                "--dirty=+dirty",
                "--exclude=*",
            ],
            stage="git describe",
            timeout_s=5.0,
        )
    except DeviceError:
        return ""
    return done.stdout.strip() if done.exit_code == 0 else ""
