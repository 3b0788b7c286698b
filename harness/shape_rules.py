"""What shape each op gives, by name."""

from collections.abc import Callable
from math import prod

import numpy as np

from harness.errors import ModelError
from harness.nodes import PADDINGS, Op
from harness.reshaper import BROADCAST, SAME_SHAPE, NoRule, Reshaper, Shape

_REDUCE = frozenset({"MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD"})


def _broadcast(reshaper: Reshaper, op: Op) -> Shape:
    shapes = [reshaper.shapes[i] for i in op.inputs if i >= 0]
    if not shapes:
        raise reshaper.misfit(op)
    try:
        return tuple(int(n) for n in np.broadcast_shapes(*shapes))
    except ValueError:
        raise reshaper.misfit(op, *shapes) from None


def _reduce(reshaper: Reshaper, op: Op) -> Shape:
    shape = reshaper.of(op, 0)
    axes = {axis % len(shape) for axis in reshaper.constant(op, 1)}
    if op.options.get("keep_dims"):
        return tuple(1 if axis in axes else n for axis, n in enumerate(shape))
    return tuple(n for axis, n in enumerate(shape) if axis not in axes)


def _windows(op: Op, length: int, window: int, stride: int, dilation: int = 1) -> int:
    """Return how many windows fit along one edge. Source: TFLite padding.h ComputeOutSize."""
    if min(window, stride, dilation) < 1:
        raise ModelError(
            f"op #{op.index} {op.name}: a window of {window}, stride {stride}, dilation {dilation}"
        )
    if PADDINGS[op.options["padding"]] == "SAME":
        return -(-length // stride)
    span = (window - 1) * dilation + 1
    if span > length:
        raise ModelError(f"op #{op.index} {op.name}: a window of {span} does not fit in {length}")
    return -(-(length - span + 1) // stride)


def _convolution(reshaper: Reshaper, op: Op) -> list[Shape]:
    n, height, width, depth = reshaper.of(op, 0)
    filters = reshaper.of(op, 1)
    # A convolution's filters have the depth of one group, a depthwise one's that of the output.
    channels, ratio = (
        (filters[3], filters[3] % depth)
        if op.name == "DEPTHWISE_CONV_2D"
        else (filters[0], depth % filters[3])
    )
    if ratio or (op.name == "DEPTHWISE_CONV_2D" and filters[0] != 1):
        raise reshaper.misfit(op, reshaper.of(op, 0), filters)
    o = op.options
    return [
        (
            n,
            _windows(op, height, filters[1], o["stride_h"], o.get("dilation_h_factor", 1)),
            _windows(op, width, filters[2], o["stride_w"], o.get("dilation_w_factor", 1)),
            channels,
        )
    ]


def _transpose_convolution(reshaper: Reshaper, op: Op) -> list[Shape]:
    n, height, width, channels = reshaper.constant(op, 0)
    _, was_height, was_width, _ = reshaper.was(op, 2)
    _, now_height, now_width, depth = reshaper.of(op, 2)
    filters = reshaper.of(op, 1)
    if (channels, depth) != (filters[0], filters[3]):
        raise reshaper.misfit(op, reshaper.of(op, 2), filters, (n, height, width, channels))
    height += (now_height - was_height) * op.options["stride_h"]
    width += (now_width - was_width) * op.options["stride_w"]
    reshaper.replace(op, 0, [n, height, width, channels])
    return [(n, height, width, channels)]


def _pool(reshaper: Reshaper, op: Op) -> list[Shape]:
    n, height, width, channels = reshaper.of(op, 0)
    o = op.options
    return [
        (
            n,
            _windows(op, height, o["filter_height"], o["stride_h"]),
            _windows(op, width, o["filter_width"], o["stride_w"]),
            channels,
        )
    ]


def _image_resize(reshaper: Reshaper, op: Op) -> list[Shape]:
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


def _depth_to_space(reshaper: Reshaper, op: Op) -> list[Shape]:
    n, height, width, channels = reshaper.of(op, 0)
    block = op.options["block_size"]
    if block < 1 or channels % block**2:
        raise ModelError(f"op #{op.index} {op.name}: {channels} channels in blocks of {block}")
    return [(n, height * block, width * block, channels // block**2)]


def _space_to_depth(reshaper: Reshaper, op: Op) -> list[Shape]:
    n, height, width, channels = reshaper.of(op, 0)
    block = op.options["block_size"]
    if block < 1 or height % block or width % block:
        raise ModelError(f"op #{op.index} {op.name}: {width}x{height} is not a multiple of {block}")
    return [(n, height // block, width // block, channels * block**2)]


def _concatenation(reshaper: Reshaper, op: Op) -> list[Shape]:
    shapes = [reshaper.of(op, position) for position in range(len(op.inputs))]
    axis = op.options["axis"] % len(shapes[0])
    if len({shape[:axis] + shape[axis + 1 :] for shape in shapes}) > 1:
        raise reshaper.misfit(op, *shapes)
    joined = sum(shape[axis] for shape in shapes)
    return [(*shapes[0][:axis], joined, *shapes[0][axis + 1 :])]


def _pad(reshaper: Reshaper, op: Op) -> list[Shape]:
    pads = reshaper.constant(op, 1)
    shape = reshaper.of(op, 0)
    return [tuple(n + a + b for n, a, b in zip(shape, pads[0::2], pads[1::2], strict=True))]


def _transpose(reshaper: Reshaper, op: Op) -> list[Shape]:
    shape, order = reshaper.of(op, 0), reshaper.constant(op, 1)
    order = [axis % len(shape) for axis in order]
    if sorted(order) != list(range(len(shape))):
        raise ModelError(f"op #{op.index} TRANSPOSE: {order} is no order of {list(shape)}")
    return [tuple(shape[axis] for axis in order)]


def _split(reshaper: Reshaper, op: Op) -> list[Shape]:
    shape = reshaper.of(op, 1)
    axis = reshaper.constant(op, 0)[0] % len(shape)
    parts = op.options["num_splits"]
    if parts != len(op.outputs) or shape[axis] % parts:
        raise ModelError(
            f"op #{op.index} SPLIT: {list(shape)} in {parts} parts for {len(op.outputs)} outputs"
        )
    part = shape[axis] // parts
    return [(*shape[:axis], part, *shape[axis + 1 :])] * len(op.outputs)


def _fully_connected(reshaper: Reshaper, op: Op) -> list[Shape]:
    shape, (units, depth) = reshaper.of(op, 0), reshaper.of(op, 1)
    if op.options.get("keep_num_dims"):
        if shape[-1] != depth:
            raise reshaper.misfit(op, shape, (units, depth))
        return [(*shape[:-1], units)]
    elements = prod(shape)
    if elements % depth and not reshaper.resizes:
        raise reshaper.misfit(op, shape, (units, depth))
    if elements % depth:
        raise ModelError(f"op #{op.index} FULLY_CONNECTED fixes the input size of this model")
    return [(elements // depth, units)]


def _reshape(reshaper: Reshaper, op: Op) -> list[Shape]:
    """Follow the axes, or scale the one dimension that must carry the change of size."""
    was = reshaper.graph.tensors[op.outputs[0]].shape
    before, after = prod(reshaper.was(op, 0)), prod(reshaper.of(op, 0))
    if not reshaper.resizes:
        return _same_elements(reshaper, op)
    if (followed := reshaper.reshaped(op, was)) is not None:
        if len(op.inputs) > 1:
            target = reshaper.constant(op, 1)
            kept = [a if a == -1 else b for a, b in zip(target, followed, strict=True)]
            reshaper.replace(op, 1, kept)
        return [followed]
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


def _strided_slice(reshaper: Reshaper, op: Op) -> list[Shape]:
    """Follow slices that keep their distance from the far edge."""
    o = op.options
    if any(o.get(key) for key in ("ellipsis_mask", "new_axis_mask", "shrink_axis_mask", "offset")):
        raise NoRule(f"op #{op.index} STRIDED_SLICE with axis masks cannot be resized")
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


def _same_elements(reshaper: Reshaper, op: Op) -> list[Shape]:
    """Believe the declared shape as long as it holds the elements of the input."""
    shape, declared = reshaper.of(op, 0), reshaper.graph.tensors[op.outputs[0]].shape
    if prod(shape) != prod(declared):
        raise ModelError(
            f"op #{op.index} {op.name} cannot make {list(declared)} of {list(shape)}; "
            "export the model again, with an input of a fixed size"
        )
    return [declared]


def _matrix_product(reshaper: Reshaper, op: Op) -> list[Shape]:
    a, b = reshaper.of(op, 0), reshaper.of(op, 1)
    if len(a) < 2 or len(b) < 2:
        raise reshaper.misfit(op, a, b)
    rows, inner = (a[-1], a[-2]) if op.options.get("adj_x") else (a[-2], a[-1])
    depth, columns = (b[-1], b[-2]) if op.options.get("adj_y") else (b[-2], b[-1])
    if inner != depth:
        raise reshaper.misfit(op, a, b)
    try:
        batch = np.broadcast_shapes(a[:-2], b[:-2])
    except ValueError:
        raise reshaper.misfit(op, a, b) from None
    return [(*(int(n) for n in batch), rows, columns)]


def _pack(reshaper: Reshaper, op: Op) -> list[Shape]:
    shapes = [reshaper.of(op, position) for position in range(len(op.inputs))]
    if len(set(shapes)) != 1:
        raise reshaper.misfit(op, *shapes)
    axis = op.options["axis"] % (len(shapes[0]) + 1)
    return [(*shapes[0][:axis], len(shapes), *shapes[0][axis:])]


def _slice(reshaper: Reshaper, op: Op) -> list[Shape]:
    shape, begins, sizes = reshaper.of(op, 0), reshaper.constant(op, 1), reshaper.constant(op, 2)
    return [
        tuple(
            n - begin if size == -1 else size
            for n, begin, size in zip(shape, begins, sizes, strict=True)
        )
    ]


def _tile(reshaper: Reshaper, op: Op) -> list[Shape]:
    repeats = reshaper.constant(op, 1)
    return [tuple(n * m for n, m in zip(reshaper.of(op, 0), repeats, strict=True))]


def _broadcast_to(reshaper: Reshaper, op: Op) -> list[Shape]:
    """Copy along axes of one, as often as the file says; other axes follow the input."""
    was, now, target = reshaper.was(op, 0), reshaper.of(op, 0), reshaper.constant(op, 1)
    if len(was) != len(target):
        raise NoRule(f"op #{op.index} BROADCAST_TO: of another number of axes")
    if any(n not in (1, m) for n, m in zip(was, target, strict=True)):
        raise reshaper.misfit(op, was, tuple(target))
    shape = [m if n == 1 else grown for n, grown, m in zip(was, now, target, strict=True)]
    reshaper.replace(op, 1, shape)
    return [tuple(shape)]


def _expand_dims(reshaper: Reshaper, op: Op) -> list[Shape]:
    if not reshaper.resizes:
        return _same_elements(reshaper, op)
    shape = reshaper.of(op, 0)
    axis = reshaper.constant(op, 1)[0] % (len(shape) + 1)
    return [(*shape[:axis], 1, *shape[axis:])]


def _split_by_sizes(reshaper: Reshaper, op: Op) -> list[Shape]:
    shape, sizes = reshaper.of(op, 0), reshaper.constant(op, 1)
    axis = reshaper.constant(op, 2)[0] % len(shape)
    left = shape[axis] - sum(size for size in sizes if size >= 0)
    return [(*shape[:axis], left if n == -1 else n, *shape[axis + 1 :]) for n in sizes]


def _without_axis(reshaper: Reshaper, op: Op) -> list[Shape]:
    shape = reshaper.of(op, 0)
    axis = reshaper.constant(op, 1)[0] % len(shape)
    return [(*shape[:axis], *shape[axis + 1 :])]


_RULES: dict[str, Callable[[Reshaper, Op], list[Shape]]] = {
    "ARG_MAX": _without_axis,
    "ARG_MIN": _without_axis,
    "AVERAGE_POOL_2D": _pool,
    "BROADCAST_TO": _broadcast_to,
    "BATCH_MATMUL": _matrix_product,
    "CONCATENATION": _concatenation,
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _convolution,
    "DEPTH_TO_SPACE": _depth_to_space,
    "EXPAND_DIMS": _expand_dims,
    "FULLY_CONNECTED": _fully_connected,
    "L2_POOL_2D": _pool,
    "MAX_POOL_2D": _pool,
    "MIRROR_PAD": _pad,
    "PACK": _pack,
    "PAD": _pad,
    "PADV2": _pad,
    "RESHAPE": _reshape,
    "RESIZE_BILINEAR": _image_resize,
    "RESIZE_NEAREST_NEIGHBOR": _image_resize,
    "SPACE_TO_DEPTH": _space_to_depth,
    "SPLIT": _split,
    "STRIDED_SLICE": _strided_slice,
    "TILE": _tile,
    "TRANSPOSE": _transpose,
    "TRANSPOSE_CONV": _transpose_convolution,
}
_RULES_AT_NATIVE_SIZE: dict[str, Callable[[Reshaper, Op], list[Shape]]] = {
    "SLICE": _slice,
    "SPLIT_V": _split_by_sizes,
    "SQUEEZE": _same_elements,
}
"""Rules for ops that hold sizes which nothing rewrites yet: they are checked, not resized."""


def shapes_of(reshaper: Reshaper, op: Op) -> list[Shape]:
    """Return the shapes of an op's outputs."""
    if op.name in SAME_SHAPE:
        return [reshaper.of(op, 0)]
    if op.name in BROADCAST:
        return [_broadcast(reshaper, op)]
    if op.name in _REDUCE:
        return [_reduce(reshaper, op)]
    rule = _RULES.get(op.name) or (None if reshaper.resizes else _RULES_AT_NATIVE_SIZE.get(op.name))
    if rule is None:
        raise NoRule(f"op #{op.index} {op.name}: no rule to resize it")
    return rule(reshaper, op)
