"""The lab that is a farm: asks its scheduler, sends hosts what they lack, takes facts back.

The engine is a means of transport here. What is out, what came back and what is sent again is
kept on this side, so that the end of a worker, of a host or of the scheduler costs only the
questions that were under way.
"""

import contextlib
import queue
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from harness.devices.connect import Origin
from harness.devices.emulated import Emulated
from harness.errors import ConfigError, DeviceError, HarnessError
from harness.farm import contents, engine, wire, work
from harness.farm.dispatch import Dispatcher, Policy, Sending
from harness.farm.engine import ASK_LIMIT_S, AwayError, away
from harness.farm.fleet import Fleet
from harness.farm.links import Address
from harness.farm.wire import Reply
from harness.profiles import Target
from harness.requests import Fact, Request

_LOOK_S = 1.0
"""The scheduler is asked who is there so often."""
_WAIT_S = 0.2
_UPLOAD_PRIORITY = 100
_IDLE_S = 30.0
"""Stations that are idle for so long have nothing of what is out."""
_NOBODY = "NoValidWorkerError"
"""What the engine says where nobody has come who may be asked."""


@dataclass(frozen=True, kw_only=True)
class Where:
    """What `farm:ADDRESS[?lane=nightly&hours=8]` says.

    Attributes:
        address: Of the scheduler.
        policy: How the farm is used.
    """

    address: Address
    policy: Policy = field(default_factory=Policy)

    @classmethod
    def parse(cls, text: str) -> "Where":
        """Read it.

        Raises:
            ConfigError: the address, a key or a value is unknown.
        """
        address, _, rest = text.partition("?")
        said = parse_qs(rest, keep_blank_values=True)
        unknown = set(said) - {"lane", "hours", "patience"}
        lane = said.get("lane", ["pull-request"])[0]
        if unknown or lane not in ("pull-request", "nightly"):
            raise ConfigError(
                f"farm:{text}: write farm:ADDRESS, and after it ?lane=nightly&hours=8&patience=300 "
                "where the run gives way to others, ends after so many hours, or waits so many "
                "seconds for a phone"
            )
        return cls(
            address=Address.parse(address),
            policy=Policy(
                nightly=lane == "nightly",
                budget_s=_positive(said, "hours", 3600.0),
                patience_s=_positive(said, "patience", 1.0) or Policy.patience_s,
            ),
        )


def _positive(said: dict[str, list[str]], name: str, unit: float) -> float | None:
    if name not in said:
        return None
    try:
        value = float(said[name][0])
    except ValueError:
        value = 0.0
    if not 0.0 < value < 1e6:
        raise ConfigError(f"farm: {name}={said[name][0]!r:.40} is no positive number")
    return value * unit


