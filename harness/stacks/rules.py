"""Judge one node of a graph by published rules: the words that every delegate's rules share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.graph import ACTIVATIONS, Graph, Op, Tensor
from harness.placement import partition
from harness.profiles import Accelerator

INT16_REMEDY = "{delegate} has no 16-bit fixed point; ship int8 or fp16, or use another delegate"

_ACTIVATIONS = ("float32", "float16", "int16", "int8", "uint8")
"""Dtypes that a profile's accelerator speaks of; int32 and bool are indices and conditions."""


@dataclass(frozen=True, kw_only=True)
class Objection:
    """Why a delegate refuses a node, and what is known to work instead."""

    reason: str
    remedy: str = ""


@dataclass(frozen=True, kw_only=True)
class Node:
    """One op of a graph as a delegate's rules look at it.

    Attributes:
        graph: The graph it is part of.
        op: The op.
        level: Feature level it is judged at; 0 where the delegate has none.
        accelerator_specified: Whether the delegate was told which accelerators to use.
    """

    graph: Graph
    op: Op
    level: int = 0
    accelerator_specified: bool = True

    def input(self, index: int) -> Tensor | None:
        """Return an input, or None where it is omitted."""
        if index >= len(self.op.inputs) or self.op.inputs[index] < 0:
            return None
        return self.graph.tensors[self.op.inputs[index]]

    @property
    def output(self) -> Tensor | None:
        """Return the first output, or None if there is none."""
        return self.graph.tensors[self.op.outputs[0]] if self.op.outputs else None

    def option(self, name: str, default: Any = 0) -> Any:
        """Return one of the op's options, or its default where the file leaves it out."""
        value = self.op.options.get(name)
        return default if value is None else value

    @property
    def activation(self) -> str:
        """Return the fused activation: NONE, RELU, RELU6 ..."""
        number = self.option("fused_activation_function")
        return ACTIVATIONS.get(number, f"activation {number}")


Constraint = Callable[[Node], Objection | None]
"""Return why a node is refused, or None if this constraint has nothing against it."""


def refused(reason: str, remedy: str = "") -> Objection:
    """Return a finding."""
    return Objection(reason=reason, remedy=remedy)


def join(findings: Sequence[Objection]) -> Objection | None:
    """Return several findings on one node as one, or None if there are none."""
    if not findings:
        return None
    return Objection(
        reason="; ".join(dict.fromkeys(f.reason for f in findings)),
        remedy=next((f.remedy for f in findings if f.remedy), ""),
    )


def driver_refusal(accelerator: Accelerator, op: str, dtype: str) -> Objection | None:
    """Return why a unit does not take an op, by what its profile knows of it, or None."""
    if accelerator.dtypes and dtype in _ACTIVATIONS and dtype not in accelerator.dtypes:
        known = ", ".join(accelerator.dtypes)
        return refused(f"driver '{accelerator.name}' takes {known}, not {dtype}")
    for refusal in accelerator.refusals:
        if refusal.op == op and dtype in (refusal.dtypes or (dtype,)):
            reason = f"refused by driver '{accelerator.name}': {refusal.reason}"
            return refused(reason, refusal.remedy)
    return None


def ranks_at_most(limit: int, *indices: int) -> Constraint:
    """Refuse an input of higher rank."""

    def check(node: Node) -> Objection | None:
        for tensor in map(node.input, indices):
            if tensor is not None and len(tensor.shape) > limit:
                return refused(f"input has rank {len(tensor.shape)}; at most {limit}")
        return None

    return check


def rank_is(*known: int, index: int = 0) -> Constraint:
    """Refuse an input whose rank is not among the known ones."""

    def check(node: Node) -> Objection | None:
        tensor = node.input(index)
        if tensor is None or len(tensor.shape) in known:
            return None
        wanted = " or ".join(map(str, known))
        return refused(f"input has rank {len(tensor.shape)}; wants {wanted}")

    return check


