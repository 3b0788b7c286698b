"""What a host tells the process of a station, and what its exit codes say."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.farm.answering import Post
from harness.farm.station import LIMIT_S

UNFIT = 75
"""Exit code of a station whose phone is not fit. Source: sysexits.h, EX_TEMPFAIL."""
LOST = 69
"""Exit code of a station that has lost its scheduler. Source: sysexits.h, EX_UNAVAILABLE."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a host tells the process of a station.

    Attributes:
        scheduler: Address.
        certs: Folder of certificates, or ''.
        post: Where it answers from.
        resources: What it offers to the engine, each once for a question.
        labels: What the status shows of it, by name.
        scratch: Folder for the engine's files.
        limit_s: Longest that one question takes.
    """

    scheduler: str
    post: Post
    resources: Mapping[str, float]
    scratch: Path
    certs: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    limit_s: float = LIMIT_S
