"""A host of a farm takes a place of labgrid's own coordinator, and gives it back."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.devices.phone.adb import AdbServer
from harness.errors import DeviceError, StackMissing
from harness.lab.labgrid import COORDINATOR, LabgridPlaces
from harness.lab.leasing import LabgridLender, PhoneLease
from tests import phones
from tests.farms import ROOT

pytestmark = [pytest.mark.farm, pytest.mark.slow]

pytest.importorskip("distributed")

from tests import farms  # noqa: E402


@pytest.fixture(scope="module")
def labgrid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a folder with labgrid, beside the environment: it is a plugin of every pytest too."""
    folder = Path(os.environ.get("HARNESS_LABGRID") or tmp_path_factory.mktemp("labgrid"))
    if not (folder / "labgrid").exists():
        done = subprocess.run(
            [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(folder),
             "--constraint", str(ROOT / "constraints.txt"), "labgrid"],
            check=False, capture_output=True,
        )  # fmt: skip
        if done.returncode:
            pytest.skip("labgrid cannot be installed here; HARNESS_LABGRID names a folder of it")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        patch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{folder}")
        yield folder


@pytest.fixture
def coordinator(
    labgrid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[LabgridPlaces]:
    """Keep labgrid's coordinator, which keeps its places in the folder that it runs in."""
    address = f"127.0.0.1:{phones.free_port()}"
    monkeypatch.setenv(COORDINATOR, address)
    process = subprocess.Popen(
        [sys.executable, "-m", "labgrid.remote.coordinator", "--listen", address],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    places = LabgridPlaces(user="lab/tests")
    try:
        phones.wait_until(lambda: _answers(places))
        yield places
    finally:
        process.kill()
        process.wait(timeout=10)


def _answers(places: LabgridPlaces) -> bool:
    with contextlib.suppress(DeviceError):
        places.rows()
        return True
    return False


def _add(name: str, **tags: str) -> None:
    """Add a place with labgrid's own client."""
    _client("-p", name, "create")
    if tags:
        _client("-p", name, "set-tags", *(f"{key}={value}" for key, value in tags.items()))


def _client(*arguments: str) -> None:
    command = [sys.executable, "-m", "labgrid.remote.client", *arguments]
    subprocess.run(command, check=True, capture_output=True, timeout=60)


def _holders(places: LabgridPlaces) -> dict[str, str]:
    return {place.name: place.holder for place in places.rows()}


def _lease(places: LabgridPlaces, folder: Path, said: list[str], pattern: str) -> PhoneLease:
    lender = LabgridLender(places=places, pattern=pattern)
    return PhoneLease(lender, folder=folder, say=said.append, look_s=0.0)


def test_free_places_that_are_asked_for_are_taken_and_given_back(
    coordinator: LabgridPlaces, tmp_path: Path
) -> None:
    said: list[str] = []
    for name in ("pixel4-a", "pixel4-b", "other"):
        _add(name, adb=f"serial-of-{name}")
    _client("-p", "pixel4-b", "acquire")
    lease = _lease(coordinator, tmp_path / "host", said, "pixel4-*")

    addresses = lease.addresses()

    assert addresses == ("serial-of-pixel4-a",)
    before = _holders(coordinator)
    assert before["pixel4-a"] == "lab/tests"
    assert before["pixel4-b"] not in ("", "lab/tests")
    lease.close()
    assert _holders(coordinator) == before | {"pixel4-a": ""}


def test_a_place_that_a_person_frees_is_forgotten_and_taken_again(
    coordinator: LabgridPlaces, tmp_path: Path
) -> None:
    said: list[str] = []
    _add("pixel4", adb="127.0.0.1:5555")
    lease = _lease(coordinator, tmp_path / "host", said, "pixel4")
    lease.addresses()
    _client("-p", "pixel4", "release", "--kick")

    addresses = lease.addresses()

    assert "pixel4 was taken back" in said[1]
    assert addresses == ("127.0.0.1:5555",)
    lease.close()


def test_a_host_that_was_killed_gives_its_place_back_when_it_starts_again(
    coordinator: LabgridPlaces, tmp_path: Path
) -> None:
    _add("pixel4", adb="serial")
    _lease(coordinator, tmp_path / "host", [], "pixel4").addresses()

    again = _lease(coordinator, tmp_path / "host", [], "another")

    assert again.addresses() == ()
    assert _holders(coordinator) == {"pixel4": ""}


@pytest.mark.parametrize("tags", [{}, {"adb": "-s;reboot"}])
def test_a_place_without_the_address_of_its_phone_is_left_and_said_once(
    coordinator: LabgridPlaces, tmp_path: Path, tags: dict[str, str]
) -> None:
    said: list[str] = []
    _add("pixel4", **tags)
    lease = _lease(coordinator, tmp_path / "host", said, "pixel4")

    assert lease.addresses() == lease.addresses() == ()

    assert len(said) == 1
    assert "set-tags adb=SERIAL" in said[0]
    assert _holders(coordinator) == {"pixel4": ""}


def test_a_place_that_others_have_reserved_or_that_is_gone_is_an_error(
    coordinator: LabgridPlaces,
) -> None:
    _add("pixel4", adb="serial", board="pixel4")
    coordinator.acquire("pixel4")

    with pytest.raises(DeviceError, match="already acquired"):
        LabgridPlaces(user="other/tests").acquire("pixel4")
    with pytest.raises(DeviceError, match="does not exist"):
        coordinator.acquire("gone")


def test_a_coordinator_that_is_away_is_one_line_that_says_what_to_do(labgrid: Path) -> None:
    places = LabgridPlaces(f"127.0.0.1:{phones.free_port()}", limit_s=1.0)

    with pytest.raises(DeviceError, match=r"labgrid-coordinator.*\$LG_COORDINATOR"):
        places.rows()


def test_a_host_answers_with_the_phone_of_a_place_and_gives_it_back(
    coordinator: LabgridPlaces, labgrid: Path, tmp_path: Path, server: AdbServer
) -> None:
    with (
        phones.with_tool(tmp_path / "phone", server) as fake,
        farms.farm(tmp_path / "farm") as farm,
    ):
        _add("pixel4", adb=fake.serial)
        farm.start_host("lab", more=["--lease=labgrid:pixel4"], PYTHONPATH=os.environ["PYTHONPATH"])
        farm.wait(lambda fleet: len(fleet.of("pixel4")) == 1)
        assert "/harness" in _holders(coordinator)["pixel4"]

        assert farms.end(farm.running["lab"]) == 0, farm.logs()

        assert _holders(coordinator) == {"pixel4": ""}
        assert not (fake.folder.root / phones.HOME / "lock").exists()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[AdbServer]:
    with phones.default_server(tmp_path) as private:
        yield private


def test_without_labgrid_the_error_says_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "labgrid.remote.generated", None)

    with pytest.raises(StackMissing, match="labgrid"):
        LabgridPlaces()
