"""Read what Android's NNAPI runtime logs while it compiles: which driver gets which operation.

The log is switched on with the property `debug.nn.vlog`. Source: AOSP 11, frameworks/ml/nn
(ExecutionPlan.cpp, Manager.cpp), and the developer guide's "Model partitioning".
"""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

from harness.errors import DeviceError

REFERENCE = "nnapi-reference"
"""NNAPI's own name for its CPU kernels."""

_PREFIX = re.compile(
    r"^(?:\d\d-\d\d \d\d:\d\d:\d\d\.\d+\s+(?P<pid>\d+)\s+(?P<tid>\d+)\s+)?"
    r"(?P<level>[VDIWEF])[ /](?P<tag>[^:(]*?)\s*(?:\(\s*(?P<brief_pid>\d+)\))?: (?P<text>.*)$"
)
_CHATTY = re.compile(r"uid=\d+.* (?P<kind>identical|expire) (?P<lines>\d+) lines?")
_LINES_MAX = 1_000_000
"""Most lines, repeats included, that a log is believed to have; a graph has some thousand ops."""
_DIGITS_MAX = 9
_CHOSEN = re.compile(
    r"findBestDeviceForEachOperation\((?P<op>\w+)\) = (?P<index>-?\d+)(?: \((?P<device>[^)]*)\))?"
)
_REFUSED = re.compile(r"Device (?P<device>\S+) can't do operation (?P<op>\w+)")
_ONLY = re.compile(r"only one best device: (?:-?\d+ = )?(?P<device>\S+)")
_NOBODY = re.compile(r"No driver can do operation (?P<op>\w+)")
_FOUND = re.compile(r"Found interface (?P<device>[^\s(]+)")
_START = re.compile(r"operationCount = (?P<operations>\d+)")


@dataclass(frozen=True, kw_only=True)
class DriverLog:
    """What the log says, in its order.

    Attributes:
        chosen: Operation and device ('' where an old build prints only a number), for each
            operation of each compiled partition.
        refused: Device and operation, for each refusal.
        only_devices: Device of each partition that ran wholly on one.
        unwanted: Operations that no driver takes: compiling will fail.
        drivers: Drivers that the runtime found.
        operations: Operations over all partitions, as announced before they were placed.
        lost_lines: Lines that the phone's logger dropped; with any, counts mean nothing.
    """

    chosen: tuple[tuple[str, str], ...] = ()
    refused: tuple[tuple[str, str], ...] = ()
    only_devices: tuple[str, ...] = ()
    unwanted: tuple[str, ...] = ()
    drivers: tuple[str, ...] = ()
    operations: int = 0
    lost_lines: int = 0

    @property
    def complete(self) -> bool:
        """Return whether every announced operation has its device."""
        return not self.lost_lines and 0 < self.operations == len(self.chosen)

    def devices_of(self, operation: str) -> tuple[str, ...]:
        """Return the device of each occurrence of an operation, in order."""
        return tuple(device for op, device in self.chosen if op == operation)

    def refused_by(self, operation: str) -> tuple[str, ...]:
        """Return the devices that refused an operation, each once."""
        return tuple(dict.fromkeys(device for device, op in self.refused if op == operation))


def parse(log: str) -> DriverLog:
    """Read a `logcat` dump in its threadtime or brief layout; other lines are passed over.

    Raises:
        DeviceError: it claims more repeats than a log can have.
    """
    chosen: list[tuple[str, str]] = []
    refused: list[tuple[str, str]] = []
    only: list[str] = []
    unwanted: list[str] = []
    drivers: list[str] = []
    operations = lost = 0
    for text in _expanded(log):
        if isinstance(text, int):
            lost += text
        elif match := _CHOSEN.search(text):
            chosen.append((match["op"], match["device"] or ""))
        elif match := _REFUSED.search(text):
            refused.append((match["device"], match["op"]))
        elif match := _ONLY.search(text):
            only.append(match["device"])
        elif match := _NOBODY.search(text):
            unwanted.append(match["op"])
        elif match := _FOUND.search(text):
            drivers.append(match["device"])
        elif match := _START.search(text):
            operations += _count(match["operations"])
    return DriverLog(
        chosen=tuple(chosen),
        refused=tuple(refused),
        only_devices=tuple(only),
        unwanted=tuple(unwanted),
        drivers=tuple(dict.fromkeys(drivers)),
        operations=operations,
        lost_lines=lost,
    )


def _expanded(log: str) -> Iterator[str | int]:
    """Yield each message, repeats included; a number stands for lines that were dropped.

    Android's logger writes repeats of a message by one thread as `chatty: ... identical 4
    lines`, and messages that it threw away as `chatty: ... expire 4 lines`.
    """
    last: dict[str, str] = {}
    left = _LINES_MAX
    for line in log.splitlines():
        match = _PREFIX.match(line)
        if match is None:
            continue
        thread = match["tid"] or match["brief_pid"] or ""
        if match["tag"].strip() != "chatty":
            last[thread] = match["text"]
            yield match["text"]
            continue
        chatty = _CHATTY.search(match["text"])
        if chatty is None:
            continue
        repeated, count = last.get(thread), _count(chatty["lines"])
        if chatty["kind"] == "expire" or repeated is None:
            yield count
            continue
        left -= count
        if left < 0:
            raise DeviceError(
                f"the phone's log claims {count} identical lines; clear it with `logcat -c`"
            )
        yield from itertools.repeat(repeated, count)


def _count(digits: str) -> int:
    """Return a count that the log states.

    Raises:
        DeviceError: it is none that a log can have.
    """
    if len(digits) > _DIGITS_MAX:
        raise DeviceError(f"the phone's log claims {digits:.20}... lines or operations")
    return int(digits)
