"""Reach a phone through real adb servers: the one in adbutils and the system's."""

from collections.abc import Iterator
from pathlib import Path

import adbutils
import pytest

from harness import child
from harness.devices.fake_phone import faults
from harness.devices.fake_phone.faults import Fault
from harness.devices.phone import adb
from harness.devices.phone.adb import AdbServer
from harness.errors import ConfigError, DeviceError
from tests import needs, phones
from tests.phones import Plugged

BUNDLED = Path(adbutils.__file__).parent / "binaries" / "adb"
ADBS = [
    pytest.param(str(BUNDLED), id="bundled"),
    pytest.param("adb", id="system", marks=pytest.mark.adb),
]
PAYLOAD = bytes(range(256)) * 4000


@pytest.fixture(scope="module", params=ADBS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AdbServer]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ADBUTILS_ADB_PATH", needs.program(request.param))
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        with phones.server() as private:
            yield private


@pytest.fixture
def plugged(server: AdbServer, tmp_path: Path) -> Iterator[Plugged]:
    with phones.plugged(tmp_path / "phone", server) as fake:
        fake.connection.wait_ready(timeout_s=10)
        yield fake


def test_a_command_returns_its_exit_code_and_both_streams(plugged: Plugged):
    reply = plugged.connection.shell("echo out; echo err >&2; exit 7", stage="asking", timeout_s=10)

    assert (reply.exit_code, reply.stdout, reply.stderr) == (7, "out\n", "err\n")


def test_a_file_comes_back_as_it_was_sent(plugged: Plugged):
    path = "/data/local/tmp/deep/payload.bin"

    plugged.connection.push(PAYLOAD, path, mode=0o600, stage="pushing", timeout_s=10)
    back = plugged.connection.pull(path, most_bytes=len(PAYLOAD), stage="pulling", timeout_s=10)

    assert back == PAYLOAD
    assert "-rw-------" in plugged.connection.shell(f"ls -l {path}", stage="x", timeout_s=10).stdout


def test_a_missing_file_and_one_too_large_are_errors(plugged: Plugged):
    plugged.connection.push(PAYLOAD, "/data/x", mode=0o600, stage="pushing", timeout_s=10)

    with pytest.raises(DeviceError, match="No such file"):
        plugged.connection.pull("/data/none", most_bytes=9, stage="pulling", timeout_s=10)
    with pytest.raises(DeviceError, match="larger than the 9 bytes"):
        plugged.connection.pull("/data/x", most_bytes=9, stage="pulling", timeout_s=10)


def test_a_command_that_keeps_printing_ends_at_the_limit(plugged: Plugged):
    command = "while :; do echo .; sleep 0.05; [ -e /data/stop ] && exit; done"
    try:
        with pytest.raises(DeviceError, match="asking: no answer within the time limit"):
            plugged.connection.shell(command, stage="asking", timeout_s=0.4)
    finally:
        plugged.folder.write("/data/stop", "")
    assert plugged.wait_until_quiet()


@pytest.mark.parametrize(
    ("fault", "words"),
    [(Fault.STORAGE_FULL, "No space left"), (Fault.READ_ONLY, "Read-only file system")],
)
def test_a_phone_that_refuses_a_file_says_why(plugged: Plugged, fault: Fault, words: str):
    faults.plant(plugged.folder, fault)

    with pytest.raises(DeviceError, match=f"pushing: .*{words}"):
        plugged.connection.push(PAYLOAD, "/data/x", mode=0o600, stage="pushing", timeout_s=10)


def test_a_phone_unplugged_in_a_push_is_named_and_is_reached_again(plugged: Plugged):
    faults.plant(plugged.folder, Fault.UNPLUGGED_IN_PUSH)

    with pytest.raises(DeviceError, match=rf"phone {plugged.serial}: pushing: "):
        plugged.connection.push(PAYLOAD, "/data/x", mode=0o600, stage="pushing", timeout_s=10)

    plugged.connection.wait_ready(timeout_s=10)
    assert plugged.connection.shell("echo back", stage="x", timeout_s=10).stdout == "back\n"


