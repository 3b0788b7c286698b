"""Say how each TFLite op is written in ONNX."""

from collections.abc import Mapping

import numpy as np
from onnx import TensorProto

from harness.estimate.idioms import LAYER_NORM
from harness.estimate.onnx_writer import Emit, OnnxWriter
from harness.graph import PADDINGS, Op

_SPATIAL_ORDER = (0, 3, 1, 2)


def _same_pads(
    op: Op,
    sizes: tuple[int, ...],
    outputs: tuple[int, ...],
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
) -> list[int]:
    """Return ONNX pads for TFLite's SAME, or zeros for VALID."""
    if PADDINGS[int(op.options["padding"])] == "VALID":
        return [0, 0, 0, 0]
    before, after = [], []
    for size, out, k, stride, dilation in zip(
        sizes, outputs, kernel, strides, dilations, strict=True
    ):
        total = max(0, (out - 1) * stride + (k - 1) * dilation + 1 - size)
        before.append(total // 2)
        after.append(total - total // 2)
    return before + after


def _strides(op: Op) -> tuple[int, int]:
    return int(op.options["stride_h"]), int(op.options["stride_w"])


def _conv(w: OnnxWriter, op: Op) -> None:
    depthwise = op.name == "DEPTHWISE_CONV_2D"
    data, output = w.tensor(op.inputs[0]).shape, w.tensor(op.outputs[0]).shape
    shape = w.tensor(op.inputs[1]).shape
    kernel = (shape[1], shape[2])
    in_group = 1 if depthwise else shape[3]
    dilations = tuple(int(op.options.get(f"dilation_{a}_factor") or 1) for a in "hw")
    inputs = [
        w.read(op.inputs[0], nchw=True),
        w.weight(op.inputs[1], (output[3], in_group, *kernel)),
    ]
    if len(op.inputs) > 2 and op.inputs[2] >= 0:
        inputs.append(w.weight(op.inputs[2], (output[3],), bias_of=op.inputs[0]))
    strides = _strides(op)
    pads = _same_pads(op, data[1:3], output[1:3], kernel, strides, dilations)
    name = w.node(
        "Conv",
        inputs,
        kernel_shape=list(kernel),
        strides=list(strides),
        pads=pads,
        dilations=list(dilations),
        group=data[3] // in_group,
    )
    w.write(op.outputs[0], w.activate(op, name), nchw=True)


def _transpose_conv(w: OnnxWriter, op: Op) -> None:
    data, output = w.tensor(op.inputs[2]).shape, w.tensor(op.outputs[0]).shape
    shape = w.tensor(op.inputs[1]).shape  # [out_c, k_h, k_w, in_c]
    strides = _strides(op)
    pads, extra = [[0, 0], [0, 0]], [0, 0]
    for axis in (0, 1):
        full = (data[axis + 1] - 1) * strides[axis] + shape[axis + 1]
        total = full - output[axis + 1]
        extra[axis] = max(0, -total)
        pads[axis] = [max(0, total) // 2, max(0, total) - max(0, total) // 2]
    inputs = [
        w.read(op.inputs[2], nchw=True),
        w.weight(op.inputs[1], (shape[3], shape[0], *shape[1:3])),
    ]
    if len(op.inputs) > 3 and op.inputs[3] >= 0:
        inputs.append(w.weight(op.inputs[3], (shape[0],), bias_of=op.inputs[2]))
    name = w.node(
        "ConvTranspose",
        inputs,
        kernel_shape=list(shape[1:3]),
        strides=list(strides),
        pads=[pads[0][0], pads[1][0], pads[0][1], pads[1][1]],
        output_padding=extra,
    )
    w.write(op.outputs[0], w.activate(op, name), nchw=True)


def _fully_connected(w: OnnxWriter, op: Op) -> None:
    features, inner = w.tensor(op.inputs[1]).shape
    output = w.tensor(op.outputs[0]).shape
    name = w.read(op.inputs[0])
    if w.tensor(op.inputs[0]).shape[1:] != (inner,):
        name = w.node("Reshape", [name, w.integers([-1, inner])])
    computed = op.inputs[1] not in w.weights
    weights = w.read(op.inputs[1]) if computed else w.weight(op.inputs[1], (features, inner))
    inputs = [name, weights]
    if len(op.inputs) > 2 and op.inputs[2] >= 0:
        inputs.append(w.weight(op.inputs[2], (features,), bias_of=op.inputs[0]))
    name = w.activate(op, w.node("Gemm", inputs, transB=1))
    if len(output) != 2:
        name = w.node("Reshape", [name, w.integers(output)])
    w.write(op.outputs[0], name)


def _matmul(w: OnnxWriter, op: Op) -> None:
    names = []
    for index, flag in zip(op.inputs[:2], ("adj_x", "adj_y"), strict=True):
        name = w.read(index)
        if op.options.get(flag):
            rank = len(w.tensor(index).shape)
            name = w.node("Transpose", [name], perm=[*range(rank - 2), rank - 1, rank - 2])
        names.append(name)
    w.write(op.outputs[0], w.activate(op, w.node("MatMul", names)))


def _binary(kind: str) -> Emit:
    def emit(w: OnnxWriter, op: Op) -> None:
        names = [w.read(i) for i in op.inputs[:2]]
        w.write(op.outputs[0], w.activate(op, w.node(kind, names)))

    return emit


def _unary(kind: str) -> Emit:
    def emit(w: OnnxWriter, op: Op) -> None:
        w.write(op.outputs[0], w.node(kind, [w.read(op.inputs[0])]))

    return emit


def _clamp(low: float, high: float) -> Emit:
    def emit(w: OnnxWriter, op: Op) -> None:
        w.write(op.outputs[0], w.clip(w.read(op.inputs[0]), low, high))

    return emit


def _squared_difference(w: OnnxWriter, op: Op) -> None:
    difference = w.node("Sub", [w.read(i) for i in op.inputs[:2]])
    w.write(op.outputs[0], w.node("Mul", [difference, difference]))


def _square(w: OnnxWriter, op: Op) -> None:
    name = w.read(op.inputs[0])
    w.write(op.outputs[0], w.node("Mul", [name, name]))


def _rsqrt(w: OnnxWriter, op: Op) -> None:
    root = w.node("Sqrt", [w.read(op.inputs[0])])
    w.write(op.outputs[0], w.node("Div", [w.floats(1.0), root]))


def _gelu(w: OnnxWriter, op: Op) -> None:
    w.write(op.outputs[0], w.node("Gelu", [w.read(op.inputs[0])]))


def _prelu(w: OnnxWriter, op: Op) -> None:
    slope = w.tensor(op.inputs[1]).shape
    channels = slope[-1] if slope else 1
    inputs = [w.read(op.inputs[0], nchw=True), w.operand(op.inputs[1], (channels, 1, 1))]
    name = w.node("PRelu", inputs)
    w.write(op.outputs[0], name, nchw=True)


def _leaky_relu(w: OnnxWriter, op: Op) -> None:
    name = w.node("LeakyRelu", [w.read(op.inputs[0])], alpha=float(op.options.get("alpha", 0.2)))
    w.write(op.outputs[0], name)


def _softmax(w: OnnxWriter, op: Op) -> None:
    w.write(op.outputs[0], w.node("Softmax", [w.read(op.inputs[0])], axis=-1))


def _layer_norm(w: OnnxWriter, op: Op) -> None:
    channels = w.tensor(op.outputs[0]).shape[-1]
    scale, shift = (
        w.floats(np.full(channels, missing)) if i < 0 else w.weight(i, (channels,))
        for i, missing in zip(op.inputs[1:], (1.0, 0.0), strict=True)
    )
    w.write(
        op.outputs[0],
        w.node("LayerNormalization", [w.read(op.inputs[0]), scale, shift], axis=-1),
    )


def _pool(kind: str) -> Emit:
    def emit(w: OnnxWriter, op: Op) -> None:
        data, output = w.tensor(op.inputs[0]).shape, w.tensor(op.outputs[0]).shape
        kernel = (int(op.options["filter_height"]), int(op.options["filter_width"]))
        if kernel == (1, 1):
            # The estimator prices a window of one pixel at ten times its worth and more.
            w.write(op.outputs[0], w.activate(op, _every(w, op, data, _strides(op))))
            return
        pads = _same_pads(op, data[1:3], output[1:3], kernel, _strides(op), (1, 1))
        name = w.read(op.inputs[0], nchw=True)
        if kind == "AveragePool" and any(pads):
            # The estimator prices a padded one at up to 500 times an unpadded one. Padded before,
            # it divides by another number at the border, which costs the same.
            amounts = w.integers([0, 0, *pads[:2], 0, 0, *pads[2:]])
            name = w.settle(op.inputs[0], w.node("Pad", [name, amounts]))
            pads = [0, 0, 0, 0]
        name = w.node(
            kind, [name], kernel_shape=list(kernel), strides=list(_strides(op)), pads=pads
        )
        w.write(op.outputs[0], w.activate(op, name), nchw=True)

    return emit


def _every(w: OnnxWriter, op: Op, shape: tuple[int, ...], strides: tuple[int, int]) -> str:
    """Take every so many pixels of the op's input."""
    name = w.read(op.inputs[0])
    if strides == (1, 1):
        return name
    bounds = [w.integers(v) for v in ([0, 0], shape[1:3], [1, 2], strides)]
    return w.node("Slice", [name, *bounds])


def _reduce(kind: str) -> Emit:
    def emit(w: OnnxWriter, op: Op) -> None:
        axes = [a % len(w.tensor(op.inputs[0]).shape) for a in w.constant(op, 1)]
        keep = int(bool(op.options.get("keep_dims")))
        name = w.node(kind, [w.read(op.inputs[0]), w.integers(axes)], keepdims=keep)
        w.write(op.outputs[0], name)

    return emit


def _reshape(w: OnnxWriter, op: Op) -> None:
    shape = w.tensor(op.outputs[0]).shape
    w.write(op.outputs[0], w.node("Reshape", [w.read(op.inputs[0]), w.integers(shape)]))


def _transpose(w: OnnxWriter, op: Op) -> None:
    w.write(op.outputs[0], w.node("Transpose", [w.read(op.inputs[0])], perm=w.constant(op, 1)))


def _concatenation(w: OnnxWriter, op: Op) -> None:
    axis = int(op.options.get("axis", -1))
    name = w.node("Concat", [w.read(i) for i in op.inputs], axis=axis)
    w.write(op.outputs[0], w.activate(op, name))


def _pad(mode: str) -> Emit:
    def emit(w: OnnxWriter, op: Op) -> None:
        pairs = w.constant(op, 1)
        amounts = [*pairs[0::2], *pairs[1::2]]
        name = w.node("Pad", [w.read(op.inputs[0]), w.integers(amounts)], mode=mode)
        w.write(op.outputs[0], name)

    return emit


def _resize(mode: str) -> Emit:
    def emit(w: OnnxWriter, op: Op) -> None:
        shape = w.tensor(op.outputs[0]).shape
        sampling = "asymmetric"
        if op.options.get("half_pixel_centers"):
            sampling = "half_pixel"
        if op.options.get("align_corners"):
            sampling = "align_corners"
        sizes = w.integers([shape[i] for i in _SPATIAL_ORDER])
        name = w.node(
            "Resize",
            [w.read(op.inputs[0], nchw=True), "", "", sizes],
            mode=mode,
            coordinate_transformation_mode=sampling,
            nearest_mode="floor",
        )
        w.write(op.outputs[0], name, nchw=True)

    return emit


def _depth_to_space(w: OnnxWriter, op: Op) -> None:
    block = w.tensor(op.outputs[0]).shape[1] // w.tensor(op.inputs[0]).shape[1]
    name = w.node("DepthToSpace", [w.read(op.inputs[0], nchw=True)], blocksize=block, mode="DCR")
    w.write(op.outputs[0], name, nchw=True)


def _space_to_depth(w: OnnxWriter, op: Op) -> None:
    block = w.tensor(op.inputs[0]).shape[1] // w.tensor(op.outputs[0]).shape[1]
    name = w.node("SpaceToDepth", [w.read(op.inputs[0], nchw=True)], blocksize=block)
    w.write(op.outputs[0], name, nchw=True)


def _slice(w: OnnxWriter, op: Op) -> None:
    begins, sizes = w.constant(op, 1), w.tensor(op.outputs[0]).shape
    ends = [b + s for b, s in zip(begins, sizes, strict=True)]
    name = w.node("Slice", [w.read(op.inputs[0]), w.integers(begins), w.integers(ends)])
    w.write(op.outputs[0], name)


def _strided_slice(w: OnnxWriter, op: Op) -> None:
    shape = w.tensor(op.inputs[0]).shape
    begins, ends, strides = (w.constant(op, i) for i in (1, 2, 3))
    begin_mask, end_mask = int(op.options["begin_mask"]), int(op.options["end_mask"])
    begins = [0 if begin_mask >> i & 1 else b for i, b in enumerate(begins)]
    ends = [shape[i] if end_mask >> i & 1 else e for i, e in enumerate(ends)]
    axes = w.integers(range(len(begins)))
    inputs = [w.read(op.inputs[0]), w.integers(begins), w.integers(ends), axes, w.integers(strides)]
    name = w.node("Slice", inputs)
    output = w.tensor(op.outputs[0]).shape
    if len(output) != len(shape):
        name = w.node("Reshape", [name, w.integers(output)])
    w.write(op.outputs[0], name)


def _split(w: OnnxWriter, op: Op) -> None:
    position, data = (0, 1) if op.name == "SPLIT" else (2, 0)
    axis = w.constant(op, position)[0] % len(w.tensor(op.inputs[data]).shape)
    sizes = [w.tensor(i).shape[axis] for i in op.outputs]
    inputs = [w.read(op.inputs[data]), w.integers(sizes)]
    for index, name in zip(
        op.outputs, w.nodes("Split", inputs, len(op.outputs), axis=axis), strict=True
    ):
        w.write(index, name)


def _pack(w: OnnxWriter, op: Op) -> None:
    axis = int(op.options["axis"]) % len(w.tensor(op.outputs[0]).shape)
    names = [w.node("Unsqueeze", [w.read(i), w.integers([axis])]) for i in op.inputs]
    w.write(op.outputs[0], w.node("Concat", names, axis=axis))


def _tile(w: OnnxWriter, op: Op) -> None:
    repeats = w.integers(w.constant(op, 1))
    w.write(op.outputs[0], w.node("Tile", [w.read(op.inputs[0]), repeats]))


def _arg_max(w: OnnxWriter, op: Op) -> None:
    axis = w.constant(op, 1)[0]
    index = w.node("ArgMax", [w.read(op.inputs[0])], axis=axis, keepdims=0)
    w.write(op.outputs[0], w.node("Cast", [index], to=TensorProto.INT32))


def _requantize(w: OnnxWriter, op: Op) -> None:
    """Read and write do the work: they dequantize and quantize as the tensors ask."""
    w.write(op.outputs[0], w.read(op.inputs[0]))


EMITTERS: Mapping[str, Emit] = {
    "ABS": _unary("Abs"), "ADD": _binary("Add"), "ARG_MAX": _arg_max,
    "AVERAGE_POOL_2D": _pool("AveragePool"),
    "BATCH_MATMUL": _matmul, "CEIL": _unary("Ceil"), "CONCATENATION": _concatenation,
    "CONV_2D": _conv, "COS": _unary("Cos"), "DEPTHWISE_CONV_2D": _conv,
    "DEPTH_TO_SPACE": _depth_to_space, "DEQUANTIZE": _requantize, "DIV": _binary("Div"),
    "ELU": _unary("Elu"), "EXP": _unary("Exp"), "EXPAND_DIMS": _reshape,
    "FLOOR": _unary("Floor"), "FULLY_CONNECTED": _fully_connected, "GELU": _gelu,
    "HARD_SWISH": _unary("HardSwish"), "LEAKY_RELU": _leaky_relu, LAYER_NORM: _layer_norm,
    "LOG": _unary("Log"),
    "LOGISTIC": _unary("Sigmoid"), "MAXIMUM": _binary("Max"), "MAX_POOL_2D": _pool("MaxPool"),
    "MEAN": _reduce("ReduceMean"), "MINIMUM": _binary("Min"), "MIRROR_PAD": _pad("reflect"),
    "MUL": _binary("Mul"), "NEG": _unary("Neg"), "PACK": _pack, "PAD": _pad("constant"),
    "PADV2": _pad("constant"), "POW": _binary("Pow"), "PRELU": _prelu,
    "QUANTIZE": _requantize, "REDUCE_MAX": _reduce("ReduceMax"),
    "REDUCE_MIN": _reduce("ReduceMin"), "RELU": _unary("Relu"), "RELU6": _clamp(0.0, 6.0),
    "RELU_0_TO_1": _clamp(0.0, 1.0), "RELU_N1_TO_1": _clamp(-1.0, 1.0), "RESHAPE": _reshape,
    "RESIZE_BILINEAR": _resize("linear"), "RESIZE_NEAREST_NEIGHBOR": _resize("nearest"),
    "RSQRT": _rsqrt, "SIN": _unary("Sin"), "SLICE": _slice, "SOFTMAX": _softmax,
    "SPACE_TO_DEPTH": _space_to_depth, "SPLIT": _split, "SPLIT_V": _split,
    "SQRT": _unary("Sqrt"), "SQUARE": _square, "SQUARED_DIFFERENCE": _squared_difference,
    "SQUEEZE": _reshape, "STRIDED_SLICE": _strided_slice, "SUB": _binary("Sub"),
    "SUM": _reduce("ReduceSum"), "TANH": _unary("Tanh"), "TILE": _tile,
    "TRANSPOSE": _transpose, "TRANSPOSE_CONV": _transpose_conv,
}  # fmt: skip
