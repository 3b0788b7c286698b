"""Other users of the machine reach the fake phone's port too, and must get nothing there."""

import base64
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import adbutils
import pytest

from harness import child
from harness.devices.fake_phone import authorization
from harness.devices.phone.adb import AdbConnection, AdbServer
from harness.errors import DeviceError
from tests import needs, phones
from tests.phones import Plugged

pytestmark = pytest.mark.slow

_HEADER = struct.Struct("<4sIIIII")
ADBS = [
    pytest.param(str(Path(adbutils.__file__).parent / "binaries" / "adb"), id="bundled"),
    pytest.param("adb", id="system", marks=pytest.mark.adb),
]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the owner a home with an adb key of its own."""
    monkeypatch.setenv("HOME", str(tmp_path / "owner"))
    monkeypatch.delenv("ADB_VENDOR_KEYS", raising=False)
    (tmp_path / "owner" / ".android").mkdir(parents=True)
    keygen(tmp_path / "owner" / ".android" / "adbkey")
    return tmp_path / "owner"


@pytest.fixture
def plugged(home: Path, tmp_path: Path) -> Iterator[Plugged]:
    """Serve a phone; a stranger needs no adb server to reach its port."""
    with phones.plugged(tmp_path / "phone", AdbServer(port=phones.free_port())) as fake:
        yield fake


def keygen(path: Path) -> None:
    done = child.run([adbutils.adb_path(), "keygen", path], stage="keygen", timeout_s=30.0)
    assert done.exit_code == 0, done.stderr


def packet(command: bytes, arg0: int, arg1: int, data: bytes = b"") -> bytes:
    magic = struct.unpack("<I", command)[0] ^ 0xFFFFFFFF
    return _HEADER.pack(command, arg0, arg1, len(data), sum(data) & 0xFFFFFFFF, magic) + data


def answers(plugged: Plugged, *packets: bytes) -> list[bytes]:
    """Send packets and return the commands of all that comes back within a moment."""
    with socket.create_connection(("127.0.0.1", plugged.daemon.port), timeout=1.0) as line:
        for each in packets:
            line.sendall(each)
        data = b""
        try:
            while part := line.recv(65_536):
                data += part
        except (TimeoutError, ConnectionResetError):
            pass
    commands = []
    while data:
        command, _, _, length, _, _ = _HEADER.unpack_from(data)
        commands.append(command)
        data = data[_HEADER.size + length :]
    return commands


def intrusions(home: Path, note: Path) -> dict[str, list[bytes]]:
    """Return what a stranger may try in order to run a command that leaves a note."""
    hello = packet(b"CNXN", 0x01000001, 1 << 20, b"host::features=shell_v2\0")
    command = packet(b"OPEN", 1, 0, f"shell:touch {note}\0".encode())
    public = (home / ".android" / "adbkey.pub").read_bytes() + b"\0"
    return {
        "no greeting": [command],
        "no key": [hello, command],
        "noise for a signature": [hello, packet(b"AUTH", 2, 0, os.urandom(256)), command],
        "a signature of nothing": [hello, packet(b"AUTH", 2, 0), command],
        "zero, which is its own signature": [hello, packet(b"AUTH", 2, 0, bytes(256)), command],
        "the public key, which all may know": [hello, packet(b"AUTH", 3, 0, public), command],
    }


def test_who_does_not_sign_with_the_owners_key_gets_no_shell(
    plugged: Plugged, home: Path, tmp_path: Path
) -> None:
    note = tmp_path / "note"

    for way, packets in intrusions(home, note).items():
        assert set(answers(plugged, *packets)) <= {b"AUTH"}, way

    assert not note.exists()
    assert plugged.daemon.running() == 0


def test_a_packet_longer_than_any_ends_the_line(plugged: Plugged) -> None:
    huge = _HEADER.pack(b"CNXN", 0, 0, 0xFFFFFFFF, 0, 0)

    assert answers(plugged, huge) == []


@pytest.mark.parametrize("program", ADBS)
def test_the_owners_adb_is_let_in_and_a_strangers_is_not(
    program: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADBUTILS_ADB_PATH", needs.program(program))
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    with phones.server() as own, phones.plugged(tmp_path / "phone", own) as plugged:
        plugged.connection.wait_ready(timeout_s=10.0)
        assert plugged.connection.shell("echo in", stage="asking", timeout_s=10.0).stdout == "in\n"
        with phones.server() as other:
            command = [program, "-P", str(other.port), "connect", plugged.serial]
            child.run(command, stage="connecting", timeout_s=20.0, env={"HOME": str(stranger)})
            with pytest.raises(DeviceError, match="does not trust this computer"):
                AdbConnection(plugged.serial, other).wait_ready(timeout_s=1.0)


def test_a_vendor_key_is_the_owners_too(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keygen(home / "team")
    keygen(home / "lab.adb_key")
    monkeypatch.setenv("ADB_VENDOR_KEYS", f"{home / 'team'}{os.pathsep}{home}")

    keys = authorization.owners_keys(os.environ)

    assert len(set(keys)) == 3
    assert all(key.modulus.bit_length() == 2048 for key in keys)


@pytest.mark.parametrize(
    "text",
    [b"", b"ssh-rsa AAAA", b"!!!! me@here", base64.b64encode(bytes(523)),
     base64.b64encode(bytes(524)), base64.b64encode(struct.pack("<I", 64) + bytes(520))],
)  # fmt: skip
def test_what_is_no_key_lets_nobody_in(text: bytes) -> None:
    assert authorization.parse(text) is None
