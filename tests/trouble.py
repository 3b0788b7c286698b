"""Break hosts, phones, networks and the scheduler of a test farm now and then, and mend them."""

import contextlib
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.devices.fake_phone import faults
from harness.devices.fake_phone.faults import Fault
from tests import farms
from tests.phones import Plugged

if TYPE_CHECKING:
    import psutil

    from tests.chaos import Site

CORRUPTING = (Fault.TOOL_ABORTS, Fault.TOOL_PRINTS_GARBAGE, Fault.OUTPUT_WRONG_SIZE)
_LONG_S = 10.0
_ZONE = "/sys/class/thermal/thermal_zone1/temp"


@dataclass(frozen=True, kw_only=True)
class Outage:
    """Phones that nobody could ask for a while.

    Attributes:
        phones: Their serials.
        start_s: When it began, after the start of the trial.
        end_s: When it was mended.
    """

    phones: frozenset[str]
    start_s: float
    end_s: float


def least_s(work_s: float, phones: Collection[str], outages: Sequence[Outage]) -> float:
    """Return the time that phones need for some work when each works whenever it can.

    Args:
        work_s: Seconds of one phone.
        phones: Serials of all.
        outages: When some of them cannot.
    """
    ends = sorted({0.0, *(end for one in outages for end in (one.start_s, one.end_s))})
    left_s = work_s
    for start_s, end_s in zip(ends, [*ends[1:], float("inf")], strict=True):
        away = {
            phone for one in outages if one.start_s <= start_s < one.end_s for phone in one.phones
        }
        if there := len(set(phones) - away):
            if left_s <= there * (end_s - start_s):
                return start_s + left_s / there
            left_s -= there * (end_s - start_s)
    return float("inf")


@dataclass(frozen=True, kw_only=True)
class _Broken:
    serials: frozenset[str]
    start_s: float
    until_s: float
    mend: Callable[[], None]


