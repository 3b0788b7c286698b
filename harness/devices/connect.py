"""Choose who answers for a phone: the phone itself, or its software on this host."""

import enum

from harness.devices.device import Device
from harness.devices.emulated import Emulated
from harness.errors import DeviceError
from harness.profiles import Target


class Origin(enum.Enum):
    """Say where facts may come from (`--origin`)."""

    AUTO = "auto"
    """From a phone if one is attached, else emulated."""
    PHONE = "phone"
    """From a phone; without one, fail."""
    EMULATED = "emulated"
    """From this host only."""


def connect(target: Target, *, origin: Origin, serial: str | None = None) -> Device:
    """Return the device that answers for a target.

    Args:
        target: The phone and the delegate.
        origin: Where facts may come from.
        serial: The adb serial of one phone, or None for any that matches the profile.

    Raises:
        DeviceError: a phone was demanded and none is attached.
    """
    if origin is Origin.PHONE:
        raise DeviceError(
            f"{target}: no phone can be used yet, the phone lane is not part of this version; "
            "leave out --origin=phone"
        )
    return Emulated(target)
