"""Build small .tflite files for tests, without TensorFlow.

    conv_net(dtype="int8")                                  a chain of convolutions
    unet(upsampling="TRANSPOSE_CONV")                       U-shaped, with concatenated skips
    unet(fp16_weights=True)                                 float16 weights behind DEQUANTIZE
    op_model("RESIZE_BILINEAR", half_pixel_centers=True)    one op
    ModelBuilder(dtype="int8")                              anything else
    Float16WeightsBuilder()                                 the same with float16 weights
    restorer(scale=2, values="signed")                      gives its image back, little changed

Every model reads one NHWC image. `float32`, `int8` and `int16` (activations; int8 weights) are
understood. The models run in LiteRT where it has a kernel; weights are random with a fixed seed,
and a quantized model holds those of its float32 twin, rounded.
"""

from collections.abc import Callable, Sequence
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from harness import resizing
from harness.graph import ACTIVATIONS, PADDINGS, parse
from harness.model import Model

SCALE = 1 / 64
"""Scale of every quantized activation; its zero point is 0."""
WEIGHT_SCALE = 1 / 256

_TYPES = {name.lower(): value for name, value in vars(schema.TensorType).items() if name.isupper()}
_BUILTINS = {name: value for name, value in vars(schema.BuiltinOperator).items() if name.isupper()}
_ACTIVATION_NUMBERS = {name: number for number, name in ACTIVATIONS.items()}
_PADDING_NUMBERS = {name: number for number, name in PADDINGS.items()}

_OPTIONS = {
    "CONV_2D": "Conv2DOptions", "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "TRANSPOSE_CONV": "TransposeConvOptions", "FULLY_CONNECTED": "FullyConnectedOptions",
    "RESIZE_BILINEAR": "ResizeBilinearOptions", "BATCH_MATMUL": "BatchMatMulOptions",
    "RESIZE_NEAREST_NEIGHBOR": "ResizeNearestNeighborOptions",
    "DEPTH_TO_SPACE": "DepthToSpaceOptions", "SPACE_TO_DEPTH": "SpaceToDepthOptions",
    "CONCATENATION": "ConcatenationOptions", "ADD": "AddOptions", "SUB": "SubOptions",
    "MUL": "MulOptions", "DIV": "DivOptions", "LEAKY_RELU": "LeakyReluOptions",
    "MAX_POOL_2D": "Pool2DOptions", "AVERAGE_POOL_2D": "Pool2DOptions", "MEAN": "ReducerOptions",
    "SUM": "ReducerOptions", "REDUCE_MAX": "ReducerOptions", "REDUCE_MIN": "ReducerOptions",
    "REDUCE_PROD": "ReducerOptions", "SOFTMAX": "SoftmaxOptions", "MIRROR_PAD": "MirrorPadOptions",
    "SPLIT": "SplitOptions", "SPLIT_V": "SplitVOptions", "PACK": "PackOptions",
    "UNPACK": "UnpackOptions", "GATHER": "GatherOptions", "STRIDED_SLICE": "StridedSliceOptions",
    "CAST": "CastOptions", "SQUEEZE": "SqueezeOptions",
}  # fmt: skip

_VERSIONS = {
    "CONV_2D": {"int8": 3, "int16": 4},
    "DEPTHWISE_CONV_2D": {"int8": 3, "int16": 5},
    "TRANSPOSE_CONV": {"float32": 3, "int8": 3, "int16": 5},
    "FULLY_CONNECTED": {"int8": 4, "int16": 7},
    "RESIZE_BILINEAR": {"int8": 2, "int16": 4},
    "RESIZE_NEAREST_NEIGHBOR": {"int8": 2, "int16": 4},
    "LEAKY_RELU": {"int8": 1, "int16": 2},
    "MUL": {"int8": 2, "int16": 4},
    "SPLIT": {"int8": 2, "int16": 4},
    "DEQUANTIZE": {"int8": 2, "int16": 3, "float16": 3},
    "QUANTIZE": {"int8": 1, "int16": 3},
    "CAST": {"int8": 3},
}
_FIXED_AT_1 = {"PRELU", "RESHAPE", "HARD_SWISH", "POW"}


