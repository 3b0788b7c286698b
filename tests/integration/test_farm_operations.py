"""What a person and a comparison need of a farm: one phone for pairs, a quarantine by hand."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import cli, schema
from harness.devices.connect import Origin
from harness.farm import wire
from harness.farm.answering import Post
from harness.farm.worker_settings import Settings
from harness.images import Size
from harness.latency import Pairs
from harness.model import Model
from harness.profiles import load_all, select, shipped_folder
from harness.requests import Request, Verb
from tests import models, phones

pytestmark = [pytest.mark.farm, pytest.mark.slow]

pytest.importorskip("distributed")

from distributed import Worker  # noqa: E402

from tests import chaos, farms  # noqa: E402
from tests.chaos import Scale, Site  # noqa: E402

SIZE = Size(width_px=8, height_px=8)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with chaos.site(tmp_path_factory.mktemp("site"), Scale(hosts=1, phones=2)) as made:
        yield made


def _pair(number: int) -> Request:
    (target,) = select(load_all([shipped_folder()]), ["pixel4:gpu"])
    before, now = (
        Model(name=name, data=models.restorer(size_px=8, strength=0.01 * number + more))
        for name, more in (("before", 0.0), ("now", 0.005))
    )
    return Request(target=target, verb=Verb.COMPARE, model=now, before=before, size=SIZE)


def test_both_models_of_a_comparison_run_in_turns_on_one_phone(site: Site) -> None:
    asked = [_pair(1), _pair(2)]
    lab = site.farm.lab(Origin.PHONE)

    facts = list(lab.answer(asked))

    lab.close()
    runs = [chaos.runs(phone) for phone in site.phones]
    for fact in facts:
        assert isinstance(fact.answer, Pairs), fact.error
        assert fact.request.before is not None
        both = (fact.request.before.at(SIZE), fact.request.sized)
        pair = [model.sha256[:32] for model in both]
        there = [[pair.index(one) for one in run if one in pair] for run in runs]
        (turns,) = filter(None, there)
        assert turns[:4] == [0, 1, 1, 0]
        assert len(turns) == 2 * len(fact.answer.now_ms) == 2 * len(fact.answer.before_ms)


def test_a_phone_is_asked_no_more_while_a_person_says_so(site: Site) -> None:
    farm, phone = site.farm, site.phones[0]
    (host,) = site.plugged
    folder = f"--folder={farm.folder / host}"

    _quarantine("add", phone.serial, "--because=lent out", folder)
    fleet = farm.wait(lambda fleet: len(fleet.of("pixel4")) == 1)
    fleet = farm.wait(lambda fleet: len(fleet.quarantined) == 1)
    assert [(one.serial, one.why) for one in fleet.quarantined] == [(phone.serial, "lent out")]

    _quarantine("remove", phone.serial, folder)
    farm.wait(lambda fleet: len(fleet.of("pixel4")) == 2 and not fleet.quarantined)


def _quarantine(*arguments: str) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["farm", "quarantine", *arguments])
    assert ended.value.code == 0


def test_a_host_whose_name_was_taken_is_known_again_when_it_is_free(tmp_path: Path) -> None:
    with farms.farm(tmp_path) as farm:
        farm.wait(lambda _: True)

        async def take_name() -> None:
            async with Worker(str(farm.address), name="lab", nthreads=1, dashboard=False):
                farm.start_host("lab", emulated=1)
                await asyncio.to_thread(farm.wait, lambda fleet: len(fleet.of("emulated")) == 1)
                await asyncio.sleep(2.0)  # it has been refused by now

        asyncio.run(take_name())

        assert set(farm.wait(lambda fleet: bool(fleet.hosts), 45).hosts) == {"lab"}
        assert "lab: unknown to the scheduler, it tries again" in farm.logs()


def test_a_station_that_still_looks_for_its_scheduler_ends_with_its_host(tmp_path: Path) -> None:
    settings = Settings(
        scheduler=f"tcp://127.0.0.1:{phones.free_port()}",
        post=Post(station="lab/emulated-0", contents=tmp_path / "contents"),
        resources={"emulated": 1.0, wire.VERSION: 1.0},
        scratch=tmp_path / "scratch",
    )

    ended = subprocess.run(
        [sys.executable, "-m", "harness.farm.worker_process", json.dumps(schema.dump(settings))],
        input=b"",
        check=False,
        timeout=120,
    )

    assert ended.returncode == 0  # 69 where it gave the scheduler up by itself


def test_a_host_says_once_why_it_has_no_phones(tmp_path: Path) -> None:
    with farms.farm(tmp_path) as farm:
        farm.start_host("lab", emulated=1, ADB_SERVER_SOCKET="tcp:127.0.0.2:1")
        farm.wait(lambda fleet: len(fleet.of("emulated")) == 1)  # it has looked several times
        assert farms.end(farm.running["lab"]) == 0

        assert farm.logs().count("no phones: adb server 127.0.0.2:1") == 1
