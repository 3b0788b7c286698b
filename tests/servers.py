"""Servers on this host that answer as they are told, and keep what they were sent."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(kw_only=True)
class Answer:
    """What a server does with one request."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    hang_s: float = 0.0
    drip_s: float = 0.0
    """Pause after each byte of the body."""
    cut: bool = False
    """Close the connection without an answer."""


@dataclass(kw_only=True)
class Request:
    """What a server was sent."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(kw_only=True)
class WebServer:
    """A server, its address, and its requests so far."""

    address: str
    requests: list[Request]


@contextlib.contextmanager
def web_server(*answers: Answer) -> Iterator[WebServer]:
    """Serve the answers one after the other, the last one for ever."""
    seen: list[Request] = []
    gone = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self._reply()

        def do_GET(self) -> None:
            self._reply()

        def _reply(self) -> None:
            answer = answers[min(len(seen), len(answers) - 1)]
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            seen.append(Request(path=self.path, headers=headers, body=body))
            gone.wait(answer.hang_s)
            if answer.cut:
                return
            self.send_response(answer.status)
            for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                if not answer.drip_s:
                    self.wfile.write(answer.body)
                for byte in answer.body if answer.drip_s else b"":
                    self.wfile.write(bytes([byte]))
                    if gone.wait(answer.drip_s):
                        return

        def log_message(self, *_: object) -> None:
            """Keep the test's output free of it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield WebServer(address=f"http://127.0.0.1:{server.server_port}/hook/SECRET", requests=seen)
    finally:
        gone.set()
        server.shutdown()
        thread.join()
        server.server_close()


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def free_address() -> str:
    """Return the address of a port that nobody listens on."""
    return f"http://127.0.0.1:{free_port()}/hook/SECRET"


def wait_until(true, *, at_most_s: float = 20.0) -> None:
    """Wait until a function returns something true."""
    deadline = time.monotonic() + at_most_s
    while not true():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)
