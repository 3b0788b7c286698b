"""Rewrite element-wise ops into fewer that give the same values: bounds, and normalization."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.advice.editor import Editor
from harness.graph import Graph, Op
from harness.model import Model

_BOUNDED: Mapping[tuple[float | None, ...], str] = {
    (0.0, 6.0): "RELU6",
    (0.0, 1.0): "RELU_0_TO_1",
    (-1.0, 1.0): "RELU_N1_TO_1",
}
_AFFINE = frozenset({"ADD", "DIV", "MUL", "SUB"})
Values = NDArray[np.float64]


def bounded(model: Model) -> Model | None:
    """Turn each pair that clips below and above into the one op that does both."""
    graph = model.graph
    editor = Editor(model.data)
    stored: dict[int, Any] = dict(enumerate(editor.ops))
    taken: set[int] = set()
    for op in graph.ops:
        following = _alone(graph, op)
        if following is None or {op.index, following.index} & taken:
            continue
        bounds = [_bound(graph, one) for one in (op, following)]
        low, high = (tuple(b[side] for b in bounds if b and b[side] is not None) for side in (0, 1))
        name = _BOUNDED.get((*low, *high)) if len(low) == len(high) == 1 else None
        if name is None:
            continue
        data = graph.runtime_inputs(op)[0].index
        stored[following.index] = editor.op(name, 1, [data], following.outputs, "", {})
        del stored[op.index]
        taken |= {op.index, following.index}
    if not taken:
        return None
    editor.ops[:] = stored.values()
    return Model(name=model.name, data=editor.write())


def normalized(model: Model) -> Model | None:
    """Turn chains of sums and products with constants into one of each, or into a convolution.

    What follows a convolution goes into its weights; what stands elsewhere, as before a padded
    one, whose border would see another offset, becomes one MUL and one ADD. A DIV alone becomes a
    MUL.
    """
    graph = model.graph
    editor = Editor(model.data)
    stored: dict[int, list[Any]] = {at: [op] for at, op in enumerate(editor.ops)}
    taken: set[int] = set()
    for op in graph.ops:
        if op.index in taken or op.index not in stored or _step(graph, op) is None:
            continue
        chain = [op]
        while (following := _alone(graph, chain[-1])) and _step(graph, following):
            chain.append(following)
        scale, offset = _composed(graph, chain)
        before = _convolution_before(graph, op)
        made: list[Any] | None
        if before is not None:
            made = _folded(editor, graph, before, chain[-1], scale, offset)
        else:
            made = _product_and_sum(editor, graph, chain, scale, offset)
        if made is None:
            continue
        taken.update(one.index for one in chain)
        for one in chain:
            stored[one.index] = []
        stored[before.index if before is not None else chain[-1].index] = made
    if not taken:
        return None
    editor.ops[:] = [op for ops in stored.values() for op in ops]
    return Model(name=model.name, data=editor.write())


def _alone(graph: Graph, op: Op) -> Op | None:
    """Return the op that alone reads the one output of an op."""
    if len(op.outputs) != 1 or op.outputs[0] in graph.outputs:
        return None
    readers = graph.readers[op.outputs[0]]
    return readers[0] if len(readers) == 1 else None


def _constant(graph: Graph, op: Op) -> Values | None:
    """Return the float constant of an op of one runtime tensor and one constant."""
    if len(op.inputs) != 2 or len(graph.runtime_inputs(op)) != 1 or min(op.inputs) < 0:
        return None
    tensors = [graph.tensors[i] for i in op.inputs]
    known = [tensor for tensor in tensors if tensor.constant is not None]
    if len(known) != 1 or any(tensor.dtype != "float32" for tensor in tensors):
        return None
    values = known[0].values()
    return None if values is None else values.astype(np.float64)


def _bound(graph: Graph, op: Op) -> tuple[float | None, float | None] | None:
    """Return the lower and the upper bound of an op that only clips."""
    if graph.tensors[op.outputs[0]].dtype != "float32":
        return None
    if op.name == "RELU":
        return 0.0, None
    values = _constant(graph, op) if op.name in ("MAXIMUM", "MINIMUM") else None
    if values is None or values.size == 0 or np.ptp(values) != 0.0:
        return None
    limit = float(values.ravel()[0])
    return (limit, None) if op.name == "MAXIMUM" else (None, limit)


def _step(graph: Graph, op: Op) -> tuple[Values, Values] | None:
    """Return scale and offset by channel of an op that is a product or sum with constants."""
    if op.name not in _AFFINE or op.options.get("fused_activation_function"):
        return None
    values = _constant(graph, op)
    if values is None or not op.outputs:
        return None
    data = graph.runtime_inputs(op)[0]
    channels = data.shape[-1] if data.shape else 1
    if graph.tensors[op.outputs[0]].shape != data.shape or values.size not in (1, channels):
        return None
    if values.size > 1 and values.shape[-1] != channels:
        return None
    by_channel = np.broadcast_to(values.ravel(), (channels,))
    first = op.inputs[0] == data.index
    one, zero = np.ones(channels), np.zeros(channels)
    if op.name == "DIV" and (not first or not np.all(by_channel)):
        return None
    steps: Mapping[str, Callable[[], tuple[Values, Values]]] = {
        "ADD": lambda: (one, by_channel),
        "MUL": lambda: (by_channel, zero),
        "DIV": lambda: (1.0 / by_channel, zero),
        "SUB": lambda: (one, -by_channel) if first else (-one, by_channel),
    }
    return steps[op.name]()


def _composed(graph: Graph, chain: list[Op]) -> tuple[Values, Values]:
    channels = graph.runtime_inputs(chain[0])[0].shape[-1:]
    scale, offset = np.ones(channels), np.zeros(channels)
    for op in chain:
        step = _step(graph, op)
        assert step is not None
        scale, offset = scale * step[0], offset * step[0] + step[1]
    return scale, offset


def _convolution_before(graph: Graph, op: Op) -> Op | None:
    """Return the convolution that alone feeds an op, if its weights may take a scale in."""
    before = graph.producers.get(graph.runtime_inputs(op)[0].index)
    if before is None or before.name not in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        return None
    weights = [graph.tensors[i] for i in before.inputs[1:] if i >= 0]
    free = not before.options.get("fused_activation_function") and _alone(graph, before) is op
    known = all(t.constant is not None and t.dtype == "float32" for t in weights)
    return before if free and known and len(before.inputs) == 3 and len(weights) == 2 else None


def _folded(
    editor: Editor, graph: Graph, before: Op, last: Op, scale: Values, offset: Values
) -> list[Any] | None:
    """Return a convolution whose weights and bias hold the scale and offset that follow it."""
    weights, bias = (graph.tensors[i].values() for i in before.inputs[1:])
    if weights is None or bias is None:
        return None
    by_output = scale if before.name == "DEPTHWISE_CONV_2D" else scale.reshape(-1, 1, 1, 1)
    conv = editor.ops[before.index]
    conv.inputs = np.array(
        [before.inputs[0], editor.add_floats(weights * by_output),
         editor.add_floats(bias * scale + offset)], np.int32,
    )  # fmt: skip
    conv.outputs = np.array(last.outputs, np.int32)
    return [conv]


def _product_and_sum(
    editor: Editor, graph: Graph, chain: list[Op], scale: Values, offset: Values
) -> list[Any] | None:
    """Return one MUL and one ADD, each where it is needed; None where that gains nothing."""
    steps = []
    if not np.all(scale == 1.0):
        steps.append(("MUL", "MulOptions", scale))
    if np.any(offset):
        steps.append(("ADD", "AddOptions", offset))
    costs = [op.name == "DIV" for op in chain]
    if not steps or (len(steps), 0) >= (len(chain), sum(costs)):
        return None
    at, result = graph.runtime_inputs(chain[0])[0].index, chain[-1].outputs[0]
    made = []
    for number, (name, kind, values) in enumerate(steps):
        last = number == len(steps) - 1
        to = result if last else editor.add_activation(graph.tensors[result].shape, like=result)
        constant = editor.add_floats(values[:1] if np.ptp(values) == 0.0 else values)
        made.append(editor.op(name, 1, [at, constant], [to], kind, {}))
        at = to
    return made
