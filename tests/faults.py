"""Plant faults in .tflite files, and write float twins of quantized ones, for tests."""

from collections.abc import Callable
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

_DTYPES = {
    schema.TensorType.INT8: np.int8,
    schema.TensorType.INT16: np.int16,
    schema.TensorType.INT32: np.int32,
    schema.TensorType.INT64: np.int64,
}


def rewrite(model: bytes, change: Callable[[Any], None]) -> bytes:
    """Return a model after `change` was called with its unpacked flatbuffer."""
    whole = schema.ModelT.InitFromPackedBuf(model, 0)
    change(whole)
    builder = flatbuffers.Builder(len(model))
    builder.Finish(whole.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def scale_tensor(model: bytes, tensor: int, factor: float) -> bytes:
    """Multiply the scales of a tensor, and leave what it stores."""

    def change(whole: Any) -> None:
        quantization = whole.subgraphs[0].tensors[tensor].quantization
        quantization.scale = [factor * float(scale) for scale in quantization.scale]

    return rewrite(model, change)


def set_option(model: bytes, op: int, option: str, value: Any) -> bytes:
    """Set an option of one op."""

    def change(whole: Any) -> None:
        setattr(whole.subgraphs[0].operators[op].builtinOptions, option, value)

    return rewrite(model, change)


def rename(model: bytes, name: Callable[[int, str], str]) -> bytes:
    """Give tensors other names, from their index and their name."""

    def change(whole: Any) -> None:
        for index, tensor in enumerate(whole.subgraphs[0].tensors):
            tensor.name = name(index, tensor.name.decode()).encode()

    return rewrite(model, change)


def float_twin(model: bytes) -> bytes:
    """Return the float32 model that a quantized one was rounded from: same real values."""

    def change(whole: Any) -> None:
        for tensor in whole.subgraphs[0].tensors:
            if tensor.quantization is None or tensor.quantization.scale is None:
                continue
            stored = whole.buffers[tensor.buffer].data if tensor.buffer else None
            if stored is not None:
                _dequantize(whole, tensor, stored)
            tensor.type = schema.TensorType.FLOAT32
            tensor.quantization = None
        for code in whole.operatorCodes:
            code.version = 1

    return rewrite(model, change)


def _dequantize(whole: Any, tensor: Any, stored: Any) -> None:
    values = np.frombuffer(np.asarray(stored, np.uint8).tobytes(), _DTYPES[tensor.type])
    shape = [int(size) for size in tensor.shape]
    scales = np.asarray(tensor.quantization.scale, np.float64)
    if len(scales) > 1:
        sides = [1] * len(shape)
        sides[tensor.quantization.quantizedDimension] = len(scales)
        scales = scales.reshape(sides)
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(
        (values.reshape(shape) * scales).astype(np.float32).tobytes(), np.uint8
    )
    tensor.buffer = len(whole.buffers)
    whole.buffers.append(buffer)
