"""Talk to phones over adb: list them, run a command, send and fetch a file.

This is the only file that imports adbutils. adbutils finds and starts the server and frames
its messages; every wait is bounded here, because adbutils counts its timeouts from the last
byte and waits for ever in a transfer. Whatever breaks becomes a DeviceError that names the
phone, the stage and what to do.
"""

import contextlib
import os
import socket
import stat
import struct
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import adbutils

from harness import child
from harness.errors import ConfigError, DeviceError

_CHUNK_BYTES = 65_536
"""Largest piece of a file in the sync protocol. Source: AOSP, SYNC.TXT (64 KiB)."""
_OUTPUT_BYTES_MAX = 16 * 2**20
"""Most that a command may print; what is larger is written to a file and pulled."""
_SERVER_LIMIT_S = 20.0
_ASK_LIMIT_S = 10.0
_POLL_S = 0.1
_QUICK_ACK: int | None = getattr(socket, "TCP_QUICKACK", None)
_REASONS = {
    "unauthorized": "it does not trust this computer; unlock it and accept the USB debugging "
    "dialog (`adb kill-server` asks again)",
    "offline": "it is offline; plug it in again, or `adb reconnect` it",
    "no permissions": "this user may not open it; add the udev rules for its vendor",
    "absent": "it is not attached; check the cable and `adb devices`",
}
_REASONS["authorizing"] = _REASONS["unauthorized"]
_LOST = ("absent", "offline", "authorizing", "unauthorized")
"""States out of which a phone on the network is connected again."""
_FAULTS = (adbutils.AdbError, OSError, EOFError, struct.error, ValueError)


