"""The shapes of a graph while its inputs change."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from harness import axes
from harness.axes import Axes
from harness.errors import ModelError
from harness.nodes import Graph, Op

Shape = tuple[int, ...]

SAME_SHAPE = frozenset({
    "ABS", "CAST", "CEIL", "COS", "CUMSUM", "DEQUANTIZE", "ELU", "EXP", "FLOOR", "GELU",
    "HARD_SWISH", "L2_NORMALIZATION", "LEAKY_RELU", "LOCAL_RESPONSE_NORMALIZATION", "LOG",
    "LOGISTIC", "LOG_SOFTMAX", "NEG", "QUANTIZE", "RELU", "RELU6", "RELU_0_TO_1",
    "RELU_N1_TO_1", "REVERSE_V2", "ROUND", "RSQRT", "SIGN", "SIN", "SOFTMAX", "SQRT", "SQUARE",
    "TANH",
})  # fmt: skip
"""Ops whose output has the shape of their input."""
BROADCAST = frozenset({
    "ADD", "ADD_N", "DIV", "EQUAL", "FLOOR_DIV", "FLOOR_MOD", "GREATER", "GREATER_EQUAL",
    "LESS", "LESS_EQUAL", "LOGICAL_AND", "LOGICAL_OR", "MAXIMUM", "MINIMUM", "MUL", "NOT_EQUAL",
    "POW", "PRELU", "SELECT_V2", "SQUARED_DIFFERENCE", "SUB",
})  # fmt: skip
"""Ops whose inputs are broadcast."""


_INTEGERS_MAX = 16
"""Entries of the longest constant that a rule reads: two paddings for each of 8 dimensions."""


class NoRule(ModelError):
    """An op whose output shapes depend on its kernel or on values known only at run time."""


class Reshaper:
    """Every shape of a graph as it follows from new input shapes, and constants to rewrite."""

    def __init__(self, graph: Graph, changed: dict[int, Shape]) -> None:
        """Start from the shapes in the file; `changed` holds other ones by tensor."""
        self.graph = graph
        self.shapes = [t.shape for t in graph.tensors]
        self.constants: dict[tuple[int, int], np.ndarray[Any, Any]] = {}
        """New value by (op index, input position)."""
        self.resizes = bool(changed)
        self._axes: dict[int, Axes] = {}
        """Of tensors whose axes are known better than by their length."""
        for index, shape in changed.items():
            self.shapes[index] = shape

    def of(self, op: Op, position: int) -> Shape:
        """Return the present shape of an op's input."""
        return self.shapes[self._input(op, position)]

    def was(self, op: Op, position: int) -> Shape:
        """Return the shape of an op's input in the file."""
        return self.graph.tensors[self._input(op, position)].shape

    def axes_of(self, index: int) -> Axes:
        """Return what is known of a tensor's axes."""
        known = axes.of(self.graph.tensors[index].shape, self.shapes[index])
        return self._axes.get(index, known)

    def _follow_axes(self, op: Op) -> None:
        """Keep what is known of the axes of an op's input where its output has the same."""
        data = next((i for i in op.inputs if i in self._axes or op.name == "TRANSPOSE"), None)
        if data is None or op.name == "RESHAPE":
            return
        known, result = self.axes_of(data), op.outputs[0]
        if op.name == "TRANSPOSE":
            self._axes[result] = tuple(known[axis] for axis in self.constant(op, 1))
        elif op.name in SAME_SHAPE | BROADCAST and axes.shape_of(known) == self.shapes[result]:
            self._axes[result] = known

    def reshaped(self, op: Op, target: Shape) -> Shape | None:
        """Return the new shape of what a RESHAPE gives, or None where that cannot be told."""
        found = axes.regrouped(self.axes_of(self._input(op, 0)), target)
        if found is None:
            return None
        self._axes[op.outputs[0]] = found
        return axes.shape_of(found)

    def constant(self, op: Op, position: int) -> list[int]:
        """Return an integer constant, flattened."""
        tensor = self.graph.tensors[self._input(op, position)]
        if tensor.constant is None:
            raise NoRule(f"op #{op.index} {op.name}: input {position} is not constant")
        values = tensor.values()
        if values is None or values.dtype.kind not in "iu" or values.size > _INTEGERS_MAX:
            raise ModelError(
                f"op #{op.index} {op.name}: input {position} is {tensor.dtype} "
                f"{list(tensor.shape)}; wants up to {_INTEGERS_MAX} integers"
            )
        return [int(v) for v in values.ravel()]

    def replace(self, op: Op, position: int, values: Sequence[int]) -> None:
        """Note a constant's new values, in the shape and dtype that it has."""
        tensor = self.graph.tensors[op.inputs[position]]
        if list(values) != self.constant(op, position):
            array = np.array(values, dtype=tensor.dtype).reshape(tensor.shape)
            self.constants[op.index, position] = array

    def misfit(self, op: Op, *shapes: Shape) -> ModelError:
        """Return what to raise where an op's inputs do not fit each other."""
        remedy = (
            "do not fit at this size; use a width and height that are multiples of the model's "
            "total stride"
            if self.resizes
            else "do not fit; export the model again"
        )
        return ModelError(f"op #{op.index} {op.name}: {shown(shapes)} {remedy}")

    def _input(self, op: Op, position: int) -> int:
        if position >= len(op.inputs) or op.inputs[position] < 0:
            raise ModelError(f"op #{op.index} {op.name} has too few inputs: no {position}")
        return op.inputs[position]


def shown(shapes: Sequence[Shape]) -> str:
    """Return up to four shapes in words."""
    shown = " and ".join(str(list(shape)) for shape in shapes[:4])
    return shown if len(shapes) <= 4 else f"{shown} and {len(shapes) - 4} more"
