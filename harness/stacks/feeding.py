"""Turn real values into what a model's inputs store, and its stored outputs into real values."""

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from harness import images
from harness.errors import ModelError
from harness.graph import Graph
from harness.inputs import Values

__all__ = ["Values", "read", "store"]


def store(graph: Graph, inputs: Sequence[Values]) -> list[NDArray[Any]]:
    """Return the stored values of a model's inputs, in their order.

    Raises:
        ModelError: the number or the shapes of the values do not fit, or an input has a dtype
            that real values are not stored in.
    """
    tensors = [graph.tensors[i] for i in graph.inputs]
    if len(inputs) != len(tensors):
        raise ModelError(f"has {len(tensors)} inputs and was given {len(inputs)}")
    for tensor, values in zip(tensors, inputs, strict=True):
        if tensor.shape != values.shape:
            raise ModelError(
                f"takes {list(tensor.shape)} and was given {list(values.shape)}; "
                "resize the model first"
            )
    return [
        images.to_stored(values, tensor) for tensor, values in zip(tensors, inputs, strict=True)
    ]


def read(graph: Graph, stored: Sequence[NDArray[Any]]) -> tuple[Values, ...]:
    """Return the real values of a model's stored outputs, in their order.

    Raises:
        ModelError: an output has a dtype that real values are not stored in.
    """
    tensors = [graph.tensors[i] for i in graph.outputs]
    return tuple(
        images.from_stored(values, tensor) for values, tensor in zip(stored, tensors, strict=True)
    )
