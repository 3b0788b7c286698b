"""The lab of an STF (DeviceFarmer) server: phones are reserved, measured over adb and released.

A reservation ends by itself once no byte has gone through the phone's adb connection for
`LEASE_MS`: that is what is left of one whose holder was killed.
Source: openstf/stf, doc/API.md.
"""

import atexit
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from harness import text
from harness.devices.connect import PhoneSetup
from harness.devices.device import Device
from harness.errors import ConfigError, DeviceError, HarnessError
from harness.lab import termination
from harness.lab.adb import AdbLab, endpoint, one_by_one
from harness.lab.web import PATIENT, Patience, RefusedError, Site
from harness.profiles import Target
from harness.requests import Fact, Request

TOKEN = "STF_TOKEN"
"""Name of the environment variable that holds the user's access token."""
LEASE_MS = 15 * 60_000
"""How long a phone stays reserved without traffic."""
_MINE = "/api/v1/user/devices"
_NOT_HELD = (403, 404)
"""What STF answers to the release of a phone that is not reserved."""


@dataclass(frozen=True, kw_only=True)
class Listed:
    """One phone of an STF server's list.

    Attributes:
        serial: The server's name for it.
        model: ro.product.model, as the server has it.
        free: Whether it can be reserved now.
        using: Whether this user has reserved it.
    """

    serial: str
    model: str
    free: bool
    using: bool


class StfPhones:
    """The phones of one STF server: listed, reserved, connected and released."""

    def __init__(self, url: str, *, patience: Patience = PATIENT) -> None:
        """Name the server; nothing is asked of it yet.

        Args:
            url: Its address, such as https://stf.example.org.
            patience: How long to wait for the server.

        Raises:
            ConfigError: there is no token in the environment, or the address is none.
        """
        token = os.environ.get(TOKEN, "")
        if not token:
            raise ConfigError(
                f"stf: no ${TOKEN}; make an access token in STF's settings and export it"
            )
        self._site = Site(url, lab="stf", token=token, patience=patience)

    @property
    def name(self) -> str:
        """Return the lab as `--lab` has it."""
        return f"stf:{self._site.url}"

    def rows(self) -> list[Listed]:
        """Return the server's list.

        Raises:
            HarnessError: it cannot be had.
        """
        rows = self._site.ask("GET", "/api/v1/devices").get("devices")
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise DeviceError(f"{self.name}: its list of devices cannot be read")
        return [_listed(row) for row in rows if _word(row, "serial")]

    def reserve(self, serial: str) -> None:
        """Reserve a phone for this user.

        Raises:
            RefusedError: someone else was faster.
        """
        self._site.ask("POST", _MINE, {"serial": serial, "timeout": LEASE_MS})

    def connect(self, serial: str) -> str:
        """Return where adb finds a reserved phone, as the server says it."""
        return _word(self._site.ask("POST", f"{_path(serial)}/remoteConnect"), "remoteConnectUrl")

    def release(self, serial: str) -> list[str]:
        """Give a phone back, reserved or not; return what went wrong."""
        troubles = []
        for path in (f"{_path(serial)}/remoteConnect", _path(serial)):
            try:
                self._site.ask("DELETE", path)
            except RefusedError as error:
                if error.status not in _NOT_HELD:
                    troubles.append(f"{error}; {_until(serial)}")
            except HarnessError as error:
                troubles.append(f"{error}; {_until(serial)}")
        return troubles

    def close(self) -> None:
        """Leave the server."""
        self._site.close()


