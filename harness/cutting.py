"""Cut ops out of a .tflite into a model of their own, or show its inner tensors as outputs.

Only the file is rewritten: no native code runs, and every op keeps its options and its weights.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from harness import flatbuffer
from harness.errors import ModelError

_CALLERS = frozenset(
    getattr(schema.BuiltinOperator, name)
    for name in (
        "CALL", "CALL_ONCE", "IF", "WHILE", "STABLEHLO_CASE", "STABLEHLO_COMPOSITE",
        "STABLEHLO_REDUCE", "STABLEHLO_REDUCE_WINDOW", "STABLEHLO_SCATTER", "STABLEHLO_SORT",
        "STABLEHLO_WHILE",
    )
)  # fmt: skip
"""Ops that run subgraphs."""


def cut(
    model: bytes,
    *,
    ops: Sequence[int],
    inputs: Sequence[int],
    outputs: Sequence[int],
    names: Mapping[int, str] | None = None,
    called: bool = True,
) -> bytes:
    """Write some ops of a model as a model of its own.

    Args:
        model: A .tflite; its first subgraph is cut.
        ops: Indices of the ops to keep, in execution order.
        inputs: Indices of the tensors that are fed.
        outputs: Indices of the tensors that are read back, at least one.
        names: New names of tensors, by their index in `model`; the others keep theirs.
        called: Whether to keep the subgraphs that ops call; without them it cannot be run.

    Returns:
        The bytes of the new .tflite, with its inputs and outputs in the order given.

    Raises:
        ModelError: the ops read a tensor that is neither fed, constant nor computed by them.
    """
    whole = flatbuffer.unpack(model)
    graph = whole.subgraphs[0]
    kept_ops = [graph.operators[index] for index in ops]
    wanted = {int(i) for op in kept_ops for i in (*op.inputs, *op.outputs) if i >= 0}
    kept = sorted(wanted | set(inputs) | set(outputs))
    _check_fed(whole, kept_ops, [*inputs], [*outputs])
    places = {old: new for new, old in enumerate(kept)}

    part = schema.ModelT()
    part.version = whole.version
    part.description = whole.description
    part.operatorCodes = whole.operatorCodes
    part.buffers = [schema.BufferT()]
    subgraph = schema.SubGraphT()
    subgraph.name = b"main"
    subgraph.tensors = [graph.tensors[old] for old in kept]
    _prepare(dict(zip(kept, subgraph.tensors, strict=True)), names or {}, inputs)
    _move_buffers(whole, part, subgraph.tensors)
    subgraph.operators = [_moved(op, places) for op in kept_ops]
    subgraph.inputs = np.array([places[i] for i in inputs], dtype=np.int32)
    subgraph.outputs = np.array([places[i] for i in outputs], dtype=np.int32)
    part.subgraphs = [subgraph]
    if called and any(_calls(whole, op) for op in kept_ops):
        _add_called(whole, part)
    return flatbuffer.pack(part)


def _add_called(whole: Any, part: Any) -> None:
    """Add the subgraphs that ops call; they keep their numbers, by which they are called."""
    others = whole.subgraphs[1:]
    _move_buffers(whole, part, [tensor for one in others for tensor in one.tensors])
    part.subgraphs += others


def _calls(whole: Any, op: Any) -> bool:
    """Return whether an op runs a subgraph of the model."""
    code = whole.operatorCodes[op.opcodeIndex]
    return max(code.builtinCode, code.deprecatedBuiltinCode) in _CALLERS


def _prepare(tensors: Mapping[int, Any], names: Mapping[int, str], inputs: Sequence[int]) -> None:
    """Rename tensors, and take the data from those that are fed."""
    for index, tensor in tensors.items():
        if index in names:
            tensor.name = names[index].encode()
        if index in inputs:
            tensor.buffer = 0


def show(model: bytes, tensors: Sequence[int]) -> bytes:
    """Write a model again with some of its tensors as its outputs, in the order given.

    A tensor that an op also reads is shown by a RESHAPE of it to its own shape: accelerators
    compute some ops wrongly whose output is a model output and is read too, such as an ADD
    that a MEAN reads on LiteRT's GPU accelerator, 2.1 to 2.3.

    Raises:
        ModelError: nothing computes one of the tensors.
    """
    whole = flatbuffer.unpack(model)
    graph = whole.subgraphs[0]
    _check_fed(whole, graph.operators, [int(i) for i in graph.inputs], [*tensors])
    read = {int(i) for op in graph.operators for i in op.inputs}
    shown = [_copied(whole, i) if i in read else i for i in tensors]
    graph.outputs = np.array(shown, dtype=np.int32)
    whole.signatureDefs = None  # they name the outputs that there were
    return flatbuffer.pack(whole)


def _copied(whole: Any, index: int) -> int:
    """Append a RESHAPE of a tensor to its own shape, and return the tensor that it writes."""
    graph = whole.subgraphs[0]
    source = graph.tensors[index]
    buffer, shape, copy = schema.BufferT(), schema.TensorT(), schema.TensorT()
    sizes = np.array(source.shape, dtype=np.int32)
    buffer.data = np.frombuffer(sizes.tobytes(), dtype=np.uint8)
    whole.buffers.append(buffer)
    name = source.name or b""
    shape.name, shape.shape = name + b"/shape", np.array([len(sizes)], dtype=np.int32)
    shape.type, shape.buffer = schema.TensorType.INT32, len(whole.buffers) - 1
    copy.name, copy.shape, copy.type = name + b"/shown", source.shape, source.type
    copy.quantization, copy.buffer = source.quantization, 0
    graph.tensors += [shape, copy]
    op = schema.OperatorT()
    op.opcodeIndex = _reshape_code(whole)
    op.inputs = np.array([index, len(graph.tensors) - 2], dtype=np.int32)
    op.outputs = np.array([len(graph.tensors) - 1], dtype=np.int32)
    op.builtinOptionsType, op.builtinOptions = (
        schema.BuiltinOptions.ReshapeOptions,
        schema.ReshapeOptionsT(),
    )
    op.builtinOptions.newShape = sizes
    graph.operators.append(op)
    return len(graph.tensors) - 1


def _reshape_code(whole: Any) -> int:
    """Return the number of RESHAPE among a model's op codes, added where it is not there."""
    reshape = schema.BuiltinOperator.RESHAPE
    for number, code in enumerate(whole.operatorCodes):
        if max(code.builtinCode, code.deprecatedBuiltinCode) == reshape:
            return number
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = reshape
    code.version = 1
    whole.operatorCodes.append(code)
    return len(whole.operatorCodes) - 1


