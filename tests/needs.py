"""Skip a test where a host stack is not installed; in CI that is a failure."""

import os

import pytest


def installed(missing: str | None) -> None:
    """Skip, or fail in CI, with what a stack's `missing()` says; go on where it says nothing."""
    if missing is None:
        return
    if os.environ.get("CI"):
        pytest.fail(f"CI must run this stack for real: {missing}")
    pytest.skip(missing)
