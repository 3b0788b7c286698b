"""Skip a test where what it needs is not installed; in CI that is a failure."""

import importlib
import os
import shutil
from pathlib import Path
from types import ModuleType

import pytest


def installed(missing: str | None) -> None:
    """Skip, or fail in CI, with what a stack's `missing()` says; go on where it says nothing."""
    if missing is None:
        return
    if os.environ.get("CI"):
        pytest.fail(f"CI must run this stack for real: {missing}")
    pytest.skip(missing)


def package(name: str) -> ModuleType:
    """Return a Python package that an extra installs."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        installed(f"needs the Python package {name}")
        raise AssertionError("skipped or failed above") from None


def torch_python() -> str:
    """Return the Python that has PyTorch: $HARNESS_TORCH_PYTHON, or what `make torch` made.

    CPU-only wheels are not served everywhere, so that a lack is no failure in CI either.
    """
    made = Path(__file__).parents[1] / ".cache" / "torch" / "bin" / "python"
    path = os.environ.get("HARNESS_TORCH_PYTHON") or (str(made) if made.exists() else "")
    if not path:
        pytest.skip("needs PyTorch: `make torch`, or name a Python in HARNESS_TORCH_PYTHON")
    return path


def program(name: str) -> str:
    """Return the path of a program of this host."""
    path = shutil.which(name)
    installed(None if path else f"needs the program {name}")
    assert path is not None
    return path