def constant(index: int, what: str, dtype: str = "") -> Constraint:
    """Refuse an input that is missing, computed at run time or, if named, of another dtype."""

    def check(node: Node) -> Objection | None:
        tensor = node.input(index)
        if tensor is None:
            return refused(f"has no {what}")
        if tensor.constant is None:
            return refused(f"{what} is computed at run time; it must be constant")
        if dtype and tensor.dtype != dtype:
            return refused(f"{what} is {tensor.dtype}; wants {dtype}")
        return None

    return check


def dtype_is(index: int, what: str, dtype: str) -> Constraint:
    """Refuse an input of another dtype."""

    def check(node: Node) -> Objection | None:
        tensor = node.input(index)
        if tensor is None:
            return refused(f"has no {what}")
        return None if tensor.dtype == dtype else refused(f"{what} is {tensor.dtype}, not {dtype}")

    return check


def input_counts(*known: int) -> Constraint:
    """Refuse a node with another number of inputs."""

    def check(node: Node) -> Objection | None:
        if len(node.op.inputs) in known:
            return None
        wanted = " or ".join(map(str, known))
        return refused(f"has {len(node.op.inputs)} inputs; wants {wanted}")

    return check


def without_activation(node: Node) -> Objection | None:
    """Refuse a fused activation."""
    if node.activation == "NONE":
        return None
    return refused(f"fused {node.activation} is not taken", "export the activation as its own op")


def without_zero_sizes(node: Node) -> Objection | None:
    """Refuse an input without elements."""
    tensor = node.input(0)
    return refused("input has no elements") if tensor is not None and 0 in tensor.shape else None


def output_is_no_scalar(node: Node) -> Objection | None:
    """Refuse a scalar result."""
    if node.output is None or node.output.shape:
        return None
    return refused("the result is a scalar", "keep the reduced dimensions (keep_dims=True)")


def remap_float16(graph: Graph) -> tuple[Graph, frozenset[int]]:
    """Let ops read their float16 constants directly, past the DEQUANTIZE in front of them.

    Returns:
        The graph with remapped inputs, and the indices of those DEQUANTIZE ops.

    Source: LiteRT @ f674577, delegates/utils.cc, FP16GraphPartitionHelper.
    """
    skipped = frozenset(op.index for op in graph.ops if _widens_float16(graph, op))
    if not skipped:
        return graph, skipped
    halves = {op.outputs[0]: op.inputs[0] for op in graph.ops if op.index in skipped}
    ops = tuple(
        op
        if op.index in skipped
        else replace(op, inputs=tuple(halves.get(i, i) for i in op.inputs))
        for op in graph.ops
    )
    return replace(graph, ops=ops), skipped


def _widens_float16(graph: Graph, op: Op) -> bool:
    """Return whether an op only widens a float16 constant to float32."""
    return (
        op.name == "DEQUANTIZE"
        and graph.unpacks_constant(op)
        and graph.tensors[op.inputs[0]].dtype == "float16"
    )


def largest_partitions(graph: Graph, accelerated: Sequence[bool], limit: int) -> tuple[bool, ...]:
    """Keep only the largest partitions of what a delegate could take.

    Args:
        graph: The graph.
        accelerated: For each op, whether the delegate could take it.
        limit: How many partitions it takes; 0 for all.
    """
    partitions = [p for p in partition(graph, accelerated) if accelerated[p[0]]]
    partitions.sort(key=len, reverse=True)
    kept = {index for members in partitions[: limit or None] for index in members}
    return tuple(op.index in kept for op in graph.ops)


def join_float16(graph: Graph, accelerated: Sequence[bool], widening: frozenset[int]) -> list[bool]:
    """Put each DEQUANTIZE of float16 weights where all of its readers are."""
    joined = list(accelerated)
    for index in widening:
        output = graph.ops[index].outputs[0]
        joined[index] = all(accelerated[op.index] for op in graph.readers[output])
    return joined
