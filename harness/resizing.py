"""Rewrite a .tflite for another input size.

NNAPI, Qualcomm's compiler and most delegates want constant shapes, so a model is not resized
at run time: every shape is computed again and the constants that hold sizes are rewritten.
Before a model is changed, the shape rules must reproduce the shapes that it came with.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from harness import graph as graphs
from harness.errors import ModelError
from harness.graph import PADDINGS, Graph, Op

Shape = tuple[int, ...]

_SAME_SHAPE = frozenset({
    "ABS", "CAST", "CEIL", "COS", "DEQUANTIZE", "ELU", "EXP", "FLOOR", "GELU", "HARD_SWISH",
    "L2_NORMALIZATION", "LEAKY_RELU", "LOG", "LOGISTIC", "LOG_SOFTMAX", "NEG", "QUANTIZE",
    "RELU", "RELU6", "RELU_0_TO_1", "RELU_N1_TO_1", "ROUND", "RSQRT", "SIGN", "SIN", "SOFTMAX",
    "SQRT", "SQUARE", "TANH",
})  # fmt: skip
_BROADCAST = frozenset({
    "ADD", "ADD_N", "DIV", "EQUAL", "FLOOR_DIV", "FLOOR_MOD", "GREATER", "GREATER_EQUAL",
    "LESS", "LESS_EQUAL", "LOGICAL_AND", "LOGICAL_OR", "MAXIMUM", "MINIMUM", "MUL", "NOT_EQUAL",
    "POW", "PRELU", "SELECT", "SELECT_V2", "SQUARED_DIFFERENCE", "SUB",
})  # fmt: skip
_REDUCE = frozenset({"MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD"})


@functools.lru_cache(maxsize=16)
def resize(model: bytes, *, width_px: int, height_px: int) -> bytes:
    """Return the model for an input of another size; the same bytes if it already has it.

    Args:
        model: A .tflite with one image input [1, H, W, C].
        width_px: New width.
        height_px: New height.

    Raises:
        ModelError: the model has no image input, or an op does not allow that size.
    """
    try:
        return _resize(model, width_px, height_px)
    except graphs.DAMAGE as error:
        raise ModelError(
            f"cannot be resized to {width_px}x{height_px}: an op's inputs or options make no "
            f"sense ({type(error).__name__}: {error}); export the model again"
        ) from None


def _resize(model: bytes, width_px: int, height_px: int) -> bytes:
    graph = graphs.parse(model)
    shape = image_shape(graph)
    wanted = (shape[0], height_px, width_px, shape[3])
    if shape == wanted:
        return model
    check = _Reshaper(graph, {})
    check.run()
    for tensor in graph.tensors:
        if tensor.constant is None and check.shapes[tensor.index] != tensor.shape:
            raise ModelError(
                f"tensor {tensor.name!r} has shape {tensor.shape} where the ops give "
                f"{check.shapes[tensor.index]}; the model cannot be resized"
            )
    reshaper = _Reshaper(graph, {graph.inputs[0]: wanted})
    reshaper.run()
    return _write(model, graph, reshaper)


def image_shape(graph: Graph) -> Shape:
    """Return the shape [1, H, W, C] of the one image input.

    Raises:
        ModelError: the model has several inputs, or its input is not an image.
    """
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise ModelError(
            f"has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs; "
            "a restoration model has one of each"
        )
    shape = graph.tensors[graph.inputs[0]].shape
    if len(shape) != 4 or 0 in shape:
        raise ModelError(f"its input has shape {shape}; an image is [1, height, width, channels]")
    return shape


class _Reshaper:
    """Compute every shape of a graph from its input shape, noting constants to rewrite."""

    def __init__(self, graph: Graph, changed: dict[int, Shape]) -> None:
        self.graph = graph
        self.shapes = [t.shape for t in graph.tensors]
        self.constants: dict[tuple[int, int], np.ndarray[Any, Any]] = {}
        """New value by (op index, input position)."""
        self._start = changed

    def run(self) -> None:
        for index, shape in self._start.items():
            self.shapes[index] = shape
        for op in self.graph.ops:
            touched = any(
                self.shapes[i] != self.graph.tensors[i].shape for i in op.inputs if i >= 0
            )
            if touched or not self._start:
                for index, shape in zip(op.outputs, self._shapes_of(op), strict=True):
                    self.shapes[index] = shape

    def _shapes_of(self, op: Op) -> list[Shape]:
        if op.name in _SAME_SHAPE:
            return [self.of(op, 0)]
        if op.name in _BROADCAST:
            return [_broadcast(op, [self.shapes[i] for i in op.inputs if i >= 0])]
        if op.name in _REDUCE:
            return [_reduce(self, op)]
        rule = _RULES.get(op.name)
        if rule is None:
            if self._start:
                raise ModelError(f"op #{op.index} {op.name}: no rule to resize it")
            return [self.graph.tensors[i].shape for i in op.outputs]
        return rule(self, op)

    def of(self, op: Op, position: int) -> Shape:
        """Return the present shape of an op's input."""
        return self.shapes[op.inputs[position]]

    def was(self, op: Op, position: int) -> Shape:
        """Return the shape of an op's input in the file."""
        return self.graph.tensors[op.inputs[position]].shape

    def constant(self, op: Op, position: int) -> list[int]:
        """Return an integer constant, flattened."""
        values = self.graph.tensors[op.inputs[position]].values()
        if values is None:
            raise ModelError(f"op #{op.index} {op.name}: input {position} is not constant")
        return [int(v) for v in values.ravel()]

    def replace(self, op: Op, position: int, values: Sequence[int]) -> None:
        """Note a constant's new values, in the shape and dtype that it has."""
        tensor = self.graph.tensors[op.inputs[position]]
        if list(values) != self.constant(op, position):
            array = np.array(values, dtype=tensor.dtype).reshape(tensor.shape)
            self.constants[op.index, position] = array


