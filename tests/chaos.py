"""Ask a farm of fake phones while hosts, phones and the scheduler are broken at random.

The phones stand behind a real adb server; hosts are process groups. The benchmark tool on the
phones is a shell script that sleeps and gives the input back, marked with the model's hash, so
that two cores carry many phones and every answer is known beforehand.
"""

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import psutil

from harness.devices.connect import Origin
from harness.devices.fake_phone import faults
from harness.devices.fake_phone.benchmark_model import FLAGS
from harness.devices.fake_phone.faults import Fault
from harness.farm.lab import FarmLab
from harness.images import Output, Size
from harness.inputs import Inputs
from harness.model import Model
from harness.profiles import Target, load_all, select, shipped_folder
from harness.requests import Fact, Request, Verb
from tests import farms, models, phones
from tests.farms import Farm
from tests.phones import Plugged

SIZE = Size(width_px=8, height_px=8)
_MODELS = 10
_LONG_S = 10.0
_ZONE = "/sys/class/thermal/thermal_zone1/temp"
_TOOL = r"""#!/bin/sh
case $* in *--help*) printf '\t--%s\t\n' FLAGS >&2; exit 1 ;; esac
F=$HARNESS_FAKE_PHONE/state/faults in=/dev/null out=/dev/null
for a; do case $a in
  --graph=*) graph=${a##*/} ;;
  --input_layer_value_files=*) in=/${a#*/} ;;
  --output_filepath=*) out=${a#*=} ;;
esac; done
echo "${graph%-model.tflite}" >>"$HARNESS_FAKE_PHONE/state/runs"
planted() { [ -e "$F/$1" ] && rm "$F/$1"; }
planted tool_aborts && kill -ABRT $$
# A phone's tool has no child that would outlive it.
planted tool_hangs && mkfifo "$F/never$$" && read -r never <>"$F/never$$"
planted tool_prints_garbage && { head -c 4000 /dev/urandom; exit 0; }
sleep PAUSE_S
keep=4096; planted output_wrong_size && keep=100
{ printf %.4s "$graph"; tail -c +5 "$in"; } | head -c $keep >"$out"
for runs in 1 50; do echo "INFO: count=$runs first=100 curr=100 min=100 max=100 avg=100 std=0"; done
echo "INFO: Inference timings in us: Init: 100, First inference: 100, Warmup (avg): 100," \
  "Inference (avg): 100"
"""
"""What stands in for the tool: the first value of its output is the start of the model's hash."""
CORRUPTING = (Fault.TOOL_ABORTS, Fault.TOOL_PRINTS_GARBAGE, Fault.OUTPUT_WRONG_SIZE)


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How large a trial is.

    Attributes:
        hosts: Process groups.
        phones: Of each host.
        requests: Asked in all.
        request_s: Sleep of the tool.
        seed: Of requests and of trouble.
        rounds: How often each kind of trouble comes.
        limit_s: Longest that it may take.
        kinds: Names of the only troubles that come, none for all.
    """

    hosts: int = 2
    phones: int = 2
    requests: int = 40
    request_s: float = 0.1
    seed: int = 1
    rounds: int = 1
    limit_s: float = 240.0
    kinds: tuple[str, ...] = ()


@dataclass(kw_only=True)
class Site:
    """A farm with its phones, all well and nothing asked yet."""

    scale: Scale
    farm: Farm
    plugged: dict[str, list[Plugged]] = field(default_factory=dict)
    """Phones by host."""

    @property
    def phones(self) -> list[Plugged]:
        """Return all phones."""
        return [one for some in self.plugged.values() for one in some]

    def start_host(self, host: str) -> None:
        """Start a host with its phones."""
        self.farm.start_host(host, serials=[phone.serial for phone in self.plugged[host]])

    def wait_until_well(self) -> None:
        """Wait until every phone can be asked again."""
        count = len(self.phones)
        self.farm.wait(lambda fleet: len(fleet.of("pixel4")) == count, 120)

    def end_hosts(self) -> dict[str, int]:
        """Ask all hosts to end; return their exit codes."""
        running = {host: self.farm.running[host] for host in self.plugged}
        for process in running.values():
            process.terminate()
        return {host: process.wait(timeout=60) for host, process in running.items()}

    def dirty(self, before: Sequence[dict[str, str]]) -> list[str]:
        """Return what is left on phones: a lock, a journal, a changed setting."""
        found = []
        for phone, settings in zip(self.phones, before, strict=True):
            home = phone.folder.root / phones.HOME
            found += [f"{phone.serial}: {n}" for n in ("lock", "journal") if (home / n).exists()]
            if phone.folder.settings() != settings:
                found.append(f"{phone.serial}: settings")
        return found


@contextlib.contextmanager
def site(folder: Path, scale: Scale) -> Iterator[Site]:
    """Keep a farm with phones on hosts that are process groups of this machine."""
    folder.mkdir(parents=True, exist_ok=True)
    tool = folder / "benchmark_model"
    write_tool(tool, scale.request_s)
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(phones.default_server(folder))
        stack.enter_context(_environment(HARNESS_BENCHMARK_TOOL=str(tool)))
        farm = stack.enter_context(farms.farm(folder / "farm"))
        made = Site(scale=scale, farm=farm)
        for host in (f"host{number}" for number in range(scale.hosts)):
            made.plugged[host] = [
                stack.enter_context(phones.plugged(folder / host / f"phone{number}", server))
                for number in range(scale.phones)
            ]
            made.start_host(host)
        made.wait_until_well()
        yield made


def write_tool(path: Path, pause_s: float) -> None:
    """Write the script that stands in for the benchmark tool."""
    text = _TOOL.replace("PAUSE_S", f"{pause_s:g}")
    path.write_text(text.replace("FLAGS", " ".join(FLAGS["2022"])))
    path.chmod(0o755)


@contextlib.contextmanager
def _environment(**values: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def requests(scale: Scale) -> list[Request]:
    """Return requests, each of another model or frame than all others."""
    (target,) = select(load_all([shipped_folder()]), ["pixel4:gpu"])
    made = [
        Model(name=f"m{n}", data=models.restorer(size_px=8, strength=0.01 * (n + 1)))
        for n in range(_MODELS)
    ]
    rng = np.random.default_rng(scale.seed)
    frames = [
        Inputs.of(rng.random((1, 8, 8, 3), dtype=np.float32))
        for _ in range(-(-scale.requests // _MODELS))
    ]
    return [_request(target, model, frame) for frame in frames for model in made][: scale.requests]


def _request(target: Target, model: Model, frame: Inputs) -> Request:
    return Request(target=target, verb=Verb.RUN, model=model, size=SIZE, inputs=frame)


def runs(phone: Plugged) -> list[str]:
    """Return the models that a phone has run, in order, each by the start of its hash."""
    path = phone.folder.state / "runs"
    return path.read_text().split() if path.exists() else []


def is_right(fact: Fact) -> bool:
    """Return whether an answer is the one that the tool gives to this very request."""
    request, answer = fact.request, fact.answer
    assert isinstance(answer, Output)
    assert request.inputs is not None
    (given,), (found,) = request.inputs.values(), answer.values.values()
    marked = given.ravel().copy()
    marked[0] = np.frombuffer(request.sized.sha256[:4].encode(), "<f4")[0]
    return bool(np.array_equal(found.ravel(), marked))


class Trouble:
    """Breaks something of a site now and then, and mends it after a while; all by one seed."""

    def __init__(self, site: Site) -> None:
        """Prepare; nothing is broken yet."""
        self._site = site
        self.came = 0
        """Facts so far; trouble comes evenly with them, or after a while without any."""
        self._random = random.Random(site.scale.seed)
        kinds = [
            self.kill_host, self.stop_host, self.unplug, self.unplug, self.hang, self.heat,
            self.corrupt, self.corrupt, self.corrupt, self.kill_scheduler,
        ]  # fmt: skip
        if site.scale.kinds:
            kinds = [kind for kind in kinds if kind.__name__ in site.scale.kinds]
        self._plan = [kind for _ in range(site.scale.rounds) for kind in self._shuffled(kinds)]
        self._broken: dict[str, tuple[float, Callable[[], None]]] = {}
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
        for _, mend in self._broken.values():
            mend()

    def _go_on(self) -> None:
        step = self._site.scale.requests / (len(self._plan) + 1)
        last, last_s = 0, time.monotonic()
        while not self._over.wait(0.1):
            now_s = time.monotonic()
            for name, (until_s, mend) in list(self._broken.items()):
                if now_s >= until_s:
                    del self._broken[name]
                    self._say(f"over: {name}")
                    mend()
            if self._plan and (self.came - last >= step or now_s - last_s > _LONG_S):
                last, last_s = self.came, now_s
                kind = self._plan.pop(0)
                if not kind():
                    self._plan.append(kind)  # its turn comes when what is broken is mended

    def _say(self, line: str) -> None:
        self.log.append(f"{time.monotonic() - self._start_s:6.1f} s  {line}")

    def _break(
        self, name: str, for_s: float, make: Callable[[], None], mend: Callable[[], None]
    ) -> bool:
        if name in self._broken:
            return False
        self._say(f"{name} for {for_s:.1f} s")
        make()
        self._broken[name] = (time.monotonic() + for_s, mend)
        return True

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
            f"{host} is killed", self._random.uniform(0.5, 5.0),
            lambda: kill_tree(running[host]), lambda: self._site.start_host(host),
        )  # fmt: skip

    def stop_host(self) -> bool:
        """Stop a host with all its processes: nothing of it reaches the network."""
        host = self._host()
        if f"{host} is killed" in self._broken:
            return False
        found = tree(self._site.farm.running[host])
        return self._break(
            f"{host} is stopped", self._random.uniform(1.0, 12.0),
            lambda: send(found, signal.SIGSTOP), lambda: send(found, signal.SIGCONT),
        )  # fmt: skip

    def unplug(self) -> bool:
        """Pull a phone's cable."""
        phone = self._phone()
        return self._break(
            f"{phone.serial} is unplugged", self._random.uniform(0.2, 6.0),
            lambda: phone.do(phone.daemon.unplug()), lambda: phone.do(phone.daemon.plug_in()),
        )  # fmt: skip

    def heat(self) -> bool:
        """Let a phone be too hot."""
        folder = self._phone().folder
        return self._break(
            f"{folder.path.name} is hot", self._random.uniform(1.0, 6.0),
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
            "scheduler is killed", self._random.uniform(0.2, 3.0),
            lambda: farms.kill(farm.running["scheduler"]), farm.start_scheduler,
        )  # fmt: skip


