"""Whether a phone is fit to be asked: attached, cool, charged, with room for a model."""

import re

from harness.devices.phone import device_state
from harness.devices.phone.adb import AdbConnection
from harness.devices.phone.device_state import Contract
from harness.errors import DeviceError

ROOM_MIB = 256
"""Least free storage: the tool has 10 MiB and a model up to about 100, each twice while it is
pushed."""
_LIMIT_S = 30.0
_CONTRACT = Contract()
_ROOM = f"echo {device_state.MARK}room; df -k /data/local/tmp"


def unfit(connection: AdbConnection, *, contract: Contract = _CONTRACT) -> str:
    """Return why a phone had better not be asked now, or ''.

    Args:
        connection: The phone.
        contract: The temperature, throttling and charge that are asked for.
    """
    try:
        state = connection.state()
        if state != "device":
            return f"adb says {state}"
        reply = connection.shell(
            f"{device_state.STATE_COMMAND}; {_ROOM}", stage="checking it", timeout_s=_LIMIT_S
        )
    except DeviceError as error:
        return str(error)
    return _judged(reply.stdout, contract)


def _judged(text: str, contract: Contract) -> str:
    state = device_state.parse(text)
    found = []
    if device_state.too_hot(state, contract):
        found.append(f"{state.temperature_c:g} °C, at most {contract.temperature_c:g} °C allowed")
    status, limit = state.thermal_status, contract.thermal_status
    if status is not None and limit is not None and status > limit:
        found.append(f"Android throttles it (status {status})")
    charge, least = state.battery_percent, contract.battery_percent
    if charge is not None and least is not None and charge < least:
        found.append(f"battery {charge} %, at least {least} % wanted")
    room_mib = _room_mib(text.partition(f"{device_state.MARK}room")[2])
    if room_mib is not None and room_mib < ROOM_MIB:
        found.append(f"{room_mib:.0f} MiB of storage are free, at least {ROOM_MIB} wanted")
    return "; ".join(found)


def _room_mib(text: str) -> float | None:
    """Return the free MiB of what `df -k` printed: the number before the share in use."""
    match = re.search(r"([0-9]{1,15})\s+[0-9]{1,3}%", text)
    return int(match[1]) / 1024 if match else None