class FarmLab:
    """The phones of a farm, and its hosts' software where a profile has no phone there."""

    def __init__(self, argument: str, *, origin: Origin, certs: Path | None = None) -> None:
        """Describe a farm; nothing is sent yet.

        Args:
            argument: `ADDRESS[?lane=..]`, see `Where`.
            origin: Where facts may come from.
            certs: Folder of certificates; by default $HARNESS_FARM_CERTS.

        Raises:
            ConfigError: the argument cannot be read.
        """
        self._where = Where.parse(argument)
        self._origin = origin
        self._certs = certs
        self._engine: Any = None
        self._findings: list[str] = []
        self.name = f"farm:{argument}"

    def open(self) -> None:
        """Reach the scheduler.

        Raises:
            HarnessError: it cannot be reached, or does not trust this client.
        """
        self._connected()

    def answer(self, requests: Sequence[Request]) -> Iterator[Fact]:
        """Yield a fact for each request, as they come."""
        try:
            first = self._fleet()
        except HarnessError as error:
            why = str(error)
            yield from (Fact(request=one, error=DeviceError(f"{one}: {why}")) for one in requests)
            return
        dispatcher = Dispatcher(
            requests,
            first,
            origin=self._origin,
            policy=self._where.policy,
            now_s=time.monotonic(),
        )
        round_ = Round(dispatcher)
        try:
            yield from dispatcher.facts()
            while dispatcher.left:
                self._step(dispatcher, round_)
                yield from dispatcher.facts()
        finally:
            round_.cancel()
            self._findings += dispatcher.findings()

    def _step(self, dispatcher: Dispatcher, round_: "Round") -> None:
        """Send what can go out, and take in what has come back."""
        try:
            client = self._connected()
            round_.use(client)
            now_s = time.monotonic()
            if now_s - round_.looked_s >= _LOOK_S:
                round_.fleet, round_.looked_s = self._fleet(), now_s
                round_.check_progress(now_s)
            for sending in dispatcher.sends(round_.fleet, now_s=now_s):
                round_.send(client, sending)
            round_.take_in(client)
        except AwayError as error:
            self._drop()
            round_.drop()
            if time.monotonic() - round_.reached_s > self._where.policy.patience_s:
                dispatcher.give_up(f"the scheduler at {self._where.address} is away: {error}")
            time.sleep(_WAIT_S)
        except HarnessError as error:
            dispatcher.give_up(str(error))

    def _connected(self) -> Any:
        """Return the engine's client, connected.

        Raises:
            AwayError: the scheduler does not answer.
            ConfigError: TLS is not set up, or the other side does not trust it.
        """
        if self._engine is not None and self._engine.status == "running":
            return self._engine
        self._drop()
        self._engine = engine.connect(self._where.address, self._certs)
        return self._engine

    def _fleet(self) -> Fleet:
        return engine.look(self._connected())

    def _drop(self) -> None:
        client, self._engine = self._engine, None
        if client is not None:
            engine.close(client)

    def fingerprint(self, target: Target) -> str:
        """Return what identifies who answers: this software, or that it is a phone of the farm."""
        measured = self._origin is not Origin.EMULATED and self._fleet().of(target.profile.name)
        if measured:
            return f"{target} of {self.name}"
        return Emulated(target).fingerprint

    def findings(self) -> list[str]:
        """Return what was found about the farm's phones so far."""
        return list(self._findings)

    def close(self) -> list[str]:
        """Leave the farm; its hosts give their phones back by themselves."""
        self._drop()
        return []


@dataclass
class Upload:
    """A file on its way to a host, and the questions that wait for it there."""

    host: str
    sha256: str
    data: bytes
    sender: str = field(default_factory=contents.sender)
    start: int = 0
    waiting: set[str] = field(default_factory=set)