@dataclass(frozen=True, kw_only=True)
class AdbServer:
    """The address of an adb server."""

    host: str = "127.0.0.1"
    port: int = 5037

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Read $ADB_SERVER_SOCKET (`tcp:host:port` or `tcp:port`), or the ANDROID_ADB_* pair.

        Raises:
            ConfigError: a variable is set to something else.
        """
        text = environ.get("ADB_SERVER_SOCKET", "")
        host = environ.get("ANDROID_ADB_SERVER_ADDRESS") or "127.0.0.1"
        port = environ.get("ANDROID_ADB_SERVER_PORT") or "5037"
        if text:
            kind, _, address = text.partition(":")
            host, _, port = address.rpartition(":")
            host = host or "127.0.0.1"
            if kind != "tcp":
                port = ""
        if not port.isdecimal():
            raise ConfigError(
                f"$ADB_SERVER_SOCKET={text!r} $ANDROID_ADB_SERVER_PORT={port!r}: name the adb "
                "server as tcp:HOST:PORT"
            )
        return cls(host=host, port=int(port))

    @property
    def local(self) -> bool:
        """Return whether it runs on this computer, so that it may be started."""
        return self.host in ("127.0.0.1", "localhost", "::1")

    def __str__(self) -> str:
        """Return `127.0.0.1:5037`."""
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, kw_only=True)
class Attached:
    """One phone as the server lists it; `state` is `device` where it can be used."""

    serial: str
    state: str


@dataclass(frozen=True, kw_only=True)
class CommandResult:
    """What a command on the phone left."""

    exit_code: int
    stdout: str
    stderr: str


def attached(server: AdbServer) -> tuple[Attached, ...]:
    """List the phones that a server knows, whatever their state.

    Raises:
        DeviceError: the server cannot be reached, started or understood.
    """
    _reach(server)
    try:
        found = _client(server).list()
    except _FAULTS as error:
        raise DeviceError(f"adb server {server}: no list of phones ({_words(error)})") from None
    return tuple(Attached(serial=info.serial, state=info.state) for info in found)


class AdbConnection:
    """A connection to one phone, which is made again after the phone went away."""

    def __init__(self, serial: str, server: AdbServer) -> None:
        """Name the phone by its serial; nothing is sent yet."""
        self.serial = serial
        self.server = server
        self.breaks = 0
        """How often it broke; whoever holds the phone checks it again after each."""
        self._known: tuple[str, ...] = ()

    def state(self) -> str:
        """Return the phone's state in adb's words, or `absent`."""
        states = {phone.serial: phone.state for phone in attached(self.server)}
        return states.get(self.serial, "absent")

    def wait_ready(self, *, timeout_s: float) -> None:
        """Wait until the phone answers; a phone on the network is connected again.

        Raises:
            DeviceError: it does not come within the limit.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            state = self.state()
            if state == "device" and (self._known or self._features()):
                break
            if time.monotonic() >= deadline:
                reason = _REASONS.get(state, f"adb says {state!r}")
                raise DeviceError(f"phone {self.serial}: {reason} (waited {timeout_s:g} s)")
            if ":" in self.serial and state in _LOST:
                self._connect_again(min(5.0, max(0.5, deadline - time.monotonic())))
            time.sleep(_POLL_S)
        if "shell_v2" not in self._known:
            raise DeviceError(
                f"phone {self.serial}: its adb has no exit codes (shell_v2); Android 7 or newer "
                "is needed"
            )

    def _features(self) -> bool:
        """Note what the phone's daemon can do; return False if it went away again."""
        with contextlib.suppress(*_FAULTS):
            connection = _client(self.server).make_connection(timeout=_ASK_LIMIT_S)
            with contextlib.closing(connection.conn):
                connection.send_command(f"host-serial:{self.serial}:features")
                connection.check_okay()
                self._known = tuple(connection.read_string_block().split(","))
        return bool(self._known)

    def shell(self, command: str, *, stage: str, timeout_s: float) -> CommandResult:
        """Run a command line in the phone's shell to its end.

        Args:
            command: POSIX shell; quote with `shlex.quote`.
            stage: What is being done, for messages.
            timeout_s: Wall-clock limit; the command is not stopped on the phone.

        Raises:
            DeviceError: the phone went away, there was no end within the limit, or it printed
                more than any command of ours does.
        """
        deadline = time.monotonic() + timeout_s
        parts: dict[int, bytearray] = {1: bytearray(), 2: bytearray()}
        left_bytes = _OUTPUT_BYTES_MAX
        with self._errors(stage), self._service(f"shell,v2,raw:{command}", deadline) as pipe:
            while True:
                kind, length = struct.unpack("<BI", _read(pipe, 5, deadline))
                left_bytes -= length + 1
                if left_bytes < 0:
                    raise DeviceError(
                        f"phone {self.serial}: {stage}: it printed more than "
                        f"{_OUTPUT_BYTES_MAX // 2**20} MiB; a program there has gone astray"
                    )
                data = _read(pipe, length, deadline)
                if kind == 3 and data:
                    break
                parts.get(kind, bytearray()).extend(data)
        return CommandResult(
            exit_code=data[0],
            stdout=parts[1].decode("utf-8", errors="replace"),
            stderr=parts[2].decode("utf-8", errors="replace"),
        )

    def push(self, data: bytes, path: str, *, mode: int, stage: str, timeout_s: float) -> None:
        """Write a file on the phone; a torn transfer leaves a torn file.

        Raises:
            DeviceError: the phone went away or refused the file.
        """
        deadline = time.monotonic() + timeout_s
        target = f"{path},{stat.S_IFREG | mode}".encode()
        with self._errors(stage), self._service("sync:", deadline) as pipe:
            _send(pipe, b"SEND" + _length(target) + target, deadline)
            try:
                for start in range(0, len(data), _CHUNK_BYTES):
                    part = data[start : start + _CHUNK_BYTES]
                    _send(pipe, b"DATA" + _length(part) + part, deadline)
                _send(pipe, b"DONE" + struct.pack("<I", int(time.time())), deadline)
            except (BrokenPipeError, ConnectionResetError):
                pass  # a phone that refuses a file says why and closes; its words are read below
            _check_sync(pipe, deadline)

    def pull(self, path: str, *, most_bytes: int, stage: str, timeout_s: float) -> bytes:
        """Return a file of the phone.

        Raises:
            DeviceError: the phone went away, or the file is missing or larger than expected.
        """
        deadline = time.monotonic() + timeout_s
        data = bytearray()
        name = path.encode()
        with self._errors(stage), self._service("sync:", deadline) as pipe:
            _send(pipe, b"RECV" + _length(name) + name, deadline)
            while True:
                kind, length = struct.unpack("<4sI", _read(pipe, 8, deadline))
                if kind == b"DONE":
                    return bytes(data)
                if kind != b"DATA":
                    raise _refusal(kind, _read(pipe, min(length, 4096), deadline))
                data += _read(pipe, min(length, _CHUNK_BYTES), deadline)
                if len(data) > most_bytes:
                    raise DeviceError(
                        f"phone {self.serial}: {stage}: {path} is larger than the "
                        f"{most_bytes} bytes expected"
                    )

    def disconnect(self) -> None:
        """Have the server forget a phone on the network, if it knows it.

        Raises:
            DeviceError: the server does not answer.
        """
        if self.state() != "absent":
            with self._errors("disconnecting it"):
                _client(self.server).disconnect(self.serial)
        self._known = ()

    def _broke(self) -> None:
        self.breaks += 1
        self._known = ()

    def _connect_again(self, timeout_s: float) -> None:
        """Ask the server to connect a phone on the network; whether it did is seen later."""
        client = _client(self.server)
        with contextlib.suppress(*_FAULTS):
            client.disconnect(self.serial)
            client.connect(self.serial, timeout=timeout_s)

    @contextlib.contextmanager
    def _service(self, name: str, deadline: float) -> Iterator[socket.socket]:
        """Open a service of the phone's daemon."""
        _reach(self.server)
        left_s = _left(deadline)
        connection = _client(self.server).make_connection(timeout=min(left_s, _ASK_LIMIT_S))
        with contextlib.closing(connection.conn) as pipe:
            pipe.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for command in (f"host:transport:{self.serial}", name):
                connection.send_command(command)
                connection.check_okay()
            yield pipe

    @contextlib.contextmanager
    def _errors(self, stage: str) -> Iterator[None]:
        try:
            yield
        except (TimeoutError, adbutils.AdbTimeout):
            self._broke()
            raise DeviceError(
                f"phone {self.serial}: {stage}: no answer within the time limit"
            ) from None
        except _FAULTS as error:
            self._broke()
            try:
                state = self.state()
            except DeviceError as server_error:
                raise DeviceError(f"phone {self.serial}: {stage}: {server_error}") from None
            reason = _REASONS.get(state, "")
            if state == "device":
                reason = "the connection broke; it is attached again now"
            if isinstance(error, _RefusedError) or (state == "device" and not _is_broken(error)):
                reason = _words(error)
            raise DeviceError(f"phone {self.serial}: {stage}: {reason or _words(error)}") from None


