"""Ask a farm of fake phones behind a real adb server, and hosts that lie."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.devices.connect import Origin
from harness.devices.fake_phone import faults
from harness.devices.fake_phone.faults import Fault
from harness.devices.phone.adb import AdbServer
from harness.errors import DeviceError
from harness.evidence import Evidence
from harness.images import Size
from harness.placement import Placement
from harness.profiles import Target, load_all, select, shipped_folder
from harness.requests import Request, Verb
from harness.results import latest, load
from tests import models, phones
from tests.phones import Plugged

pytestmark = [pytest.mark.farm, pytest.mark.slow]

pytest.importorskip("distributed")

from tests import chaos, farms  # noqa: E402
from tests.chaos import Scale  # noqa: E402
from tests.farms import Farm  # noqa: E402

SIZE = Size(width_px=32, height_px=32)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[AdbServer]:
    with phones.default_server(tmp_path) as found:
        yield found


@pytest.fixture
def pair(
    tmp_path: Path, server: AdbServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Plugged, Plugged]]:
    with (
        phones.plugged(tmp_path / "one", server) as one,
        phones.plugged(tmp_path / "two", server) as two,
    ):
        monkeypatch.setenv("HARNESS_BENCHMARK_TOOL", str(one.folder.tool))
        for fake in (one, two):
            fake.folder.switch(latency_us={"": 5000.0}, noise_share=0.0)
        yield one, two


@pytest.fixture
def farm(tmp_path: Path, pair: tuple[Plugged, Plugged]) -> Iterator[Farm]:
    with farms.farm(tmp_path / "farm") as made:
        made.start_host("lab", serials=[fake.serial for fake in pair])
        made.wait(lambda fleet: len(fleet.of("pixel4")) == 2)
        yield made


def _target(name: str = "pixel4:gpu") -> Target:
    (target,) = select(load_all([shipped_folder()]), [name])
    return target


def _requests(count: int = 1, verb: Verb = Verb.PLACE) -> list[Request]:
    model = models.model(models.unet(size_px=32))
    sizes = [Size(width_px=32 * number, height_px=32) for number in range(1, count + 1)]
    return [Request(target=_target(), verb=verb, model=model, size=size) for size in sizes]


def test_phones_of_a_farm_give_the_verdicts_of_the_desk_and_are_left_as_they_were(
    farm: Farm, pair: tuple[Plugged, Plugged], project: pytest.Pytester
) -> None:
    before = [fake.folder.settings() for fake in pair]
    tests = ["--device=pixel4:gpu", "--subject=unet.fp32", "-k", "not scal and not regress"]

    project.runpytest_subprocess(*tests, f"--lab={farm.name}")

    there = load(latest(project.path)).records
    for process in (farm.running["lab"],):
        assert farms.end(process) == 0, farm.logs()
    project.runpytest_subprocess(*tests, f"--serial={pair[0].serial}")
    here = load(latest(project.path)).records
    assert {r.verdict.evidence for r in there} == {Evidence.FAKE}
    assert [(r.test, r.verdict.outcome) for r in there] == [
        (r.test, r.verdict.outcome) for r in here
    ]
    assert [fake.folder.settings() for fake in pair] == before
    assert not any((f.folder.root / phones.HOME / "lock").exists() for f in pair)


def test_a_plan_is_judged_alike_though_a_host_and_the_scheduler_are_killed_meanwhile(
    tmp_path: Path, blessed_golden: Path
) -> None:
    kinds = ("kill_host", "kill_scheduler", "corrupt")
    with chaos.site(tmp_path, Scale(models=True, kinds=kinds)) as site:
        log = chaos.assert_judged_alike(site, blessed_golden)

    assert "is killed" in "".join(log)


def test_a_phone_that_fails_what_another_answers_is_the_finding(
    farm: Farm, pair: tuple[Plugged, Plugged]
) -> None:
    ill, well = pair
    faults.plant(ill.folder, Fault.STORAGE_FULL)
    lab = farm.lab(Origin.PHONE)

    facts = list(lab.answer(_requests(4)))

    lab.close()
    assert [str(fact.error) for fact in facts if fact.error] == []
    made = {f.answer.provenance.device for f in facts if isinstance(f.answer, Placement)}
    assert made == {f"Pixel 4 ({well.serial}) gpu"}
    (finding,) = lab.findings()
    assert finding.startswith(f"lab/{ill.serial}: failed")


def test_a_phone_that_is_not_fit_is_quarantined_and_comes_back_by_itself(
    farm: Farm, pair: tuple[Plugged, Plugged]
) -> None:
    hot, _ = pair
    zone = "/sys/class/thermal/thermal_zone1/temp"
    hot.folder.write(zone, "52000\n")
    lab = farm.lab(Origin.PHONE)

    facts = list(lab.answer(_requests(4)))

    lab.close()
    fleet = farm.wait(lambda fleet: len(fleet.quarantined) == 1)
    assert [str(fact.error) for fact in facts if fact.error] == []
    assert fleet.quarantined[0].serial == hot.serial
    assert "52 °C" in fleet.quarantined[0].why
    hot.folder.write(zone, "31000\n")
    farm.wait(lambda fleet: len(fleet.of("pixel4")) == 2 and not fleet.quarantined)


def test_a_phone_that_is_plugged_in_later_is_found_and_one_that_goes_is_forgotten(
    farm: Farm, pair: tuple[Plugged, Plugged]
) -> None:
    one, _ = pair

    one.do(one.daemon.unplug())
    farm.wait(lambda fleet: len(fleet.of("pixel4")) == 1)

    one.do(one.daemon.plug_in())
    farm.wait(lambda fleet: len(fleet.of("pixel4")) == 2)


def test_a_host_that_was_killed_takes_its_phones_back_at_once_and_leaves_them_clean(
    farm: Farm, pair: tuple[Plugged, Plugged]
) -> None:
    before = [fake.folder.settings() for fake in pair]
    for fake in pair:
        faults.plant(fake.folder, Fault.TOOL_HANGS)
    lab = farm.lab(Origin.PHONE)
    lab.open()
    pool = ThreadPoolExecutor(1)
    asked = pool.submit(lambda: list(lab.answer(_requests(2))))
    farm.wait(lambda fleet: sum(s.busy_s is not None for s in fleet.of("pixel4")) == 2)
    phones.wait_until(lambda: all(fake.folder.settings() not in before for fake in pair))

    farms.kill(farm.running["lab"])
    for fake in pair:
        faults.clear(fake.folder)
    farm.start_host("lab", serials=[fake.serial for fake in pair])

    facts = asked.result(timeout=120)
    lab.close()
    assert farms.end(farm.running["lab"]) == 0, farm.logs()
    assert [str(fact.error) for fact in facts if fact.error] == []
    assert [fake.folder.settings() for fake in pair] == before


HOSTILE = """
import asyncio, json, os, sys
from distributed import Worker, WorkerPlugin
from harness.farm import wire, work

