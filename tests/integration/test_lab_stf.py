"""Rent fake phones from a fake STF with the real adb server in between."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import child
from harness.devices.connect import PhoneSetup
from harness.devices.phone import adb
from harness.devices.phone.adb import AdbServer
from harness.errors import ConfigError, DeviceError, HarnessError
from harness.inputs import Inputs
from harness.lab import Facts
from harness.lab.fakes.serving import TOKEN, LabFault
from harness.lab.fakes.stf import FakeStf, Lent
from harness.lab.stf import StfLab
from harness.lab.web import Patience
from harness.placement import Placement
from harness.profiles import Target
from harness.requests import Request, Verb
from harness.results import latest, load
from tests import phones
from tests.phones import PIXEL_4, SIZE, Plugged

pytestmark = pytest.mark.slow

TARGET = Target(profile=PIXEL_4, delegate="gpu")
PATIENCE = Patience(tries=4, wait_s=0.01, timeout_s=5.0)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[AdbServer]:
    with phones.default_server(tmp_path) as private:
        adb.attached(private)  # starts it
        yield private


@pytest.fixture
def plugged(tmp_path: Path, server: AdbServer) -> Iterator[Plugged]:
    with phones.with_tool(tmp_path / "phone", server) as fake:
        yield fake


@pytest.fixture
def stf(plugged: Plugged, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeStf]:
    monkeypatch.setenv("STF_TOKEN", TOKEN)
    lent = Lent(model="Pixel 4", address=("127.0.0.1", plugged.daemon.port))
    with FakeStf({"R58M": lent}) as fake:
        yield fake


def opened(stf: FakeStf) -> StfLab:
    lab = StfLab(stf.url, phone_setup=PhoneSetup(), patience=PATIENCE)
    lab.open()
    return lab


def asked(verb: Verb = Verb.PLACE) -> Request:
    given = Inputs.of(phones.frame()) if verb is Verb.RUN else None
    return Request(target=TARGET, verb=verb, model=phones.model(), size=SIZE, inputs=given)


def test_facts_of_a_rented_phone_are_those_of_the_cable(stf: FakeStf, plugged: Plugged) -> None:
    plugged.folder.switch(latency_us={"": 700.0}, noise_share=0.0, refused_ops=("TRANSPOSE_CONV",))
    lab = opened(stf)
    assert stf.reserved() == set()
    facts = Facts(lab)

    found = {verb: facts.ask(asked(verb)) for verb in (Verb.RUN, Verb.PLACE, Verb.TIME)}
    assert stf.reserved() == {"R58M"}
    assert lab.close() == []

    assert stf.reserved() == set()
    with plugged.phone("gpu") as direct:
        phones.assert_same(found, direct)
    placement = found[Verb.PLACE]
    assert isinstance(placement, Placement)
    assert placement.provenance.lab == f"stf:{stf.url}"


@pytest.mark.parametrize(
    ("fault", "after"),
    [
        (LabFault.UNAUTHORIZED, 1),
        (LabFault.UNAUTHORIZED, 2),
        (LabFault.BROKEN, 1),
        (LabFault.GONE, 2),
        (LabFault.TRUNCATED, 2),
        (LabFault.FAILED, 0),
        (LabFault.ENDLESS, 0),
    ],
)
def test_nothing_stays_reserved_after_a_fault(
    stf: FakeStf, fault: LabFault, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.lab.adb._CONNECT_LIMIT_S", 1.0)
    lab = opened(stf)
    stf.plant(fault, after=after, times=4)

    facts = list(lab.answer([asked(), asked()]))
    stf.faults.clear()
    lab.close()

    assert len(facts) == 2
    assert isinstance(facts[0].error, HarnessError)
    assert TOKEN not in str(facts[0].error)
    assert stf.reserved() == set()


def test_a_server_that_stumbles_once_is_asked_again(stf: FakeStf) -> None:
    lab = opened(stf)
    stf.plant(LabFault.THROTTLED)
    stf.plant(LabFault.BROKEN, after=1)
    stf.plant(LabFault.GONE, after=2)

    (fact,) = lab.answer([asked()])
    lab.close()

    assert fact.error is None


def test_a_phone_that_is_another_one_than_the_server_said_gives_no_fact(
    stf: FakeStf, plugged: Plugged
) -> None:
    plugged.folder.setprop("ro.product.model", "Nokia 8")
    lab = opened(stf)

    (fact,) = lab.answer([asked()])
    lab.close()

    assert isinstance(fact.error, DeviceError)
    assert stf.reserved() == set()


def test_without_a_token_or_with_a_wrong_one_nothing_is_asked(
    stf: FakeStf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STF_TOKEN", "wrong")
    with pytest.raises(ConfigError) as refused:
        opened(stf)
    assert "wrong" not in str(refused.value)

    monkeypatch.delenv("STF_TOKEN")
    with pytest.raises(ConfigError):
        opened(stf)


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_told_to_stop_releases_its_phone_and_keeps_its_facts(
    project: pytest.Pytester, stf: FakeStf, sent: signal.Signals, server: AdbServer
) -> None:  # the project first: the home with the key that the phone knows is set after its own
    (project.path / "run.py").write_text(
        "import os, sys\nprint(os.getpid(), flush=True)\n"
        "import pytest\nsys.exit(pytest.main(sys.argv[1:]))\n"
    )
    command = [sys.executable, "run.py", "--device=pixel4:gpu", f"--lab=stf:{stf.url}"]
    started = project.popen([*command, "--subject=unet.fp32"], stdin=-3, stdout=-1)
    deadline = time.monotonic() + 60
    while not list((project.path / ".results").glob("*.jsonl")) or '"fact"' not in latest(
        project.path
    ).read_text(encoding="utf-8"):
        assert time.monotonic() < deadline
        assert started.poll() is None
        time.sleep(0.05)
    assert stf.reserved() == {"R58M"}

    os.kill(started.pid, sent)
    said, _ = started.communicate(timeout=60)

    assert started.returncode == pytest.ExitCode.INTERRUPTED, said
    assert stf.reserved() == set()
    assert not any(fact.error for fact in load(latest(project.path)).facts)
    assert {phone.serial for phone in adb.attached(server)} == set()
    files = [path for path in project.path.rglob("*") if path.is_file()]
    assert not [path for path in files if TOKEN.encode() in path.read_bytes()]


def test_the_reservation_of_a_run_that_was_killed_ends_by_itself(
    stf: FakeStf, tmp_path: Path
) -> None:
    script = (
        "import os, signal, tests.integration.test_lab_stf as t, sys\n"
        "from harness.lab import stf; stf.LEASE_MS = 300\n"
        "lab = stf.StfLab(sys.argv[1], phone_setup=t.PhoneSetup()); lab.open()\n"
        "lab.fingerprint(t.TARGET); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    with pytest.raises(DeviceError, match="SIGKILL"):
        child.run([sys.executable, "-c", script, stf.url], stage="a run", timeout_s=60)
    assert any(path.endswith("/remoteConnect") for _, path in stf.asked)

    deadline = time.monotonic() + 20
    while stf.reserved():
        assert time.monotonic() < deadline
        time.sleep(0.1)
