"""Write a drawn network as a .tflite with random weights, so that a phone can time it."""

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from harness import flatbuffer
from harness.errors import ModelError
from harness.graph import Graph, Op, Tensor

_TYPES = {name.lower(): value for name, value in vars(schema.TensorType).items() if name.isupper()}
_BUILTINS = {name: value for name, value in vars(schema.BuiltinOperator).items() if name.isupper()}
_OPTIONS = {
    "ADD": "AddOptions", "AVERAGE_POOL_2D": "Pool2DOptions", "CONCATENATION":
    "ConcatenationOptions", "CONV_2D": "Conv2DOptions", "DEPTHWISE_CONV_2D":
    "DepthwiseConv2DOptions", "DEPTH_TO_SPACE": "DepthToSpaceOptions", "FULLY_CONNECTED":
    "FullyConnectedOptions", "MAX_POOL_2D": "Pool2DOptions", "MEAN": "ReducerOptions",
    "MUL": "MulOptions", "PAD": "PadOptions", "RESHAPE": "ReshapeOptions", "RESIZE_BILINEAR":
    "ResizeBilinearOptions", "RESIZE_NEAREST_NEIGHBOR": "ResizeNearestNeighborOptions",
    "SOFTMAX": "SoftmaxOptions", "SPLIT": "SplitOptions", "SUB": "SubOptions",
    "TRANSPOSE_CONV": "TransposeConvOptions",
}  # fmt: skip
_WITHOUT_OPTIONS = frozenset(
    {"HARD_SWISH", "LOGISTIC", "PRELU", "QUANTIZE", "RELU", "RELU6", "RELU_0_TO_1"}
)
_INT8_VERSIONS = {
    "CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 4, "HARD_SWISH": 1, "PRELU": 1,
    "RELU_0_TO_1": 1, "RESHAPE": 1, "TRANSPOSE_CONV": 3,
}  # fmt: skip
"""Versions of ops with int8 activations where it is not 2. Source: LiteRT, op_version.cc."""
_FLOAT_VERSIONS = {"TRANSPOSE_CONV": 3}
_SCALE = 1.0 / 64.0
_WEIGHT_SCALE = 1.0 / 512.0
_SEED = 7


def write(graph: Graph) -> bytes:
    """Return a drawn network as the bytes of a .tflite.

    Args:
        graph: From `Draft.finish`; float32 or int8.

    Raises:
        ModelError: an op is not known here.
    """
    model = schema.ModelT()
    model.version = 3
    model.description = b"drawn by pytest-device-harness, random weights"
    model.buffers = [schema.BufferT()]
    model.operatorCodes = []
    subgraph = schema.SubGraphT()
    subgraph.name = b"main"
    random = np.random.default_rng(_SEED)
    subgraph.tensors = [_tensor(model, tensor, random) for tensor in graph.tensors]
    subgraph.operators = [_operator(model, graph, op) for op in graph.ops]
    subgraph.inputs = np.array(graph.inputs, dtype=np.int32)
    subgraph.outputs = np.array(graph.outputs, dtype=np.int32)
    model.subgraphs = [subgraph]
    return flatbuffer.pack(model)


def _tensor(model: Any, tensor: Tensor, random: np.random.Generator) -> Any:
    made = schema.TensorT()
    made.name = tensor.name.encode()
    made.shape = np.array(tensor.shape, dtype=np.int32)
    made.type = _TYPES[tensor.dtype]
    made.buffer = 0
    if tensor.constant is not None:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(tensor.constant or _noise(tensor, random), dtype=np.uint8)
        model.buffers.append(buffer)
        made.buffer = len(model.buffers) - 1
    weights = tensor.constant is not None and len(tensor.shape) > 1
    bias = tensor.constant == b"" and tensor.dtype == "int32"
    if tensor.dtype == "int8" or bias:
        scale = _WEIGHT_SCALE if weights else _SCALE * _WEIGHT_SCALE if bias else _SCALE
        found = schema.QuantizationParametersT()
        found.scale = np.array([scale], dtype=np.float32)
        found.zeroPoint = np.array([0], dtype=np.int64)
        made.quantization = found
    return made


def _noise(tensor: Tensor, random: np.random.Generator) -> bytes:
    if tensor.dtype == "float32":
        return (random.standard_normal(tensor.elements) * 0.05).astype(np.float32).tobytes()
    low, high = (-100, 100) if tensor.dtype == "int8" else (-1000, 1000)
    return random.integers(low, high, tensor.elements).astype(tensor.dtype).tobytes()


def _operator(model: Any, graph: Graph, op: Op) -> Any:
    if op.name not in _OPTIONS and op.name not in _WITHOUT_OPTIONS:
        raise ModelError(f"op #{op.index} {op.name}: not known to harness/estimate/reference/write")
    quantized = graph.tensors[op.outputs[0]].dtype == "int8"
    version = _INT8_VERSIONS.get(op.name, 2) if quantized else _FLOAT_VERSIONS.get(op.name, 1)
    made = schema.OperatorT()
    made.opcodeIndex = _code(model, op.name, version)
    made.inputs = np.array(op.inputs, dtype=np.int32)
    made.outputs = np.array(op.outputs, dtype=np.int32)
    kind = _OPTIONS.get(op.name)
    if kind is not None:
        table = getattr(schema, f"{kind}T")()
        for key, value in op.options.items():
            setattr(table, _camel(key), value)
        if op.name == "SOFTMAX":
            table.beta = 1.0
        made.builtinOptions = table
        made.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
    return made


def _code(model: Any, name: str, version: int) -> int:
    for index, code in enumerate(model.operatorCodes):
        if (code.builtinCode, code.version) == (_BUILTINS[name], version):
            return index
    code = schema.OperatorCodeT()
    code.builtinCode = _BUILTINS[name]
    code.deprecatedBuiltinCode = min(_BUILTINS[name], 127)
    code.version = version
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1


def _camel(snake: str) -> str:
    head, *rest = snake.split("_")
    return head + "".join(part.capitalize() for part in rest)
