"""Rewrite a .tflite for another input size.

NNAPI, Qualcomm's compiler and most delegates want constant shapes, so a model is not resized
at run time: every shape is computed again and the constants that hold sizes are rewritten.
`graph.parse` has made sure that the shape rules reproduce the shapes that it came with.
"""

import copy
import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from harness.errors import ModelError
from harness.flatbuffer import DAMAGE, pack, unpack
from harness.graph import Graph
from harness.reshaper import Reshaper, Shape
from harness.shapes import follow

_KEPT_BYTES_MAX = 8 * 2**20


def reshape(model: bytes, graph: Graph, wanted: Mapping[int, Shape]) -> bytes:
    """Return the model for inputs of other shapes; the same bytes if they are its own.

    Args:
        model: A .tflite.
        graph: The same, read.
        wanted: New shape of inputs, by index of the tensor.

    Raises:
        ModelError: an op does not allow these shapes.
    """
    changed = {i: shape for i, shape in wanted.items() if graph.tensors[i].shape != shape}
    if not changed:
        return model
    try:
        reshaper = Reshaper(graph, changed)
        follow(reshaper)
        return _write(model, graph, reshaper)
    except DAMAGE as error:
        shapes = ", ".join("x".join(map(str, shape)) for shape in changed.values())
        raise ModelError(
            f"cannot be resized to {shapes:.80}: an op's inputs or options make no "
            f"sense ({type(error).__name__}: {error!s:.200}); export the model again"
        ) from None


def image_shape(graph: Graph) -> Shape:
    """Return the shape [1, H, W, C] of the one image input.

    Raises:
        ModelError: the model has several inputs, or its input is not an image.
    """
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise ModelError(
            f"has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs; only a model with "
            "one of each has a single image"
        )
    shape = graph.tensors[graph.inputs[0]].shape
    if len(shape) != 4 or 0 in shape:
        raise ModelError(f"its input has shape {shape}; an image is [1, height, width, channels]")
    return shape


def _write(model: bytes, graph: Graph, reshaper: Reshaper) -> bytes:
    """Write the model with the new shapes; a changed constant becomes a tensor of its own."""
    tree = copy.copy(_unpacked(model) if len(model) <= _KEPT_BYTES_MAX else unpack(model))
    subgraph = copy.copy(tree.subgraphs[0])
    tree.subgraphs = [subgraph, *tree.subgraphs[1:]]
    tree.buffers, subgraph.tensors = list(tree.buffers), list(subgraph.tensors)
    subgraph.operators = list(subgraph.operators)
    for index, shape in enumerate(reshaper.shapes):
        if shape != graph.tensors[index].shape:
            tensor = subgraph.tensors[index] = copy.copy(subgraph.tensors[index])
            tensor.shape, tensor.shapeSignature = list(shape), None
    for (op_index, position), values in reshaper.constants.items():
        old = subgraph.tensors[graph.ops[op_index].inputs[position]]
        tensor = schema.TensorT()
        tensor.name, tensor.type, tensor.shape = old.name, old.type, old.shape
        tensor.buffer = len(tree.buffers)
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(values.tobytes(), dtype=np.uint8)
        tree.buffers.append(buffer)
        subgraph.tensors.append(tensor)
        op = subgraph.operators[op_index] = copy.copy(subgraph.operators[op_index])
        op.inputs = list(op.inputs)
        op.inputs[position] = len(subgraph.tensors) - 1
    return pack(tree)


@functools.lru_cache(maxsize=16)
def _unpacked(model: bytes) -> Any:
    """Return the object tree of a small model, which is asked for at several sizes; not changed."""
    return unpack(model)
