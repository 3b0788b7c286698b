"""Ask a farm of fake phones while hosts, phones and the scheduler are broken at random.

The phones stand behind a real adb server; hosts are process groups. Their tools are the scripts
of `tests/chaos_tools.py`.
"""

import contextlib
import os
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from harness import api, judging, schema, verdict
from harness.devices.connect import Origin
from harness.farm import certs
from harness.farm.lab import FarmLab
from harness.images import Output, Size
from harness.inputs import Inputs
from harness.lab import Facts
from harness.model import Model
from harness.profiles import Target, load_all, select, shipped_folder
from harness.requests import Fact, Request, Verb
from harness.results import Record
from tests import chaos_tools, farms, models, namespaces, phones
from tests.farms import Farm
from tests.namespaces import Networks
from tests.phones import Plugged
from tests.trouble import Trouble, least_s

SIZE = Size(width_px=8, height_px=8)
_MODELS = 10
_LATENCY_US = 100.0
"""Of all models: what is remembered must not claim more time than it takes to be said."""
_CALM_REQUESTS = 3
"""Requests for each phone that are asked before anything is broken, to know what one takes."""


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
        models: Whether phones run models, and not a script that sleeps.
        networks: Whether each host has a network of its own, which can be cut; root makes it.
        cut_s: Longest time that a network is cut.
    """

    hosts: int = 2
    phones: int = 2
    requests: int = 40
    request_s: float = 0.1
    seed: int = 1
    rounds: int = 1
    limit_s: float = 240.0
    kinds: tuple[str, ...] = ()
    models: bool = False
    networks: bool = False
    cut_s: float = 15.0


@dataclass(kw_only=True)
class Site:
    """A farm with its phones, all well and nothing asked yet."""

    scale: Scale
    farm: Farm
    networks: Networks | None = None
    plugged: dict[str, list[Plugged]] = field(default_factory=dict)
    """Phones by host."""

    @property
    def phones(self) -> list[Plugged]:
        """Return all phones."""
        return [one for some in self.plugged.values() for one in some]

    def start_host(self, host: str) -> None:
        """Start a host with its phones."""
        serials = [phone.serial for phone in self.plugged[host]]
        if self.networks is None:
            self.farm.start_host(host, serials=serials)
            return
        server = f"tcp:{self.networks.phones}:{self.phones[0].server.port}"
        self.farm.start_host(
            host, serials=serials, within=self.networks.within(host), ADB_SERVER_SOCKET=server
        )

    def wait_until_well(self) -> None:
        """Wait until every phone can be asked again."""
        count = len(self.phones)
        limit_s = 120 + 4 * count  # a station needs some seconds of a core
        self.farm.wait(lambda fleet: len(fleet.of("pixel4")) == count, limit_s)

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
    if scale.models:
        chaos_tools.write_remembering(tool, folder / "host0" / "phone0" / "benchmark_model")
    else:
        chaos_tools.write_sleeping(tool, scale.request_s)
    names = [f"host{number}" for number in range(scale.hosts)]
    with contextlib.ExitStack() as stack:
        networks = stack.enter_context(namespaces.networks(names)) if scale.networks else None
        server = stack.enter_context(phones.default_server(folder))
        if networks is not None:
            stack.enter_context(phones.serving_every_address(server))
        stack.enter_context(_environment(HARNESS_BENCHMARK_TOOL=str(tool)))
        farm = stack.enter_context(_farm(folder, networks))
        made = Site(scale=scale, farm=farm, networks=networks)
        for host in names:
            made.plugged[host] = [
                stack.enter_context(phones.plugged(folder / host / f"phone{number}", server))
                for number in range(scale.phones)
            ]
            for phone in made.plugged[host]:
                phone.folder.switch(latency_us={"": _LATENCY_US}, noise_share=0.0)
            made.start_host(host)
        made.wait_until_well()
        yield made


def _farm(folder: Path, networks: Networks | None) -> contextlib.AbstractContextManager[Farm]:
    if networks is None:
        return farms.farm(folder / "farm")
    certs.make(folder / "certs", names=[networks.scheduler])
    return farms.farm(folder / "farm", certs=folder / "certs", host=networks.scheduler)


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


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a trial.

    Attributes:
        facts: Of all requests.
        came_s: When each came.
        wall_s: When the last came.
        busy_share: Time that phones were at a request, as stations say it, of all their time.
        least_s: What phones that work whenever they are there would have taken.
        log: What was broken, and when.
        findings: About phones.
    """

    facts: Sequence[Fact]
    came_s: Sequence[float]
    wall_s: float
    busy_share: float
    least_s: float
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
            f"findings; {self.wall_s:.1f} s, {self.wall_s / self.least_s:.2f} times the "
            f"{self.least_s:.1f} s that the phones that were there allow; phones at a request "
            f"{self.busy_share:.0%} of the time; longest time without a fact "
            f"{max(gaps_s, default=0.0):.1f} s"
            + "".join(f"\n{number} x {why:.300}" for why, number in self.errors.most_common(5))
        )


