"""The only door to HTTP: one request, bounded in time and size, with no word of a secret address.

Proxies are those of the environment, as for every program. Certificates are checked.
"""

import http.client
import queue
import threading
import urllib.request
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from email.message import Message
from urllib.parse import SplitResult, urljoin, urlsplit

from harness import __version__
from harness.errors import ConfigError, NetworkError

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_REDIRECTS_MAX = 5
_CHUNK_BYTES = 2**16
_ANSWER_BYTES_MAX = 2**16
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_OK = 200


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What a server answered.

    Attributes:
        status: HTTP status.
        headers: Its headers; names in any case.
        body: What it sent, up to the bound.
    """

    status: int
    headers: Message = field(default_factory=Message)
    body: bytes = b""


def check(address: str, *, secure: bool = False) -> SplitResult:
    """Return the parts of an http or https address.

    Args:
        address: The address; messages do not repeat it, for it may be a secret.
        secure: Whether it must be https, unless the server is this host.

    Raises:
        ConfigError: it is no such address, or holds a name or password.
    """
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ConfigError("the address of a server cannot be read as a URL") from None
    if parts.scheme not in ("http", "https") or not host:
        raise ConfigError("the address of a server starts with https:// or http:// and its name")
    if parts.username is not None or parts.password is not None:
        raise ConfigError(f"the address of {host} holds a name or password; leave them out")
    if secure and parts.scheme != "https" and host not in _LOOPBACK:
        raise ConfigError(f"the address of {host} must start with https://: it holds a secret")
    return parts


def post(address: str, body: bytes, *, headers: Mapping[str, str], timeout_s: float) -> Reply:
    """Send bytes to a server and return its answer, whatever its status; follow no redirect.

    Raises:
        NetworkError: there is no answer.
    """
    request = _request(address, body, headers)
    return _within(timeout_s, request.host, lambda: _ask(request, timeout_s, _ANSWER_BYTES_MAX))


def get(address: str, *, types: Collection[str], at_most_bytes: int, timeout_s: float) -> bytes:
    """Return what is at an address; a redirect may lead from http to https, to nothing else.

    Args:
        address: An http or https address.
        types: Media types that are taken.
        at_most_bytes: Largest size that is read.
        timeout_s: Limit on the whole of it.

    Raises:
        ConfigError: the address is wrong.
        NetworkError: there is no answer, or none of these types and this size.
    """
    host = check(address).netloc
    reply = _within(timeout_s, host, lambda: _follow(address, timeout_s, at_most_bytes))
    kind = reply.headers.get_content_type() if reply.headers["Content-Type"] else ""
    if reply.status != _OK:
        raise NetworkError(f"{host}: answered with status {reply.status}, not {_OK}")
    if reply.headers.get("Content-Encoding", "identity") != "identity":
        raise NetworkError(f"{host}: sent it packed, and nothing packed is taken")
    if kind not in types:
        raise NetworkError(
            f"{host}: sent {kind or 'no media type'!r:.80}; expected {', '.join(sorted(types))}"
        )
    if len(reply.body) > at_most_bytes:
        raise NetworkError(f"{host}: sent more than {at_most_bytes / 2**20:.0f} MiB")
    return reply.body


def _follow(address: str, timeout_s: float, at_most_bytes: int) -> Reply:
    for _ in range(_REDIRECTS_MAX + 1):
        parts = check(address)
        reply = _ask(_request(address, None, {}), timeout_s, at_most_bytes + 1)
        if reply.status not in _REDIRECTS:
            return reply
        further = urljoin(address, reply.headers.get("Location", ""))
        scheme = urlsplit(further).scheme
        if scheme not in (parts.scheme, "https"):
            raise NetworkError(f"{parts.netloc}: leads on from {parts.scheme} to {scheme!r:.20}")
        address = further
    raise NetworkError(f"{parts.netloc}: leads on more than {_REDIRECTS_MAX} times")


def _request(
    address: str, body: bytes | None, headers: Mapping[str, str]
) -> urllib.request.Request:
    agent = {"User-Agent": f"pytest-device-harness/{__version__}"}
    return urllib.request.Request(address, data=body, headers={**agent, **headers})


def _ask(request: urllib.request.Request, timeout_s: float, at_most_bytes: int) -> Reply:
    opener = urllib.request.OpenerDirector()  # without what follows redirects, to ftp too
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
    ):
        opener.add_handler(handler)
    with opener.open(request, timeout=timeout_s) as response:
        body = bytearray()
        while len(body) < at_most_bytes:
            part = response.read(min(_CHUNK_BYTES, at_most_bytes - len(body)))
            if not part:
                break
            body += part
        if len(body) < min(int(response.headers.get("Content-Length", 0)), at_most_bytes):
            raise http.client.IncompleteRead(bytes(body))
        return Reply(status=response.status, headers=response.headers, body=bytes(body))


def _within(timeout_s: float, host: str, ask: Callable[[], Reply]) -> Reply:
    """Return an answer that comes in time; a socket's own limit starts anew with each byte."""
    answers: queue.SimpleQueue[Reply | Exception] = queue.SimpleQueue()

    def work() -> None:
        try:
            answers.put(ask())
        except (OSError, http.client.HTTPException, ValueError, ConfigError, NetworkError) as error:
            answers.put(error)

    threading.Thread(target=work, daemon=True, name="harness-web").start()
    try:
        answer = answers.get(timeout=timeout_s)
    except queue.Empty:
        answer = TimeoutError()
    if isinstance(answer, (ConfigError, NetworkError)):
        raise answer
    if isinstance(answer, TimeoutError):
        raise NetworkError(f"{host}: no answer within {timeout_s:g} s")
    if isinstance(answer, Exception):
        raise NetworkError(f"{host}: {_why(answer)}")
    return answer


def _why(error: Exception) -> str:
    """Return the cause of a failed request; what the library says may quote the address."""
    reason = getattr(error, "reason", error)
    words = getattr(reason, "strerror", None) or type(reason).__name__
    return f"cannot be asked ({words})"