class _RefusedError(adbutils.AdbError):  # type: ignore[misc]
    """A transfer that the phone answered with FAIL."""


def _client(server: AdbServer) -> Any:
    return adbutils.AdbClient(host=server.host, port=server.port, socket_timeout=_ASK_LIMIT_S)


def _reach(server: AdbServer) -> None:
    """Make sure that the server answers, starting one on this computer if it does not."""
    if _answers(server):
        return
    if server.local:
        child.run(
            [adbutils.adb_path(), "-P", str(server.port), "start-server"],
            stage=f"starting the adb server on port {server.port}",
            timeout_s=_SERVER_LIMIT_S,
        )
        if _answers(server):
            return
    raise DeviceError(
        f"adb server {server}: does not answer; start it there with `adb -a -P {server.port} "
        "nodaemon server`, or unset $ADB_SERVER_SOCKET"
    )


def _answers(server: AdbServer) -> bool:
    try:
        with socket.create_connection((server.host, server.port), timeout=3.0):
            return True
    except OSError:
        return False


def _left(deadline: float) -> float:
    left_s = deadline - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    return left_s


def _read(pipe: socket.socket, length: int, deadline: float) -> bytes:
    data = bytearray()
    while len(data) < length:
        pipe.settimeout(_left(deadline))
        if _QUICK_ACK is not None:  # else the server's next small packet waits 40 ms
            pipe.setsockopt(socket.IPPROTO_TCP, _QUICK_ACK, 1)
        part = pipe.recv(length - len(data))
        if not part:
            raise EOFError("the connection was closed")
        data += part
    return bytes(data)


def _send(pipe: socket.socket, data: bytes, deadline: float) -> None:
    pipe.settimeout(_left(deadline))
    pipe.sendall(data)


def _length(data: bytes) -> bytes:
    return struct.pack("<I", len(data))


def _check_sync(pipe: socket.socket, deadline: float) -> None:
    kind, length = struct.unpack("<4sI", _read(pipe, 8, deadline))
    if kind != b"OKAY":
        raise _refusal(kind, _read(pipe, min(length, 4096), deadline))


def _refusal(kind: bytes, text: bytes) -> Exception:
    if kind != b"FAIL":
        return ValueError(f"an answer that is not adb's: {kind!r}")
    return _RefusedError(text.decode("utf-8", errors="replace"))


def _is_broken(error: BaseException) -> bool:
    """Return whether an error means a broken connection rather than an answer."""
    return isinstance(error, (EOFError, OSError)) or "closed" in str(error)


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__
