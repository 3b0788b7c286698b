"""Pair the tensors of two exports of one model, though a converter renamed, fused or split ops."""

import re
from collections.abc import Sequence

from harness.graph import Graph, Op, Tensor

_CONVERSIONS = frozenset({"QUANTIZE", "DEQUANTIZE"})
_SAME_NAME = 3
_SAME_OP = 2


def pair_tensors(graph: Graph, reference: Graph) -> dict[int, int]:
    """Return which tensor of the reference each runtime tensor of a graph stands for.

    Ops are aligned in execution order, by the name that the converter gave to the tensor they
    write, else by kind; both need the same shape. A QUANTIZE or DEQUANTIZE stands for what it
    reads. Inputs are paired in their order.

    Args:
        graph: The variant.
        reference: The same model, exported another way.

    Returns:
        Tensor index of the reference, by tensor index of the graph; what has no counterpart
        is left out.
    """
    pairs = {
        here: there
        for here, there in zip(graph.inputs, reference.inputs, strict=False)
        if graph.tensors[here].shape == reference.tensors[there].shape
    }
    for op, other in _align(_computing(graph), _computing(reference), graph, reference):
        pairs |= {
            here: there
            for here, there in zip(op.outputs, other.outputs, strict=False)
            if graph.tensors[here].shape == reference.tensors[there].shape
        }
    for op in graph.ops:
        if op.name in _CONVERSIONS and op.inputs[0] in pairs:
            pairs.setdefault(op.outputs[0], pairs[op.inputs[0]])
    return pairs


def root_name(tensor: Tensor) -> str:
    """Return the name of the op that a tensor came from, or '' if its name says nothing.

    Converters join the names of fused ops with `;`, the last op first, and add digits to keep
    names apart.
    """
    name = re.sub(r"\d+$", "", tensor.name.split(";", 1)[0])
    return name if "/" in name or len(name) > len("tensor_") else ""


def _computing(graph: Graph) -> list[Op]:
    """Return the ops that change values: neither conversions nor ops of constants only."""
    return [op for op in graph.ops if op.name not in _CONVERSIONS and graph.runtime_inputs(op)]


def _align(
    ops: Sequence[Op], others: Sequence[Op], graph: Graph, reference: Graph
) -> list[tuple[Op, Op]]:
    """Return pairs of ops, in order on both sides, with the highest sum of likeness.

    Source: Needleman and Wunsch, 1970, with no cost for gaps.
    """
    rows, columns = len(ops), len(others)
    best = [[0] * (columns + 1) for _ in range(rows + 1)]
    likeness = [[_likeness(op, other, graph, reference) for other in others] for op in ops]
    for i in range(rows - 1, -1, -1):
        for j in range(columns - 1, -1, -1):
            skip = max(best[i + 1][j], best[i][j + 1])
            taken = best[i + 1][j + 1] + likeness[i][j] if likeness[i][j] else 0
            best[i][j] = max(skip, taken)
    pairs = []
    i = j = 0
    while i < rows and j < columns:
        if likeness[i][j] and best[i][j] == best[i + 1][j + 1] + likeness[i][j]:
            pairs.append((ops[i], others[j]))
            i, j = i + 1, j + 1
        elif best[i + 1][j] >= best[i][j + 1]:
            i += 1
        else:
            j += 1
    return pairs


def _likeness(op: Op, other: Op, graph: Graph, reference: Graph) -> int:
    here, there = graph.tensors[op.outputs[0]], reference.tensors[other.outputs[0]]
    if here.shape != there.shape:
        return 0
    name = root_name(here)
    if name and name == root_name(there):
        return _SAME_NAME + (op.name == other.name)
    return _SAME_OP if op.name == other.name else 0
