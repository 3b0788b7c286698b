"""A host of a farm takes its phones from a fake STF, and gives them back."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.devices.phone.adb import AdbServer
from harness.errors import ConfigError
from harness.lab import leasing
from harness.lab.fakes.serving import TOKEN, LabFault
from harness.lab.fakes.stf import FakeStf, Lent
from harness.lab.leasing import PhoneLease, StfLender
from harness.lab.stf import StfPhones
from harness.lab.web import Patience
from tests import phones
from tests.phones import PIXEL_4

pytestmark = pytest.mark.slow


@pytest.fixture
def stf(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeStf]:
    monkeypatch.setenv("STF_TOKEN", TOKEN)
    address, now_s = ("127.0.0.1", 1), time.monotonic()
    with FakeStf(
        {
            "R58M": Lent(model="Pixel 4", address=address),
            "R58N": Lent(model="Pixel 4", address=address, reserved=True, since_s=now_s),
            "R58O": Lent(model="Nokia 8", address=address),
        }
    ) as fake:
        yield fake


def _lease(stf: FakeStf, folder: Path, said: list[str]) -> PhoneLease:
    patience = Patience(tries=2, wait_s=0.01, timeout_s=5.0)
    phones = StfPhones(stf.url, patience=patience)
    lender = StfLender(phones=phones, profiles=[PIXEL_4])
    return PhoneLease(lender, folder=folder, say=said.append, look_s=0.0)


def test_free_phones_that_fit_a_profile_are_taken_and_given_back(
    stf: FakeStf, tmp_path: Path
) -> None:
    said: list[str] = []
    lease = _lease(stf, tmp_path, said)

    (address,) = lease.addresses()

    assert re.fullmatch(r"127\.0\.0\.1:\d+", address)
    assert stf.reserved() == {"R58M", "R58N"}
    lease.close()
    assert stf.reserved() == {"R58N"}


def test_what_the_server_took_back_is_forgotten_and_taken_again(
    stf: FakeStf, tmp_path: Path
) -> None:
    lease = _lease(stf, tmp_path, [])
    (before,) = lease.addresses()
    stf._release("R58M")

    (after,) = lease.addresses()

    lease.close()
    assert after != before


def test_a_host_that_was_killed_gives_back_what_it_held_when_it_starts_again(
    stf: FakeStf, tmp_path: Path
) -> None:
    _lease(stf, tmp_path, []).addresses()
    stf.phones["R58M"].model = "lent to nobody of these profiles"

    again = _lease(stf, tmp_path, [])

    assert again.addresses() == ()
    assert stf.reserved() == {"R58N"}
    again.close()


def test_a_server_that_stumbles_is_said_and_leaves_nothing_reserved(
    stf: FakeStf, tmp_path: Path
) -> None:
    said: list[str] = []
    lease = _lease(stf, tmp_path, said)
    stf.plant(LabFault.GONE, after=2, times=4)

    assert lease.addresses() == ()

    assert "R58M is not lent" in said[0]
    stf.faults.clear()
    lease.close()
    assert stf.reserved() == {"R58N"}


@pytest.mark.parametrize(
    "named", ["labgrid", "labgrid:", "jumpstarter:board", "stf", "stf:", "other:x"]
)
def test_a_lease_that_is_not_supported_is_one_error(
    stf: FakeStf, tmp_path: Path, named: str
) -> None:
    with pytest.raises(ConfigError, match="--lease="):
        leasing.lease(named, [PIXEL_4], folder=tmp_path, say=print)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[AdbServer]:
    with phones.default_server(tmp_path) as private:
        yield private


@pytest.mark.farm
def test_a_host_answers_with_phones_that_are_lent_to_it(
    tmp_path: Path, server: AdbServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("distributed")
    from tests import farms

    monkeypatch.setenv("STF_TOKEN", TOKEN)
    with (
        phones.with_tool(tmp_path / "phone", server) as fake,
        FakeStf({"R58M": Lent(model="Pixel 4", address=("127.0.0.1", fake.daemon.port))}) as stf,
        farms.farm(tmp_path / "farm") as farm,
    ):
        farm.start_host("lab", more=[f"--lease=stf:{stf.url}"])
        farm.wait(lambda fleet: len(fleet.of("pixel4")) == 1)
        assert stf.reserved() == {"R58M"}

        assert farms.end(farm.running["lab"]) == 0, farm.logs()

        assert stf.reserved() == set()
        assert not (fake.folder.root / phones.HOME / "lock").exists()
