"""Tests of what a farm's client does where something, or nothing, comes back."""

import asyncio
import logging
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import pytest

pytest.importorskip("distributed")

from distributed.batched import BatchedSend
from distributed.client import ClosedClientError

from harness.devices.connect import Origin
from harness.farm import engine, links, wire
from harness.farm.dispatch import Dispatcher, Policy
from harness.farm.engine import AwayError
from harness.farm.fleet import Fleet, StationState
from harness.farm.rounds import Round, Upload
from harness.images import Size
from harness.profiles import load_all, select, shipped_folder
from harness.requests import Request, Verb
from tests import models

pytestmark = pytest.mark.farm


def _station(name: str) -> StationState:
    return StationState(
        name=name, kind="emulated", version=wire.VERSION, address=f"tcp://{name[-1]}"
    )


IDLE = Fleet(
    stations={one.name: one for one in map(_station, ("h1/emulated-0", "h1/emulated-1"))},
    hosts={"h1": "tcp://h1"},
)


class Task:
    """A future of the engine."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.status = "pending"
        self.ended: Future[None] = Future()

    def add_done_callback(self, then: Any) -> None:
        self.ended.add_done_callback(lambda _: then(self))

    def end(self, status: str) -> None:
        self.status = status
        self.ended.set_result(None)

    def release(self) -> None:
        """Do nothing: there is no scheduler that keeps it."""


class Client:
    """A connection to a scheduler that takes tasks and answers what it is told to."""

    status = "running"

    def __init__(self, loop: Any = None) -> None:
        self.loop = loop
        self.scheduler = self
        self.tasks: list[Task] = []
        self.workers: list[object] = []
        self.data: dict[str, object] = {}

    def submit(self, *_: object, key: str, workers: object, **__: object) -> Task:
        self.tasks.append(Task(key))
        self.workers.append(workers)
        return self.tasks[-1]

    async def gather(self, keys: list[str]) -> object:
        (key,) = keys
        while key not in self.data:
            await asyncio.sleep(60)
        return {"status": "OK", "data": {key: self.data[key]}}


class Loop:
    """An event loop in a thread, as the engine's client has one."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)

    def add_callback(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work(), self.loop)


@pytest.fixture
def client() -> Iterator[Client]:
    loop = Loop()
    loop.thread.start()
    yield Client(loop)

    async def cancel() -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    asyncio.run_coroutine_threadsafe(cancel(), loop.loop).result(timeout=10)
    loop.loop.call_soon_threadsafe(loop.loop.stop)
    loop.thread.join()
    loop.loop.close()


def _requests(count: int) -> list[Request]:
    (target,) = select(load_all([shipped_folder()]), ["pixel4:nnapi"])
    model = models.model(models.unet(size_px=32))
    sizes = [Size(width_px=32 * number, height_px=32) for number in range(1, count + 1)]
    return [Request(target=target, verb=Verb.PLACE, model=model, size=size) for size in sizes]


def _asking(client: Client, count: int) -> tuple[Dispatcher, Round]:
    """Return a round in which questions are out."""
    dispatcher = Dispatcher(
        _requests(count), IDLE, origin=Origin.EMULATED, policy=Policy(), now_s=0.0
    )
    round_ = Round(dispatcher)
    round_.fleet = IDLE
    round_.use(client, 0.0)
    for sending in dispatcher.sends(IDLE, now_s=0.0):
        round_.send(client, sending)
    return dispatcher, round_


def _said(nonce: str) -> wire.Message:
    return wire.message(wire.FarmReply(nonce=nonce, station="h1/emulated-0"))


def test_a_file_that_never_arrives_is_sent_again_over_a_new_connection() -> None:
    _, round_ = _asking(Client(), 0)
    round_.push(Client(), Upload(host="h1", sha256="0" * 64, data=b"model"))
    round_.check_progress(0.0)

    with pytest.raises(AwayError):
        round_.check_progress(1_000_000.0)


