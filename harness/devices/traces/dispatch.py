"""Tell which ops LiteRT's dispatch delegate ran on an NPU.

A model that was compiled when it was exported holds DISPATCH_OP, and its nodes are those of the
file. Where a compiler plugin compiles on the phone, it first puts a DISPATCH_OP in the place of
the ops that it takes; what the runtime then speaks of is the graph that is left.

Source: LiteRT, litert/compiler/plugin and runtime/dispatch/dispatch_delegate.cc.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from harness import text
from harness.devices.traces.runtime_info import RuntimeNode
from harness.errors import MeasurementError
from harness.graph import Graph

DISPATCH_OP = "DISPATCH_OP"
"""Custom op that stands for what was compiled. Source: LiteRT, core/build_stamp.h."""
DELEGATE = "DispatchDelegate"
"""Name of the delegate that runs it. Source: LiteRT, runtime/dispatch/dispatch_delegate.cc."""
_ERRORS = (
    "No dispatch library found", "Dispatch library directory is not set",
    "NPU accelerator could not be loaded", "You should provide the `DispatchLibraryDir`",
    "No usable Dispatch runtime found", "Failed to load compiler plugins",
    "Failed to apply compiler plugins", "No compiler plugin found",
    "Unsupported compiler plugin version", "Unsupported dispatch runtime version",
)  # fmt: skip
"""What LiteRT prints where it goes on without the NPU. Source: ai-edge-litert 2.3.0, libLiteRt."""


def was_rewritten(graph: Graph, nodes: Sequence[RuntimeNode]) -> bool:
    """Return whether a compiler plugin has put DISPATCH_OP into a graph that had none."""
    return _dispatched(node.op for node in nodes) and not _dispatched(op.name for op in graph.ops)


def _dispatched(names: Iterable[str]) -> bool:
    return any(DISPATCH_OP in name for name in names)


def taken(graph: Graph, nodes: Sequence[RuntimeNode], output: str = "") -> list[str]:
    """Return the delegate for each op of a graph that a plugin has rewritten, '' for the CPU.

    What is left is told by name and first output, else by name where all of that name are left.

    Args:
        graph: As it was exported.
        nodes: As the runtime had it.
        output: What the tool printed; LiteRT's count of ops that it took must agree.

    Raises:
        MeasurementError: it cannot be told, or the traces contradict each other.
    """
    strays = sorted({n.delegate for n in nodes if DISPATCH_OP in n.op and n.delegate != DELEGATE})
    if strays:
        raise MeasurementError(
            f"what was compiled for the NPU was taken by {strays[0] or 'no delegate'!r}, not by "
            f"{DELEGATE}: it is not known where it ran"
        )
    left = [node for node in nodes if DISPATCH_OP not in node.op]
    places = {
        (op.name, graph.tensors[op.outputs[0]].name): op.index for op in graph.ops if op.outputs
    }
    named = {places.get((node.op, node.output)) for node in left}
    if None in named or len(named) < len(left):
        named = set(_by_count(graph, left))
    found = ["" if op.index in named else DELEGATE for op in graph.ops]
    said = re.search(r"Partitioned subgraph<0>, selected (\d+) ops, from a total of (\d+)", output)
    if said is not None and int(said[1]) != sum(1 for name in found if name):
        raise MeasurementError(
            f"the traces contradict each other: the runtime info leaves {len(left)} of "
            f"{len(graph.ops)} ops to the CPU, LiteRT says that it took {said[1]} of {said[2]}"
        )
    return found


def _by_count(graph: Graph, left: Sequence[RuntimeNode]) -> list[int]:
    """Return the ops that are left, where every op of a name is left or none is."""
    there = Counter(op.name for op in graph.ops)
    remaining = Counter(node.op for node in left)
    unclear = [name for name, count in remaining.items() if count != there[name]]
    if unclear:
        raise MeasurementError(
            f"{remaining[unclear[0]]} of {there[unclear[0]]} {unclear[0]} were left to the CPU, "
            "and their tensors have other names than the model's: it is not known which"
        )
    return [op.index for op in graph.ops if op.name in remaining]


def kernels(nodes: Sequence[RuntimeNode]) -> int:
    """Return how many pieces were compiled for the NPU."""
    return sum(1 for node in nodes if DISPATCH_OP in node.op)


def failure(output: str) -> str:
    """Return what LiteRT printed of an NPU that it went on without, or ''."""
    for line in output.splitlines():
        found = next((words for words in _ERRORS if words in line), "")
        if found:
            return text.line(line[line.index(found) :].strip(), 200)
    return ""
