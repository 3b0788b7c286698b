"""Tests of what a farm's client does where nothing comes back."""

from concurrent.futures import Future
from typing import Any

import pytest

pytest.importorskip("distributed")

from harness.devices.connect import Origin
from harness.farm import lab
from harness.farm.dispatch import Dispatcher, Policy
from harness.farm.engine import AwayError
from harness.farm.fleet import Fleet, StationState
from harness.farm.lab import Upload

pytestmark = pytest.mark.farm

IDLE = Fleet(
    stations={"h1/emulated-0": StationState(name="h1/emulated-0", kind="emulated", version="1")},
    hosts=("h1",),
)


class Swallowing:
    """A scheduler's client whose tasks never end, as those for a host that has died."""

    status = "running"

    def submit(self, *_: object, key: str, **__: object) -> Any:
        future: Any = Future()
        future.key = key
        return future


def waiting(now_s: float) -> lab.Round:
    """Return a round in which a file is on its way to a host, and nothing else is out."""
    dispatcher = Dispatcher([], IDLE, origin=Origin.EMULATED, policy=Policy(), now_s=now_s)
    found = lab.Round(dispatcher)
    found.fleet = IDLE
    found.push(Swallowing(), Upload(host="h1", sha256="0" * 64, data=b"model"))
    return found


def test_a_file_that_never_arrives_is_sent_again_over_a_new_connection() -> None:
    round_ = waiting(0.0)
    round_.check_progress(0.0)

    with pytest.raises(AwayError):
        round_.check_progress(1_000_000.0)
