"""Rent phones from the fake AI Hub with Qualcomm's own client."""

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.errors import DeviceError, StackMissing
from harness.lab import aihub_venv
from harness.lab.aihub import AihubLab, JobPace
from harness.lab.fakes.aihub import FakeAihub
from harness.profiles import Target
from tests.phones import PIXEL_4

PACE = JobPace(ask_s=120.0, submit_s=180.0, poll_s=0.05, poll_most_s=0.5, job_s=8.0)
TARGET = Target(profile=PIXEL_4, delegate="gpu")
PHONE = "Google Pixel 4"


def client(folder: Path) -> Path:
    """Return the Python that has the client, made here where there is none; skip without."""
    try:
        return aihub_venv.python()
    except StackMissing:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("HARNESS_CACHE", str(folder))
            try:
                aihub_venv.install()
            except DeviceError as error:
                pytest.skip(f"Qualcomm's client cannot be installed here: {error}")
            return aihub_venv.python()


@contextlib.contextmanager
def served(folder: Path, python: Path, **known: object) -> Iterator[FakeAihub]:
    """Serve a fake AI Hub that the client of this process asks."""
    with pytest.MonkeyPatch.context() as patch, FakeAihub((PHONE,), **known) as fake:  # type: ignore[arg-type]
        patch.setenv(aihub_venv.PYTHON, str(python))
        patch.setenv("QAIHUB_CLIENT_INI", str(fake.configuration(folder / "client.ini")))
        yield fake


def lab(*, resume: bool = False, job_s: float = PACE.job_s) -> AihubLab:
    """Return a lab that the fake answers, not yet opened."""
    return AihubLab(consent=True, resume=resume, pace=dataclasses.replace(PACE, job_s=job_s))


def opened(*, resume: bool = False, job_s: float = PACE.job_s) -> AihubLab:
    """Return a lab that the fake answers."""
    found = lab(resume=resume, job_s=job_s)
    found.open()
    return found