class Round:
    """What is out at the engine during one call of `answer`."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        """Begin with nothing out."""
        self._dispatcher = dispatcher
        self._client: Any = None
        self._done: queue.Queue[Any] = queue.Queue()
        self._questions: dict[str, tuple[Any, Sending]] = {}
        self._parts: dict[str, tuple[Any, Upload]] = {}
        self._uploads: dict[tuple[str, str], Upload] = {}
        self.fleet = Fleet()
        self.looked_s = float("-inf")
        self._moved_s = time.monotonic()
        self.reached_s = time.monotonic()

    def use(self, client: Any) -> None:
        """Go on with a client; what another one had out is lost."""
        if self._client is not None and self._client is not client:
            self.drop()
        self._client = client
        self.reached_s = time.monotonic()

    def send(self, client: Any, sending: Sending) -> None:
        """Send a question out."""
        origin = self._dispatcher.origin_of(sending.nonce)
        question = wire.ask(sending.request, nonce=sending.nonce, origin=origin)
        with away():
            future = client.submit(
                work.answer,
                wire.write(question),
                key=f"answer-{sending.nonce}",
                resources={sending.kind: 1, wire.VERSION: 1},
                workers=list(sending.only) or None,
                allow_other_workers=False,
                priority=sending.priority,
                pure=False,
            )
        self._questions[future.key] = (future, sending)
        future.add_done_callback(self._done.put)

    def check_progress(self, now_s: float) -> None:
        """Take what is out for forgotten where every station has been idle for long.

        Raises:
            AwayError: it is so; all of it is sent again over a new connection.
        """
        stations = self.fleet.stations.values()
        out = self._questions or self._uploads
        if not out or any(s.busy_s is not None or s.queued for s in stations):
            self._moved_s = now_s
        elif now_s - self._moved_s > _IDLE_S:
            self._moved_s = now_s
            raise AwayError("it has forgotten what it was asked")

    def take_in(self, client: Any) -> None:
        """Wait a moment for what comes back, and take in all that has."""
        if client.status != "running":
            raise AwayError("the connection broke")
        futures = []
        with contextlib.suppress(queue.Empty):
            futures.append(self._done.get(timeout=_WAIT_S))
            while True:
                futures.append(self._done.get_nowait())
        known = [f for f in futures if f.key in self._questions or f.key in self._parts]
        finished = [future for future in known if future.status == "finished"]
        said = _gathered(client, finished)
        for future in known:
            self._take(client, future, said)
            future.release()

    def _take(self, client: Any, future: Any, said: dict[str, object]) -> None:
        if future.key in self._parts:
            _, upload = self._parts.pop(future.key)
            self._go_on(client, upload, whole=said.get(future.key))
            return
        _, sending = self._questions.pop(future.key)
        if future.key not in said:
            if future.status in ("cancelled", "lost"):
                raise AwayError("the scheduler has forgotten what it was asked")
            why = _why(future)
            if why.startswith(_NOBODY):  # who was to be asked has gone before it was
                self._dispatcher.again(sending.nonce)
            else:
                self._dispatcher.lost(sending.nonce, why)
            return
        reply = self._dispatcher.take(sending.nonce, said[future.key])
        if reply is not None:
            self._supply(client, sending, reply)

    def _supply(self, client: Any, sending: Sending, reply: Reply) -> None:
        """Send a host what it lacks; of many questions that need one file the first sends it."""
        host = reply.station.partition("/")[0]
        found = wire.contents(sending.request)
        for sha256 in reply.lacks:
            key = (host, sha256)
            if key not in self._uploads:
                self.push(client, Upload(host=host, sha256=sha256, data=found[sha256]))
            self._uploads[key].waiting.add(sending.nonce)

    def push(self, client: Any, upload: Upload) -> None:
        """Send the next part of a file to its host."""
        self._uploads[upload.host, upload.sha256] = upload
        part = upload.data[upload.start : upload.start + contents.PART_BYTES]
        with away():
            future = client.submit(
                work.keep,
                upload.sha256,
                upload.sender,
                upload.start,
                part,
                len(upload.data),
                key=f"keep-{upload.sender}-{upload.start}",
                workers=[upload.host],
                allow_other_workers=False,
                priority=_UPLOAD_PRIORITY,
                pure=False,
            )
        upload.start += len(part)
        self._parts[future.key] = (future, upload)
        future.add_done_callback(self._done.put)

    def _go_on(self, client: Any, upload: Upload, *, whole: object) -> None:
        if whole is False and upload.start < len(upload.data):
            self.push(client, upload)
            return
        del self._uploads[upload.host, upload.sha256]
        left = {nonce for other in self._uploads.values() for nonce in other.waiting}
        for nonce in upload.waiting - left:
            if whole is True:
                self._dispatcher.again(nonce)
            else:
                self._dispatcher.lost(nonce, f"host {upload.host} did not take what it lacks")

    def drop(self) -> None:
        """Forget all that is out, to be sent again."""
        nonces = {sending.nonce for _, sending in self._questions.values()}
        nonces |= {nonce for upload in self._uploads.values() for nonce in upload.waiting}
        for nonce in nonces:
            self._dispatcher.again(nonce)
        self._questions.clear()
        self._parts.clear()
        self._uploads.clear()
        self._done = queue.Queue()
        self.looked_s = float("-inf")

    def cancel(self) -> None:
        """Let the farm drop what is out, as at the end of a run that was interrupted."""
        futures = [future for future, _ in (*self._questions.values(), *self._parts.values())]
        if futures and self._client is not None and self._client.status == "running":
            with contextlib.suppress(AwayError), away():
                self._client.cancel(futures, force=True)


def _gathered(client: Any, finished: Sequence[Any]) -> dict[str, object]:
    """Fetch what came back, by key; what is neither text, bytes nor numbers stays where it is."""
    if not finished:
        return {}
    try:
        with away():
            said: dict[str, object] = client.sync(
                client._gather,
                {future.key: future for future in finished},
                errors="skip",
                callback_timeout=ASK_LIMIT_S,
            )
    except (TypeError, ValueError):  # one of them is an object, which is not unpickled here
        half = len(finished) // 2
        if not half:
            return {}
        return _gathered(client, finished[:half]) | _gathered(client, finished[half:])
    return said


def _why(future: Any) -> str:
    if future.status == "finished":
        return "what it answered is no data, or went with its worker"
    with contextlib.suppress(HarnessError), away():
        error = future.exception(timeout=5)
        return f"{type(error).__name__}: {error}"[:500]
    return "its worker is lost"
