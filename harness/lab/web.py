"""Talk to a lab's web interface: bounded in time and size, and without a word of the token.

This is the only file that imports requests.
"""

import contextlib
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import requests

from harness import text
from harness.errors import ConfigError, DeviceError

_ADDRESS = re.compile(r"https?://[^\s@?#]+")
_JSON_BYTES_MAX = 32 * 2**20
_AGAIN = (429, 500, 502, 503, 504)
"""Statuses that may pass. Source: RFC 9110, 15.6, and RFC 6585, 4."""
_WAIT_MAX_S = 30.0


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long a server that does not answer is waited for.

    Attributes:
        tries: Attempts of one request.
        wait_s: Pause after the first one; it doubles each time.
        timeout_s: Longest silence within an answer.
        limit_s: Longest that one answer may take.
    """

    tries: int = 5
    wait_s: float = 1.0
    timeout_s: float = 30.0
    limit_s: float = 300.0


PATIENT = Patience()


class RefusedError(DeviceError):
    """An answer that says no, with its status."""

    def __init__(self, message: str, *, status: int) -> None:
        """Keep the message and the HTTP status."""
        super().__init__(message)
        self.status = status


class Site:
    """One server and the user's token for it."""

    def __init__(
        self,
        url: str,
        *,
        lab: str,
        token: str,
        patience: Patience,
        headers: Mapping[str, str] | None = None,
        renew: Callable[[], str] | None = None,
    ) -> None:
        """Name the server; nothing is asked yet.

        Args:
            url: What every path starts with.
            lab: Name of the lab, for messages.
            token: The user's secret.
            patience: How long to wait.
            headers: Sent with every request.
            renew: Returns a new token for one that is accepted no longer.

        Raises:
            ConfigError: it is no http or https address.
        """
        if not _ADDRESS.fullmatch(url):
            raise ConfigError(f"{lab}: no address; write https://HOST, without name or password")
        self.url = url.rstrip("/")
        self._lab = lab
        self._token = token
        self._renew = renew
        self._patience = patience
        self._session = requests.Session()
        self._session.headers.update(headers or {})
        self._session.trust_env = False  # no other credentials than the token's

    def ask(
        self, method: str, path: str, body: object = None, *, once: bool = False
    ) -> Mapping[str, Any]:
        """Send JSON and return the JSON object that comes back, {} for an empty answer.

        Args:
            method: Such as POST.
            path: Below the site's address.
            body: What is sent as JSON, or None.
            once: Whether a lost answer is an error at once, because what was asked may have begun
                and would begin a second time.

        Raises:
            ConfigError: the token is not accepted.
            RefusedError: the server says no.
            DeviceError: it does not answer, or not with what was asked.
        """
        data = self._again(method, self.url + path, body, _JSON_BYTES_MAX, once=once)
        try:
            found = json.loads(data or b"{}")
        except (ValueError, RecursionError):
            raise DeviceError(f"{self._lab}: {method} {path}: its answer is not JSON") from None
        if not isinstance(found, dict):
            raise DeviceError(f"{self._lab}: {method} {path}: its answer is no JSON object")
        return found

    def close(self) -> None:
        """Close what connections are open; the next question opens new ones."""
        self._session.close()

    def send(self, method: str, path: str, data: bytes) -> None:
        """Send bytes.

        Raises:
            ConfigError: the token is not accepted.
            RefusedError: the server says no.
            DeviceError: it does not answer.
        """
        self._again(method, self.url + path, data, _JSON_BYTES_MAX)

    def fetch(self, path: str, *, at_most_bytes: int) -> bytes:
        """Return the bytes at a path.

        Raises:
            ConfigError: the token is not accepted.
            RefusedError: the server says no.
            DeviceError: it does not answer, or with more bytes than expected.
        """
        return self._again("GET", self.url + path, None, at_most_bytes)

    def _again(
        self, method: str, url: str, body: object, at_most_bytes: int, *, once: bool = False
    ) -> bytes:
        """Ask until there is an answer or patience ends; once more with a new token."""
        try:
            return self._patiently(method, url, body, at_most_bytes, once)
        except ConfigError:
            if self._renew is None:
                raise
            self._token = self._renew()
            return self._patiently(method, url, body, at_most_bytes, once)

    def _patiently(
        self, method: str, url: str, body: object, at_most_bytes: int, once: bool
    ) -> bytes:
        wait_s = self._patience.wait_s
        for left in reversed(range(self._patience.tries)):
            try:
                return self._once(method, url, body, at_most_bytes)
            except RefusedError as error:
                if error.status not in _AGAIN or not left:
                    raise
            except DeviceError:
                if once or not left:
                    raise
            time.sleep(wait_s)
            wait_s = min(2 * wait_s, _WAIT_MAX_S)
        raise AssertionError("the last try returns or raises")

    def _once(self, method: str, url: str, body: object, at_most_bytes: int) -> bytes:
        what = f"{self._lab}: {method} {url.removeprefix(self.url)}"
        with self._errors(what):
            reply = self._session.request(
                method,
                url,
                json=None if isinstance(body, bytes) else body,
                data=body if isinstance(body, bytes) else None,
                headers={"Authorization": f"Bearer {self._token}"},
                timeout=self._patience.timeout_s,
                allow_redirects=False,  # the token goes to no other address
                stream=True,
            )
            with contextlib.closing(reply):
                data = self._body(reply, what, at_most_bytes)
        said = self._hide(text.line(data[:300].decode(errors="replace")))
        if reply.status_code in (401, 407):
            raise ConfigError(f"{what}: the token is not accepted ({reply.status_code} {said})")
        if not 200 <= reply.status_code < 300:
            raise RefusedError(f"{what}: {reply.status_code} {said}", status=reply.status_code)
        return data

    def _body(self, reply: requests.Response, what: str, at_most_bytes: int) -> bytes:
        deadline = time.monotonic() + self._patience.limit_s
        data = bytearray()
        for part in reply.iter_content(65_536):
            data += part
            if len(data) > at_most_bytes:
                raise DeviceError(f"{what}: more than the {at_most_bytes} bytes expected")
            if time.monotonic() > deadline:
                raise DeviceError(f"{what}: not over within {self._patience.limit_s:g} s")
        return bytes(data)

    @contextlib.contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except requests.RequestException as error:
            raise DeviceError(f"{what}: {self._hide(_words(error))}") from None

    def _hide(self, said: str) -> str:
        """Return text without the token, should a server or a library repeat it."""
        return said.replace(self._token, "***") if self._token else said


def _words(error: requests.RequestException) -> str:
    names = {
        requests.Timeout: "no answer in time",
        requests.exceptions.SSLError: "its certificate is not accepted",
        requests.ConnectionError: "it cannot be reached, or closed the connection",
        requests.exceptions.ChunkedEncodingError: "its answer was cut off",
    }
    return next((said for kind, said in names.items() if isinstance(error, kind)), str(error))
