"""The process of one station: the engine's worker, which ends with the host that started it."""

import asyncio
import contextlib
import json
import os
import sys
import threading
from pathlib import Path

from distributed import Worker, WorkerPlugin

from harness import schema
from harness.farm import links, work
from harness.farm.links import Address
from harness.farm.scheduler import ending
from harness.farm.station import Station
from harness.farm.worker_settings import LOST, UNFIT, Settings

_HANDOVER_S = 3.0
"""Time in which what was answered is fetched before a worker ends."""
_LAST_S = 150.0
"""Longest end of a worker: its phone is given back, or recovered, within a minute each."""


class Plugin(WorkerPlugin):  # type: ignore[misc]
    """What a task of the engine finds by name at the worker that runs it."""

    def __init__(self, name: str, **held: object) -> None:
        """Hold some things under a name."""
        self.name = name
        self.__dict__.update(held)


async def serve(settings: Settings) -> int:
    """Answer until the host ends, the scheduler is lost or the phone is not fit."""
    address = Address.parse(settings.scheduler)
    certs = Path(settings.certs) if settings.certs else None
    security = links.security(address, certs, "host")
    loop, unfit = asyncio.get_running_loop(), asyncio.Event()
    reasons: list[str] = []

    def call_unfit(why: str) -> None:
        reasons.append(why)
        loop.call_soon_threadsafe(unfit.set)

    told = asyncio.create_task(_told_to_end())
    station = Station(settings.post, unfit=call_unfit, limit_s=settings.limit_s)
    if why := await asyncio.to_thread(station.recover):
        station.close()
        return _say_unfit(why)
    worker = Worker(
        str(address),
        nthreads=1,
        name=settings.post.station,
        resources=dict(settings.resources),
        security=security or {},
        dashboard=False,
        dashboard_address="127.0.0.1:0",
        memory_limit=0,
        local_directory=str(settings.scratch),
        death_timeout=30,
        metrics={"harness": lambda _: {**settings.labels, **station.state()}},
        plugins=[Plugin(work.STATION, station=station)],
    )
    code = 0
    try:
        started = await _started(worker, told)
        if started:
            code = await _until_over(worker, station, unfit, told)
        _end_at_the_latest(code)
        if started and code != LOST:
            nothing = dict.fromkeys(settings.resources, 0.0)
            with contextlib.suppress(OSError, TimeoutError):  # nothing more is sent here
                await asyncio.wait_for(worker.set_resources(**nothing), _HANDOVER_S)
        if code == UNFIT:
            await asyncio.sleep(_HANDOVER_S * settings.post.time_scale)
    except (OSError, TimeoutError, RuntimeError):  # the last where the engine cannot start
        code = LOST
    await asyncio.to_thread(station.close)
    await worker.close(timeout=2, executor_wait=False)
    return _say_unfit(reasons[0]) if code == UNFIT else code


def _end_at_the_latest(code: int) -> None:
    """Let this process end after a while, whatever the phone or the engine still waits for."""
    last = threading.Timer(_LAST_S, os._exit, [code])
    last.daemon = True
    last.start()


def _say_unfit(why: str) -> int:
    print(json.dumps({"unfit": why}), flush=True)
    return UNFIT


async def _told_to_end() -> None:
    """Wait until the host has ended, or the system asks this process to."""
    ended = ending()
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    waits = [asyncio.create_task(reader.read()), asyncio.create_task(ended.wait())]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)


async def _started(worker: Worker, told: "asyncio.Task[None]") -> bool:
    """Start a worker, which waits for its scheduler; return False where the end came first."""
    starting = asyncio.create_task(worker.start())
    await asyncio.wait((starting, told), return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        return False
    await starting
    return True


async def _until_over(
    worker: Worker, station: Station, unfit: asyncio.Event, told: "asyncio.Task[None]"
) -> int:
    """Wait for the first reason to end; return the exit code."""
    resting = asyncio.create_task(_rest(station))
    waits = {
        told: 0,
        asyncio.create_task(unfit.wait()): UNFIT,
        asyncio.create_task(worker.finished()): LOST,
    }
    done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for task in (*waits, resting):
        task.cancel()
    return min(waits[task] for task in done)


async def _rest(station: Station) -> None:
    while True:
        await asyncio.sleep(1.0)
        await asyncio.to_thread(station.rest)


def main() -> None:
    """Serve with the settings of the first argument; end with an exit code that says why."""
    settings = schema.parse(Settings, json.loads(sys.argv[1]), where="settings")
    code = asyncio.run(serve(settings))
    sys.stdout.flush()
    os._exit(code)  # threads of a question that nobody waits for are left behind


if __name__ == "__main__":
    main()
