"""Read the benchmark tool's op profile: what ran, in which order, for how long.

It comes as aligned text (two layouts), as comma-separated values, or as a protobuf. A row is
a node of the execution plan: an op on the built-in kernels, or a delegate's whole partition.

Source: LiteRT, tflite/profiling/profile_summary_formatter.cc and logs of older builds.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.errors import DeviceError

_SECTION = "Operator-wise Profiling Info for Regular Benchmark Runs:"
_RUN_ORDER = re.compile(r"=+ Run Order =+")
_NEXT_TABLE = re.compile(r"=+ .* =+|Number of nodes executed:")
_INSIDE = "Delegate/"


@dataclass(frozen=True, kw_only=True)
class ProfileRow:
    """One node of the execution plan.

    Attributes:
        node_type: TFLite builtin name, or the delegate's name for its partition.
        mean_ms: Mean milliseconds of one inference.
        index: Index of the node in the graph, or of the delegate's node; None if not printed.
        tensor: Name of its first output tensor, or ''.
    """

    node_type: str
    mean_ms: float
    index: int | None = None
    tensor: str = ""


def parse_text(output: str) -> tuple[ProfileRow, ...]:
    """Read the profile of the timed runs from what the tool printed or wrote as text.

    Rows of what a delegate does inside its partition are left out.

    Returns:
        Rows in execution order; empty where the output holds no profile.

    Raises:
        DeviceError: there is a profile, but it is cut off or damaged.
    """
    _, found, rest = output.partition(_SECTION)
    if not found:
        return ()
    lines = iter(rest.splitlines())
    for line in lines:
        if _RUN_ORDER.search(line):
            break
    else:
        raise DeviceError("the benchmark tool's op profile is cut off: it has no run order")
    header = next((line for line in lines if line.strip()), "")
    if header.lstrip().startswith("node type,"):
        return tuple(_csv_rows(header, lines))
    return tuple(_aligned_rows(header, lines))


def _aligned_rows(header: str, lines: Iterator[str]) -> Iterator[ProfileRow]:
    columns = re.findall(r"\[([^\]]+)\]", header)
    if columns[:1] != ["node type"] or "avg ms" not in columns or columns[-1:] != ["Name"]:
        raise DeviceError(f"the benchmark tool's op profile has unknown columns: {header!r:.200}")
    numbers = r"\s+".join([r"(-?[\d.]+)%?"] * (len(columns) - 2))
    pattern = re.compile(rf"\s*(.+?)\s+{numbers}\s+(\S.*)")
    for line in lines:
        if not line or _NEXT_TABLE.search(line):
            return
        match = pattern.fullmatch(line)
        if match is None:
            raise DeviceError(f"the benchmark tool's op profile is damaged: {line!r:.200}")
        row = _row(match[1], _number(match[columns.index("avg ms") + 1]), match[len(columns)])
        if row is not None:
            yield row
    raise DeviceError("the benchmark tool's op profile is cut off: its run order has no end")


def _csv_rows(header: str, lines: Iterator[str]) -> Iterator[ProfileRow]:
    columns = header.strip().split(", ")
    if "avg_ms" not in columns or columns[-1] != "name":
        raise DeviceError(f"the benchmark tool's op profile has unknown columns: {header!r:.200}")
    for line in lines:
        if not line or _NEXT_TABLE.search(line):
            return
        # Commas in names are written as tabs; those in node types are not.
        fields = line.strip().rsplit(", ", len(columns) - 1)
        if len(fields) != len(columns):
            raise DeviceError(f"the benchmark tool's op profile is damaged: {line!r:.200}")
        row = _row(fields[0], _number(fields[columns.index("avg_ms")]), fields[-1])
        if row is not None:
            yield row
    raise DeviceError("the benchmark tool's op profile is cut off: its run order has no end")


def _row(node_type: str, mean_ms: float, name: str) -> ProfileRow | None:
    """Read `[tensor, tensor]:7`; a delegate's inner op is named `Delegate/...` and is no node."""
    if name.startswith(_INSIDE):
        return None
    match = re.fullmatch(r"\[(.*)\](?::(\d+))?", name)
    tensors = match[1] if match else ""
    return ProfileRow(
        node_type=node_type.removeprefix(_INSIDE),
        mean_ms=mean_ms,
        index=int(match[2]) if match and match[2] else None,
        tensor=re.split(r", |\t", tensors)[0],
    )


def _number(text: str) -> float:
    try:
        return float(text.rstrip("%"))
    except ValueError:
        raise DeviceError(f"the benchmark tool's op profile holds {text!r:.40}") from None


def total_ms(rows: Sequence[ProfileRow]) -> float:
    """Return the milliseconds of all rows together."""
    return sum(row.mean_ms for row in rows)
