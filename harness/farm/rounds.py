"""What is out at the engine while a farm is asked, and what comes back of it.

Each answer is fetched by itself, so that a host that has stopped holds up no other's.
"""

import contextlib
import queue
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from harness.errors import HarnessError
from harness.farm import contents, engine, wire, work
from harness.farm.dispatch import Dispatcher, Sending
from harness.farm.engine import NOTHING, AwayError, away
from harness.farm.fleet import Fleet
from harness.farm.wire import FarmReply

_WAIT_S = 0.2
_UPLOAD_PRIORITY = 100
_IDLE_S = 30.0
"""Stations that are idle for so long have nothing of what is out; a scheduler that has been there
for so long is well."""
_NOBODY = "NoValidWorkerError"
"""What the engine says where nobody has come who may be asked."""


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
        self._done: queue.Queue[tuple[Any, object]] = queue.Queue()
        self._questions: dict[str, tuple[Any, Sending]] = {}
        self._parts: dict[str, tuple[Any, Upload]] = {}
        self._uploads: dict[tuple[str, str], Upload] = {}
        self.fleet = Fleet()
        self.looked_s = float("-inf")
        self._moved_s = self._since_s = self._well_s = time.monotonic()
        self._away_s = 0.0
        self._away = False

    def use(self, client: Any, now_s: float) -> None:
        """Go on with a client; what another one had out is lost."""
        if self._client is not client:
            if self._client is not None:
                self.drop()
            self._since_s = now_s
        self._client = client

    def note_well(self, now_s: float) -> None:
        """Take note that the scheduler is there; nobody was waited for while it was not."""
        if self._away:
            self._away = False
            self._away_s += now_s - self._well_s
            self._dispatcher.skip(now_s - self._well_s)
        elif now_s - self._since_s > _IDLE_S:
            self._away_s = 0.0
        self._well_s = now_s

    def trouble_s(self, now_s: float) -> float:
        """Take note that the scheduler is away; return for how long it has been so.

        The times of one that comes and goes add up until something is answered, or it has stayed.
        """
        self._away = True
        return self._away_s + now_s - self._well_s

    def send(self, client: Any, sending: Sending) -> None:
        """Send a question out.

        Who may be asked is named by address: a name that the engine does not know it would look
        up as that of a machine, and wait for the answer.
        """
        origin = self._dispatcher.origin_of(sending.nonce)
        question = wire.ask(sending.request, nonce=sending.nonce, origin=origin)
        with away():
            future = client.submit(
                work.answer,
                wire.write(question),
                key=f"answer-{sending.nonce}",
                resources={sending.kind: 1, wire.VERSION: 1},
                workers=[self.fleet.stations[name].address for name in sending.only] or None,
                allow_other_workers=False,
                priority=sending.priority,
                pure=False,
            )
        self._questions[future.key] = (future, sending)
        self._follow(future)

    def _follow(self, future: Any) -> None:
        done = self._done
        future.add_done_callback(lambda ended: done.put((ended, None)))

    def check_progress(self, now_s: float) -> None:
        """Take what is out for forgotten where nothing came and all stations were idle for long.

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
        """Wait a moment for what comes back, and take in all that has.

        Raises:
            AwayError: the connection to the scheduler broke.
        """
        if client.status != "running":
            raise AwayError("the connection broke")
        for future, said in self._events():
            if future.key not in self._questions and future.key not in self._parts:
                continue
            if said is None and future.status == "finished":
                self._fetch(client, future)
            else:
                self._take(client, future, said)
                future.release()

    def _events(self) -> Iterator[tuple[Any, object]]:
        with contextlib.suppress(queue.Empty):
            yield self._done.get(timeout=_WAIT_S)
            while True:
                yield self._done.get_nowait()

    def _fetch(self, client: Any, future: Any) -> None:
        done = self._done
        engine.fetch(client, future.key, lambda said: done.put((future, said)))

    def _take(self, client: Any, future: Any, said: object) -> None:
        """Take in what was fetched, or None where the engine has nothing to fetch."""
        if future.key in self._parts:
            _, upload = self._parts.pop(future.key)
            self._go_on(client, upload, whole=said)
            return
        if said is None and future.status == "cancelled" and client.status != "running":
            raise AwayError("the scheduler has forgotten what it was asked")
        _, sending = self._questions.pop(future.key)
        if said is None or said is NOTHING:
            why = _why(future)
            if future.status == "cancelled" or why.startswith(_NOBODY):
                self._dispatcher.again(sending.nonce, why)  # nobody has taken it
            else:
                self._dispatcher.lost(sending.nonce, why)
            return
        self._away_s = 0.0
        self._moved_s = time.monotonic()
        reply = self._dispatcher.take(sending.nonce, said)
        if reply is not None:
            self._supply(client, sending, reply)

    def _supply(self, client: Any, sending: Sending, reply: FarmReply) -> None:
        """Send a host what it lacks; of many questions that need one file the first sends it."""
        host = reply.station.partition("/")[0]
        if host not in self.fleet.hosts:
            self._dispatcher.again(sending.nonce, f"host {host} takes no files now")
            return
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
                workers=[self.fleet.hosts[upload.host]],
                allow_other_workers=False,
                priority=_UPLOAD_PRIORITY,
                pure=False,
            )
        upload.start += len(part)
        self._parts[future.key] = (future, upload)
        self._follow(future)

    def _go_on(self, client: Any, upload: Upload, *, whole: object) -> None:
        """Send the next part after one that has arrived, or let go on what waited for the file."""
        if whole is False and upload.start < len(upload.data) and upload.host in self.fleet.hosts:
            self.push(client, upload)
            return
        del self._uploads[upload.host, upload.sha256]
        left = {nonce for other in self._uploads.values() for nonce in other.waiting}
        why = "" if whole is True else f"host {upload.host} did not take a file that it lacks"
        for nonce in upload.waiting - left:
            self._dispatcher.again(nonce, why)

    def drop(self) -> None:
        """Forget all that is out, to be sent again."""
        nonces = {sending.nonce for _, sending in self._questions.values()}
        nonces |= {nonce for upload in self._uploads.values() for nonce in upload.waiting}
        for nonce in nonces:
            self._dispatcher.again(nonce, "the scheduler went away")
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


def _why(future: Any) -> str:
    if future.status == "finished":
        return "what it answered is no data, or went with its worker"
    if future.status == "error":
        with contextlib.suppress(HarnessError), away():
            error = future.exception(timeout=5)
            return f"{type(error).__name__}: {error}"[:500]
    return "its worker is lost"
