"""Rewrite a model's ops into ones that accelerators take or compute faster."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

from harness.advice import arithmetic, moves
from harness.advice.editor import Editor
from harness.graph import Graph, Op
from harness.model import Model

_SAME = 0
_NONE, _RELU = 0, 1
_FUSES_RELU = frozenset({"ADD", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "MUL", "SUB"})
_INT8_VERSIONS = {
    "CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "TRANSPOSE_CONV": 3, "FULLY_CONNECTED": 4,
    "RESIZE_BILINEAR": 3, "RESIZE_NEAREST_NEIGHBOR": 3, "SUB": 3,
}  # fmt: skip
"""Highest versions of ops with int8 activations; others have 2.

Source: LiteRT, converter/tools/versioning/op_version.cc.
"""

Rewrite = Callable[[Model], Model | None]
"""Returns the rewritten model, or None where there is nothing to rewrite."""


def resize_then_convolve(model: Model) -> Model | None:
    """Turn each TRANSPOSE_CONV into RESIZE_BILINEAR and a CONV_2D of the same MACs or fewer."""

    def replace(editor: Editor, graph: Graph, op: Op) -> list[object]:
        data, output = op.inputs[2], op.outputs[0]
        shape, (out_c, kernel, in_c) = graph.tensors[output].shape, _filter(graph, op)
        wide = editor.add_activation((1, *shape[1:3], in_c), like=data)
        size = editor.add_integers(shape[1:3])
        weights = editor.add_weights((out_c, kernel, kernel, in_c), like=op.inputs[1])
        bias = _bias(editor, op, out_c)
        return [
            editor.op(
                "RESIZE_BILINEAR",
                _resize_version(graph, op),
                [data, size],
                [wide],
                "ResizeBilinearOptions",
                {},
            ),
            _convolution(editor, graph, op, wide, weights, bias, output),
        ]

    return _replace_transposed(model, replace)


def convolve_then_shuffle(model: Model) -> Model | None:
    """Turn each TRANSPOSE_CONV into a CONV_2D to more channels and DEPTH_TO_SPACE."""

    def replace(editor: Editor, graph: Graph, op: Op) -> list[object] | None:
        data, output = op.inputs[2], op.outputs[0]
        small, large = graph.tensors[data].shape, graph.tensors[output].shape
        block = large[1] // small[1]
        if (small[1] * block, small[2] * block) != large[1:3] or block < 2:
            return None
        out_c, kernel, in_c = _filter(graph, op)
        deep_c = out_c * block**2
        deep = editor.add_activation((1, *small[1:3], deep_c), like=output)
        weights = editor.add_weights((deep_c, kernel, kernel, in_c), like=op.inputs[1])
        bias = editor.add_bias(deep_c, activation=data)
        version = 2 if graph.tensors[output].dtype == "int8" else 1
        return [
            _convolution(editor, graph, op, data, weights, bias, deep),
            editor.op(
                "DEPTH_TO_SPACE",
                version,
                [deep],
                [output],
                "DepthToSpaceOptions",
                {"blockSize": block},
            ),
        ]

    return _replace_transposed(model, replace)


def relu_for_prelu(model: Model) -> Model | None:
    """Turn each PRELU into RELU, fused into the op before it where an exporter would."""
    graph = model.graph
    if not any(op.name == "PRELU" for op in graph.ops):
        return None
    editor = Editor(model.data)
    kept: dict[int, Any] = dict(enumerate(editor.ops))
    for op in graph.ops:
        if op.name != "PRELU":
            continue
        before = _only_producer(graph, op)
        if before is None:
            version = 2 if graph.tensors[op.outputs[0]].dtype == "int8" else 1
            kept[op.index] = editor.op("RELU", version, op.inputs[:1], op.outputs, "", {})
        else:
            kept[before.index].builtinOptions.fusedActivationFunction = _RELU
            kept[before.index].outputs = kept.pop(op.index).outputs
    editor.ops[:] = kept.values()
    return Model(name=model.name, data=editor.write())


def _only_producer(graph: Graph, op: Op) -> Op | None:
    """Return the op whose activation an op of its own is, if it can have it fused."""
    data = op.inputs[0]
    alone = data not in graph.outputs and len(graph.readers[data]) == 1
    before = graph.producers.get(data)
    if not alone or before is None or before.outputs != (data,) or before.name not in _FUSES_RELU:
        return None
    return before if before.options.get("fused_activation_function") == _NONE else None


def int8_for_int16(model: Model) -> Model | None:
    """Turn 16-bit activations into 8-bit ones."""
    graph = model.graph
    if not any(t.dtype == "int16" and t.constant is None for t in graph.tensors):
        return None
    editor = Editor(model.data)
    for tensor in graph.tensors:
        if tensor.dtype == "int16":
            editor.set_dtype(tensor.index, "int8")
        elif tensor.dtype == "int64" and tensor.constant is not None:
            editor.set_dtype(tensor.index, "int32")
    editor.cap_versions(_INT8_VERSIONS, 2)
    return Model(name=model.name, data=editor.write())


SAME_PIXELS: Mapping[str, Rewrite] = {
    "pixel shuffle by RESHAPE and TRANSPOSE -> DEPTH_TO_SPACE": functools.partial(
        moves.simplified, kinds=(moves.PIXEL_SHUFFLE,)
    ),
    "upsampling by copies -> RESIZE_NEAREST_NEIGHBOR": functools.partial(
        moves.simplified, kinds=(moves.NEAREST,)
    ),
    "TRANSPOSE and RESHAPE chains -> one or none": functools.partial(
        moves.simplified, kinds=(moves.LAYOUT,)
    ),
    "clipping by two ops -> RELU6, RELU_0_TO_1 or RELU_N1_TO_1": arithmetic.bounded,
    "normalization by DIV, SUB, MUL, ADD -> one MUL and ADD, or none": arithmetic.normalized,
}
"""Rewrites after which a model computes what it did, with the weights that it has."""
REWRITES: Mapping[str, Rewrite] = {
    "TRANSPOSE_CONV -> RESIZE_BILINEAR + CONV_2D": resize_then_convolve,
    "TRANSPOSE_CONV -> CONV_2D + DEPTH_TO_SPACE": convolve_then_shuffle,
    "PRELU -> RELU": relu_for_prelu,
    "int16 activations -> int8": int8_for_int16,
}


def _replace_transposed(
    model: Model, replace: Callable[[Editor, Graph, Op], list[object] | None]
) -> Model | None:
    graph = model.graph
    editor = Editor(model.data)
    changed: list[object] = []
    touched = False
    for op, stored in zip(graph.ops, editor.ops, strict=True):
        made = replace(editor, graph, op) if _is_known(graph, op) else None
        touched = touched or made is not None
        changed += made if made is not None else [stored]
    editor.ops[:] = changed
    return Model(name=model.name, data=editor.write()) if touched else None


def _is_known(graph: Graph, op: Op) -> bool:
    """Whether a TRANSPOSE_CONV has the options and the shapes that a file may leave out."""
    if op.name != "TRANSPOSE_CONV" or not op.options.get("stride_h"):
        return False
    return all(
        len(graph.tensors[i].shape) == 4 and min(graph.tensors[i].shape) > 0
        for i in (*op.inputs[1:3], op.outputs[0])
    )


def _filter(graph: Graph, op: Op) -> tuple[int, int, int]:
    """Return output channels, kernel of the convolution in its place, input channels."""
    out_c, kernel, _, in_c = graph.tensors[op.inputs[1]].shape
    stride = int(op.options["stride_h"])
    return out_c, max(1, -(-kernel // stride)), in_c


def _bias(editor: Editor, op: Op, channels: int) -> int:
    if len(op.inputs) > 3 and op.inputs[3] >= 0:
        return op.inputs[3]
    return editor.add_bias(channels, activation=op.inputs[2])


def _convolution(
    editor: Editor, graph: Graph, op: Op, data: int, weights: int, bias: int, output: int
) -> object:
    dtype = graph.tensors[op.outputs[0]].dtype
    options = {
        "padding": _SAME,
        "strideH": 1,
        "strideW": 1,
        "dilationHFactor": 1,
        "dilationWFactor": 1,
        "fusedActivationFunction": int(op.options.get("fused_activation_function", 0) or 0),
    }
    version = {"float32": 1, "int8": 3, "int16": 4}.get(dtype, 1)
    inputs = [data, weights, bias]
    return editor.op("CONV_2D", version, inputs, [output], "Conv2DOptions", options)


def _resize_version(graph: Graph, op: Op) -> int:
    return {"float32": 1, "int8": 2, "int16": 4}.get(graph.tensors[op.outputs[0]].dtype, 1)
