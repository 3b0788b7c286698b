"""A host of a farm: finds its phones, keeps one station on each, and looks after the unfit ones."""

import asyncio
import contextlib
import fcntl
import json
import math
import os
import re
import secrets
import socket
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Protocol

from harness import child, schema, text
from harness.errors import ConfigError, DeviceError, HarnessError
from harness.farm import links, wire, work
from harness.farm.answering import Post, unfit
from harness.farm.contents import Contents
from harness.farm.fleet import EMULATED
from harness.farm.links import Address
from harness.farm.quarantine import Quarantine
from harness.farm.scheduler import ending
from harness.farm.worker_settings import LOST, UNFIT, Settings
from harness.profiles import Profile

_POLL_S = 2.0
_GONE_S = 10.0
"""A phone that adb has not listed for so long has no station any more."""
_BACKOFF_S = (1.0, 2.0, 5.0, 15.0, 30.0)
_PHONES_PER_CORE = 4
"""Phones whose work on the host (pushing, hashing, parsing) one core carries."""
_END_S = 30.0
_LOG_BYTES_MAX = 2**22


@dataclass(frozen=True, kw_only=True)
class HostSettings:
    """What a host is told.

    Attributes:
        scheduler: Where it works for.
        folder: Its state: models, quarantine, the owner of its locks.
        name: Its name in the farm.
        profiles: Phones on paper, by name.
        certs: Folder of certificates.
        serials: Only these phones; a fake one is taken only by its serial.
        emulated: Stations without a phone; by default the cores that its phones leave.
        time_scale: Factor on all that is waited for; below 1 in rehearsals.
    """

    scheduler: Address
    folder: Path
    profiles: Mapping[str, Profile]
    name: str = field(default_factory=socket.gethostname)
    certs: Path | None = None
    serials: tuple[str, ...] = ()
    emulated: int | None = None
    time_scale: float = 1.0

    def __post_init__(self) -> None:
        """Refuse a name that would be taken apart wrongly.

        Raises:
            ConfigError: it holds something else than letters, digits, dots and dashes.
        """
        if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", self.name):
            raise ConfigError(f"{self.name!r:.80} is no name of a host; letters, digits, . _ -")


class Lease(Protocol):
    """Phones that a lab's own scheduler lends to a host."""

    def addresses(self) -> tuple[str, ...]:
        """Return where adb finds what is lent now."""

    def close(self) -> None:
        """Give all of it back."""


@dataclass(kw_only=True)
class _Seat:
    """A place for a station: a phone that was seen, or a core."""

    station: str
    profile: str = ""
    serial: str = ""
    seen_s: float = 0.0
    task: "asyncio.Task[None] | None" = None
    process: "asyncio.subprocess.Process | None" = None
    exits: int = 0


