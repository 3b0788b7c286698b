"""Change a model file by its structure: shapes, wiring, options, types, quantization, bytes."""

import struct
from collections.abc import Callable
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from harness import flatbuffer

Random = np.random.Generator

_EXTREMES = (-(2**31), -(2**16), -2, -1, 0, 1, 2, 3, 7, 64, 255, 4096, 2**16, 2**24, 2**31 - 1)
_SCALES = (0.0, -1.0, 1e-45, 1.0, 3e38, float("inf"), float("nan"))
_PACKING = (struct.error, TypeError, ValueError, AttributeError, LookupError, OverflowError)
"""What the schema's writer raises on a tree that no file can hold; it asserts ranges too."""


def mutant(model: bytes, random: Random) -> bytes:
    """Return a model with one to four faults."""
    if random.random() < 0.15:
        return _change_bytes(model, random)
    for _ in range(100):
        tree = schema.ModelT.InitFromPackedBuf(bytearray(model), 0)
        try:
            for _ in range(random.integers(1, 5)):
                _choose(_MUTATIONS, random)(tree, random)
            made = flatbuffer.pack(tree)
        except (*_PACKING, AssertionError):
            continue
        return _change_bytes(made, random) if random.random() < 0.05 else made
    return _change_bytes(model, random)


def _choose(choices: Any, random: Random) -> Any:
    return choices[int(random.integers(len(choices)))]


def _change_bytes(model: bytes, random: Random) -> bytes:
    if random.random() < 0.3:
        return model[: int(random.integers(len(model)))]
    changed = bytearray(model)
    for _ in range(random.integers(1, 9)):
        at = int(random.integers(8, len(changed) - 4))
        if random.random() < 0.5:
            changed[at] ^= 1 << int(random.integers(8))
        else:
            changed[at : at + 4] = struct.pack("<i", _choose(_EXTREMES, random))
    return bytes(changed)


def _shape(tree: Any, random: Random) -> None:
    tensor = _choose(tree.subgraphs[0].tensors, random)
    shape = [] if tensor.shape is None else [int(n) for n in tensor.shape]
    kind = random.integers(4)
    if kind == 0 or not shape:
        shape = [_choose(_EXTREMES, random) for _ in range(random.integers(0, 12))]
    elif kind == 1:
        shape[int(random.integers(len(shape)))] = _choose(_EXTREMES, random)
    elif kind == 2:
        shape.pop()
    else:
        shape = [*shape[1:], shape[0]]
    tensor.shape = np.array(shape, dtype=np.int32)


def _wiring(tree: Any, random: Random) -> None:
    graph = tree.subgraphs[0]
    holder, name = _choose(
        [(graph, "inputs"), (graph, "outputs"),
         *[(op, name) for op in graph.operators for name in ("inputs", "outputs")]], random,
    )  # fmt: skip
    indices = [] if getattr(holder, name) is None else [int(i) for i in getattr(holder, name)]
    index = int(random.integers(-2, len(graph.tensors) + 2))
    kind = random.integers(4)
    if kind == 0 and indices:
        indices[int(random.integers(len(indices)))] = index
    elif kind == 1 and indices:
        indices.pop(int(random.integers(len(indices))))
    elif kind == 2:
        indices.append(index)
    else:
        indices = indices * int(random.integers(0, 40))
    setattr(holder, name, np.array(indices, dtype=np.int32))


def _options(tree: Any, random: Random) -> None:
    op = _choose(tree.subgraphs[0].operators, random)
    kind = random.integers(8)
    if kind == 0:
        op.builtinOptions, op.builtinOptionsType = None, 0
    elif kind == 1:
        op.builtinOptionsType = int(random.integers(0, 130))
    elif op.builtinOptions is not None:
        name = _choose(sorted(vars(op.builtinOptions)), random)
        setattr(op.builtinOptions, name, _choose(_EXTREMES, random))


def _type(tree: Any, random: Random) -> None:
    _choose(tree.subgraphs[0].tensors, random).type = int(random.integers(0, 24))


def _quantization(tree: Any, random: Random) -> None:
    tensors = tree.subgraphs[0].tensors
    tensor = _choose(tensors, random)
    kind = random.integers(5)
    if kind == 0:
        tensor.quantization = None
        return
    if tensor.quantization is None or kind == 1:
        made = schema.QuantizationParametersT()
        made.scale = np.full(random.integers(0, 70), _choose(_SCALES, random), np.float32)
        made.zeroPoint = np.full(random.integers(0, 70), random.integers(-300, 300), np.int64)
        tensor.quantization = made
    elif kind == 2 and tensor.quantization.scale is not None:
        tensor.quantization.scale = np.repeat(tensor.quantization.scale, 3)
    elif kind == 3:
        tensor.quantization = _choose(tensors, random).quantization
    tensor.quantization.quantizedDimension = _choose(_EXTREMES, random)


def _data(tree: Any, random: Random) -> None:
    tensor = _choose(tree.subgraphs[0].tensors, random)
    buffer = tree.buffers[tensor.buffer % len(tree.buffers)]
    kind = random.integers(4)
    if kind == 0:
        tensor.buffer = int(random.integers(0, len(tree.buffers) + 2))
    elif kind == 1 and buffer.data is not None and len(buffer.data):
        buffer.data = buffer.data[: int(random.integers(len(buffer.data)))]
    elif kind == 2 and buffer.data is not None and len(buffer.data) >= 4:
        at = 4 * int(random.integers(len(buffer.data) // 4))
        changed = bytearray(bytes(buffer.data))
        changed[at : at + 4] = struct.pack("<i", _choose(_EXTREMES, random))
        buffer.data = np.frombuffer(bytes(changed), np.uint8)
    else:
        buffer.data = np.zeros(random.integers(0, 5000), np.uint8)


def _code(tree: Any, random: Random) -> None:
    code = _choose(tree.operatorCodes, random)
    kind = random.integers(4)
    if kind == 0:
        code.version = _choose(_EXTREMES, random)
    elif kind == 1:
        code.customCode = _choose([b"", b"Flex\x1b]0;x\x07", b"\xff\xfe", b"c" * 5000], random)
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    else:
        code.builtinCode = int(random.integers(0, 215))
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)


def _order(tree: Any, random: Random) -> None:
    operators = tree.subgraphs[0].operators
    op = _choose(operators, random)
    kind = random.integers(4)
    if kind == 0:
        operators.remove(op)
    elif kind == 1:
        operators.insert(int(random.integers(len(operators))), op)
    elif kind == 2:
        operators.extend([op] * int(random.integers(1, 200)))
    else:
        op.opcodeIndex = int(random.integers(0, len(tree.operatorCodes) + 2))


def _whole(tree: Any, random: Random) -> None:
    graph = tree.subgraphs[0]
    kind = random.integers(5)
    if kind == 0:
        tree.subgraphs = [graph] * int(random.integers(0, 3))
    elif kind == 1:
        graph.tensors.extend([_choose(graph.tensors, random)] * int(random.integers(1, 300)))
    elif kind == 2:
        _choose(graph.tensors, random).name = _choose(
            [None, b"", b"n" * 10_000, b"\xff\x00\x1b[31m"], random
        )
    elif kind == 3:
        _choose(graph.tensors, random).sparsity = schema.SparsityParametersT()
    else:
        _choose(graph.tensors, random).shapeSignature = np.full(4, -1, np.int32)


_MUTATIONS: tuple[Callable[[Any, Random], None], ...] = (
    _shape, _shape, _wiring, _wiring, _options, _options, _type, _quantization, _data, _code,
    _order, _whole,
)  # fmt: skip