def default_version(op: str, dtype: str) -> int:
    """Return the version that converters write for an op and its activation dtype.

    Source: LiteRT, converter/tools/versioning/op_version.cc.
    """
    usual = 1 if op in _FIXED_AT_1 else {"int8": 2, "int16": 3}.get(dtype, 1)
    return _VERSIONS.get(op, {}).get(dtype, usual)


class ModelBuilder:
    """Collect tensors and ops, then write the bytes of a .tflite file."""

    def __init__(self, dtype: str = "float32") -> None:
        """Start a model whose activations are of one dtype."""
        self.dtype = dtype
        self._random = np.random.default_rng(7)
        self._tensors: list[Any] = []
        self._buffers: list[Any] = [schema.BufferT()]
        self._ops: list[Any] = []
        self._codes: list[tuple[str, int]] = []

    def tensor(
        self,
        shape: Sequence[int],
        dtype: str = "float32",
        *,
        data: Any = None,
        scales: Sequence[float] = (),
        zero_point: int = 0,
        axis: int = 0,
        name: str = "",
    ) -> int:
        """Add a tensor and return its index; with `data` it is a constant."""
        tensor = schema.TensorT()
        tensor.name = (name or f"t{len(self._tensors)}").encode()
        tensor.shape = [int(size) for size in shape]
        tensor.type = _TYPES[dtype]
        tensor.buffer = 0
        if data is not None:
            values = np.broadcast_to(np.asarray(data), tuple(shape)).astype(dtype)
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(values.tobytes(), np.uint8)
            tensor.buffer = len(self._buffers)
            self._buffers.append(buffer)
        if scales:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale = [float(scale) for scale in scales]
            tensor.quantization.zeroPoint = [zero_point] * len(scales)
            tensor.quantization.quantizedDimension = axis
        self._tensors.append(tensor)
        return len(self._tensors) - 1

    def activation(self, shape: Sequence[int], dtype: str | None = None, **known: Any) -> int:
        """Add a runtime tensor (or, with `data`, a constant) of the model's dtype."""
        dtype = dtype or self.dtype
        known.setdefault("scales", [SCALE] if dtype in ("int8", "uint8", "int16") else [])
        return self.tensor(shape, dtype, **known)

    def constant(self, values: Any, dtype: str = "int32") -> int:
        """Add a constant such as a size, a permutation or paddings."""
        array = np.asarray(values, dtype)
        return self.tensor(array.shape, dtype, data=array)

    def weights(self, shape: Sequence[int], *, axis: int = 0, per_channel: bool = True) -> int:
        """Add random weights: float32, or int8 with one scale per channel along `axis`."""
        real = self._random.normal(0, 0.2, shape)
        if self.dtype == "float32":
            return self.tensor(shape, data=real)
        scales = [WEIGHT_SCALE] * (shape[axis] if per_channel else 1)
        data = np.clip(np.round(real / WEIGHT_SCALE), -127, 127)
        return self.tensor(shape, "int8", data=data, scales=scales, axis=axis)

    def bias(self, channels: int) -> int:
        """Add a bias of the dtype that goes with the activations."""
        real = self._random.normal(0, 0.1, channels)
        if self.dtype == "float32":
            return self.tensor((channels,), data=real)
        dtype = "int64" if self.dtype == "int16" else "int32"
        scale = SCALE * WEIGHT_SCALE
        data = np.round(real / scale)
        return self.tensor((channels,), dtype, data=data, scales=[scale] * channels)

    def op(
        self,
        name: str,
        inputs: Sequence[int],
        outputs: Sequence[int],
        *,
        version: int | None = None,
        **options: Any,
    ) -> None:
        """Add an op; `options` are the flatbuffer's fields in snake case.

        `padding` and `fused_activation_function` may be given by name.
        """
        code = (name, default_version(name, self.dtype) if version is None else version)
        if code not in self._codes:
            self._codes.append(code)
        operator = schema.OperatorT()
        operator.opcodeIndex = self._codes.index(code)
        operator.inputs = list(inputs)
        operator.outputs = list(outputs)
        table = _OPTIONS.get(name)
        if table is not None:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, table)
            operator.builtinOptions = getattr(schema, f"{table}T")()
            for key, value in options.items():
                setattr(operator.builtinOptions, _camel(key), _number(key, value))
        elif options:
            raise ValueError(f"{name} takes no options here: {sorted(options)}")
        self._ops.append(operator)

    def shape(self, index: int) -> tuple[int, ...]:
        """Return the shape of a tensor."""
        return tuple(self._tensors[index].shape)

    def build(self, inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
        """Return the file."""
        subgraph = schema.SubGraphT()
        subgraph.name = b"main"
        subgraph.tensors = self._tensors
        subgraph.operators = self._ops
        subgraph.inputs = list(inputs)
        subgraph.outputs = list(outputs)
        model = schema.ModelT()
        model.version = 3
        model.description = b"harness test model"
        model.subgraphs = [subgraph]
        model.buffers = self._buffers
        model.operatorCodes = [_operator_code(name, version) for name, version in self._codes]
        flat = flatbuffers.Builder(1024)
        flat.Finish(model.Pack(flat), b"TFL3")
        return bytes(flat.Output())

    # Layers: each adds an op and returns the index of its output.

    def conv(
        self, x: int, channels: int, *, kernel: int = 3, stride: int = 1, **options: Any
    ) -> int:
        """Add a 'same' CONV_2D with bias."""
        batch, height, width, depth = self.shape(x)
        version = options.pop("version", None)
        filters = self.weights((channels, kernel, kernel, depth))
        y = self.activation((batch, -(-height // stride), -(-width // stride), channels))
        self.op(
            "CONV_2D", [x, filters, self.bias(channels)], [y], version=version,
            **{"padding": "SAME", "stride_h": stride, "stride_w": stride, "dilation_h_factor": 1,
               "dilation_w_factor": 1} | options,
        )  # fmt: skip
        return y

    def resize(self, x: int, op: str = "RESIZE_BILINEAR", **options: Any) -> int:
        """Double height and width with RESIZE_BILINEAR or RESIZE_NEAREST_NEIGHBOR."""
        batch, height, width, depth = self.shape(x)
        version = options.pop("version", None)
        if version is None and options.get("half_pixel_centers") and self.dtype != "int16":
            version = 3
        y = self.activation((batch, 2 * height, 2 * width, depth))
        size = self.constant([2 * height, 2 * width])
        self.op(op, [x, size], [y], version=version, **options)
        return y

    def transpose_conv(self, x: int, channels: int, **options: Any) -> int:
        """Double height and width with a learned TRANSPOSE_CONV."""
        batch, height, width, depth = self.shape(x)
        version = options.pop("version", None)
        shape = (batch, 2 * height, 2 * width, channels)
        y = self.activation(shape)
        filters = self.weights((channels, 2, 2, depth))
        self.op(
            "TRANSPOSE_CONV", [self.constant(shape), filters, x, self.bias(channels)], [y],
            version=version, **{"padding": "SAME", "stride_h": 2, "stride_w": 2} | options,
        )  # fmt: skip
        return y

    def same(self, op: str, *inputs: int, **options: Any) -> int:
        """Add an op whose output has the shape of its first input (RELU, ADD, PRELU ...)."""
        version = options.pop("version", None)
        y = self.activation(self.shape(inputs[0]))
        self.op(op, inputs, [y], version=version, **options)
        return y

    def prelu(self, x: int) -> int:
        """Add a PRELU with one slope per channel."""
        slope = self.activation((1, 1, self.shape(x)[-1]), data=0.25 if self._is_float else 16)
        return self.same("PRELU", x, slope)

    def concatenation(self, *inputs: int) -> int:
        """Join feature maps along their channels."""
        *head, _ = self.shape(inputs[0])
        y = self.activation((*head, sum(self.shape(i)[-1] for i in inputs)))
        self.op("CONCATENATION", inputs, [y], axis=3)
        return y

    @property
    def _is_float(self) -> bool:
        return self.dtype == "float32"


def conv_net(
    *, depth: int = 3, channels: int = 4, size_px: int = 8, dtype: str = "float32"
) -> bytes:
    """Build a chain of 3x3 convolutions with RELU, from three channels back to three."""
    model = ModelBuilder(dtype)
    image = model.activation((1, size_px, size_px, 3), name="image")
    x = image
    for _ in range(depth - 1):
        x = model.same("RELU", model.conv(x, channels))
    return model.build([image], [model.conv(x, 3)])


def unet(
    *,
    upsampling: str = "RESIZE_BILINEAR",
    dtype: str = "float32",
    half_pixel_centers: bool = False,
    levels: int = 2,
    channels: int = 4,
    size_px: int = 16,
    fp16_weights: bool = False,
    int8_weights: bool = False,
    even_weights: bool = False,
) -> bytes:
    """Build a U-shaped net: strided convolutions, upsampling, concatenated skips, a residual.

    Args:
        upsampling: RESIZE_BILINEAR, RESIZE_NEAREST_NEIGHBOR or TRANSPOSE_CONV.
        dtype: Of the activations.
        half_pixel_centers: Of the two resizes.
        levels: How often the resolution halves.
        channels: Of every level.
        size_px: Edge of the image; a multiple of 2 ** levels.
        fp16_weights: Store weights as float16 behind DEQUANTIZE, as converters do.
        int8_weights: Store weights as int8 beside float activations (dynamic range).
        even_weights: Store quantized weights as `EvenWeightsBuilder` does.
    """
    if int8_weights:
        model: ModelBuilder = DynamicRangeBuilder()
    elif even_weights:
        model = EvenWeightsBuilder(dtype)
    else:
        model = Float16WeightsBuilder() if fp16_weights else ModelBuilder(dtype)
    image = model.activation((1, size_px, size_px, 3), name="image")
    x = model.prelu(model.conv(image, channels))
    skips = []
    for _ in range(levels):
        skips.append(x)
        x = model.prelu(model.conv(x, channels, stride=2))
    for skip in reversed(skips):
        if upsampling == "TRANSPOSE_CONV":
            x = model.transpose_conv(x, channels)
        else:
            x = model.resize(x, upsampling, half_pixel_centers=half_pixel_centers)
        x = model.prelu(model.conv(model.concatenation(x, skip), channels))
    residual = model.conv(x, 3)
    return model.build([image], [model.same("ADD", image, residual)])


class EvenWeightsBuilder(ModelBuilder):
    """Store quantized weights drawn evenly and no biases: one step inside stays one at the end."""

    def weights(self, shape: Sequence[int], *, axis: int = 0, per_channel: bool = True) -> int:
        scales = [WEIGHT_SCALE] * (shape[axis] if per_channel else 1)
        data = self._random.integers(-40, 41, shape)
        return self.tensor(shape, "int8", data=data, scales=scales, axis=axis)

    def bias(self, channels: int) -> int:
        dtype = "int64" if self.dtype == "int16" else "int32"
        scales = [SCALE * WEIGHT_SCALE] * channels
        return self.tensor((channels,), dtype, data=0, scales=scales)


class Float16WeightsBuilder(ModelBuilder):
    """Store the weights of convolutions as float16 constants behind DEQUANTIZE."""

    def weights(self, shape: Sequence[int], *, axis: int = 0, per_channel: bool = True) -> int:
        del axis, per_channel
        return self._halved(shape, self._random.normal(0, 0.2, shape))

    def bias(self, channels: int) -> int:
        return self._halved((channels,), self._random.normal(0, 0.1, channels))

    def _halved(self, shape: Sequence[int], data: Any) -> int:
        half = self.tensor(shape, "float16", data=data)
        full = self.tensor(shape, "float32")
        self.op("DEQUANTIZE", [half], [full], version=3)
        return full


class DynamicRangeBuilder(ModelBuilder):
    """Store the weights of convolutions as int8 beside float activations and biases."""

    def weights(self, shape: Sequence[int], *, axis: int = 0, per_channel: bool = True) -> int:
        scales = [WEIGHT_SCALE] * (shape[axis] if per_channel else 1)
        data = np.clip(np.round(self._random.normal(0, 0.2, shape) / WEIGHT_SCALE), -127, 127)
        return self.tensor(shape, "int8", data=data, scales=scales, axis=axis)


def restorer(
    *,
    size_px: int = 64,
    scale: int = 1,
    values: str = "unit",
    dtype: str = "float32",
    strength: float = 0.02,
    fault: str = "",
) -> bytes:
    """Build a net that gives its image back, a little changed: what restoration networks do.

    Args:
        size_px: Edge of the image.
        scale: Output edge over input edge; above 1 by DEPTH_TO_SPACE.
        values: Of the output: unit for [0, 1], signed for [-1, 1], byte for [0, 255].
        dtype: Of the activations.
        strength: Standard deviation of the weights besides the identity.
        fault: `positive only` for a RELU before the end, `halved` for half of every weight.
    """
    model = ModelBuilder(dtype)
    image = model.activation((1, size_px, size_px, 3), name="image")
    channels = 3 * scale**2
    factor = {"unit": 1.0, "signed": 2.0, "byte": 255.0}[values]
    filters = np.random.default_rng(3).normal(0, strength, (channels, 3, 3, 3))
    for channel in range(channels):  # DEPTH_TO_SPACE takes the channels of a pixel in turn
        filters[channel, 1, 1, channel % 3] += 1.0
    filters *= factor * (0.5 if fault == "halved" else 1.0)
    offset = -1.0 if values == "signed" else 0.0
    y = model.activation((1, size_px, size_px, channels))
    model.op(
        "CONV_2D", [image, *_stored(model, filters, np.full(channels, offset))], [y],
        padding="SAME", stride_h=1, stride_w=1, dilation_h_factor=1, dilation_w_factor=1,
    )  # fmt: skip
    if scale > 1:
        larger = model.activation((1, size_px * scale, size_px * scale, 3))
        model.op("DEPTH_TO_SPACE", [y], [larger], block_size=scale)
        y = larger
    if fault == "positive only":
        y = model.same("RELU", y)
    return model.build([image], [y])


def _stored(model: ModelBuilder, filters: Any, bias: Any) -> tuple[int, int]:
    """Add filters and a bias as the model's dtype stores them."""
    if model.dtype == "float32":
        return model.tensor(filters.shape, data=filters), model.tensor(bias.shape, data=bias)
    scale = float(np.abs(filters).max()) / 127
    whole = np.round(filters / scale)
    return (
        model.tensor(filters.shape, "int8", data=whole, scales=[scale] * len(filters)),
        model.tensor(
            bias.shape, "int32", data=np.round(bias / (SCALE * scale)),
            scales=[SCALE * scale] * len(bias),
        ),
    )  # fmt: skip


def op_model(
    op: str,
    *,
    dtype: str = "float32",
    shape: Sequence[int] = (1, 8, 8, 4),
    version: int | None = None,
    **options: Any,
) -> bytes:
    """Build a model of one op with sensible inputs.

    Args:
        op: TFLite builtin name. What is not in the table below is taken as an op that maps one
            tensor to one of the same shape.
        dtype: Of the activations.
        shape: Of the input.
        version: Of the op; by default what converters write.
        options: The op's options in snake case.
    """
    model = ModelBuilder(dtype)
    x = model.activation(shape, name="x")
    make = _RECIPES.get(op)
    if make is None:
        y = model.same(op, x, version=version, **options)
    else:
        y = make(model, x, op, version, options)
    return model.build([x], [y])


_Recipe = Callable[[ModelBuilder, int, str, "int | None", dict[str, Any]], int]


def _conv(model: ModelBuilder, x: int, op: str, version: int | None, options: Any) -> int:
    return model.conv(x, 4, version=version, **options)


def _depthwise(model: ModelBuilder, x: int, op: str, version: int | None, options: Any) -> int:
    depth = model.shape(x)[-1]
    inputs = [x, model.weights((1, 3, 3, depth), axis=3), model.bias(depth)]
    known = {"padding": "SAME", "stride_h": 1, "stride_w": 1, "depth_multiplier": 1,
             "dilation_h_factor": 1, "dilation_w_factor": 1}  # fmt: skip
    y = model.activation(model.shape(x))
    model.op(op, inputs, [y], version=version, **known | options)
    return y


def _transpose_conv(model: ModelBuilder, x: int, op: str, version: int | None, options: Any) -> int:
    return model.transpose_conv(x, 4, version=version, **options)


def _dense(model: ModelBuilder, x: int, op: str, version: int | None, options: Any) -> int:
    shape = model.shape(x)
    filters = model.weights((5, shape[-1]), per_channel=False)
    y = model.activation((int(np.prod(shape[:-1])), 5))
    model.op(op, [x, filters, model.bias(5)], [y], version=version, **options)
    return y


def _resize(model: ModelBuilder, x: int, op: str, version: int | None, options: Any) -> int:
    return model.resize(x, op, version=version, **options)


def _blocks(model: ModelBuilder, x: int, op: str, version: int | None, options: Any) -> int:
    batch, height, width, depth = model.shape(x)
    block = options.get("block_size", 2)
    if op == "DEPTH_TO_SPACE":
        y = model.activation((batch, block * height, block * width, depth // max(1, block) ** 2))
    else:
        y = model.activation((batch, height // block, width // block, depth * block**2))
    model.op(op, [x], [y], version=version, **{"block_size": 2} | options)
    return y


def _prelu(model: ModelBuilder, x: int, op: str, version: int | None, options: Any) -> int:
    return model.prelu(x)


def _twice(model: ModelBuilder, x: int, op: str, version: int | None, options: Any) -> int:
    return model.same(op, x, x, version=version, **options)


def _concatenation(model: ModelBuilder, x: int, op: str, version: int | None, options: Any) -> int:
    *head, depth = model.shape(x)
    y = model.activation((*head, 2 * depth))
    model.op(op, [x, x], [y], version=version, **{"axis": len(head)} | options)
    return y


def _pad(model: ModelBuilder, x: int, op: str, version: int | None, options: Any) -> int:
    shape = model.shape(x)
    inputs = [x, model.constant([[0, 0]] + [[1, 1]] * (len(shape) - 2) + [[0, 0]])]
    if op == "PADV2":
        inputs.append(model.activation((1,), data=0))
    y = model.activation((shape[0], *(size + 2 for size in shape[1:-1]), shape[-1]))
    model.op(op, inputs, [y], version=version, **options)
    return y


def _pool(model: ModelBuilder, x: int, op: str, version: int | None, options: Any) -> int:
    batch, height, width, depth = model.shape(x)
    y = model.activation((batch, height // 2, width // 2, depth))
    known = {"padding": "SAME", "stride_h": 2, "stride_w": 2, "filter_height": 2, "filter_width": 2}
    model.op(op, [x], [y], version=version, **known | options)
    return y


def _reduce(model: ModelBuilder, x: int, op: str, version: int | None, options: Any) -> int:
    batch, _, _, depth = model.shape(x)
    y = model.activation((batch, 1, 1, depth))
    model.op(op, [x, model.constant([1, 2])], [y], version=version, **{"keep_dims": True} | options)
    return y


def _arg(model: ModelBuilder, x: int, op: str, version: int | None, options: Any) -> int:
    y = model.activation(model.shape(x)[:-1])
    model.op(op, [x, model.constant([len(model.shape(x)) - 1])], [y], version=version, **options)
    return y


def _matmul(model: ModelBuilder, x: int, op: str, version: int | None, options: Any) -> int:
    *head, rows, _ = model.shape(x)
    y = model.activation((*head, rows, rows))
    model.op(op, [x, x], [y], version=version, **{"adj_y": True} | options)
    return y


def _stack(model: ModelBuilder, x: int, op: str, version: int | None, options: Any) -> int:
    y = model.activation((2, *model.shape(x)))
    model.op(op, [x, x], [y], version=version, **{"axis": 0, "values_count": 2} | options)
    return y


def _whole(model: ModelBuilder, x: int, op: str, version: int | None, options: Any) -> int:
    """Slice or tile to the same shape."""
    shape = model.shape(x)
    ones, zeros = model.constant([1] * len(shape)), model.constant([0] * len(shape))
    bounds = {"SLICE": [zeros, model.constant(shape)], "TILE": [ones],
              "STRIDED_SLICE": [zeros, model.constant(shape), ones]}  # fmt: skip
    y = model.activation(shape)
    known = {"begin_mask": 0, "end_mask": 0} if op == "STRIDED_SLICE" else {}
    model.op(op, [x, *bounds[op]], [y], version=version, **known | options)
    return y


def _transpose(model: ModelBuilder, x: int, op: str, version: int | None, options: Any) -> int:
    shape = model.shape(x)
    order = [0, *range(2, len(shape)), 1]
    y = model.activation([shape[i] for i in order])
    model.op(op, [x, model.constant(order)], [y], version=version, **options)
    return y


def _reshape(model: ModelBuilder, x: int, op: str, version: int | None, options: Any) -> int:
    shape = (model.shape(x)[0], int(np.prod(model.shape(x)[1:])))
    y = model.activation(shape)
    model.op(op, [x, model.constant(shape)], [y], version=version, **options)
    return y


def _quantize(model: ModelBuilder, x: int, op: str, version: int | None, options: Any) -> int:
    y = model.activation(model.shape(x), "int8")
    model.op(op, [x], [y], version=version, **options)
    return y


def _dequantize(model: ModelBuilder, x: int, op: str, version: int | None, options: Any) -> int:
    y = model.tensor(model.shape(x))
    model.op(op, [x], [y], version=version, **options)
    return y


_RECIPES: dict[str, _Recipe] = {
    "CONV_2D": _conv, "DEPTHWISE_CONV_2D": _depthwise, "TRANSPOSE_CONV": _transpose_conv,
    "FULLY_CONNECTED": _dense, "RESIZE_BILINEAR": _resize, "RESIZE_NEAREST_NEIGHBOR": _resize,
    "DEPTH_TO_SPACE": _blocks, "SPACE_TO_DEPTH": _blocks, "PRELU": _prelu,
    "CONCATENATION": _concatenation, "PAD": _pad, "PADV2": _pad, "MIRROR_PAD": _pad,
    "MAX_POOL_2D": _pool, "AVERAGE_POOL_2D": _pool, "MEAN": _reduce, "SUM": _reduce,
    "REDUCE_MAX": _reduce, "REDUCE_MIN": _reduce, "REDUCE_PROD": _reduce,
    "ARG_MAX": _arg, "ARG_MIN": _arg, "BATCH_MATMUL": _matmul, "PACK": _stack, "SLICE": _whole,
    "STRIDED_SLICE": _whole, "TILE": _whole,
    "TRANSPOSE": _transpose, "RESHAPE": _reshape, "QUANTIZE": _quantize,
    "DEQUANTIZE": _dequantize, "ADD": _twice, "SUB": _twice, "MUL": _twice, "DIV": _twice,
    "MINIMUM": _twice, "MAXIMUM": _twice, "SQUARED_DIFFERENCE": _twice, "POW": _twice,
}  # fmt: skip


def _operator_code(name: str, version: int) -> Any:
    code = schema.OperatorCodeT()
    builtin = _BUILTINS.get(name, schema.BuiltinOperator.CUSTOM)
    if builtin == schema.BuiltinOperator.CUSTOM:
        code.customCode = name.encode()
    code.builtinCode = builtin
    code.deprecatedBuiltinCode = min(builtin, 127)
    code.version = version
    return code


def _camel(snake: str) -> str:
    first, *rest = snake.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _number(key: str, value: Any) -> Any:
    if isinstance(value, str):
        return (_PADDING_NUMBERS if key == "padding" else _ACTIVATION_NUMBERS)[value]
    return value


def model(data: bytes, name: str = "model") -> Model:
    """Return the bytes of a .tflite as a model."""
    return Model(name=name, data=data)


def resized(data: bytes, *, width_px: int, height_px: int) -> bytes:
    """Return the bytes of a .tflite for another input size."""
    graph = parse(data)
    batch, *_, channels = resizing.image_shape(graph)
    return resizing.reshape(data, graph, {graph.inputs[0]: (batch, height_px, width_px, channels)})
