"""Patterns of ops that GPU delegates take and compute wrongly, by published reports.

'Fully delegated, no error, wrong numbers': placement cannot see these, only pixels can. Where a
graph holds such a pattern, its placement names the op, the software and the phones that were
seen, the report, and what is known to help.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from harness.graph import Graph, Op
from harness.placement import ON_CPU, NodePlacement

_ELEMENTWISE = frozenset({"ADD", "MUL", "SUB"})
_REDUCTIONS = frozenset({"MEAN", "SUM"})
_FP16_MAX = 65504.0
_BRIGHT = 0.5
"""Mean activation at which a sum over all pixels is held to overflow fp16: that of a bright image
in [0, 1]. Source: the largest finite fp16 number is 65504."""
_SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class KnownFailure:
    """An op of a graph that some GPU delegate takes and computes wrongly.

    Attributes:
        index: Of the op.
        op: Its name.
        pattern: What of the graph makes it so.
        seen: Software and phones that it was seen on.
        source: The report.
        remedy: What is known to help.
    """

    index: int
    op: str
    pattern: str
    seen: str
    source: str
    remedy: str

    def __str__(self) -> str:
        """Return a line for a person."""
        return (
            f"{self.op} #{self.index} is taken by the GPU delegate and computed wrongly by "
            f"{self.seen} ({self.source}): {self.pattern}"
        )


def find(graph: Graph) -> tuple[KnownFailure, ...]:
    """Return the known failures that a graph's ops fit, in execution order."""
    return tuple(
        found for op in graph.ops for rule in _RULES if (found := rule(graph, op)) is not None
    )


def hidden(graph: Graph, larger: Graph) -> tuple[KnownFailure, ...]:
    """Return the overflows of fp16 that a graph meets only at a larger size of its input."""
    small, large = (
        {op.index: found for op in one.ops if (found := _fp16_overflow(one, op)) is not None}
        for one in (graph, larger)
    )
    return tuple(found for index, found in large.items() if index not in small)


def reduces(graph: Graph) -> bool:
    """Return whether a graph holds an op that may sum over a whole image."""
    return any(op.name in _REDUCTIONS for op in graph.ops)


def mark(nodes: Sequence[NodePlacement], graph: Graph) -> tuple[tuple[NodePlacement, ...], str]:
    """Give nodes on the GPU that fit a known failure its reason and remedy.

    Returns:
        The nodes, and a note that names the first of the failures; '' where there are none.
    """
    failures = {found.index: found for found in find(graph)}
    marked = tuple(
        replace(node, reason=str(failures[node.index]), remedy=failures[node.index].remedy)
        if node.index in failures and node.unit not in ON_CPU
        else node
        for node in nodes
    )
    told = [failures[n.index] for n in marked if n.index in failures and n.unit not in ON_CPU]
    lines = [f"{one}; remedy: {one.remedy}" for one in told[:_SHOWN]]
    if len(told) > _SHOWN:
        lines.append(f"and {len(told) - _SHOWN} more such ops")
    return marked, "; ".join(lines)


def _pad_of_rank_3(graph: Graph, op: Op) -> KnownFailure | None:
    if op.name not in ("PAD", "PADV2"):
        return None
    shape = graph.tensors[op.inputs[0]].shape
    if len(shape) != 3 or shape[0] == 1:
        return None
    return _failure(
        op,
        pattern=f"a pad of rank 3 whose first dimension is {shape[0]}, not 1",
        seen="LiteRT 2.1.6 to 2.3.0 (Metal, WebGPU)",
        source="LiteRT issue 9272",
        remedy="pad at rank 4",
    )


def _constant_of_own_shape(graph: Graph, op: Op) -> KnownFailure | None:
    if op.name not in _ELEMENTWISE or len(op.inputs) != 2:
        return None
    one, other = (graph.tensors[i] for i in op.inputs)
    shape = one.shape
    constants = (one.constant is not None) + (other.constant is not None)
    low_rank = len(shape) == 2 or (len(shape) == 3 and shape[0] > 1)
    if constants != 1 or shape != other.shape or not low_rank:
        return None
    return _failure(
        op,
        pattern=f"a constant of the tensor's own shape {list(shape)}, below rank 4",
        seen="LiteRT 2.1.6 to 2.3.0 (Metal, WebGPU; Pixel 8a, Adreno 740 and 830)",
        source="litert-samples issue 307, LiteRT issue 8619",
        remedy="reshape to [1, N, C] or rank 4 around it",
    )


