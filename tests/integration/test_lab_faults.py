"""Plant random faults in the fake labs: whatever breaks, each request has one true answer."""

import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from harness import cache
from harness.devices.connect import PhoneSetup
from harness.devices.fake_phone import folder as folders
from harness.devices.phone import adb
from harness.devices.phone.adb import AdbServer
from harness.errors import HarnessError
from harness.images import Output
from harness.inputs import Inputs
from harness.lab import Facts, Lab
from harness.lab.devicerun import DeviceRunLab, SessionPace
from harness.lab.fakes.devicerun import FakeDeviceRun
from harness.lab.fakes.serving import TOKEN, FakeServer, LabFault
from harness.lab.fakes.stf import FakeStf, Lent
from harness.lab.stf import StfLab
from harness.lab.web import Patience
from harness.placement import Placement
from harness.profiles import Target
from harness.requests import Fact, Request, Verb
from tests import aihub, phones
from tests.phones import PIXEL_4, SIZE

pytestmark = pytest.mark.slow

TARGET = Target(profile=PIXEL_4, delegate="gpu")
PATIENCE = Patience(tries=3, wait_s=0.01, timeout_s=10.0, limit_s=10.0)
LIMIT_S = 240.0
"""Longest that the facts of a case may take: every wait of the labs is bounded below it."""
FAULTS = int(os.environ.get("HARNESS_LAB_FAULTS", "25"))
"""`make soak` plants 200."""


@dataclass(frozen=True, kw_only=True)
class Rented:
    """A lab to break: its server, how it is made, and whether something is still lent."""

    server: FakeServer
    make: Callable[[], Lab]
    lent: Callable[[], set[str]]


def requests() -> list[Request]:
    given = Inputs.of(phones.frame())
    kinds = ((Verb.PLACE, None), (Verb.RUN, given))
    return [
        Request(target=TARGET, verb=verb, model=phones.model(), size=SIZE, inputs=inputs)
        for verb, inputs in kinds
    ]


def truth() -> dict[Verb, object]:
    """Return what the answers must be, as this host's kernels and the graph give them."""
    from harness.stacks import xnnpack

    sized = phones.model().at(SIZE)
    return {
        Verb.PLACE: [op.name for op in sized.graph.ops],
        Verb.RUN: xnnpack.execute(sized, [phones.frame()])[0],
    }


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a folder, with the environment of every lab set."""
    folder = tmp_path_factory.mktemp("labs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(folder))
        patch.setenv("HARNESS_CACHE", str(folder / "cache"))
        patch.setenv("STF_TOKEN", TOKEN)
        patch.setattr("harness.lab.adb._CONNECT_LIMIT_S", 1.0)
        patch.setattr("harness.lab.stf.LEASE_MS", 500)
        programs = folder / "programs"
        programs.mkdir()
        (programs / "gcloud").write_text(f"#!/bin/sh\necho {TOKEN}\n")
        (programs / "gcloud").chmod(0o755)
        patch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
        yield folder


@pytest.fixture(scope="module")
def stf(place: Path) -> Iterator[Rented]:
    with (
        phones.server() as server,
        phones.plugged(place / "phone", server) as fake,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("ADB_SERVER_SOCKET", f"tcp:{server}")
        patch.setenv("HARNESS_BENCHMARK_TOOL", str(fake.folder.tool))
        adb.attached(AdbServer.from_environment())
        lent = Lent(model="Pixel 4", address=("127.0.0.1", fake.daemon.port))
        with FakeStf({"R58M": lent}) as hub:
            yield Rented(
                server=hub,
                make=lambda: StfLab(hub.url, phone_setup=PhoneSetup(), patience=PATIENCE),
                lent=hub.reserved,
            )


@pytest.fixture(scope="module")
def devicerun(place: Path) -> Iterator[Rented]:
    phone = folders.create(place / "rented")
    pace = SessionPace(poll_s=0.02, session_s=20.0)
    with pytest.MonkeyPatch.context() as patch, FakeDeviceRun(phone, limit_s=15.0) as run:
        patch.setenv("HARNESS_BENCHMARK_TOOL", str(phone.tool))
        for name in ("DEVICE_RUN_ENDPOINT", "STORAGE_EMULATOR_HOST"):
            patch.setenv(name, run.url)
        patch.setenv("LITERT_GCP_BUCKET", run.bucket)
        yield Rented(
            server=run,
            make=lambda: DeviceRunLab(
                "my-project/one", phone_setup=PhoneSetup(), patience=PATIENCE, pace=pace
            ),
            lent=run.running,
        )


@pytest.fixture(scope="module")
def hub(place: Path) -> Iterator[Rented]:
    with aihub.served(place, aihub.client(place)) as server:
        yield Rented(server=server, make=lambda: aihub.lab(job_s=6.0), lent=set)


def plant(server: FakeServer, dice: random.Random) -> None:
    """Plant one to three faults, at random times."""
    for _ in range(dice.randint(1, 3)):
        server.plant(
            dice.choice(list(LabFault)), after=dice.randint(0, 16), times=dice.choice((1, 1, 2, 8))
        )


def within_limit(work: Callable[[], Sequence[Fact]]) -> Sequence[Fact]:
    """Return what work gives, failing where it does not end."""
    pool = ThreadPoolExecutor(max_workers=1)
    try:
        return pool.submit(work).result(timeout=LIMIT_S)
    finally:
        pool.shutdown(wait=False)


def check(rented: Rented, seed: int, folder: Path) -> None:
    """Break a lab at random and hold it to what every lab promises."""
    dice = random.Random(seed)
    asked, lab = requests(), rented.make()
    plant(rented.server, dice)
    troubles: list[str] = []

    def take() -> Sequence[Fact]:
        try:
            lab.open()
        except HarnessError as error:
            return [Fact(request=request, error=error) for request in asked]
        return list(Facts(lab).take(asked))

    try:
        facts = within_limit(take)
    finally:
        rented.server.faults.clear()
        troubles += lab.close()

    assert sorted(fact.request.key for fact in facts) == sorted(one.key for one in asked)
    true = truth()
    for fact in facts:
        if fact.error is not None:
            assert TOKEN not in str(fact.error)
        elif isinstance(fact.answer, Placement):
            assert [node.op for node in fact.answer.nodes] == true[Verb.PLACE]
            assert {node.unit for node in fact.answer.nodes} == {"gpu"}
        else:
            assert isinstance(fact.answer, Output)
            assert np.array_equal(fact.answer.pixels, np.asarray(true[Verb.RUN]))
    deadline = time.monotonic() + 40.0
    while rented.lent():  # what a lost answer left is lent until its lease ends
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert not any(TOKEN in trouble for trouble in troubles)
    kept = [path for path in cache.root().rglob("*") if path.is_file()]
    assert not [path for path in kept if TOKEN.encode() in path.read_bytes()]


@pytest.mark.parametrize("seed", range(2 * FAULTS // 5))
def test_no_fault_of_stf_makes_a_lie_a_hang_or_a_lost_phone(
    stf: Rented, seed: int, place: Path
) -> None:
    check(stf, seed, place)


@pytest.mark.parametrize("seed", range(2 * FAULTS // 5))
def test_no_fault_of_device_run_makes_a_lie_a_hang_or_a_session_that_goes_on(
    devicerun: Rented, seed: int, place: Path
) -> None:
    check(devicerun, seed, place)


@pytest.mark.parametrize("seed", range(FAULTS // 5))
def test_no_fault_of_ai_hub_makes_a_lie_or_a_hang(hub: Rented, seed: int, place: Path) -> None:
    check(hub, seed, place)
