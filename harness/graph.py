"""Read a .tflite as data: ops, versions, options, tensors, quantization, MACs, bytes.

No model is executed here and no native code runs: a truncated or hostile file ends in a
ModelError.
"""

import functools
import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from harness.errors import ModelError

DAMAGE = (
    struct.error, LookupError, ValueError, TypeError, ArithmeticError, AttributeError,
    MemoryError, RecursionError,
)  # fmt: skip
"""What the flatbuffers reader, and code that trusts what it read, raise on a damaged file."""

_ELEMENTS_MAX = 2**40
_VECTOR_MAX = 200_000
_BYTES_PER_ELEMENT = {
    "float64": 8.0, "int64": 8.0, "uint64": 8.0, "complex64": 8.0,
    "float32": 4.0, "int32": 4.0, "uint32": 4.0,
    "float16": 2.0, "int16": 2.0, "uint16": 2.0, "bfloat16": 2.0,
    "int8": 1.0, "uint8": 1.0, "bool": 1.0, "int4": 0.5, "uint4": 0.5, "int2": 0.25,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Quantization:
    """Hold the affine mapping of a tensor: real = scale * (stored - zero_point)."""

    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """Hold one tensor: NHWC shape, dtype in NumPy's words, and its constant data if it has any."""

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: str
    quantization: Quantization | None = None
    constant: bytes | None = field(default=None, repr=False)

    @property
    def elements(self) -> int:
        """Return the number of elements."""
        return prod(self.shape)

    @property
    def size_bytes(self) -> int:
        """Return the bytes that the tensor's elements take."""
        return int(self.elements * _BYTES_PER_ELEMENT.get(self.dtype, 4.0))

    def values(self) -> np.ndarray[Any, Any] | None:
        """Return the constant data as an array of the tensor's shape, or None.

        Raises:
            ModelError: the stored bytes do not fit the shape.
        """
        if self.constant is None:
            return None
        try:
            return np.frombuffer(self.constant, dtype=self.dtype).reshape(self.shape)
        except (TypeError, ValueError) as error:
            raise ModelError(f"tensor {self.name!r}: constant data does not fit: {error}") from None


@dataclass(frozen=True, kw_only=True)
class Op:
    """Hold one node; `inputs` has -1 for an omitted optional input.

    Attributes:
        macs: Multiply-accumulates of one inference; 0 for ops that have none.
    """

    index: int
    name: str
    version: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, Any]
    macs: int


