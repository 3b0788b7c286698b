"""Small .tflite files of the kinds that only newer or rarer exporters write."""

import copy
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import flexbuffers

from harness import flatbuffer
from tests import kinds
from tests.models import ModelBuilder

SIZE_PX = 16
_VERSIONS = {"int4": 7, "int2": 9}
"""Of CONV_2D with such weights, newer than any delegate here takes."""


def _code(tree: Any, name: str) -> int:
    """Add an op code, and return its number."""
    code = schema.OperatorCodeT()
    code.builtinCode = getattr(schema.BuiltinOperator, name)
    code.deprecatedBuiltinCode, code.version = min(code.builtinCode, 127), 1
    tree.operatorCodes.append(code)
    return len(tree.operatorCodes) - 1


def _op(tree: Any, name: str, inputs: list[int], outputs: list[int], options: str = "") -> Any:
    """Return an op, with the table of its options to be filled."""
    op = schema.OperatorT()
    op.opcodeIndex, op.inputs, op.outputs = _code(tree, name), inputs, outputs
    if options:
        op.builtinOptionsType = getattr(schema.BuiltinOptions, options)
        op.builtinOptions = getattr(schema, f"{options}T")()
    return op


def _tensor(tree: Any, name: str, shape: list[int], dtype: str, data: Any = None) -> Any:
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.buffer = name.encode(), shape, 0
    tensor.type = getattr(schema.TensorType, dtype)
    if data is not None:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(np.asarray(data).tobytes(), np.uint8)
        tree.buffers.append(buffer)
        tensor.buffer = len(tree.buffers) - 1
    return tensor


def _luma() -> tuple[Any, Any, Any]:
    """Return a net of one CONV_2D, its op and its weights."""
    tree = flatbuffer.unpack(kinds.luma(size_px=SIZE_PX))
    conv = tree.subgraphs[0].operators[0]
    return tree, conv, tree.subgraphs[0].tensors[conv.inputs[1]]


def _floats(tree: Any, tensor: Any) -> np.ndarray:
    return np.frombuffer(bytes(tree.buffers[tensor.buffer].data), np.float32)


def bfloat16_weights() -> bytes:
    """Build a net whose weights are bfloat16 behind a CAST."""
    tree, conv, weights = _luma()
    halves = (_floats(tree, weights).view(np.uint32) >> 16).astype(np.uint16)
    tree.buffers[weights.buffer].data = halves.view(np.uint8)
    weights.type = schema.TensorType.BFLOAT16
    graph = tree.subgraphs[0]
    graph.tensors.append(_tensor(tree, "wide", list(weights.shape), "FLOAT32"))
    wide = len(graph.tensors) - 1
    cast = _op(tree, "CAST", [int(conv.inputs[1])], [wide], "CastOptions")
    cast.builtinOptions.inDataType = schema.TensorType.BFLOAT16
    cast.builtinOptions.outDataType = schema.TensorType.FLOAT32
    conv.inputs = [conv.inputs[0], wide, conv.inputs[2]]
    graph.operators = [cast, conv]
    return flatbuffer.pack(tree)


def bfloat16() -> bytes:
    """Build a net that is bfloat16 throughout."""
    tree, _, _ = _luma()
    for tensor in tree.subgraphs[0].tensors:
        tensor.type = schema.TensorType.BFLOAT16
        buffer = tree.buffers[tensor.buffer]
        if buffer.data is not None:
            halves = (_floats(tree, tensor).view(np.uint32) >> 16).astype(np.uint16)
            buffer.data = halves.view(np.uint8)
    return flatbuffer.pack(tree)