def _shown_and_reduced(graph: Graph, op: Op) -> KnownFailure | None:
    made = op.outputs[0]
    if op.name != "ADD" or made not in graph.outputs:
        return None
    if any(graph.tensors[i].constant is not None for i in op.inputs):
        return None
    if not any(reader.name in _REDUCTIONS for reader in graph.readers[made]):
        return None
    return _failure(
        op,
        pattern="its sum is an output of the model and is read by a SUM or MEAN",
        seen="LiteRT 2.1.3 to 2.3.0 (Pixel 8a, Metal, WebGPU)",
        source="LiteRT issue 8599",
        remedy="make the output a RESHAPE of it to its own shape",
    )


def _fp16_overflow(graph: Graph, op: Op) -> KnownFailure | None:
    if op.name not in _REDUCTIONS or len(op.inputs) != 2:
        return None
    data = graph.tensors[op.inputs[0]]
    axes = graph.tensors[op.inputs[1]].values()
    if axes is None or data.dtype != "float32" or len(data.shape) != 4:
        return None
    summed = {int(axis) % 4 for axis in axes.ravel()}
    pixels = math.prod(data.shape[axis] for axis in (1, 2) if axis in summed)
    if not {1, 2} <= summed or pixels * _BRIGHT <= _FP16_MAX:
        return None
    return _failure(
        op,
        pattern=(
            f"a sum over {pixels} pixels passes fp16's {_FP16_MAX:.0f} at a mean above "
            f"{_FP16_MAX / pixels:.2g}"
        ),
        seen="GPU delegates in fp16, their default (Pixel 8a, Metal)",
        source="LiteRT issue 9249",
        remedy="compute in fp32, or pool by a cascade of 2x2 averages",
    )


def _broadcast_add_and_mul(graph: Graph, op: Op) -> KnownFailure | None:
    if op.name != "ADD" or len(op.inputs) != 2:
        return None
    shapes = [graph.tensors[i].shape for i in op.inputs if graph.tensors[i].constant is None]
    if len(shapes) != 2 or any(len(shape) != 4 for shape in shapes):
        return None
    narrow, wide = sorted(shapes, key=lambda shape: shape[3])
    if narrow[3] != 1 or wide[3] == 1 or narrow[:3] != wide[:3]:
        return None
    if not any(reader.name == "MUL" for reader in graph.readers[op.outputs[0]]):
        return None
    return _failure(
        op,
        pattern=f"one channel broadcast to {wide[3]}, then a MUL",
        seen="TensorFlow Lite 2.16.1 on a Pixel 7",
        source="tensorflow issue 66740",
        remedy="write the broadcast out by a CONCATENATION or a 1x1 convolution",
    )


def _division_before_convolution(graph: Graph, op: Op) -> KnownFailure | None:
    made = op.outputs[0]
    if op.name != "DIV" or graph.tensors[made].shape[-1:] != (3,):
        return None
    if not any(reader.name == "CONV_2D" for reader in graph.readers[made]):
        return None
    return _failure(
        op,
        pattern="a division of 3 channels that a convolution reads: the padded 4th becomes 0/0",
        seen="GPU delegates of MediaTek phones; LiteRT 2.3.0 (WebGPU), measured here",
        source="tensorflow issue 55606",
        remedy="multiply by the reciprocal, or pad to 4 channels yourself",
    )


def _failure(op: Op, *, pattern: str, seen: str, source: str, remedy: str) -> KnownFailure:
    return KnownFailure(
        index=op.index, op=op.name, pattern=pattern, seen=seen, source=source, remedy=remedy
    )


_RULES: tuple[Callable[[Graph, Op], KnownFailure | None], ...] = (
    _pad_of_rank_3,
    _constant_of_own_shape,
    _shown_and_reduced,
    _fp16_overflow,
    _broadcast_add_and_mul,
    _division_before_convolution,
)