def ask(
    lab: FarmLab, asked: Sequence[Request], limit_s: float, trouble: Trouble | None = None
) -> list[tuple[float, Fact]]:
    """Return the facts of some requests, each with the time when it came.

    Raises:
        AssertionError: they have not all come within the limit; says where it waits.
    """
    facts: list[tuple[float, Fact]] = []

    def go_on() -> None:
        for fact in lab.answer(asked):
            facts.append((time.monotonic(), fact))
            if trouble is not None:
                trouble.came = len(facts)

    thread = threading.Thread(target=go_on, daemon=True)
    thread.start()
    thread.join(limit_s)
    if thread.is_alive():
        assert thread.ident is not None
        where = "".join(traceback.format_stack(sys._current_frames()[thread.ident]))
        raise AssertionError(f"no end within {limit_s:g} s:\n{where}")
    return facts


def request_s(site: Site) -> float:
    """Return the mean time of a request on a phone of a site, all phones at work and well."""
    count = _CALM_REQUESTS * len(site.phones)
    scale = replace(site.scale, requests=count, seed=site.scale.seed + 1)
    lab = site.farm.lab(Origin.PHONE)
    ask(lab, requests(scale), site.scale.limit_s)
    lab.close()
    return sum(lab.spent_s.values()) / count


def run(site: Site, *, calm: bool) -> Outcome:
    """Ask all requests of a site's farm, with trouble or without."""
    one_s = request_s(site)
    lab = site.farm.lab(Origin.PHONE)
    asked = requests(site.scale)
    trouble = Trouble(site, len(asked))
    start_s = time.monotonic()
    with contextlib.nullcontext() if calm else trouble:
        facts = ask(lab, asked, site.scale.limit_s, trouble)
        wall_s = time.monotonic() - start_s
    lab.close()
    serials = [phone.serial for phone in site.phones]
    return Outcome(
        facts=[fact for _, fact in facts],
        came_s=[at_s - start_s for at_s, _ in facts],
        wall_s=wall_s,
        busy_share=sum(lab.spent_s.values()) / (len(site.phones) * wall_s),
        least_s=least_s(one_s * len(asked), serials, trouble.outages),
        log=trouble.log,
        findings=lab.findings(),
    )


def judge(site: Site, golden: Path, *, calm: bool) -> tuple[list[Record], list[str]]:
    """Judge the subjects of a golden folder on a site's phones.

    Returns:
        The rulings, and what was broken meanwhile.
    """
    planned = judging.trials(api.plan(golden, ["pixel4:gpu", "pixel4:cpu"]).cases)
    keys = {one.key for trial in planned for one in judging.requests(trial.module, trial.case)}
    lab = site.farm.lab(Origin.PHONE)
    trouble = Trouble(site, len(keys))

    def count(fact: Fact) -> Fact:
        trouble.came += 1
        return fact

    with contextlib.nullcontext() if calm else trouble:
        rulings = list(judging.judge(planned, Facts(lab, count)))
    lab.close()
    return rulings, trouble.log


def plain(ruling: Record) -> dict[str, Any]:
    """Return a ruling as plain data, without when it was known and which phone said so."""
    found: dict[str, Any] = schema.dump(ruling)
    made = found["verdict"].get("provenance")
    for name in ("time_utc", "device") if made else ():
        made.pop(name, None)
    return found


def assert_judged_alike(site: Site, golden: Path) -> list[str]:
    """Judge subjects in calm, then under trouble, and hold each ruling to the calm one.

    A request may end in a stated error, after which a gate rules INCONCLUSIVE and nothing else.

    Returns:
        What was broken.

    Raises:
        AssertionError: a ruling is another, or a quarter of them lack their facts.
    """
    calm, _ = judge(site, golden, calm=True)
    site.wait_until_well()
    found, log = judge(site, golden, calm=False)
    pairs = zip(map(plain, found), map(plain, calm), strict=True)
    others = [pair for pair in pairs if pair[0] != pair[1]]
    print(f"{len(calm)} rulings, {len(others)} of them INCONCLUSIVE under trouble alone")
    assert verdict.Outcome.PASS in {one.verdict.outcome for one in calm}
    assert [pair for pair in others if pair[0]["verdict"]["outcome"] != "INCONCLUSIVE"] == []
    assert len(others) < len(calm) / 4, others
    return log