class Host:
    """The supervisor of the stations of one machine."""

    def __init__(
        self, settings: HostSettings, *, say: Callable[[str], None], lease: Lease | None = None
    ) -> None:
        """Prepare to serve.

        Args:
            settings: What it is told.
            say: Takes lines for a person.
            lease: Who lends it phones; then those, and the serials of the settings, are all.

        Raises:
            ConfigError: another host keeps its state in the folder.
            HarnessError: nothing can be written there.
        """
        self._settings = settings
        self._say = say
        self._lease = lease
        self._held = _hold(settings.folder)
        self._owner = _owner(settings.folder)
        self._quarantine = Quarantine(settings.folder, time_scale=settings.time_scale)
        self._seats: dict[str, _Seat] = {}
        self._no_phones = ""
        self._ending = False

    async def serve(self) -> None:
        """Keep stations until it is told to end."""
        ended = ending()
        links.security(self._settings.scheduler, self._settings.certs, "host")
        keeping = asyncio.create_task(self._keep())
        try:
            while not ended.is_set():
                await self._round()
                with contextlib.suppress(TimeoutError):
                    wait_s = max(0.2, _POLL_S * self._settings.time_scale)
                    await asyncio.wait_for(ended.wait(), wait_s)
        finally:
            self._ending = True
            keeping.cancel()
            await self._end()
            if self._lease is not None:
                await asyncio.to_thread(self._lease.close)
            self._held.close()

    async def _round(self) -> None:
        """Look what is attached, and let each phone that is fit have a station."""
        now_s = time.monotonic()
        try:
            found = await asyncio.to_thread(self._attached)
            self._no_phones = ""
        except DeviceError as error:
            if self._no_phones != str(error):  # it is looked again every few seconds
                self._no_phones = str(error)
                self._say(f"no phones: {error}")
            found = {}
        for serial, profile in found.items():
            if serial not in self._seats:
                station = f"{self._settings.name}/{serial}"
                self._seats[serial] = _Seat(station=station, profile=profile, serial=serial)
                self._say(f"{text.line(station)}: found, {profile}")
            self._seats[serial].seen_s = now_s
        await self._revisit(set(found))
        for name, seat in list(self._seats.items()):
            gone_s = max(3.0, _GONE_S * self._settings.time_scale)
            if seat.serial and now_s - seat.seen_s > gone_s:
                self._say(f"{text.line(seat.station)}: gone")
                await _stop(seat)
                del self._seats[name]
            elif seat.serial in found and not self._quarantine.of(seat.serial):
                self._start(seat)
            elif seat.process is not None and self._quarantine.of(seat.serial):
                self._say(f"{text.line(seat.station)}: quarantined by hand")
                await _stop(seat)
        for number in range(self._emulated()):
            name = f"{EMULATED}-{number}"
            station = f"{self._settings.name}/{name}"
            self._start(self._seats.setdefault(name, _Seat(station=station)))

    def _emulated(self) -> int:
        wanted = self._settings.emulated
        if wanted is not None:
            return wanted
        phones = sum(1 for seat in self._seats.values() if seat.serial)
        return max(0, (os.cpu_count() or 1) - math.ceil(phones / _PHONES_PER_CORE))

    def _attached(self) -> dict[str, str]:
        """Return the profile of each phone that can be used, by serial."""
        from harness.devices.phone.adb import AdbConnection, AdbServer, attached
        from harness.devices.phone.identity import identify

        server, wanted = AdbServer.from_environment(), self._settings.serials
        if self._lease is not None:
            wanted = (*wanted, *self._lease.addresses())
        states = {phone.serial: phone.state for phone in attached(server)}
        for serial in wanted:
            if ":" in serial and states.get(serial) != "device":
                with contextlib.suppress(DeviceError):  # asked again the next time
                    AdbConnection(serial, server).wait_ready(timeout_s=0.5)
                    states[serial] = "device"
        named = bool(self._settings.serials) or self._lease is not None
        found: dict[str, str] = {}
        for serial, state in states.items():
            if state != "device" or (named and serial not in wanted):
                continue
            if serial in self._seats:
                found[serial] = self._seats[serial].profile
                continue
            with contextlib.suppress(DeviceError):  # it went away again
                phone = identify(AdbConnection(serial, server))
                fitting = [p for p in self._settings.profiles.values() if p.matches(phone.model)]
                if fitting and (not phone.fake or serial in wanted):
                    found[serial] = fitting[0].name
        return found

    async def _revisit(self, present: set[str]) -> None:
        """Look at the phones in quarantine that are due."""
        self._quarantine.reload()
        for serial in self._quarantine.due(now_s=time.time()):
            why = await asyncio.to_thread(unfit, serial) if serial in present else "not attached"
            if self._quarantine.looked(serial, why, now_s=time.time()):
                self._say(f"{text.line(serial)}: back from quarantine")

    def _start(self, seat: _Seat) -> None:
        if seat.task is None or seat.task.done():
            seat.task = asyncio.create_task(self._station(seat))

    async def _station(self, seat: _Seat) -> None:
        """Run the process of a station to its end, once."""
        settings = self._settings_of(seat)
        try:
            process = await child.spawn(
                [sys.executable, "-P", "-m", "harness.farm.worker_process",
                 json.dumps(schema.dump(settings))]
            )  # fmt: skip
        except HarnessError as error:
            self._say(f"{seat.station}: {error}")
            return
        seat.process = process
        log = self._settings.folder / "logs" / f"{seat.station.encode().hex()[-60:]}.log"
        reading = asyncio.create_task(_drain(process, log))
        reasons = await _reasons(process)
        code = await process.wait()
        await reading
        child.stop_group(process.pid)
        seat.process = None
        if self._ending:
            return
        if code == UNFIT:
            why = reasons or "it did not say why"
            self._quarantine.put(seat.serial, why, now_s=time.time())
            self._say(f"{text.line(seat.station)}: quarantined: {why}")
            return
        seat.exits += 1
        wait_s = _BACKOFF_S[min(seat.exits, len(_BACKOFF_S)) - 1]
        if code == LOST:
            self._say(f"{text.line(seat.station)}: lost the scheduler; it tries again")
            wait_s = _BACKOFF_S[0]
        else:
            self._say(f"{text.line(seat.station)}: ended with code {code}; see {log}")
        await asyncio.sleep(wait_s * self._settings.time_scale)

    def _settings_of(self, seat: _Seat) -> Settings:
        here = self._settings
        kind = seat.profile or EMULATED
        return Settings(
            scheduler=str(here.scheduler),
            certs=str(here.certs or ""),
            post=Post(
                station=seat.station,
                contents=here.folder / "contents",
                serial=seat.serial,
                owner=self._owner,
                time_scale=here.time_scale,
            ),
            resources={kind: 1.0, wire.VERSION: 1.0},
            labels={"kind": kind, "serial": seat.serial},
            scratch=here.folder / "scratch",
        )

    async def _keep(self) -> None:
        """Stay known to the scheduler, so that the status shows this host and its quarantine."""
        from distributed import Worker

        from harness.farm.worker_process import Plugin  # it needs the engine

        plugin = Plugin(work.CONTENTS, contents=Contents(self._settings.folder / "contents"))
        here = self._settings
        while True:
            try:
                security = links.security(here.scheduler, here.certs, "host")
                async with Worker(
                    str(here.scheduler),
                    nthreads=1,
                    name=here.name,
                    security=security or {},
                    dashboard=False,
                    dashboard_address="127.0.0.1:0",
                    memory_limit=0,
                    local_directory=str(here.folder / "scratch"),
                    death_timeout=30,
                    metrics={"harness": lambda _: self.state()},
                    plugins=[plugin],
                ) as worker:
                    await worker.finished()
            except (OSError, TimeoutError):
                pass  # the scheduler is away
            except (RuntimeError, HarnessError) as error:
                why = text.line(str(error.__cause__ or error))
                self._say(f"{here.name}: unknown to the scheduler, it tries again: {why}")
            await asyncio.sleep(1.0)

    def state(self) -> dict[str, Any]:
        """Return what the scheduler is told with each heartbeat."""
        cases = {serial: self._quarantine.of(serial) for serial in self._seats}
        return {
            "kind": "host",
            "quarantine": {
                serial: {"profile": self._seats[serial].profile, **schema.dump(case)}
                for serial, case in cases.items()
                if case is not None
            },
        }

    async def _end(self) -> None:
        """End every station; each gives its phone back first."""
        await asyncio.gather(*(_stop(seat) for seat in self._seats.values()))


