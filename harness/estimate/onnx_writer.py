"""Write a graph's structure as ONNX for the vendor's estimator; runs in the worker process.

Weights are random, and no two tensors alike: the compiler keeps equal constants once, and a
network whose repeated blocks shared their weights would read half of them. Layout stays NHWC, with
a transpose on both sides of each spatial op, which ONNX Runtime cancels. Quantized tensors become
uint8 or uint16 between QuantizeLinear and DequantizeLinear, as Qualcomm's patterns expect.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from harness.errors import ModelError
from harness.estimate import work
from harness.estimate.quantization import scale_numbers
from harness.graph import ACTIVATIONS, Graph, Op, Tensor

OPSET = 21
_IR_VERSION = 10
_TO_NCHW = [0, 3, 1, 2]
_TO_NHWC = [0, 2, 3, 1]
_QUANTIZED = {
    "int8": (TensorProto.UINT8, np.uint8, 128), "uint8": (TensorProto.UINT8, np.uint8, 128),
    "int16": (TensorProto.UINT16, np.uint16, 32768),
}  # fmt: skip
_PLAIN = {
    "float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT, "int32": TensorProto.INT32,
    "int64": TensorProto.INT64, "bool": TensorProto.BOOL,
}  # fmt: skip
_SCALE = 1.0 / 64.0
_GOLDEN_RATIO = 0.618034
_SEED = 20
_APART_BYTES_MIN = 1024
"""Size from which a constant is handed over apart from the model's bytes, where that is asked."""


