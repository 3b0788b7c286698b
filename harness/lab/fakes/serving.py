"""A fake server on a loopback port, with faults that can be switched on."""

import enum
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

TOKEN = "fake-token-9f31c2"
"""What every fake lab takes as the user's token."""
_BODY_BYTES_MAX = 512 * 2**20


class LabFault(enum.Enum):
    """What can go wrong in a lab."""

    UNAUTHORIZED = "unauthorized"
    """401 although the token is right."""
    THROTTLED = "throttled"
    """429."""
    BROKEN = "broken"
    """500."""
    TRUNCATED = "truncated"
    """A body that ends before its length."""
    GONE = "gone"
    """The connection is closed without an answer."""
    ENDLESS = "endless"
    """A job, or whatever is waited for, that never ends."""
    FAILED = "failed"
    """A job that fails."""
    FOREIGN = "foreign"
    """Results of another model or phone."""


@dataclass(kw_only=True)
class Planted:
    """A fault that waits for its turn.

    Attributes:
        fault: What goes wrong.
        after: Requests that pass before it.
        times: Requests, or jobs, that it hits; it then ends.
    """

    fault: LabFault
    after: int = 0
    times: int = 1


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request to a fake server."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, kw_only=True)
class FakeReply:
    """What a fake server answers."""

    status: int = 200
    body: bytes = b""
    kind: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


_REPLIES = {
    LabFault.UNAUTHORIZED: FakeReply(status=401, body=b'{"description": "no such token"}'),
    LabFault.THROTTLED: FakeReply(
        status=429, body=b'{"description": "slow down"}', headers={"Retry-After": "0"}
    ),
    LabFault.BROKEN: FakeReply(status=500, body=b'{"description": "it broke"}'),
}


class FakeServer:
    """An HTTP server of a lab; subclasses answer in `reply`.

    Attributes:
        faults: What is planted, in the order in which it takes its turn.
        asked: Method and path of each request so far.
    """

    def __init__(self, *, port: int = 0) -> None:
        """Listen on a loopback port, any free one by default; serving begins with `with`."""
        self.faults: list[Planted] = []
        self.asked: list[tuple[str, str]] = []
        self.lock = threading.RLock()
        self._server = _Server(("127.0.0.1", port), self)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), name="fake lab", daemon=True
        )

    @property
    def url(self) -> str:
        """Return `http://127.0.0.1:PORT`."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Any:
        """Begin to serve."""
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def plant(self, fault: LabFault, *, after: int = 0, times: int = 1) -> None:
        """Let something go wrong: after some requests, for some requests or jobs."""
        with self.lock:
            self.faults.append(Planted(fault=fault, after=after, times=times))

    def strikes(self, *faults: LabFault) -> LabFault | None:
        """Return the first of some faults whose turn it is, and use it up once."""
        with self.lock:
            for planted in self.faults:
                if planted.fault in faults and planted.after <= 0 and planted.times > 0:
                    planted.times -= 1
                    return planted.fault
        return None

    def reply(self, asked: Asked) -> FakeReply:
        """Answer a request.

        Raises:
            KeyError: there is no such thing: 404.
        """
        raise NotImplementedError

    def answer(self, asked: Asked) -> FakeReply | None:
        """Answer a request, or return None where the connection is to be closed."""
        with self.lock:
            self.asked.append((asked.method, asked.path))
            strikes = self.strikes(*_REPLIES, LabFault.GONE)
            for planted in self.faults:
                planted.after -= 1
        if strikes is LabFault.GONE:
            return None
        if strikes is not None:
            return _REPLIES[strikes]
        try:
            return self.reply(asked)
        except KeyError as error:
            return FakeReply(status=404, body=f'{{"description": "no {error.args[0]}"}}'.encode())


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], fake: FakeServer) -> None:
        self.fake = fake
        super().__init__(address, _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that went away."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def _serve(self) -> None:
        length = min(int(self.headers.get("Content-Length") or 0), _BODY_BYTES_MAX)
        address = urlsplit(self.path)
        asked = Asked(
            method=self.command,
            path=address.path,
            query=dict(parse_qsl(address.query)),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self.rfile.read(length),
        )
        reply = self.server.fake.answer(asked)
        if reply is None:
            self.close_connection = True
            return
        body = reply.body
        if len(body) > 1 and self.server.fake.strikes(LabFault.TRUNCATED):
            body = body[: len(body) // 2]
            self.close_connection = True
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.kind)
        self.send_header("Content-Length", str(len(reply.body)))
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Print nothing."""