async def _stop(seat: _Seat) -> None:
    process, task = seat.process, seat.task
    if process is not None:
        if process.stdin is not None:
            process.stdin.close()  # at this it gives its phone back and ends
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _END_S)
        child.stop_group(process.pid)
    if task is not None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _reasons(process: "asyncio.subprocess.Process") -> str:
    """Read what a station says until it ends; return why its phone is unfit, or ''."""
    assert process.stdout is not None
    why = ""
    async for line in process.stdout:
        with contextlib.suppress(ValueError):
            said = json.loads(line)
            if isinstance(said, dict) and isinstance(said.get("unfit"), str):
                why = text.line(said["unfit"], text.NAME)
    return why


async def _drain(process: "asyncio.subprocess.Process", path: Path) -> None:
    """Write what a station prints on standard error to its log, which starts over each time."""
    assert process.stderr is not None
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        while data := await process.stderr.read(65_536):
            if file.tell() < _LOG_BYTES_MAX:
                file.write(data)
                file.flush()


def _hold(folder: Path) -> IO[str]:
    """Take a host's folder for this process alone."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = (folder / "host.lock").open("a", encoding="utf-8")
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ConfigError(
            f"{folder}: another `harness farm host` keeps its state there; give this one a "
            "--folder of its own"
        ) from None
    except OSError as error:
        raise HarnessError(f"{folder}: cannot be written ({error.strerror})") from None
    return file


def _owner(folder: Path) -> str:
    """Return who takes the locks of this host's phones, the same after a restart."""
    path = folder / "owner"
    if path.exists():
        found = path.read_text(encoding="ascii", errors="replace").strip()
        if re.fullmatch(r"[0-9a-f]{32}", found):
            return found
    found = secrets.token_hex(16)
    path.write_text(found, encoding="ascii")
    return found