def _broadcast(op: Op, shapes: list[Shape]) -> Shape:
    try:
        return tuple(int(n) for n in np.broadcast_shapes(*shapes))
    except ValueError:
        found = " and ".join(str(list(shape)) for shape in shapes)
        raise ModelError(
            f"op #{op.index} {op.name}: {found} do not fit at this size; "
            "use a width and height that are multiples of the model's total stride"
        ) from None


def _reduce(reshaper: _Reshaper, op: Op) -> Shape:
    shape = reshaper.of(op, 0)
    axes = {axis % len(shape) for axis in reshaper.constant(op, 1)}
    if op.options.get("keep_dims"):
        return tuple(1 if axis in axes else n for axis, n in enumerate(shape))
    return tuple(n for axis, n in enumerate(shape) if axis not in axes)


def _windows(op: Op, length: int, window: int, stride: int, dilation: int = 1) -> int:
    """Return how many windows fit along one edge. Source: TFLite padding.h ComputeOutSize."""
    if PADDINGS[op.options["padding"]] == "SAME":
        return -(-length // stride)
    span = (window - 1) * dilation + 1
    return -(-(length - span + 1) // stride)


def _convolution(reshaper: _Reshaper, op: Op) -> list[Shape]:
    n, height, width, _ = reshaper.of(op, 0)
    filters = reshaper.of(op, 1)
    channels = filters[3] if op.name == "DEPTHWISE_CONV_2D" else filters[0]
    o = op.options
    return [(
        n,
        _windows(op, height, filters[1], o["stride_h"], o.get("dilation_hfactor", 1)),
        _windows(op, width, filters[2], o["stride_w"], o.get("dilation_wfactor", 1)),
        channels,
    )]  # fmt: skip


def _transpose_convolution(reshaper: _Reshaper, op: Op) -> list[Shape]:
    n, height, width, channels = reshaper.constant(op, 0)
    _, was_height, was_width, _ = reshaper.was(op, 2)
    _, now_height, now_width, _ = reshaper.of(op, 2)
    height += (now_height - was_height) * op.options["stride_h"]
    width += (now_width - was_width) * op.options["stride_w"]
    reshaper.replace(op, 0, [n, height, width, channels])
    return [(n, height, width, channels)]


def _pool(reshaper: _Reshaper, op: Op) -> list[Shape]:
    n, height, width, channels = reshaper.of(op, 0)
    o = op.options
    return [(
        n,
        _windows(op, height, o["filter_height"], o["stride_h"]),
        _windows(op, width, o["filter_width"], o["stride_w"]),
        channels,
    )]  # fmt: skip


def _image_resize(reshaper: _Reshaper, op: Op) -> list[Shape]:
    n, *now, channels = reshaper.of(op, 0)
    was = reshaper.was(op, 0)[1:3]
    size = []
    for old, before, after in zip(reshaper.constant(op, 1), was, now, strict=True):
        if old * after % before:
            raise ModelError(
                f"op #{op.index} {op.name}: {before} -> {old} has no whole counterpart "
                f"for {after}; use another width and height"
            )
        size.append(old * after // before)
    reshaper.replace(op, 1, size)
    return [(n, *size, channels)]


def _depth_to_space(reshaper: _Reshaper, op: Op) -> list[Shape]:
    n, height, width, channels = reshaper.of(op, 0)
    block = op.options["block_size"]
    return [(n, height * block, width * block, channels // block**2)]


def _space_to_depth(reshaper: _Reshaper, op: Op) -> list[Shape]:
    n, height, width, channels = reshaper.of(op, 0)
    block = op.options["block_size"]
    if height % block or width % block:
        raise ModelError(f"op #{op.index} {op.name}: {width}x{height} is not a multiple of {block}")
    return [(n, height // block, width // block, channels * block**2)]


def _concatenation(reshaper: _Reshaper, op: Op) -> list[Shape]:
    shapes = [reshaper.shapes[i] for i in op.inputs]
    axis = op.options["axis"] % len(shapes[0])
    rests = {shape[:axis] + shape[axis + 1 :] for shape in shapes}
    if len(rests) > 1:
        found = " and ".join(str(list(shape)) for shape in shapes)
        raise ModelError(
            f"op #{op.index} {op.name}: {found} do not fit at this size; "
            "use a width and height that are multiples of the model's total stride"
        )
    joined = sum(shape[axis] for shape in shapes)
    return [(*shapes[0][:axis], joined, *shapes[0][axis + 1 :])]


def _pad(reshaper: _Reshaper, op: Op) -> list[Shape]:
    pads = reshaper.constant(op, 1)
    shape = reshaper.of(op, 0)
    return [tuple(n + a + b for n, a, b in zip(shape, pads[0::2], pads[1::2], strict=True))]


def _transpose(reshaper: _Reshaper, op: Op) -> list[Shape]:
    shape = reshaper.of(op, 0)
    return [tuple(shape[axis] for axis in reshaper.constant(op, 1))]


def _split(reshaper: _Reshaper, op: Op) -> list[Shape]:
    shape = reshaper.of(op, 1)
    axis = reshaper.constant(op, 0)[0] % len(shape)
    part = shape[axis] // op.options["num_splits"]
    return [(*shape[:axis], part, *shape[axis + 1 :])] * len(op.outputs)


def _fully_connected(reshaper: _Reshaper, op: Op) -> list[Shape]:
    shape, (units, depth) = reshaper.of(op, 0), reshaper.of(op, 1)
    if op.options.get("keep_num_dims"):
        return [(*shape[:-1], units)]
    elements = int(np.prod(shape))
    if elements % depth:
        raise ModelError(f"op #{op.index} FULLY_CONNECTED fixes the input size of this model")
    return [(elements // depth, units)]


def _reshape(reshaper: _Reshaper, op: Op) -> list[Shape]:
    """Scale the one dimension of the target that must carry the change of size."""
    was = reshaper.graph.tensors[op.outputs[0]].shape
    before, after = int(np.prod(reshaper.was(op, 0))), int(np.prod(reshaper.of(op, 0)))
    if before == after:
        return [was]
    channels = reshaper.of(op, 0)[-1]
    free = [axis for axis, n in enumerate(was) if n != 1 and axis != len(was) - 1]
    if len(free) != 1 or was[-1] != channels or len(op.inputs) < 2:
        raise ModelError(
            f"op #{op.index} RESHAPE to {list(was)}: cannot tell which dimension follows the size"
        )
    now = tuple(n * after // before if axis == free[0] else n for axis, n in enumerate(was))
    target = reshaper.constant(op, 1)
    reshaper.replace(op, 1, [n if n == -1 else m for n, m in zip(target, now, strict=True)])
    return [now]


def _strided_slice(reshaper: _Reshaper, op: Op) -> list[Shape]:
    """Follow slices that keep their distance from the far edge."""
    o = op.options
    if o.get("ellipsis_mask") or o.get("new_axis_mask") or o.get("shrink_axis_mask"):
        raise ModelError(f"op #{op.index} STRIDED_SLICE with axis masks cannot be resized")
    begins, ends, steps = (reshaper.constant(op, i) for i in (1, 2, 3))
    was, now, shape = reshaper.was(op, 0), reshaper.of(op, 0), []
    for axis, step in enumerate(steps):
        grown = now[axis] - was[axis]
        if begins[axis] > was[axis] // 2:
            begins[axis] += grown
        if ends[axis] > was[axis] // 2:
            ends[axis] += grown
        begin = None if o["begin_mask"] >> axis & 1 else begins[axis]
        end = None if o["end_mask"] >> axis & 1 else ends[axis]
        shape.append(len(range(now[axis])[begin:end:step]))
    reshaper.replace(op, 1, begins)
    reshaper.replace(op, 2, ends)
    return [(*shape, *now[len(steps) :])]


_RULES: dict[str, Callable[[_Reshaper, Op], list[Shape]]] = {
    "AVERAGE_POOL_2D": _pool,
    "CONCATENATION": _concatenation,
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _convolution,
    "DEPTH_TO_SPACE": _depth_to_space,
    "FULLY_CONNECTED": _fully_connected,
    "MAX_POOL_2D": _pool,
    "MIRROR_PAD": _pad,
    "PAD": _pad,
    "PADV2": _pad,
    "RESHAPE": _reshape,
    "RESIZE_BILINEAR": _image_resize,
    "RESIZE_NEAREST_NEIGHBOR": _image_resize,
    "SPACE_TO_DEPTH": _space_to_depth,
    "SPLIT": _split,
    "STRIDED_SLICE": _strided_slice,
    "TRANSPOSE": _transpose,
    "TRANSPOSE_CONV": _transpose_convolution,
}


def _write(model: bytes, graph: Graph, reshaper: _Reshaper) -> bytes:
    """Write the model with the new shapes; a changed constant becomes a tensor of its own."""
    tree = schema.ModelT.InitFromPackedBuf(bytearray(model), 0)
    subgraph = tree.subgraphs[0]
    for index, shape in enumerate(reshaper.shapes):
        if shape != graph.tensors[index].shape:
            subgraph.tensors[index].shape = list(shape)
            subgraph.tensors[index].shapeSignature = None
    for (op_index, position), values in reshaper.constants.items():
        old = subgraph.tensors[graph.ops[op_index].inputs[position]]
        tensor = schema.TensorT()
        tensor.name, tensor.type, tensor.shape = old.name, old.type, old.shape
        tensor.buffer = len(tree.buffers)
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(values.tobytes(), dtype=np.uint8)
        tree.buffers.append(buffer)
        subgraph.tensors.append(tensor)
        subgraph.operators[op_index].inputs[position] = len(subgraph.tensors) - 1
    return pack(tree)


def pack(tree: schema.ModelT) -> bytes:
    """Write an object tree of the TFLite schema as the bytes of a .tflite file."""
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(tree.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())
