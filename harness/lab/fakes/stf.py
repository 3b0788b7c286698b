"""A fake STF (DeviceFarmer): phones that are reserved, connected and released over REST.

A connected phone is a loopback port that leads to its adb daemon until the phone is released, or
until no byte has gone through it for as long as the reservation allows.
Source: openstf/stf, doc/API.md.
"""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.lab.fakes.serving import TOKEN, Asked, FakeReply, FakeServer, LabFault

_DEVICES = "/api/v1/devices"
_MINE = "/api/v1/user/devices"


@dataclass(kw_only=True)
class Lent:
    """A phone that the fake can lend.

    Attributes:
        model: What STF says of it.
        address: Host and port of its adb daemon.
        reserved: Whether it is lent.
        idle_s: How long it stays lent without traffic.
        since_s: When it was lent, by the monotonic clock.
    """

    model: str
    address: tuple[str, int]
    reserved: bool = False
    idle_s: float = 900.0
    since_s: float = 0.0
    tunnel: "Tunnel | None" = field(default=None, repr=False)


class FakeStf(FakeServer):
    """STF's REST API over some phones."""

    def __init__(self, phones: Mapping[str, Lent], *, port: int = 0) -> None:
        """Lend phones, by serial."""
        super().__init__(port=port)
        self.phones = dict(phones)

    def reserved(self) -> set[str]:
        """Return the serials of what is lent now."""
        with self.lock:
            for serial, phone in self.phones.items():
                unused_s = time.monotonic() - phone.since_s
                idle_s = phone.tunnel.idle_s() if phone.tunnel is not None else unused_s
                if phone.reserved and idle_s > phone.idle_s:
                    self._release(serial)
            return {serial for serial, phone in self.phones.items() if phone.reserved}

    def __exit__(self, *error: object) -> None:
        """Stop serving."""
        for serial in self.phones:
            self._release(serial)
        super().__exit__(*error)

    def reply(self, asked: Asked) -> FakeReply:
        """Answer as STF does."""
        if asked.headers.get("authorization") != f"Bearer {TOKEN}":
            return _said(401, "Bad Credentials")
        lent = self.reserved()
        serial, _, action = asked.path.removeprefix(_MINE).strip("/").partition("/")
        match asked.method, asked.path, action:
            case "GET", "/api/v1/devices", _:
                return _json({"success": True, "devices": [self._row(one) for one in self.phones]})
            case "POST", "/api/v1/user/devices", _:
                body = json.loads(asked.body)
                serial = body["serial"]
                if serial in lent or self.strikes(LabFault.FAILED):
                    return _said(403, "Device is being used or not available")
                phone = self.phones[serial]
                phone.reserved, phone.since_s = True, time.monotonic()
                phone.idle_s = float(body["timeout"]) / 1000
                return _json({"success": True, "description": "Device successfully added"})
            case "POST", _, "remoteConnect" if serial in lent:
                return _json({"success": True, "remoteConnectUrl": self._connect(serial)})
            case "DELETE", _, "remoteConnect" if serial in lent:
                self._disconnect(serial)
                return _json({"success": True})
            case "DELETE", _, "" if serial in lent:
                self._release(serial)
                return _json({"success": True})
        return _said(403, "You cannot use this device")

    def _row(self, serial: str) -> dict[str, object]:
        phone = self.phones[serial]
        return {
            "serial": serial,
            "model": phone.model,
            "present": True,
            "ready": True,
            "using": phone.reserved,
            "owner": {"name": "someone"} if phone.reserved else None,
        }

    def _connect(self, serial: str) -> str:
        phone = self.phones[serial]
        address = phone.address
        if self.strikes(LabFault.FOREIGN):
            others = [one.address for one in self.phones.values() if one is not phone]
            address = others[0] if others else address
        if self.strikes(LabFault.ENDLESS):
            address = ("127.0.0.1", 1)  # a tunnel to nothing
        phone.tunnel = phone.tunnel or Tunnel(address)
        return f"127.0.0.1:{phone.tunnel.port}"

    def _disconnect(self, serial: str) -> None:
        tunnel, self.phones[serial].tunnel = self.phones[serial].tunnel, None
        if tunnel is not None:
            tunnel.close()

    def _release(self, serial: str) -> None:
        self._disconnect(serial)
        self.phones[serial].reserved = False


class Tunnel:
    """A loopback port that leads to another address."""

    def __init__(self, address: tuple[str, int]) -> None:
        """Listen."""
        self._address = address
        self._last = time.monotonic()
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, name="fake tunnel", daemon=True).start()

    def idle_s(self) -> float:
        """Return for how long no byte has gone through."""
        return time.monotonic() - self._last

    def close(self) -> None:
        """Close the port and what goes through it."""
        for one in (self._listener, *self._sockets):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                self._sockets.append(near)
                try:
                    far = socket.create_connection(self._address, timeout=5.0)
                except OSError:
                    near.close()
                    continue
                far.settimeout(None)
                self._sockets.append(far)
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                self._last = time.monotonic()
                sink.sendall(data)
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


def _json(value: object, status: int = 200) -> FakeReply:
    return FakeReply(status=status, body=json.dumps(value).encode())


def _said(status: int, description: str) -> FakeReply:
    return _json({"success": False, "description": description}, status)
