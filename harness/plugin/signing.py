"""Sign a run at its end."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.errors import HarnessError
from harness.results import Writer
from harness.subjects import Subject

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def key_of(path: str) -> "Ed25519PrivateKey":
    """Return the key that a run will be signed with, before anything is measured.

    Raises:
        pytest.UsageError: it cannot be used.
    """
    from harness.signing import envelope  # of an extra

    try:
        return envelope.private_key(Path(path))
    except HarnessError as error:
        raise pytest.UsageError(str(error)) from None


def sign(writer: Writer, key: "Ed25519PrivateKey", judged: Sequence[Subject]) -> str:
    """Sign the run that a writer has ended, and return a line on what came of it."""
    from harness.signing import statement

    if writer.path is None:
        return "sign: there is nothing to sign"
    try:
        path = statement.sign(writer.path, key, written=writer.line_sha256, judged=judged)
    except HarnessError as error:
        return f"sign: the run is NOT signed, {error}"
    return f"signed: {path.name}"