def test_a_phone_unplugged_in_a_pull_is_named_and_is_reached_again(plugged: Plugged):
    plugged.connection.push(PAYLOAD, "/data/x", mode=0o600, stage="pushing", timeout_s=10)
    faults.plant(plugged.folder, Fault.UNPLUGGED_IN_PULL)

    with pytest.raises(DeviceError, match=rf"phone {plugged.serial}: pulling: "):
        plugged.connection.pull("/data/x", most_bytes=10**7, stage="pulling", timeout_s=10)

    plugged.connection.wait_ready(timeout_s=10)
    assert plugged.connection.state() == "device"


@pytest.mark.parametrize(
    ("fault", "words"),
    [(Fault.UNAUTHORIZED, "does not trust this computer"), (Fault.OFFLINE, "it is offline")],
)
def test_an_unauthorized_or_offline_phone_is_an_error_that_says_what_to_do(
    plugged: Plugged, fault: Fault, words: str
):
    faults.plant(plugged.folder, fault)
    plugged.do(plugged.daemon.unplug())
    plugged.wait_until_seen_gone()
    plugged.do(plugged.daemon.plug_in())

    with pytest.raises(DeviceError, match=words):
        plugged.connection.wait_ready(timeout_s=1.5)

    faults.clear(plugged.folder)
    plugged.connection.wait_ready(timeout_s=10)


def test_a_phone_that_is_gone_is_absent_within_the_limit(plugged: Plugged):
    plugged.do(plugged.daemon.unplug())
    plugged.wait_until_seen_gone()
    elsewhere = adb.AdbConnection("127.0.0.1:1", plugged.server)

    with pytest.raises(DeviceError, match=r"not attached|offline"):
        elsewhere.wait_ready(timeout_s=0.5)
    with pytest.raises(DeviceError, match=r"not attached|offline"):
        plugged.connection.wait_ready(timeout_s=0.5)


def test_a_killed_server_is_started_again_and_finds_the_phone(plugged: Plugged):
    phones.stop_server(plugged.server)

    plugged.connection.wait_ready(timeout_s=10)

    assert plugged.connection.state() == "device"


@pytest.mark.adb
def test_a_server_restarted_by_another_version_is_an_error_once_and_then_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("ADBUTILS_ADB_PATH", needs.program("adb"))
    with phones.server() as server, phones.plugged(tmp_path / "phone", server) as fake:
        fake.connection.wait_ready(timeout_s=10)
        phones.stop_server(server)
        other = [str(BUNDLED), "-P", str(server.port), "start-server"]
        child.run(other, stage="another adb", timeout_s=20)

        with pytest.raises(DeviceError, match="not attached"):
            fake.connection.shell("echo lost", stage="asking", timeout_s=5)

        fake.connection.wait_ready(timeout_s=10)
        assert fake.connection.shell("echo back", stage="x", timeout_s=10).stdout == "back\n"


def test_a_remote_server_that_does_not_answer_is_not_started_here(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ADBUTILS_ADB_PATH", "/nonexistent/adb")

    with pytest.raises(DeviceError, match="start it there"):
        adb.attached(AdbServer(host="127.0.0.2", port=phones.free_port()))


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, AdbServer()),
        ({"ADB_SERVER_SOCKET": "tcp:lab.local:5038"}, AdbServer(host="lab.local", port=5038)),
        ({"ADB_SERVER_SOCKET": "tcp:5040"}, AdbServer(port=5040)),
        ({"ANDROID_ADB_SERVER_PORT": "5041"}, AdbServer(port=5041)),
    ],
)
def test_the_environment_names_the_server(environ: dict[str, str], expected: AdbServer):
    assert AdbServer.from_environment(environ) == expected


@pytest.mark.parametrize("text", ["localabstract:adb", "tcp:host:port", "5037"])
def test_a_server_named_in_another_way_is_an_error(text: str):
    with pytest.raises(ConfigError, match="tcp:HOST:PORT"):
        AdbServer.from_environment({"ADB_SERVER_SOCKET": text})
