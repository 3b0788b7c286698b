"""The lab of phones that adb reaches over the network, wherever they are rented."""

import re
from collections.abc import Callable, Iterator, Sequence

from harness.devices.connect import Origin, PhoneSetup
from harness.devices.device import Device
from harness.devices.phone import identity
from harness.devices.phone.adb import AdbConnection, AdbServer
from harness.errors import ConfigError, DeviceError, HarnessError
from harness.lab.lab import Lab
from harness.lab.local import LocalLab
from harness.profiles import Target
from harness.requests import Fact, Request

_ENDPOINT = re.compile(r"(?:[A-Za-z0-9._-]{1,253}|\[[0-9a-fA-F:]{2,45}\]):([0-9]{1,5})")
_CONNECT_LIMIT_S = 30.0


def endpoint(text: str) -> str:
    """Return `HOST:PORT` as it was given.

    Raises:
        ConfigError: it is something else.
    """
    found = _ENDPOINT.fullmatch(text)
    if found is None or not 0 < int(found[1]) < 65_536:
        raise ConfigError(f"{text!r} is no adb endpoint; write HOST:PORT, such as 127.0.0.1:5601")
    return text


def one_by_one(requests: Sequence[Request], lab_of: Callable[[Target], Lab]) -> Iterator[Fact]:
    """Ask the lab of each request's target, and answer with the error where it has none."""
    for request in requests:
        try:
            lab = lab_of(request.target)
        except HarnessError as error:
            yield Fact(request=request, error=error)
        else:
            yield from lab.answer([request])


class AdbLab:
    """Phones at adb endpoints, each measured as if it hung on the cable.

    Of several phones of one profile the first answers everything that is asked of the profile,
    so that numbers that are compared come from one unit.
    """

    def __init__(self, endpoints: Sequence[str], *, phone_setup: PhoneSetup) -> None:
        """Name the phones; nothing is connected yet.

        Args:
            endpoints: Each `HOST:PORT`.
            phone_setup: How they are measured.

        Raises:
            ConfigError: one is no address.
        """
        self._labs = {
            endpoint(text): LocalLab(origin=Origin.PHONE, serial=text, phone_setup=phone_setup)
            for text in endpoints
        }
        self._server = AdbServer.from_environment()
        self._models: dict[str, str] = {}

    @property
    def name(self) -> str:
        """Return the endpoints as `--lab` has them."""
        return ",".join(f"adb:{serial}" for serial in self._labs)

    def open(self) -> None:
        """Connect every phone and ask what it is.

        Raises:
            DeviceError: one does not answer.
        """
        for serial in self._labs:
            connection = AdbConnection(serial, self._server)
            self._models[serial] = ""  # from here on it is disconnected at the end
            connection.wait_ready(timeout_s=_CONNECT_LIMIT_S)
            self._models[serial] = identity.identify(connection).model

    def device(self, target: Target) -> Device:
        """Return the phone that answers for a target.

        Raises:
            HarnessError: none does.
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
        """Give every phone back as it was and disconnect it; return what went wrong."""
        troubles = []
        for serial in self._models:
            troubles += [f"{serial}: {trouble}" for trouble in self._labs[serial].close()]
            try:
                AdbConnection(serial, self._server).disconnect()
            except HarnessError as error:
                troubles.append(f"{serial}: {error}")
        self._models.clear()
        return troubles

    def _lab(self, target: Target) -> LocalLab:
        for serial, model in self._models.items():
            if target.profile.matches(model):
                return self._labs[serial]
        there = ", ".join(f"{model} at {serial}" for serial, model in self._models.items())
        raise DeviceError(
            f"{target}: no phone of {self.name} fits the profile's match "
            f"{list(target.profile.match)}; there: {there or 'none'}"
        )