class Trouble:
    """Breaks something of a site now and then, and mends it after a while; all by one seed."""

    def __init__(self, site: "Site", facts: int) -> None:
        """Prepare; nothing is broken yet.

        Args:
            site: What is broken.
            facts: How many will come; trouble comes evenly with them.
        """
        self._site = site
        self._facts = facts
        self.came = 0
        """Facts so far; trouble comes with them, or after a while without any."""
        self._random = random.Random(site.scale.seed)
        kinds = [
            self.kill_host, self.stop_host, self.unplug, self.unplug, self.hang, self.heat,
            self.corrupt, self.corrupt, self.corrupt, self.kill_scheduler,
        ]  # fmt: skip
        if site.networks is not None:
            kinds.append(self.cut_network)
        if site.scale.kinds:
            kinds = [kind for kind in kinds if kind.__name__ in site.scale.kinds]
        self._plan = [kind for _ in range(site.scale.rounds) for kind in self._shuffled(kinds)]
        self._broken: dict[str, _Broken] = {}
        self.outages: list[Outage] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name="trouble")
        self.log: list[str] = []
        self._start_s = time.monotonic()

    def _shuffled(self, kinds: list[Callable[[], bool]]) -> list[Callable[[], bool]]:
        return self._random.sample(kinds, len(kinds))

    def __enter__(self) -> "Trouble":
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop, and mend what is broken."""
        self._over.set()
        self._thread.join()
        for name in list(self._broken):
            self._mend(name)

    def _go_on(self) -> None:
        step = self._facts / (len(self._plan) + 1)
        last, last_s = 0, time.monotonic()
        while not self._over.wait(0.1):
            now_s = time.monotonic()
            for name, broken in list(self._broken.items()):
                if now_s >= broken.until_s:
                    self._say(f"over: {name}")
                    self._mend(name)
            if self._plan and (self.came - last >= step or now_s - last_s > _LONG_S):
                last, last_s = self.came, now_s
                kind = self._plan.pop(0)
                if not kind():
                    self._plan.append(kind)  # its turn comes when what is broken is mended

    def _say(self, line: str) -> None:
        self.log.append(f"{time.monotonic() - self._start_s:6.1f} s  {self.came} facts; {line}")
        print(self.log[-1], flush=True)

    def _break(
        self, name: str, for_s: float, phones: Sequence[Plugged],
        make: Callable[[], None], mend: Callable[[], None],
    ) -> bool:  # fmt: skip
        if name in self._broken:
            return False
        self._say(f"{name} for {for_s:.1f} s")
        start_s = time.monotonic()
        make()
        self._broken[name] = _Broken(
            serials=frozenset(phone.serial for phone in phones),
            start_s=start_s,
            until_s=start_s + for_s,
            mend=mend,
        )
        return True

    def _mend(self, name: str) -> None:
        broken = self._broken.pop(name)
        broken.mend()
        self.outages.append(
            Outage(
                phones=broken.serials,
                start_s=broken.start_s - self._start_s,
                end_s=time.monotonic() - self._start_s,
            )
        )

    def _host(self) -> str:
        return self._random.choice(sorted(self._site.plugged))

    def _phone(self) -> Plugged:
        return self._random.choice(self._site.phones)

    def kill_host(self) -> bool:
        """Kill a host with all its processes, as a power cut does."""
        host, running = self._host(), self._site.farm.running
        if f"{host} is stopped" in self._broken:
            return False
        return self._break(
            f"{host} is killed", self._random.uniform(0.5, 5.0), self._site.plugged[host],
            lambda: kill_tree(running[host]), lambda: self._site.start_host(host),
        )  # fmt: skip

    def stop_host(self) -> bool:
        """Stop a host with all its processes: nothing of it reaches the network."""
        host = self._host()
        if f"{host} is killed" in self._broken:
            return False
        found = tree(self._site.farm.running[host])
        return self._break(
            f"{host} is stopped", self._random.uniform(1.0, 12.0), self._site.plugged[host],
            lambda: send(found, signal.SIGSTOP), lambda: send(found, signal.SIGCONT),
        )  # fmt: skip

    def cut_network(self) -> bool:
        """Lose all that goes between a host and the scheduler."""
        host, networks = self._host(), self._site.networks
        assert networks is not None
        longest_s = self._site.scale.cut_s
        return self._break(
            f"{host} is cut off", self._random.uniform(longest_s / 4, longest_s),
            self._site.plugged[host],
            lambda: networks.cut(host), lambda: networks.mend(host),
        )  # fmt: skip

    def unplug(self) -> bool:
        """Pull a phone's cable."""
        phone = self._phone()
        return self._break(
            f"{phone.serial} is unplugged", self._random.uniform(0.2, 6.0), [phone],
            lambda: phone.do(phone.daemon.unplug()), lambda: phone.do(phone.daemon.plug_in()),
        )  # fmt: skip

    def heat(self) -> bool:
        """Let a phone be too hot."""
        phone = self._phone()
        folder = phone.folder
        return self._break(
            f"{phone.serial} is hot", self._random.uniform(1.0, 6.0), [phone],
            lambda: folder.write(_ZONE, "52000\n"), lambda: folder.write(_ZONE, "31000\n"),
        )  # fmt: skip

    def hang(self) -> bool:
        """Let the next run of a phone's tool hang."""
        return self._plant(Fault.TOOL_HANGS)

    def corrupt(self) -> bool:
        """Let the next run of a phone's tool crash, or write what is wrong."""
        return self._plant(self._random.choice(CORRUPTING))

    def _plant(self, fault: Fault) -> bool:
        phone = self._phone()
        self._say(f"{phone.serial}: {fault.value}")
        faults.plant(phone.folder, fault)
        return True

    def kill_scheduler(self) -> bool:
        """Kill the scheduler."""
        farm = self._site.farm
        return self._break(
            "scheduler is killed", self._random.uniform(0.2, 3.0), self._site.phones,
            lambda: farms.kill(farm.running["scheduler"]), farm.start_scheduler,
        )  # fmt: skip


def tree(process: subprocess.Popen[bytes]) -> "list[psutil.Process]":
    """Return a process and all that it has started."""
    import psutil  # comes with the farm's engine, and quick tests of this file need neither

    top = psutil.Process(process.pid)
    return [top, *top.children(recursive=True)]


def send(processes: "Sequence[psutil.Process]", number: int) -> None:
    """Send a signal to processes, of which some may have ended."""
    import psutil

    for one in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.send_signal(number)


def kill_tree(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and all that it has started, at once."""
    send(tree(process), signal.SIGKILL)
    process.wait(timeout=20)
