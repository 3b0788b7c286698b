"""Ask a phone what it is."""

import re
import shlex
from dataclasses import dataclass

from harness import text
from harness.devices.phone.adb import AdbConnection
from harness.errors import DeviceError

FAKE_PROPERTY = "ro.harness.fake"
_IDENTITY = (
    "ro.product.model", "ro.build.version.sdk", "ro.build.fingerprint", "ro.product.cpu.abilist",
    FAKE_PROPERTY, "ro.soc.model",
)  # fmt: skip
COMMAND = "; ".join(f"getprop {shlex.quote(name)}" for name in _IDENTITY)
_ASK_LIMIT_S = 15.0


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What a phone is.

    Attributes:
        serial: Its serial as adb has it.
        model: ro.product.model.
        android_api_level: ro.build.version.sdk.
        build: ro.build.fingerprint, which names the software it runs.
        abis: What its processor runs, preferred first.
        fake: Whether it is the fake phone that ships with the harness.
        soc_model: ro.soc.model, the chip as its vendor has it; '' before Android 12.
    """

    serial: str
    model: str
    android_api_level: int
    build: str
    abis: tuple[str, ...]
    fake: bool
    soc_model: str = ""

    @property
    def unit(self) -> str:
        """Return the one phone, whatever software it runs: model and serial."""
        return f"{self.model} ({self.serial})"

    def __str__(self) -> str:
        """Return the fingerprint: model, serial and build."""
        return f"{self.unit} {self.build}"


def identify(connection: AdbConnection) -> Identity:
    """Ask a phone what it is."""
    stage = "asking what it is"
    reply = connection.shell(COMMAND, stage=stage, timeout_s=_ASK_LIMIT_S)
    return parse(connection.serial, reply.stdout)


def parse(serial: str, said: str) -> Identity:
    """Return what a phone is, from what `COMMAND` printed on it.

    Raises:
        DeviceError: it does not say.
    """
    lines = [line.strip() for line in said.splitlines()]
    if len(lines) < len(_IDENTITY) or not re.fullmatch(r"[0-9]{1,4}", lines[1]):
        raise DeviceError(f"phone {serial}: does not say what it is: {said.strip()[:200]!r}")
    return Identity(
        serial=serial,
        model=text.line(lines[0], text.NAME),
        android_api_level=int(lines[1]),
        build=text.line(lines[2], text.NAME),
        abis=tuple(text.line(lines[3], text.NAME).split(",")),
        fake=lines[4] == "1",
        soc_model=text.line(lines[5], text.NAME),
    )