class StfLab:
    """Phones of one STF server, each reserved when it is first asked something."""

    def __init__(self, url: str, *, phone_setup: PhoneSetup, patience: Patience = PATIENT) -> None:
        """Name the server; nothing is asked of it yet.

        Args:
            url: Its address, such as https://stf.example.org.
            phone_setup: How phones are measured.
            patience: How long to wait for the server.

        Raises:
            ConfigError: there is no token in the environment, or the address is none.
        """
        self._phones = StfPhones(url, patience=patience)
        self._phone_setup = phone_setup
        self._held: dict[str, AdbLab | None] = {}
        self._by_profile: dict[str, AdbLab] = {}
        self._lost: dict[str, HarnessError] = {}

    @property
    def name(self) -> str:
        """Return the lab as `--lab` has it."""
        return self._phones.name

    def open(self) -> None:
        """Ask for the list of phones; none is reserved yet.

        Raises:
            HarnessError: the server cannot be reached, or does not accept the token.
        """
        self._phones.rows()
        termination.as_interrupt()
        atexit.register(self.close)

    def device(self, target: Target) -> Device:
        """Return the phone that answers for a target, reserved the first time.

        Raises:
            HarnessError: none is free, or it does not come.
        """
        return self._lab(target).device(target)

    def answer(self, requests: Sequence[Request]) -> Iterator[Fact]:
        """Yield a fact for each request, in the order in which they are answered."""
        yield from one_by_one(requests, self._lab)

    def fingerprint(self, target: Target) -> str:
        """Return what identifies the device that answers for a target, and its software."""
        return self._lab(target).fingerprint(target)

    def findings(self) -> list[str]:
        """Return nothing: each request is asked of one device."""
        return []

    def close(self) -> list[str]:
        """Give every phone back and release it; return what went wrong."""
        atexit.unregister(self.close)
        troubles = []
        while self._held:
            serial, lab = self._held.popitem()
            if lab is not None:
                troubles += lab.close()
            troubles += self._phones.release(serial)
        self._by_profile.clear()
        self._phones.close()
        termination.as_before()
        return list(dict.fromkeys(troubles))

    def _lab(self, target: Target) -> AdbLab:
        """Return the phone of a target's profile, reserved the first time; tried once."""
        name = target.profile.name
        if name in self._lost:
            raise self._lost[name]
        if name not in self._by_profile:
            try:
                self._by_profile[name] = self._reserve(target)
            except HarnessError as error:
                self._lost[name] = error
                raise
        return self._by_profile[name]

    def _reserve(self, target: Target) -> AdbLab:
        rows = [row for row in self._phones.rows() if target.profile.matches(row.model)]
        refusals = []
        for serial in (row.serial for row in rows if row.free):
            self._held[serial] = None  # before it is asked: the answer may be lost
            try:
                self._phones.reserve(serial)
            except RefusedError as error:
                refusals.append(str(error))  # someone else was faster
                continue
            return self._connect(serial, target)
        raise DeviceError(
            f"{target}: no phone of {self.name} is free: {len(rows)} fit the profile's match "
            f"{list(target.profile.match)}{''.join(f'; {said}' for said in refusals)}"
        )

    def _connect(self, serial: str, target: Target) -> AdbLab:
        lab = AdbLab([_address(self._phones.connect(serial))], phone_setup=self._phone_setup)
        self._held[serial] = lab
        lab.open()
        lab.device(target)  # else another phone than STF said
        return lab


def _listed(row: Mapping[str, Any]) -> Listed:
    using = bool(row.get("using"))
    there = bool(row.get("present") and row.get("ready"))
    return Listed(
        serial=_word(row, "serial"),
        model=_word(row, "model"),
        free=there and not using and row.get("owner") is None,
        using=using,
    )


def _path(serial: str) -> str:
    return f"{_MINE}/{quote(serial, safe='')}"


def _address(said: str) -> str:
    """Return where adb finds a phone.

    Raises:
        DeviceError: the server gave no address.
    """
    try:
        return endpoint(said)
    except ConfigError as error:
        raise DeviceError(f"stf: {error}") from None


def _word(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    return text.line(value, text.NAME) if isinstance(value, str) else ""


def _until(serial: str) -> str:
    return f"phone {serial} is released by the server after {LEASE_MS // 60_000} idle minutes"