def tree(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """Return a process and all that it has started."""
    top = psutil.Process(process.pid)
    return [top, *top.children(recursive=True)]


def send(processes: Sequence[psutil.Process], number: int) -> None:
    """Send a signal to processes, of which some may have ended."""
    for one in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.send_signal(number)


def kill_tree(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and all that it has started, at once."""
    send(tree(process), signal.SIGKILL)
    process.wait(timeout=20)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a trial."""

    facts: Sequence[Fact]
    came_s: Sequence[float]
    wall_s: float
    busy_share: float
    log: Sequence[str]
    findings: Sequence[str]

    @property
    def errors(self) -> Counter[str]:
        """Return the errors, by their text."""
        return Counter(str(fact.error) for fact in self.facts if fact.error)

    def __str__(self) -> str:
        """Return the figures of a trial, for a person."""
        gaps_s = [later - sooner for sooner, later in pairwise((0.0, *self.came_s))]
        return (
            f"{len(self.facts)} facts, {self.errors.total()} errors, {len(self.findings)} "
            f"findings; {self.wall_s:.1f} s, phones at a request {self.busy_share:.0%} of it; "
            f"longest time without a fact {max(gaps_s, default=0.0):.1f} s"
            + "".join(f"\n{number} x {why:.300}" for why, number in self.errors.most_common(5))
        )


def ask(
    lab: FarmLab, asked: Sequence[Request], limit_s: float, trouble: Trouble
) -> list[tuple[float, Fact]]:
    """Return the facts of some requests, each with the time when it came.

    Raises:
        AssertionError: they have not all come within the limit; says where it waits.
    """
    facts: list[tuple[float, Fact]] = []

    def go_on() -> None:
        for fact in lab.answer(asked):
            facts.append((time.monotonic(), fact))
            trouble.came = len(facts)

    thread = threading.Thread(target=go_on, daemon=True)
    thread.start()
    thread.join(limit_s)
    if thread.is_alive():
        assert thread.ident is not None
        where = "".join(traceback.format_stack(sys._current_frames()[thread.ident]))
        raise AssertionError(f"no end within {limit_s:g} s:\n{where}")
    return facts


def run(site: Site, *, calm: bool) -> Outcome:
    """Ask all requests of a site's farm, with trouble or without."""
    lab = site.farm.lab(Origin.PHONE)
    asked = requests(site.scale)
    trouble = Trouble(site)
    start_s = time.monotonic()
    with contextlib.nullcontext() if calm else trouble:
        facts = ask(lab, asked, site.scale.limit_s, trouble)
    wall_s = time.monotonic() - start_s
    lab.close()
    return Outcome(
        facts=[fact for _, fact in facts],
        came_s=[at_s - start_s for at_s, _ in facts],
        wall_s=wall_s,
        busy_share=sum(lab.spent_s.values()) / (len(site.phones) * wall_s),
        log=trouble.log,
        findings=lab.findings(),
    )