@dataclass(frozen=True, kw_only=True)
class Graph:
    """Hold the one subgraph of a model, in execution order."""

    tensors: tuple[Tensor, ...]
    ops: tuple[Op, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    size_bytes: int

    @property
    def macs(self) -> int:
        """Return the multiply-accumulates of one inference."""
        return sum(op.macs for op in self.ops)

    @property
    def weight_bytes(self) -> int:
        """Return the bytes of all constant tensors."""
        return sum(t.size_bytes for t in self.tensors if t.constant is not None)

    @functools.cached_property
    def peak_activation_bytes(self) -> int:
        """Return the most bytes of activations that are alive at one time, in file order."""
        last_use = {i: len(self.ops) for i in self.outputs}
        for op in self.ops:
            for i in op.inputs:
                last_use[i] = max(last_use.get(i, -1), op.index)
        alive = set(self.inputs)
        peak = sum(self.tensors[i].size_bytes for i in alive)
        for op in self.ops:
            alive |= set(op.outputs)
            peak = max(peak, sum(self.tensors[i].size_bytes for i in alive))
            alive = {i for i in alive if last_use.get(i, -1) > op.index}
        return peak

    def input_tensors(self, op: Op) -> list[Tensor]:
        """Return the tensors an op reads, constants included, omitted ones left out."""
        return [self.tensors[i] for i in op.inputs if i >= 0]

    def runtime_inputs(self, op: Op) -> list[Tensor]:
        """Return the tensors an op reads that are not constant."""
        return [t for t in self.input_tensors(op) if t.constant is None]


def load(path: Path) -> Graph:
    """Read a .tflite file.

    Raises:
        ModelError: the file is missing or cannot be read as a model.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from None
    return parse(data, name=str(path))


def parse(data: bytes, *, name: str = "model") -> Graph:
    """Read the bytes of a .tflite file.

    Raises:
        ModelError: truncated, damaged, not a TFLite file, or of a kind the harness does not read.
    """
    if len(data) < 16 or data[4:8] != b"TFL3":
        raise ModelError(
            f"{name}: not a .tflite file (no TFL3 identifier in {len(data)} bytes); "
            "export the model again or fetch the whole file"
        )
    try:
        return _read_model(data)
    except ModelError as error:
        raise ModelError(f"{name}: {error}") from None
    except DAMAGE as error:
        raise ModelError(
            f"{name}: damaged .tflite file ({type(error).__name__}: {error}); "
            "export the model again or fetch the whole file"
        ) from None


def _read_model(data: bytes) -> Graph:
    model = schema.Model.GetRootAs(data, 0)
    subgraphs = model.SubgraphsLength()
    if subgraphs != 1:
        raise ModelError(f"has {subgraphs} subgraphs; the harness reads models with exactly one")
    subgraph = model.Subgraphs(0)
    codes = [model.OperatorCodes(i) for i in _indices(model.OperatorCodesLength(), data)]
    tensors = tuple(
        _read_tensor(model, subgraph.Tensors(i), i, data)
        for i in _indices(subgraph.TensorsLength(), data)
    )
    ops = tuple(
        _read_op(codes, subgraph.Operators(i), i, tensors)
        for i in _indices(subgraph.OperatorsLength(), data)
    )
    graph = Graph(
        tensors=tensors,
        ops=ops,
        inputs=tuple(int(subgraph.Inputs(i)) for i in _indices(subgraph.InputsLength(), data)),
        outputs=tuple(int(subgraph.Outputs(i)) for i in _indices(subgraph.OutputsLength(), data)),
        size_bytes=len(data),
    )
    _check_wiring(graph)
    return graph


def _indices(length: int, data: bytes) -> range:
    """Return range(length) after checking that so many entries can fit in the file."""
    if length < 0 or length > min(_VECTOR_MAX, len(data) // 4):
        raise ModelError(f"claims {length} entries in a file of {len(data)} bytes")
    return range(length)


def _read_tensor(model: Any, tensor: Any, index: int, data: bytes) -> Tensor:
    shape = tuple(int(tensor.Shape(i)) for i in _indices(tensor.ShapeLength(), data))
    name = (tensor.Name() or b"").decode("utf-8", errors="replace")
    if any(size < 0 for size in shape) or prod(shape) > _ELEMENTS_MAX:
        raise ModelError(f"tensor {name!r} has the impossible shape {shape}")
    dtype = _TENSOR_TYPES.get(tensor.Type())
    if dtype is None:
        raise ModelError(f"tensor {name!r} has unknown type {tensor.Type()}")
    if not 0 <= tensor.Buffer() < model.BuffersLength():
        raise ModelError(f"tensor {name!r} names buffer {tensor.Buffer()}, which does not exist")
    buffer = model.Buffers(tensor.Buffer())
    if buffer.Offset() > 1:
        raise ModelError(f"tensor {name!r} is stored outside the flatbuffer; not supported")
    constant = None
    if tensor.Buffer() > 0 and buffer.DataLength() > 0:
        constant = buffer.DataAsNumpy().tobytes()
    return Tensor(
        index=index,
        name=name,
        shape=shape,
        dtype=dtype,
        quantization=_read_quantization(tensor.Quantization(), data),
        constant=constant,
    )


def _read_quantization(quantization: Any, data: bytes) -> Quantization | None:
    if quantization is None or quantization.ScaleLength() == 0:
        return None
    return Quantization(
        scales=tuple(
            float(quantization.Scale(i)) for i in _indices(quantization.ScaleLength(), data)
        ),
        zero_points=tuple(
            int(quantization.ZeroPoint(i)) for i in _indices(quantization.ZeroPointLength(), data)
        ),
        axis=int(quantization.QuantizedDimension()),
    )


def _read_op(codes: Sequence[Any], operator: Any, index: int, tensors: Sequence[Tensor]) -> Op:
    code = codes[operator.OpcodeIndex()]
    builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    name = _BUILTIN_OPS.get(builtin)
    if name is None:
        raise ModelError(f"op #{index} has unknown builtin code {builtin}")
    if name == "CUSTOM":
        name = (code.CustomCode() or b"CUSTOM").decode("utf-8", errors="replace")
    limit = range(len(tensors) + 1)
    inputs = tuple(int(operator.Inputs(i)) for i in limit[: operator.InputsLength()])
    outputs = tuple(int(operator.Outputs(i)) for i in limit[: operator.OutputsLength()])
    if any(not -1 <= i < len(tensors) for i in inputs) or any(
        not 0 <= i < len(tensors) for i in outputs
    ):
        raise ModelError(f"op #{index} {name} names tensors that do not exist")
    options = _read_options(operator)
    return Op(
        index=index,
        name=name,
        version=int(code.Version()),
        inputs=inputs,
        outputs=outputs,
        options=options,
        macs=count_macs(name, inputs, outputs, tensors),
    )


def _read_options(operator: Any) -> Mapping[str, Any]:
    table = operator.BuiltinOptions()
    if table is None:
        return {}
    options = schema.BuiltinOptionsCreator(operator.BuiltinOptionsType(), table)
    if options is None:
        return {}
    return {_snake(key): value for key, value in vars(options).items()}


@functools.cache
def _snake(camel: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", camel).lower()


def count_macs(
    name: str, inputs: Sequence[int], outputs: Sequence[int], tensors: Sequence[Tensor]
) -> int:
    """Return the multiply-accumulates of one op; one per weight and output position.

    TRANSPOSE_CONV counts one per weight and *input* position, as the kernel does.
    """
    shapes = [tensors[i].shape if i >= 0 else () for i in inputs]
    try:
        if name == "CONV_2D":  # filter [out_c, k_h, k_w, in_c / groups]
            return prod(tensors[outputs[0]].shape) * prod(shapes[1][1:])
        if name == "DEPTHWISE_CONV_2D":  # filter [1, k_h, k_w, out_c]
            return prod(tensors[outputs[0]].shape) * prod(shapes[1][1:3])
        if name == "TRANSPOSE_CONV":  # inputs: output_shape, filter [out_c, k_h, k_w, in_c], data
            return prod(shapes[2]) * prod(shapes[1][:3])
        if name == "FULLY_CONNECTED":  # filter [out, in]
            return prod(tensors[outputs[0]].shape) * shapes[1][-1]
        if name == "BATCH_MATMUL":
            inner = shapes[0][-1]
            return prod(tensors[outputs[0]].shape) * inner
    except IndexError:
        raise ModelError(f"op {name} has too few inputs or dimensions") from None
    return 0


def _check_wiring(graph: Graph) -> None:
    if not graph.ops:
        raise ModelError("has no ops")
    for i in (*graph.inputs, *graph.outputs):
        if not 0 <= i < len(graph.tensors):
            raise ModelError(f"names tensor {i} as input or output, which does not exist")
    producer = {i: op.index for op in graph.ops for i in op.outputs}
    for op in graph.ops:
        # A tensor with no data that nobody produces is legal when it is empty or a variable.
        if any(producer.get(i, -1) >= op.index for i in op.inputs):
            raise ModelError(f"op #{op.index} {op.name} reads a tensor before it is computed")


def _names(cls: type) -> Iterator[tuple[int, str]]:
    for name, value in vars(cls).items():
        if isinstance(value, int):
            yield value, name


_BUILTIN_OPS = dict(_names(schema.BuiltinOperator))
_TENSOR_TYPES = {value: name.lower() for value, name in _names(schema.TensorType)}
ACTIVATIONS = dict(_names(schema.ActivationFunctionType))
"""Names of fused activations by their number in an op's `fused_activation_function`."""
PADDINGS = dict(_names(schema.Padding))
"""Names of paddings by their number in an op's `padding`."""
