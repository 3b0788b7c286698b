"""One station of a host: a phone, or this host's own software, that answers one question at a time.

The engine's worker holds a station; the station's child does the work, so that a model that
crashes or hangs what runs it gets an answer and takes no worker with it.
"""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from harness import cache, fact_lines, schema
from harness.errors import DeviceError, HarnessError, TimeLimitError
from harness.farm import wire
from harness.farm.answering import Post
from harness.farm.contents import Contents
from harness.farm.wire import FarmReply, Message, Question
from harness.requests import Fact
from harness.worker import Worker

LIMIT_S = 1800.0
"""Longest that one question takes: a timing of 12 runs, each at most 150 s."""
_RELEASE_LIMIT_S = 60.0
_FAILURES_MAX = 3
"""Failures in a row after which a phone is taken out, where they are not of one model alone."""
IDLE_S = 5.0
"""A phone that nobody asks for so long is given back."""


@dataclass(kw_only=True)
class StationRecord:
    """What a station did since it was opened.

    Attributes:
        answered: Questions that got an answer, or an error that any phone would give.
        failed: Questions that this phone, or the process on it, failed.
        began_s: When the present question came, in seconds of the monotonic clock; None if none.
        failing: Models of the failures since the last answer.
    """

    answered: int = 0
    failed: int = 0
    began_s: float | None = None
    failing: list[str] = field(default_factory=list)


class Station:
    """What answers on one phone, or with this host's software."""

    def __init__(
        self, post: Post, *, unfit: Callable[[str], None], limit_s: float = LIMIT_S
    ) -> None:
        """Describe a station; its child starts with the first question.

        Args:
            post: Where it answers from.
            unfit: Is told why the phone had better be asked no more.
            limit_s: Longest that one question takes.
        """
        self.post = post
        self.record = StationRecord()
        self._unfit = unfit
        self._limit_s = limit_s * post.time_scale
        self._contents = Contents(post.contents)
        self._post_text = json.dumps(schema.dump(post))
        self._ended_s = time.monotonic()
        self._holds = False
        self._closing = False
        self._lock = threading.Lock()
        name = post.serial.encode().hex() or f"emulated-{id(self)}"
        self._child = Worker(
            "harness.farm.answering",
            stage=post.station,
            log=cache.root() / "logs" / f"farm-{name[:60]}.log",
        )

    def answer(self, text: object) -> Message:
        """Answer a question; what keeps it from that is said in the reply.

        Raises:
            ConfigError: the text is no question.
        """
        question = wire.read_question(text)
        lacks = self._contents.lacking(question.contents)
        if lacks:
            reply = FarmReply(nonce=question.nonce, station=self.post.station, lacks=lacks)
            return wire.message(reply)
        with self._lock:
            self.record.began_s = time.monotonic()
            try:
                said = self._said(question)
            finally:
                self.record.began_s = None
                self._ended_s = time.monotonic()
        self._judge(question, wire.read_reply(said, nonce=question.nonce)[0].failure)
        return said

    def _said(self, question: Question) -> Message:
        self._holds = bool(self.post.serial)
        try:
            said: Message = self._child.call(
                "answer", self._post_text, wire.write(question), timeout_s=self._limit_s
            )
        except HarnessError as error:  # its own errors are in its answer; this is its end
            if self._closing:
                raise  # it is killed because the station closes: the question goes to another
            if not isinstance(error, DeviceError):
                return self._error(question, error, "")
            failure = "hang" if isinstance(error, TimeLimitError) else "crash"
            return self._error(question, error, failure)
        return said

    def _error(self, question: Question, error: HarnessError, failure: str) -> Message:
        known = {one: self._contents.read(one) for one in question.contents}
        fact = Fact(request=wire.request_of(question, known), error=error)
        reply = FarmReply(
            nonce=question.nonce,
            station=self.post.station,
            fact=fact_lines.line(fact),
            failure=failure,
        )
        return wire.message(reply)

    def _judge(self, question: Question, failure: str) -> None:
        """Take note of how it went, and say when this phone had better be asked no more."""
        record = self.record
        if not failure:
            record.answered += 1
            record.failing.clear()
            return
        record.failed += 1
        record.failing.append(question.model)
        if not self.post.serial or self._closing:
            return
        if why := self._illness(failure):
            self._unfit(why)

    def _illness(self, failure: str) -> str:
        failing = self.record.failing
        if failure == "unfit" or len(failing) >= _FAILURES_MAX:
            why = self.look()
            if why:
                return why
        if len(failing) >= _FAILURES_MAX and len(set(failing)) > 1:
            return f"it failed {len(failing)} times in a row, on {len(set(failing))} models"
        return ""

    def look(self) -> str:
        """Return why the phone had better not be asked now, or ''."""
        try:
            why: str = self._child.call("unfit", self.post.serial, timeout_s=_RELEASE_LIMIT_S)
        except HarnessError as error:
            return str(error)
        return why

    def recover(self) -> str:
        """Clean up what an earlier process of this owner left there; return why it cannot."""
        if not self.post.serial:
            return ""
        try:
            self._child.call("recover", self._post_text, timeout_s=_RELEASE_LIMIT_S)
        except HarnessError as error:
            return str(error)
        return ""

    def rest(self) -> None:
        """Give the phone back if it has not been asked for a while."""
        idle_s = time.monotonic() - self._ended_s
        if not self._holds or idle_s < IDLE_S * self.post.time_scale:
            return
        if self._lock.acquire(blocking=False):
            try:
                self._release()
            finally:
                self._lock.release()

    def close(self) -> None:
        """Stop what runs, give the phone back, and end the child."""
        self._closing = True
        if self._lock.acquire(blocking=False):
            try:
                self._release()
            finally:
                self._lock.release()
        else:
            self._child.kill()  # in the middle of a question, which nobody waits for any more
            with self._lock:
                self.recover()
        self._child.close()

    def _release(self) -> None:
        if not self._holds:
            return
        self._holds = False
        try:
            self._child.call("release", timeout_s=_RELEASE_LIMIT_S)
        except HarnessError:
            self.recover()  # else the next one of this owner does, or its lock runs out

    def state(self) -> dict[str, Any]:
        """Return what the scheduler is told with each heartbeat."""
        record, now_s = self.record, time.monotonic()
        busy_s = 0.0 if record.began_s is None else now_s - record.began_s
        return {
            "answered": record.answered,
            "failed": record.failed,
            "busy_s": round(busy_s, 1),
            "busy": record.began_s is not None,
        }
