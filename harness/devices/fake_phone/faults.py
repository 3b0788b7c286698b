"""Plant faults in a fake phone: each happens once, or stays until it is cleared.

A planted fault is a file in the phone's state folder, so that a test, a person and the fake
`benchmark_model` can all see it.
"""

import contextlib
import enum
from typing import TYPE_CHECKING

from harness.devices.fake_phone.folder import Folder

if TYPE_CHECKING:
    from harness.devices.fake_phone.daemon import Daemon


class Fault(enum.Enum):
    """What can go wrong: in the daemon, in the tool, and in what a phone claims."""

    UNPLUGGED_IN_PUSH = "unplugged_in_push"
    UNPLUGGED_IN_RUN = "unplugged_in_run"
    UNPLUGGED_IN_PULL = "unplugged_in_pull"
    REBOOTS_IN_RUN = "reboots_in_run"
    STORAGE_FULL = "storage_full"
    READ_ONLY = "read_only"
    UNAUTHORIZED = "unauthorized"
    OFFLINE = "offline"

    TOOL_ABORTS = "tool_aborts"
    TOOL_HANGS = "tool_hangs"
    TOOL_PRINTS_GARBAGE = "tool_prints_garbage"
    TOOL_IS_CUT_OFF = "tool_is_cut_off"
    TOOL_WRONG_ABI = "tool_wrong_abi"
    CLOCK_JUMPS = "clock_jumps"
    OUTPUT_WRONG_SIZE = "output_wrong_size"
    DELEGATE_FAILS = "delegate_fails"

    TOOL_PRINTS_FOR_EVER = "tool_prints_for_ever"
    TOOL_STOPS_EARLY = "tool_stops_early"
    LOG_CLAIMS_REPEATS = "log_claims_repeats"


AWAY_S = 0.4
"""Seconds that the phone stays away after it was unplugged or rebooted."""


def plant(folder: Folder, fault: Fault) -> None:
    """Let a fault happen at the next occasion."""
    (folder.state / "faults").mkdir(parents=True, exist_ok=True)
    (folder.state / "faults" / fault.value).touch()


def present(folder: Folder, fault: Fault) -> bool:
    """Return whether a fault is planted, and leave it there."""
    return (folder.state / "faults" / fault.value).exists()


def take(folder: Folder, fault: Fault) -> bool:
    """Return whether a fault was planted, and use it up."""
    try:
        (folder.state / "faults" / fault.value).unlink()
    except FileNotFoundError:
        return False
    return True


def clear(folder: Folder) -> None:
    """Take away every fault."""
    for fault in Fault:
        with contextlib.suppress(FileNotFoundError):
            (folder.state / "faults" / fault.value).unlink()


def on_command(daemon: "Daemon", command: str) -> None:
    """Let what is planted for a run of the tool happen."""
    if "--graph=" not in command:
        return
    if take(daemon.folder, Fault.UNPLUGGED_IN_RUN):
        daemon.away(after_s=0.05, for_s=AWAY_S)
    if take(daemon.folder, Fault.REBOOTS_IN_RUN):
        daemon.away(after_s=0.05, for_s=AWAY_S, reboot=True)


def on_file(daemon: "Daemon") -> str:
    """Return why a file is refused, or ''."""
    if present(daemon.folder, Fault.STORAGE_FULL):
        return "write failed: No space left on device"
    if present(daemon.folder, Fault.READ_ONLY):
        return "couldn't create file: Read-only file system"
    return ""


def on_bytes(daemon: "Daemon", fault: Fault) -> None:
    """Unplug the phone in the middle of a file, if that is planted.

    Raises:
        EOFError: the line is gone.
    """
    if take(daemon.folder, fault):
        daemon.away(after_s=0.0, for_s=AWAY_S)
        raise EOFError
