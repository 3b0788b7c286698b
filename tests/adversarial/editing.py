"""Read and change the constants and ops of an unpacked .tflite."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

Array = NDArray[Any]


def convs(whole: Any) -> list[Any]:
    return [op for op in whole.subgraphs[0].operators if name_of(whole, op) == "CONV_2D"]


def name_of(whole: Any, op: Any) -> str:
    code = whole.operatorCodes[op.opcodeIndex].builtinCode
    (name,) = [n for n, value in vars(schema.BuiltinOperator).items() if value == code]
    return name


def ops_named(whole: Any, name: str) -> list[Any]:
    return [op for op in whole.subgraphs[0].operators if name_of(whole, op) == name]


def tensor_of(whole: Any, index: int) -> Any:
    return whole.subgraphs[0].tensors[index]


def load(whole: Any, index: int) -> Array:
    tensor = tensor_of(whole, index)
    dtype = {0: np.float32, 9: np.int8, 2: np.int32}[tensor.type]
    stored = np.asarray(whole.buffers[tensor.buffer].data, np.uint8).tobytes()
    return np.frombuffer(stored, dtype).reshape(tuple(tensor.shape)).copy()


def store(whole: Any, index: int, values: Array) -> None:
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
    tensor_of(whole, index).buffer = len(whole.buffers)
    whole.buffers.append(buffer)


def constant(whole: Any, values: Array) -> int:
    tensor = schema.TensorT()
    tensor.name = f"planted_{len(whole.subgraphs[0].tensors)}".encode()
    tensor.shape = list(values.shape)
    tensor.type = schema.TensorType.INT32 if values.dtype == np.int32 else schema.TensorType.FLOAT32
    whole.subgraphs[0].tensors.append(tensor)
    index = len(whole.subgraphs[0].tensors) - 1
    store(whole, index, values)
    return index


def real(whole: Any, value: float) -> int:
    return constant(whole, np.full((1,), value, np.float32))


def add_op(
    whole: Any, name: str, inputs: Sequence[int], *, shape: Sequence[int] = (),
    options: Mapping[str, Any] | None = None, table: str = "",
) -> int:  # fmt: skip
    """Add an op behind all others and return the tensor that it writes."""
    graph = whole.subgraphs[0]
    code = schema.OperatorCodeT()
    code.builtinCode = getattr(schema.BuiltinOperator, name)
    code.deprecatedBuiltinCode = min(code.builtinCode, 127)
    code.version = 1
    whole.operatorCodes.append(code)
    tensor = schema.TensorT()
    tensor.name = f"planted_{len(graph.tensors)}".encode()
    tensor.shape = list(shape or tensor_of(whole, inputs[0]).shape)
    tensor.type = schema.TensorType.FLOAT32
    tensor.buffer = 0
    graph.tensors.append(tensor)
    op = schema.OperatorT()
    op.opcodeIndex = len(whole.operatorCodes) - 1
    op.inputs, op.outputs = list(inputs), [len(graph.tensors) - 1]
    if table:
        op.builtinOptionsType = getattr(schema.BuiltinOptions, table)
        op.builtinOptions = getattr(schema, f"{table}T")()
        for key, value in (options or {}).items():
            setattr(op.builtinOptions, key, value)
    graph.operators.append(op)
    return int(op.outputs[0])


def output_of(whole: Any) -> int:
    return int(whole.subgraphs[0].outputs[0])


def image_of(whole: Any) -> int:
    return int(whole.subgraphs[0].inputs[0])


def end_at(whole: Any, index: int) -> None:
    whole.subgraphs[0].outputs = [index]


_ARITHMETIC = {"ADD": "AddOptions", "SUB": "SubOptions", "MUL": "MulOptions", "DIV": "DivOptions"}


def calculate(whole: Any, name: str, a: int, b: int) -> int:
    return add_op(whole, name, [a, b], table=_ARITHMETIC.get(name, "MaximumMinimumOptions"))
