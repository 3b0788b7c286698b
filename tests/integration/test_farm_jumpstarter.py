"""A host of a farm takes the phones of Jumpstarter's own exporter, and gives them back."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.devices.phone.adb import AdbServer
from harness.errors import ConfigError, StackMissing
from harness.lab import jumpstarter, leasing
from tests import phones
from tests.phones import PIXEL_4

pytestmark = [pytest.mark.farm, pytest.mark.slow]

pytest.importorskip("distributed")

from tests import farms  # noqa: E402

_PACKAGES = ("jumpstarter-cli", "jumpstarter-driver-adb", "jumpstarter-driver-composite")
_EXPORTER = """
apiVersion: jumpstarter.dev/v1alpha1
kind: ExporterConfig
metadata: {namespace: default, name: bench}
endpoint: ""
token: ""
export:
  adb:
    type: jumpstarter_driver_adb.driver.AdbServer
    config: {port: PORT}
"""


@pytest.fixture(scope="module")
def jmp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return Jumpstarter's command, in a venv that is made here where $HARNESS_JMP names none."""
    path = Path(os.environ.get(jumpstarter.PROGRAM) or tmp_path_factory.mktemp("v") / "bin" / "jmp")
    if not path.exists():
        folder = path.parent.parent
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", *_PACKAGES]
        if subprocess.run(pip, check=False, capture_output=True).returncode:
            pytest.skip("Jumpstarter cannot be installed here; HARNESS_JMP names its jmp")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(jumpstarter.PROGRAM, str(path))
        yield path


@pytest.fixture
def server(tmp_path: Path) -> Iterator[AdbServer]:
    with phones.default_server(tmp_path) as private:
        yield private


@pytest.fixture
def exporter(jmp: Path, tmp_path: Path, server: AdbServer) -> Iterator[str]:
    """Keep an exporter of an adb server; it needs no controller."""
    config = tmp_path / "exporter.yaml"
    config.write_text(_EXPORTER.replace("PORT", str(server.port)))
    address = f"127.0.0.1:{phones.free_port()}"
    process = subprocess.Popen(
        [str(jmp), "run", "--exporter-config", str(config), "--tls-grpc-listener", address,
         "--tls-grpc-insecure"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield address
    finally:
        process.terminate()
        process.wait(timeout=30)


def test_a_host_answers_with_the_phones_of_an_exporter_and_gives_them_back(
    exporter: str, server: AdbServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        phones.with_tool(tmp_path / "phone", server) as fake,
        farms.farm(tmp_path / "farm") as farm,
    ):
        fake.connection.wait_ready(timeout_s=20)
        monkeypatch.delenv("ADB_SERVER_SOCKET")
        farm.start_host("lab", more=[f"--lease=jumpstarter:{exporter}"])
        farm.wait(lambda fleet: len(fleet.of("pixel4")) == 1)
        assert f"jumpstarter:{exporter} is lent" in farm.logs()

        assert farms.end(farm.running["lab"], limit_s=150) == 0, farm.logs()

        assert not (fake.folder.root / phones.HOME / "lock").exists()
        assert "did not end" not in farm.logs()


def test_an_exporter_that_is_not_there_is_asked_for_again(
    jmp: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setenv("ADB_SERVER_SOCKET", "")
    address = f"127.0.0.1:{phones.free_port()}"
    lease = leasing.lease(f"jumpstarter:{address}", [], folder=tmp_path, say=said.append)

    def ended() -> bool:
        with pytest.raises(jumpstarter.DeviceError, match="is not lent yet"):
            lease.addresses()
        return any("the lease ended" in line for line in said)

    phones.wait_until(ended, limit_s=120)
    lease.close()


@pytest.mark.parametrize("named", ["--help", "board", "a=b;reboot", "host:port", "=x", "a=b,"])
def test_what_is_no_selector_goes_to_no_command(named: str) -> None:
    with pytest.raises(ConfigError, match="--lease=jumpstarter"):
        jumpstarter.arguments(named)


def test_a_selector_is_asked_of_the_controller() -> None:
    assert jumpstarter.arguments("board=pixel4,lab!=2") == [
        "--selector", "board=pixel4,lab!=2", "--duration", "2h"
    ]  # fmt: skip


def test_without_jumpstarter_the_error_says_what_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(jumpstarter.PROGRAM, str(tmp_path / "jmp"))

    with pytest.raises(StackMissing, match="pip install jumpstarter-cli"):
        leasing.lease("jumpstarter:board=pixel4", [PIXEL_4], folder=tmp_path, say=print)
