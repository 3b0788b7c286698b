"""Group a graph's ops into the kernels that a runtime launches, by fusion rules."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from harness.errors import ModelError
from harness.estimate import work
from harness.graph import Graph, Op
from harness.placement import ON_CPU, Placement

_CLAMPS = frozenset({"RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1"})
_ACTIVATIONS = _CLAMPS | {
    "ABS", "ELU", "GELU", "HARD_SWISH", "LEAKY_RELU", "LOGISTIC", "NEG", "PRELU", "TANH",
}  # fmt: skip
_TAKES_PAD = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D"})
_TAKES_ACTIVATION = frozenset({
    "CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED", "ADD", "MUL", "SUB",
    "CONCATENATION", "RESIZE_BILINEAR",
})  # fmt: skip
_VALID_PADDING = 1


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """One launch: a main op and what is fused into it.

    Attributes:
        ops: Indices of its ops, in execution order.
        label: Such as `CONV_2D+PRELU #3-4`.
        unit: The accelerator's name, `cpu` or `xnnpack`.
        precision: float, int8 or int16.
        work: Of the main op.
        fused_operations: Vector multiply-adds of the ops fused into it.
        reads: Activation tensors read from outside the kernel.
        writes: Activation tensors written for others.
        weights: Weight tensors.
    """

    ops: tuple[int, ...]
    label: str
    unit: str
    precision: str
    work: work.Work
    fused_operations: int
    reads: tuple[int, ...]
    writes: tuple[int, ...]
    weights: tuple[int, ...]


def fuse(
    graph: Graph, placement: Placement, *, only: frozenset[str] | None = None
) -> tuple[Kernel, ...]:
    """Group the ops of a placed graph into kernels, in execution order.

    A PAD goes into the unpadded convolution that alone reads it; an activation goes into the op
    that alone feeds it: clamps on every unit, other activations on accelerators only. Nothing is
    fused on the CPU that has only a reference kernel there.

    Args:
        graph: The whole.
        placement: Of it.
        only: Units whose kernels are wanted; None for all.

    Raises:
        ModelError: an op of these units has no rule, or the placement is of another graph.

    Source: XNNPACK fuses clamps and explicit padding; the TFLite GPU delegate links element-wise
    ops into the op before them.
    """
    return _fused(graph, _units(graph, placement), only)


def fuse_whole(graph: Graph, unit: str) -> tuple[Kernel, ...]:
    """Group the ops of a graph that runs wholly on one unit, as `fuse`."""
    return _fused(graph, {op.index: unit for op in graph.ops})


def _fused(
    graph: Graph, units: dict[int, str], only: frozenset[str] | None = None
) -> tuple[Kernel, ...]:
    try:
        return _fuse(graph, units, only)
    except IndexError:
        raise ModelError(
            "an op has fewer inputs, outputs or dimensions than its kind needs; "
            "export the model again"
        ) from None


def alone(graph: Graph, ops: Sequence[Op], unit: str) -> tuple[Kernel, ...]:
    """Return the kernel of each of some ops, fused with no other.

    Raises:
        ModelError: an op has no rule.
    """
    weights = work.weight_tensors(graph)
    return tuple(_kernel(graph, [op], {op.index: unit}, weights) for op in ops)


def _fuse(graph: Graph, units: dict[int, str], only: frozenset[str] | None) -> tuple[Kernel, ...]:
    uses = Counter(i for op in graph.ops for i in set(op.inputs) if i >= 0)
    uses.update(graph.outputs)
    weights = work.weight_tensors(graph)
    groups: list[list[Op]] = []
    group_of: dict[int, list[Op]] = {}
    for op in graph.ops:
        if graph.unpacks_constant(op):
            continue
        source = _fused_source(op, graph, units, uses, weights, group_of)
        if source is None:
            source = []
            groups.append(source)
        source.append(op)
        for i in op.outputs:
            group_of[i] = source
    return tuple(
        _kernel(graph, group, units, weights)
        for group in groups
        if only is None or units[group[0].index] in only
    )


def _units(graph: Graph, placement: Placement) -> dict[int, str]:
    units = {node.index: node.unit for node in placement.nodes}
    if set(units) != {op.index for op in graph.ops}:
        raise ModelError(
            f"the placement names {len(units)} nodes, the graph has {len(graph.ops)} ops; "
            "place the same graph that is estimated"
        )
    return units


def _fused_source(
    op: Op,
    graph: Graph,
    units: dict[int, str],
    uses: Counter[int],
    weights: frozenset[int],
    group_of: dict[int, list[Op]],
) -> list[Op] | None:
    """Return the kernel that an op joins, or None where it starts its own."""
    data = [i for i in op.inputs if i >= 0 and i not in weights]
    if len(data) != 1 or uses[data[0]] != 1 or data[0] not in group_of:
        return None
    group = group_of[data[0]]
    last = group[-1]
    if units[last.index] != units[op.index]:
        return None
    if last.name in ("PAD", "PADV2") and len(group) == 1:
        unpadded = op.options.get("padding") == _VALID_PADDING
        return group if op.name in _TAKES_PAD and unpadded else None
    on_cpu = units[op.index] in ON_CPU
    if on_cpu and work.has_only_reference_kernel(graph, op):
        return None
    fusible = _CLAMPS if on_cpu else _ACTIVATIONS
    return group if op.name in fusible and last.name in _TAKES_ACTIVATION else None


def _kernel(
    graph: Graph, group: Sequence[Op], units: dict[int, str], weights: frozenset[int]
) -> Kernel:
    main = group[1] if len(group) > 1 and group[0].name in ("PAD", "PADV2") else group[0]
    inside = {i for op in group for i in op.outputs}
    read = dict.fromkeys(i for op in group for i in op.inputs if i >= 0 and i not in inside)
    on_cpu = units[main.index] in ON_CPU
    counted = {op.index: work.work_of(graph, op, on_cpu=on_cpu) for op in group}
    span = f"#{group[0].index}" + (f"-{group[-1].index}" if len(group) > 1 else "")
    return Kernel(
        ops=tuple(op.index for op in group),
        label=f"{'+'.join(op.name for op in group)} {span}",
        unit=units[main.index],
        precision=work.precision_of(graph, main),
        work=counted[main.index],
        fused_operations=sum(
            counted[op.index].operations for op in group if op.index != main.index
        ),
        reads=tuple(i for i in read if i not in weights),
        writes=tuple(group[-1].outputs),
        weights=tuple(i for i in read if i in weights),
    )