def test_who_may_be_asked_is_named_by_address_so_that_nobody_looks_up_a_machine_name() -> None:
    client = Client()
    dispatcher, round_ = _asking(client, 1)
    (nonce,) = dispatcher._out
    dispatcher._out[nonce].failures["h1/emulated-0"] = AwayError("x")
    dispatcher.again(nonce)

    (sending,) = dispatcher.sends(IDLE, now_s=1.0)
    round_.send(client, sending)

    assert sending.only == ("h1/emulated-1",)
    assert client.workers == [None, ["tcp://1"]]


def test_an_answer_that_cannot_be_fetched_holds_up_no_other(client: Client) -> None:
    dispatcher, round_ = _asking(client, 2)
    stuck, quick = client.tasks
    nonce = quick.key.removeprefix("answer-")
    client.data[quick.key] = _said(nonce)  # holds no fact, which counts as a loss

    stuck.end("finished")
    quick.end("finished")
    while nonce in dispatcher._out:
        round_.take_in(client)

    assert stuck.key.removeprefix("answer-") in dispatcher._out


def test_an_answer_that_went_with_its_worker_is_asked_for_again_and_nothing_else(
    client: Client,
) -> None:
    dispatcher, round_ = _asking(client, 2)
    gone, other = client.tasks

    gone.end("lost")
    round_.take_in(client)

    assert [f"answer-{nonce}" for nonce in dispatcher._out] == [other.key]
    (again,) = dispatcher.sends(IDLE, now_s=60.0)
    assert f"answer-{again.nonce}" not in (gone.key, other.key)


def test_the_times_that_a_scheduler_is_away_add_up_until_something_is_answered() -> None:
    _, round_ = _asking(Client(), 0)
    round_.note_well(100.0)
    assert round_.trouble_s(110.0) == 10.0
    round_.use(Client(), 120.0)
    round_.note_well(120.0)
    round_.note_well(140.0)

    assert round_.trouble_s(145.0) == 25.0


def test_a_scheduler_that_has_stayed_is_well() -> None:
    client = Client()
    _, round_ = _asking(client, 0)
    round_.note_well(100.0)
    round_.trouble_s(200.0)
    round_.use(Client(), 200.0)
    round_.note_well(200.0)
    round_.note_well(260.0)

    assert round_.trouble_s(270.0) == 10.0


def test_phones_are_waited_for_from_when_the_scheduler_is_back() -> None:
    dispatcher, round_ = _asking(Client(), 1)
    start_s = dispatcher._now_s
    round_.note_well(start_s)
    round_.trouble_s(start_s + 280.0)
    round_.use(Client(), start_s + 290.0)
    round_.note_well(start_s + 290.0)

    dispatcher.sends(Fleet(), now_s=start_s + 310.0)
    assert dispatcher.left == 1
    dispatcher.sends(Fleet(), now_s=start_s + 600.0)

    (fact,) = dispatcher.facts()
    assert "no phone of emulated is there" in str(fact.error)


def test_stations_that_answer_faster_than_they_report_have_forgotten_nothing(
    client: Client,
) -> None:
    dispatcher, round_ = _asking(client, 3)
    round_._moved_s = 0.0
    quick = client.tasks[0]
    nonce = quick.key.removeprefix("answer-")
    client.data[quick.key] = _said(nonce)
    quick.end("finished")
    while nonce in dispatcher._out:
        round_.take_in(client)

    round_.check_progress(round_._moved_s + 1.0 if round_._moved_s else 31.0)


def test_a_connection_that_was_closed_meanwhile_is_an_error_that_is_waited_out() -> None:
    closed = Client()
    closed.scheduler = None  # type: ignore[assignment]

    with pytest.raises(AwayError):
        engine.look(closed)
    with pytest.raises(AwayError), engine.away():
        raise ClosedClientError("Cannot send messages after closing")


def test_the_engine_keeps_few_of_the_messages_of_a_connection() -> None:
    links.engine()

    kept = BatchedSend(interval=1.0).recent_message_log.maxlen

    assert kept is not None
    assert kept <= 50


def test_the_engine_logs_nothing_here(capsys: pytest.CaptureFixture[str]) -> None:
    before = {
        name: logging.getLogger(name).level
        for name in logging.Logger.manager.loggerDict
        if name.startswith("distributed")
    }
    try:
        engine._silence()
        logging.getLogger("distributed.client").error("a host said this")
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)
    said = capsys.readouterr()
    assert said.out + said.err == ""
