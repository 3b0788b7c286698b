"""Read what Qualcomm's compiler and LiteRT's plugin for it print. Text only."""

import re

from harness.errors import DeviceError
from harness.graph import Graph, Op

_REFUSED_NODE = re.compile(
    r"^LiteRT Op #\d+ '[^']*' \(code=\d+\) is not supported.*?Outputs:\s+\[0\] name=\"t(\d+)\"",
    re.MULTILINE | re.DOTALL,
)
_REFUSED_AS = re.compile(
    r"QNN op validation failed: '([^']+)' \(type=(\w+)(?:, operation=(\w+))?[^)]*\)"
    r".*?QNN error=(\d+)",
    re.DOTALL,
)
_NEW_LINE = re.compile(r"^ *[\d.]+ms \[|^(?:INFO|WARNING|ERROR|VERBOSE):|^\[LITERT|^LiteRT Op ")
_VALIDATED = re.compile(r"Failed to validate op (\S+) with error")
_TYPES = re.compile(r"(in|out)\[\d+\]:QNN_DATATYPE_(\w+)")
_REASON_MAX = 300
_CONSTANTS = "constants only"


def refusals(text: str, graph: Graph, soc_model: str) -> dict[int, str]:
    """Return the reason of each refused node, by op index, as the partitioner printed it.

    Args:
        text: Standard output and error of the partitioner.
        graph: The model, whose tensors were named `t0`, `t1` ... for the partitioner.
        soc_model: Chip, for the messages.
    """
    said = _validator_words(text)
    reasons: dict[int, str] = {}
    start = 0
    for match in _REFUSED_NODE.finditer(text):
        attempts = list(_REFUSED_AS.finditer(text, start, match.start()))
        start = match.end()
        op = graph.producers[int(match[1])]
        if attempts:
            name, kind, operation, error = attempts[-1].groups()
            shown = f"{kind} {operation}" if operation else kind
            words = said.get(name) or f"QNN error {error}, no further word"
            dtype = graph.runtime_dtype(op) or _CONSTANTS
            why = f"Qualcomm's validator for {soc_model} refuses {shown} in {dtype}: "
            why += words[:_REASON_MAX]
        else:
            why = f"Qualcomm's compiler for {soc_model} has no translation of it"
        reasons[op.index] = f"{why} ({_wiring(graph, op)})"
    return reasons


def unexplained(graph: Graph, op: Op, soc_model: str) -> str:
    """Return the reason of a node that was left to the CPU without a word."""
    return (
        f"Qualcomm's compiler for {soc_model} does not take it in "
        f"{graph.runtime_dtype(op) or _CONSTANTS} "
        f"and says no more ({_wiring(graph, op)})"
    )


def figure(text: str, name: str, soc_model: str) -> int:
    """Return the figure `name=N` of the preparer's summary.

    Raises:
        DeviceError: the log does not have it.
    """
    match = re.search(rf"\b{name}=(\d+)", text)
    if match is None:
        raise DeviceError(
            f"Qualcomm's compiler for {soc_model} printed no {name}; its log has another form"
        )
    return int(match[1])


def last_error(text: str) -> str:
    """Return the last error in a log, or the stage at which it ends."""
    errors = re.findall(r"(?:<E> |::ERROR:|^ERROR: \[[^\]]*\]) *(.+)", text, re.MULTILINE)
    if errors:
        return str(errors[-1]).strip()[:_REASON_MAX]
    stages = re.findall(r"Starting ([^.\n]+)\.\.\.", text)
    return f"it stopped at {stages[-1]!r} without a word" if stages else "it printed no error"


def _validator_words(text: str) -> dict[str, str]:
    """Return what the vendor's validator said of each QNN op it refused, by QNN op name."""
    said: dict[str, str] = {}
    words: dict[str, None] = {}
    for entry in _error_entries(text):
        match = _VALIDATED.match(entry)
        if match:
            said[match[1]] = "; ".join(_shorten(list(words)))
            words = {}
        elif not entry.startswith("QnnBackend_validateOpConfig failed"):
            words[entry] = None
    return said


def _error_entries(text: str) -> list[str]:
    """Return the entries marked as errors, each with the lines that continue it."""
    entries: list[str] = []
    inside = False
    for line in text.splitlines():
        if _NEW_LINE.match(line):
            inside = "<E>" in line
            if inside:
                entries.append(line.split("<E>", 1)[1].strip())
        elif inside and line.strip():
            entries[-1] += " " + line.strip()
    return entries


def _shorten(entries: list[str]) -> list[str]:
    """Fold the validator's table of data types into one line."""
    asked: list[tuple[str, str]] = []
    offered: dict[str, None] = {}
    kept = []
    for entry in entries:
        if entry.startswith("Requested I/O datatype set"):
            asked = _TYPES.findall(entry)
        elif entry.startswith("Supported I/O datatype sets"):
            offered.update((kind, None) for side, kind in _TYPES.findall(entry) if side == "out")
        elif not entry.startswith(("Unsupported input/output datatypes", "Please refer")):
            kept.append(entry)
    if asked:
        inputs = ", ".join(kind for side, kind in asked if side == "in")
        outputs = ", ".join(kind for side, kind in asked if side == "out")
        line = f"data types {inputs} -> {outputs} are not among those it takes"
        kept.append(f"{line} (outputs: {', '.join(offered)})" if offered else line)
    return kept


def _wiring(graph: Graph, op: Op) -> str:
    reads = ", ".join(repr(tensor.name) for tensor in graph.runtime_inputs(op))
    writes = ", ".join(repr(graph.tensors[i].name) for i in op.outputs)
    return f"reads {reads or 'constants'}; writes {writes}"