class OnnxWriter:
    """An ONNX model that is being written; tensor N of the graph is `tN`."""

    def __init__(self, graph: Graph, *, apart: dict[str, NDArray[Any]] | None = None) -> None:
        """Start from a graph whose ops may be a part of a larger one.

        Args:
            graph: In execution order.
            apart: Takes large constants by name, or None to have them in the model's bytes.
        """
        self.graph = graph
        self._apart = apart
        self.weights = work.weight_tensors(graph)
        self._nodes: list[Any] = []
        self._initializers: list[Any] = []
        self._names = 0
        self._scales = scale_numbers(graph)

    def tensor(self, index: int) -> Tensor:
        """Return a tensor of the graph."""
        return self.graph.tensors[index]

    def node(self, kind: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Add a node with one output and return the output's name."""
        output = self._fresh()
        self._nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def nodes(self, kind: str, inputs: Sequence[str], count: int, **attributes: Any) -> list[str]:
        """Add a node with several outputs and return their names."""
        outputs = [self._fresh() for _ in range(count)]
        self._nodes.append(helper.make_node(kind, list(inputs), outputs, **attributes))
        return outputs

    def integers(self, values: Sequence[int]) -> str:
        """Add an int64 constant."""
        return self._initializer(np.asarray(values, dtype=np.int64))

    def floats(self, values: Any) -> str:
        """Add a float constant."""
        return self._initializer(np.asarray(values, dtype=np.float32))

    def weight(self, index: int, shape: Sequence[int], *, bias_of: int | None = None) -> str:
        """Add random weights of a shape in place of a constant; quantized where it is.

        A bias names the tensor that its op reads: the product of the scales is the bias's scale.
        """
        random = np.random.default_rng((_SEED, index))
        if self.tensor(index).dtype in ("float32", "float16", "bfloat16"):
            return self._initializer((random.random(shape, dtype=np.float32) - 0.5) * 0.3)
        width = np.int8 if bias_of is None else np.int32
        noise = random.integers(-64, 64, shape, dtype=width)
        scale = _SCALE if bias_of is None else _SCALE * self._scale(bias_of)
        inputs = [self._initializer(noise), self.floats(scale), self._initializer(width(0))]
        return self.node("DequantizeLinear", inputs)

    def operand(self, index: int, shape: Sequence[int]) -> str:
        """Return a random constant of an element-wise op, typed as activations are."""
        tensor = self.tensor(index)
        if tensor.dtype not in _QUANTIZED:
            return self.weight(index, shape)
        _, width, zero_point = _QUANTIZED[tensor.dtype]
        random = np.random.default_rng((_SEED, index))
        noise = random.integers(zero_point - 64, zero_point + 64, shape, dtype=width)
        inputs = [self._initializer(noise), *self._quantization(tensor)]
        return self.node("DequantizeLinear", inputs)

    def constant(self, op: Op, position: int) -> list[int]:
        """Return the integers of a constant input, such as axes or paddings.

        Raises:
            ModelError: the input is not constant.
        """
        values = None
        if len(op.inputs) > position and op.inputs[position] >= 0:
            values = self.tensor(op.inputs[position]).values()
        if values is None:
            raise ModelError(
                f"op #{op.index} {op.name}: input {position} is not constant; "
                "the vendor's estimator needs fixed shapes"
            )
        return [int(value) for value in np.ravel(values)]

    def read(self, index: int, *, nchw: bool = False) -> str:
        """Return the float name of what an op reads, transposed for a spatial op."""
        tensor = self.tensor(index)
        if index in self.weights:
            return self.operand(index, tensor.shape)
        name = f"t{index}"
        if nchw:
            name = self.node("Transpose", [name], perm=_TO_NCHW)
        if tensor.dtype in _QUANTIZED:
            name = self.node("DequantizeLinear", [name, *self._quantization(tensor)])
        return name

    def write(self, index: int, name: str, *, nchw: bool = False) -> None:
        """Bind a float result to a tensor of the graph, quantized and transposed as it is there."""
        tensor = self.tensor(index)
        if tensor.dtype in _QUANTIZED:
            name = self.node("QuantizeLinear", [name, *self._quantization(tensor)])
        attributes = {"perm": _TO_NHWC} if nchw else {}
        kind = "Transpose" if nchw else "Identity"
        self._nodes.append(helper.make_node(kind, [name], [f"t{index}"], **attributes))

    def settle(self, index: int, name: str) -> str:
        """Return a float result as it is read again, quantized in between as a tensor is."""
        tensor = self.tensor(index)
        if tensor.dtype not in _QUANTIZED:
            return name
        quantized = self.node("QuantizeLinear", [name, *self._quantization(tensor)])
        return self.node("DequantizeLinear", [quantized, *self._quantization(tensor)])

    def activate(self, op: Op, name: str) -> str:
        """Apply an op's fused clamp; a quantized output clamps by its range."""
        number = op.options.get("fused_activation_function", 0)
        kind = ACTIVATIONS.get(int(number or 0), "NONE")
        if kind == "NONE" or self.tensor(op.outputs[0]).dtype in _QUANTIZED:
            return name
        if kind == "RELU":
            return self.node("Relu", [name])
        limits = {"RELU6": (0.0, 6.0), "RELU_N1_TO_1": (-1.0, 1.0)}.get(kind)
        if limits is None:
            raise ModelError(f"op #{op.index} {op.name}: fused {kind} has no vendor counterpart")
        return self.clip(name, *limits)

    def clip(self, name: str, low: float, high: float) -> str:
        """Clamp between two numbers."""
        return self.node("Clip", [name, self.floats(low), self.floats(high)])

    def finish(self) -> bytes:
        """Return the serialized model."""
        graph = helper.make_graph(
            self._nodes,
            "part",
            [self._value(i) for i in self.graph.inputs],
            [self._value(i) for i in self.graph.outputs],
            self._initializers,
        )
        return _serialized(graph)

    def _value(self, index: int) -> Any:
        tensor = self.tensor(index)
        kind = _QUANTIZED[tensor.dtype][0] if tensor.dtype in _QUANTIZED else None
        kind = kind or _PLAIN.get(tensor.dtype)
        if kind is None:
            raise ModelError(f"tensor {tensor.name!r}: {tensor.dtype} has no vendor counterpart")
        return helper.make_tensor_value_info(f"t{index}", kind, list(tensor.shape))

    def _quantization(self, tensor: Tensor) -> list[str]:
        _, width, zero_point = _QUANTIZED[tensor.dtype]
        scale = self._scale(tensor.index)
        return [self.floats(scale), self._initializer(width(zero_point))]

    def _scale(self, index: int) -> float:
        """Return a scale between half and twice the weights' scale; equal numbers, equal scales."""
        spread = self._scales.get(index, 0) * _GOLDEN_RATIO % 1.0
        return _SCALE * float(4.0 ** (spread - 0.5))

    def _initializer(self, values: Any) -> str:
        name = self._fresh()
        array = np.asarray(values)
        # Integers of 64 bits are shapes and sizes, which shape inference wants to read.
        inline = array.nbytes < _APART_BYTES_MIN or array.dtype == np.int64
        if self._apart is None or inline:
            self._initializers.append(numpy_helper.from_array(array, name))
            return name
        self._apart[name] = array
        elsewhere = TensorProto(
            name=name,
            data_type=helper.np_dtype_to_tensor_dtype(array.dtype),
            dims=array.shape,
            data_location=TensorProto.EXTERNAL,
        )
        elsewhere.external_data.add(key="location", value="apart")
        self._initializers.append(elsewhere)
        return name

    def _fresh(self) -> str:
        self._names += 1
        return f"n{self._names}"


def one_op() -> bytes:
    """Return the smallest model that the vendor's provider takes."""
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1]) for name in "xy"]
    node = helper.make_node("Relu", ["x"], ["y"])
    return _serialized(helper.make_graph([node], "one op", ends[:1], ends[1:]))


def _serialized(graph: Any) -> bytes:
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=_IR_VERSION
    )
    data: bytes = model.SerializeToString()
    return data


Emit = Callable[[OnnxWriter, Op], None]


def write(
    graph: Graph, emitters: Mapping[str, Emit], *, apart: dict[str, NDArray[Any]] | None = None
) -> bytes:
    """Write a graph as an ONNX model.

    Args:
        graph: In execution order; its inputs and outputs are the model's.
        emitters: How each op is written, by its name.
        apart: Takes large constants by name, for `SessionOptions.add_external_initializers`: five
            copies of the weights fewer. None to have them in the model.

    Raises:
        ModelError: an op has no emitter, or a shape is not fixed.
    """
    writer = OnnxWriter(graph, apart=apart)
    for op in graph.ops:
        if graph.unpacks_constant(op):
            continue
        if op.name not in emitters:
            raise ModelError(
                f"op #{op.index} {op.name} has no conversion for the vendor's estimator; "
                "add one to harness/estimate/onnx_ops.py"
            )
        emitters[op.name](writer, op)
    return writer.finish()
