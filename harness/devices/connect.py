"""Choose who answers for a phone: the phone itself, or its software on this host."""

import enum
import socket

from harness.devices.device import Device
from harness.devices.emulated import Emulated
from harness.errors import ConfigError, DeviceError
from harness.profiles import Target

_KNOCK_S = 0.3


class Origin(enum.Enum):
    """Say where facts may come from (`--origin`)."""

    AUTO = "auto"
    """From a phone if one is attached, else emulated."""
    PHONE = "phone"
    """From a phone; without one, fail."""
    EMULATED = "emulated"
    """From this host only."""


def connect(
    target: Target,
    *,
    origin: Origin,
    serial: str = "",
    benchmark_tool: str = "",
    parallel: bool = False,
) -> Device:
    """Return the device that answers for a target.

    Args:
        target: The phone and the delegate.
        origin: Where facts may come from; AUTO starts no adb server.
        serial: The adb serial of one phone, or '' for any that fits the profile. The fake phone
            is taken only by its serial.
        benchmark_tool: Path of the user's benchmark tool, or '' for the environment's.
        parallel: Whether other processes of this run use the same phones.

    Raises:
        DeviceError: a phone was demanded and none can be used.
        ConfigError: a phone would be timed by several processes at once.
        StackMissing: a phone is attached, but no benchmark tool is named.
    """
    if origin is Origin.EMULATED:
        return Emulated(target)
    from harness.devices import phone, tool_file  # adbutils and protobuf: only where they are used
    from harness.devices.adb import Server

    server = Server.from_environment()
    if origin is Origin.AUTO and not serial and not listens(server.host, server.port):
        return Emulated(target)
    fitting = phone.attached({target.profile.name: target.profile}, serial=serial)
    found = sorted(
        (one for one in fitting if serial or not one.identity.fake),
        key=lambda one: one.identity.serial,
    )
    if not found and origin is Origin.AUTO and not serial:
        return Emulated(target)
    if not found:
        others = ", ".join(phone.unusable())
        raise DeviceError(
            f"{target}: no attached phone fits the profile's match "
            f"{list(target.profile.match)}{f'; not usable: {others}' if others else ''}; "
            "attach one, or use --origin=emulated"
        )
    if parallel:
        raise ConfigError(
            f"{target}: several processes would time one phone at once; leave out -n, or use "
            "--origin=emulated"
        )
    return phone.Phone(found[0], target.delegate, tool=tool_file.find(benchmark_tool))


def listens(host: str, port: int) -> bool:
    """Return whether an adb server is running, without starting one."""
    try:
        socket.create_connection((host, port), timeout=_KNOCK_S).close()
    except OSError:
        return False
    return True