def _check_fed(
    whole: Any, ops: Sequence[Any], inputs: Sequence[int], outputs: Sequence[int]
) -> None:
    """Raise a ModelError if a tensor is read before anything gave it a value."""
    tensors = whole.subgraphs[0].tensors
    ready = set(inputs)
    for op in ops:
        for i in (int(index) for index in op.inputs):
            if i >= 0 and i not in ready and not _is_constant(whole, tensors[i]):
                raise ModelError(f"cannot cut the model: nothing gives tensor {_name(tensors[i])}")
        ready.update(int(index) for index in op.outputs)
    for i in outputs:
        if i not in ready:
            raise ModelError(f"cannot cut the model: nothing computes {_name(tensors[i])}")


def _is_constant(whole: Any, tensor: Any) -> bool:
    # A tensor without elements (an empty shape list, say) has no data and needs none.
    empty = tensor.shape is not None and 0 in tensor.shape
    return empty or (tensor.buffer > 0 and whole.buffers[tensor.buffer].data is not None)


def _move_buffers(whole: Any, part: Any, tensors: Sequence[Any]) -> None:
    """Take along the data that tensors hold; tensors that shared a buffer share it again."""
    moved = {0: 0}
    for tensor in tensors:
        if not 0 <= tensor.buffer < len(whole.buffers):  # of a subgraph that an op calls
            raise ModelError(
                f"cannot cut the model: {_name(tensor)} names buffer {tensor.buffer}, which does "
                "not exist; export the model again"
            )
        data = whole.buffers[tensor.buffer].data
        if data is None or len(data) == 0:
            tensor.buffer = 0
        elif tensor.buffer not in moved:
            moved[tensor.buffer] = len(part.buffers)
            part.buffers.append(whole.buffers[tensor.buffer])
        tensor.buffer = moved[tensor.buffer]


def _moved(op: Any, places: Mapping[int, int]) -> Any:
    op.inputs = np.array([places[int(i)] if i >= 0 else -1 for i in op.inputs], dtype=np.int32)
    op.outputs = np.array([places[int(i)] for i in op.outputs], dtype=np.int32)
    if op.intermediates is not None:
        op.intermediates = None
    return op


def _name(tensor: Any) -> str:
    return repr((tensor.name or b"").decode("utf-8", errors="replace"))
