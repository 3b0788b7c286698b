"""The venv of Qualcomm's client, which wants another protobuf than this package has beside it."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness import cache, child
from harness.errors import DeviceError, StackMissing

PACKAGE = "qai-hub==0.56.0"
PYTHON = "HARNESS_AIHUB_PYTHON"
"""Name of the environment variable that names the Python of a venv of one's own."""
REMEDY = "harness doctor --install aihub"
_CLIENT = Path(__file__).with_name("aihub_client.py")
_INSTALL_LIMIT_S = 900.0


def python() -> Path:
    """Return the Python of the venv.

    Raises:
        StackMissing: there is none.
    """
    found = Path(os.environ.get(PYTHON) or cache.root() / "aihub" / "bin" / "python")
    if not found.exists():
        raise StackMissing(f"Qualcomm's client is not installed ({found}); run `{REMEDY}`")
    return found


def install() -> None:
    """Make the venv; one that is there is brought to the version that is wanted.

    Raises:
        DeviceError: it cannot be made, or the package cannot be had.
    """
    folder = cache.root() / "aihub"
    steps: tuple[Sequence[str | Path], ...] = (
        [sys.executable, "-m", "venv", folder],
        [folder / "bin" / "python", "-m", "pip", "install", "--quiet", PACKAGE],
    )
    for step in steps:
        done = child.run(step, stage=f"installing {PACKAGE}", timeout_s=_INSTALL_LIMIT_S)
        if done.exit_code:
            raise DeviceError(f"installing {PACKAGE}: {_last(done.stderr or done.stdout)}")


def ask(verb: str, given: Mapping[str, object], *, timeout_s: float) -> Any:
    """Ask AI Hub one question with its own client.

    Args:
        verb: A function of `aihub_client.py`.
        given: Its arguments but the client.
        timeout_s: Limit on the whole of it.

    Raises:
        StackMissing: the client is not installed.
        DeviceError: it failed, or AI Hub said no.
    """
    done = child.run(
        [python(), "-I", _CLIENT],
        stage=f"aihub: {verb}",
        timeout_s=timeout_s,
        stdin=json.dumps({"verb": verb, "given": given}).encode(),
    )
    try:
        answer = json.loads(done.stdout)
    except (ValueError, RecursionError):
        raise DeviceError(
            f"aihub: {verb}: the client ended with exit code {done.exit_code}: {_last(done.stderr)}"
        ) from None
    if not isinstance(answer, dict) or "answer" not in answer:
        said = answer.get("error") if isinstance(answer, dict) else None
        raise DeviceError(f"aihub: {verb}: {said or 'no answer'}")
    return answer["answer"]


def _last(said: str) -> str:
    lines = said.strip().splitlines()
    return lines[-1][:500] if lines else "it did not say why"
