"""The child process that answers the questions of one station, so that a crash is an answer.

It speaks with its parent by `Worker`'s pipe and reads models and frames from the host's
folder by hash.
"""

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness import fact_lines, schema
from harness.devices.connect import PhoneSetup
from harness.devices.device import ask
from harness.devices.emulated import Emulated
from harness.errors import ConfigError, DeviceError, HarnessError, MeasurementError
from harness.farm import wire
from harness.farm.contents import Contents
from harness.farm.wire import FarmReply, Message, Question
from harness.model import Model
from harness.profiles import Target
from harness.requests import Answer, Fact, Request
from harness.worker import serve

if TYPE_CHECKING:
    from harness.devices.measured import Phone

_HERE = (ConfigError, DeviceError, MeasurementError)
"""Errors that may be of this phone or this host: another one is asked."""
_MODELS_MAX = 16
_HEALTH_S = 10.0
"""A phone is looked at before a question if that was not done for so many seconds."""
_HEALTH_S_MIN = 1.0
"""The same in rehearsals, however fast."""
_FENCE_S = 1.0
"""The fence that was read after one question holds for the next one within so many seconds: what
happens to the phone in between shows in the one that is read after that."""


@dataclass(frozen=True, kw_only=True)
class Post:
    """Where a child answers from.

    Attributes:
        station: Name of the worker, `HOST/SERIAL` or `HOST/emulated`.
        contents: Folder of models and frames.
        serial: The phone's serial, or '' for emulated phones.
        owner: Who takes the phone's lock, in hex digits; it outlives this process.
        lock_wait_s: Longest wait for another harness to give the phone back.
        time_scale: Factor on all that is waited for; below 1 in rehearsals.
    """

    station: str
    contents: Path
    serial: str = ""
    owner: str = ""
    lock_wait_s: float = 600.0
    time_scale: float = 1.0


class _Unfit(DeviceError):
    """A phone that had better not be asked."""


class _Desk:
    """What one child answers with: a phone through one delegate at a time, or this host."""

    def __init__(self) -> None:
        self._post: Post | None = None
        self._emulated: dict[str, Emulated] = {}
        self._phones: dict[str, Phone] = {}
        self._models: dict[str, Model] = {}
        self._looked_s = float("-inf")
        self._fence = 0
        self._fenced_s = float("-inf")

    def answer(self, post: str, question: str) -> Message:
        """Answer a question from a post, both as JSON."""
        here = schema.parse(Post, json.loads(post), where="post")
        asked = wire.read_question(question)
        start_s = time.monotonic()
        fact, failure, fence = self._fact(here, asked)
        reply = FarmReply(
            nonce=asked.nonce,
            station=here.station,
            fence=fence,
            seconds=time.monotonic() - start_s,
            fact=fact_lines.line(fact) if fact is not None else None,
            failure=failure,
        )
        return wire.message(reply, fact)

    def _fact(self, post: Post, asked: Question) -> tuple[Fact | None, str, int]:
        """Return a fact, why it is none of the model's doing, and the fence."""
        contents = Contents(post.contents)
        request = wire.request_of(asked, {one: contents.read(one) for one in asked.contents})
        request = self._known(request)
        try:
            answer, fence = self._ask(post, request, emulated=asked.origin == "emulated")
        except HarnessError as error:
            failure = "unfit" if isinstance(error, _Unfit) else "phone"
            shown = DeviceError(str(error)) if isinstance(error, _Unfit) else error
            return (
                Fact(request=request, error=shown),
                failure if isinstance(error, _HERE) else "",
                0,
            )
        return Fact(request=request, answer=answer), "", fence

    def _known(self, request: Request) -> Request:
        """Return the request with the model that is known by its hash, and what was derived."""
        known = self._models.setdefault(request.model.sha256, request.model)
        while len(self._models) > _MODELS_MAX:
            del self._models[next(iter(self._models))]
        same = (known.name, known.source_sha256) == (
            request.model.name, request.model.source_sha256
        )  # fmt: skip
        return replace(request, model=known) if same else request

    def _ask(self, post: Post, request: Request, *, emulated: bool) -> tuple[Answer | None, int]:
        name = str(request.target)
        if emulated is bool(post.serial):
            raise ConfigError(f"{post.station} is no station for {request}")
        if emulated:
            device = self._emulated.setdefault(request.target.sha256, Emulated(request.target))
            return ask(device, request), 0
        if name not in self._phones:
            self.release()
            self._phones[name] = _opened(post, request.target)
        return self._measure(post, self._phones[name], request)

    def _measure(self, post: Post, device: "Phone", request: Request) -> tuple[Answer | None, int]:
        if time.monotonic() - self._looked_s > max(_HEALTH_S * post.time_scale, _HEALTH_S_MIN):
            if why := unfit(post.serial):
                raise _Unfit(f"phone {post.serial}: {why}")
            self._looked_s = time.monotonic()
        known = time.monotonic() - self._fenced_s < _FENCE_S
        before = self._fence if known else device.fence()
        self._fenced_s = float("-inf")
        found = ask(device, request)
        after = device.fence()
        if after != before:
            raise MeasurementError(f"phone {post.serial}: it was lost while {request} was measured")
        self._fence, self._fenced_s = after, time.monotonic()
        return found, after

    def release(self) -> None:
        """Restore a phone and give it back."""
        self._fenced_s = float("-inf")
        phones, self._phones = list(self._phones.values()), {}
        for phone in phones:
            phone.close()


def unfit(serial: str) -> str:
    """Return why the phone of a serial had better not be asked now, or ''."""
    from harness.devices.phone.adb import AdbConnection, AdbServer
    from harness.farm import health

    return health.unfit(AdbConnection(serial, AdbServer.from_environment()))


def recover(post: str) -> None:
    """Clean up on a phone what an earlier process of this owner left there, if it left anything.

    What the first question needs is imported, so that it does not wait for that.

    Raises:
        DeviceError: the phone is away, or another harness has it.
    """
    from harness.devices import measured  # noqa: F401
    from harness.devices.phone.adb import AdbConnection, AdbServer
    from harness.devices.phone.lock import PhoneLock

    here = schema.parse(Post, json.loads(post), where="post")
    connection = AdbConnection(here.serial, AdbServer.from_environment())
    lock = PhoneLock(connection, lease_s=60, owner=here.owner)
    lock.enter()
    lock.leave()


def _opened(post: Post, target: Target) -> "Phone":
    from harness.devices import measured

    setup = PhoneSetup.of_project()
    (found,) = measured.attached({target.profile.name: target.profile}, serial=post.serial)
    usual = setup.measuring(target.delegate)
    scale = post.time_scale
    measuring = replace(
        usual,
        contract=replace(usual.contract, cooldown_s=usual.contract.cooldown_s * scale),
        run_limit_s=usual.run_limit_s * scale,
        recover_s=usual.recover_s * scale,
        lock_owner=post.owner,
        lock_wait_s=post.lock_wait_s * scale,
    )
    tool = setup.tool(target.delegate)
    return measured.Phone(found, target.delegate, tool=tool, measuring=measuring)


def main() -> None:
    """Answer until the parent closes the pipe."""
    desk = _Desk()
    serve({"answer": desk.answer, "release": desk.release, "unfit": unfit, "recover": recover})


if __name__ == "__main__":
    main()