class Trap:
    def __reduce__(self):
        return (os.mkdir, (sys.argv[2],))

class Liar:
    def answer(self, text):
        nonce = json.loads(text)["nonce"]
        return LIES[sys.argv[3]](nonce)

LIES = {
    "an object that runs code": lambda nonce: Trap(),
    "another type": lambda nonce: 7,
    "a claim of 10 GB": lambda nonce: (json.dumps({"nonce": nonce, "station": "h/a", "fact": {
        "request": "0" * 64, "shape": [10**10]}}), b""),
    "terminal commands": lambda nonce: (json.dumps(
        {"nonce": nonce, "station": "h/\\x1b]0;owned\\x07", "lacks": []}), b""),
    "an old answer": lambda nonce: (json.dumps({"nonce": "old", "station": "h/a"}), b""),
    "an error that is an object": lambda nonce: (_ for _ in ()).throw(RuntimeError("\\x1b[31m")),
}

class Plugin(WorkerPlugin):
    name = work.STATION
    station = Liar()

async def main():
    async with Worker(sys.argv[1], nthreads=1, name="h/a", dashboard=False, memory_limit=0,
                      resources={"pixel4": 1, wire.VERSION: 1}, plugins=[Plugin()]) as worker:
        await worker.finished()

asyncio.run(main())
"""


@pytest.mark.parametrize(
    "lie",
    [
        "an object that runs code", "another type", "a claim of 10 GB", "terminal commands",
        "an old answer", "an error that is an object",
    ],
)  # fmt: skip
def test_a_host_that_lies_makes_an_error_and_nothing_else(tmp_path: Path, lie: str) -> None:
    trap = tmp_path / "trap"
    (tmp_path / "hostile.py").write_text(textwrap.dedent(HOSTILE))
    with farms.farm(tmp_path / "farm") as farm:
        farm.wait(lambda _: True)
        with (tmp_path / "hostile.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, tmp_path / "hostile.py", str(farm.address), str(trap), lie],
                env={**os.environ, "PYTHONPATH": str(farms.ROOT)}, stdout=log, stderr=log,
            )  # fmt: skip
        try:
            farm.wait(lambda fleet: len(fleet.of("pixel4")) == 1)
            lab = farm.lab(Origin.PHONE)

            (fact,) = lab.answer(_requests())

            lab.close()
        finally:
            process.kill()
            process.wait()
    assert isinstance(fact.error, DeviceError)
    assert str(fact.error).isprintable()
    assert not trap.exists()