def few_bits(dtype: str = "int4") -> bytes:
    """Build a net whose CONV_2D has weights of 4 or 2 bits."""
    tree, conv, weights = _luma()
    values = _floats(tree, weights)
    bits = int(dtype.removeprefix("int"))
    scale = float(np.abs(values).max()) / (2 ** (bits - 1) - 1)
    whole = np.round(values / scale).astype(np.int8)
    rows = np.resize(whole, (-(-len(whole) * bits // 8), 8 // bits)) & (2**bits - 1)
    packed = (rows.astype(np.uint8) << (bits * np.arange(8 // bits))).sum(axis=1)
    tree.buffers[weights.buffer].data = packed.astype(np.uint8)
    weights.type = getattr(schema.TensorType, dtype.upper())
    weights.quantization = schema.QuantizationParametersT()
    weights.quantization.scale, weights.quantization.zeroPoint = [scale], [0]
    tree.operatorCodes[conv.opcodeIndex].version = _VERSIONS[dtype]
    return flatbuffer.pack(tree)


def _called(tree: Any, caller: Any) -> Any:
    """Return a subgraph with the image and the output of a net, and one op."""
    inner = tree.subgraphs[0]
    outer = schema.SubGraphT()
    outer.name, outer.inputs, outer.outputs = b"main", [0], [1]
    outer.tensors = [inner.tensors[inner.inputs[0]], inner.tensors[inner.outputs[0]]]
    outer.operators = [caller]
    return outer


def composite() -> bytes:
    """Build a net whose one op stands for a subgraph, as converters write composites."""
    tree, _, _ = _luma()
    op = _op(tree, "STABLEHLO_COMPOSITE", [0], [1])
    op.builtinOptions2Type = schema.BuiltinOptions2.StableHLOCompositeOptions
    op.builtinOptions2 = schema.StableHLOCompositeOptionsT()
    op.builtinOptions2.name, op.builtinOptions2.decompositionSubgraphIndex = b"team.sharpen", 1
    op.builtinOptions2.compositeAttributes = np.frombuffer(flexbuffers.Dumps({}), np.uint8)
    tree.subgraphs = [_called(tree, op), tree.subgraphs[0]]
    return flatbuffer.pack(tree)


def branch() -> bytes:
    """Build a net behind an IF whose condition is constant."""
    tree, _, _ = _luma()
    op = _op(tree, "IF", [2, 0], [1], "IfOptions")
    op.builtinOptions.thenSubgraphIndex, op.builtinOptions.elseSubgraphIndex = 1, 2
    outer, inner = _called(tree, op), tree.subgraphs[0]
    outer.tensors.append(_tensor(tree, "always", [], "BOOL", np.array([True])))
    tree.subgraphs = [outer, inner, copy.deepcopy(inner)]
    return flatbuffer.pack(tree)


def loop(times: int = 2) -> bytes:
    """Build a net that a WHILE runs several times over."""
    tree, _, _ = _luma()
    body, shape = tree.subgraphs[0], [1, SIZE_PX, SIZE_PX, 1]
    cond, outer = schema.SubGraphT(), schema.SubGraphT()
    cond.name, outer.name = b"cond", b"main"
    cond.tensors = [
        _tensor(tree, "count", [], "INT32"), _tensor(tree, "image", shape, "FLOAT32"),
        _tensor(tree, "times", [], "INT32", np.int32(times)), _tensor(tree, "more", [], "BOOL"),
    ]  # fmt: skip
    cond.inputs, cond.outputs = [0, 1], [3]
    cond.operators = [_op(tree, "LESS", [0, 2], [3], "LessOptions")]
    count = len(body.tensors)
    body.tensors += [
        _tensor(tree, "count", [], "INT32"), _tensor(tree, "one", [], "INT32", np.int32(1)),
        _tensor(tree, "next", [], "INT32"),
    ]  # fmt: skip
    body.operators += [_op(tree, "ADD", [count, count + 1], [count + 2], "AddOptions")]
    body.inputs, body.outputs = [count, body.inputs[0]], [count + 2, body.outputs[0]]
    outer.tensors = [
        _tensor(tree, "image", shape, "FLOAT32"), _tensor(tree, "restored", shape, "FLOAT32"),
        _tensor(tree, "zero", [], "INT32", np.int32(0)), _tensor(tree, "last", [], "INT32"),
    ]  # fmt: skip
    op = _op(tree, "WHILE", [2, 0], [3, 1], "WhileOptions")
    op.builtinOptions.condSubgraphIndex, op.builtinOptions.bodySubgraphIndex = 1, 2
    outer.operators, outer.inputs, outer.outputs = [op], [0], [1]
    tree.subgraphs = [outer, cond, body]
    return flatbuffer.pack(tree)


def custom() -> bytes:
    """Build a net with an op that only its team knows."""
    model = ModelBuilder()
    image = model.activation((1, SIZE_PX, SIZE_PX, 3), name="image")
    restored = model.activation((1, SIZE_PX, SIZE_PX, 3), name="restored")
    model.op("TeamSharpen", [model.conv(image, 3)], [restored])
    return model.build([image], [restored])


def elsewhere() -> bytes:
    """Build a net whose weights lie in a file of their own."""
    tree, _, weights = _luma()
    size_bytes = len(tree.buffers[weights.buffer].data)
    tree.buffers[weights.buffer].data = None
    group, buffer = schema.ExternalBufferGroupT(), schema.ExternalBufferT()
    group.name = b"weights.bin"
    buffer.id, buffer.group, buffer.offset, buffer.length = 1, 0, 0, size_bytes
    tree.externalBufferGroups, tree.externalBuffers = [group], [buffer]
    weights.externalBuffer, weights.buffer = 1, 0
    return flatbuffer.pack(tree)


CALLING: dict[str, Callable[[], bytes]] = {"composite": composite, "if": branch, "while": loop}
"""Nets of one op that calls other subgraphs."""
ALL: dict[str, Callable[[], bytes]] = {
    "bfloat16": bfloat16, "bfloat16_weights": bfloat16_weights, "custom": custom,
    "elsewhere": elsewhere, "int2": functools.partial(few_bits, "int2"), "int4": few_bits,
    "sparse": kinds.sparse, **CALLING,
}  # fmt: skip
