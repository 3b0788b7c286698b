"""Run an ONNX network inside a child process."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as state

from harness.errors import ModelError
from harness.text import line
from harness.worker import serve

_FAULTS: tuple[type[Exception], ...] = (
    RuntimeError,
    ValueError,
    *(
        fault
        for fault in vars(state).values()
        if isinstance(fault, type) and issubclass(fault, Exception)
    ),
)
"""What ONNX Runtime raises: its own errors have no base in common."""


def inputs(model: bytes) -> list[tuple[str, tuple[int | str | None, ...]]]:
    """Return name and shape of each input."""
    return [(one.name, tuple(one.shape)) for one in _session(model).get_inputs()]


def run(model: bytes, values: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Return every output for the one input."""
    session = _session(model)
    try:
        made = session.run(None, {session.get_inputs()[0].name: values})
    except _FAULTS as error:
        raise ModelError(f"ONNX Runtime cannot run the network: {line(str(error), 300)}") from None
    return [np.asarray(one, np.float32) for one in made]


def fixed(model: bytes, shapes: Mapping[str, Sequence[int]]) -> bytes:
    """Return a network whose inputs have fixed shapes, and all that follows from them."""
    import onnx

    try:
        tree = onnx.load_model_from_string(model)
        for one in tree.graph.input:
            lengths = shapes.get(one.name, ())  # none where its shape is fixed already
            for dim, length in zip(one.type.tensor_type.shape.dim, lengths, strict=False):
                dim.Clear()
                dim.dim_value = length
        for one in tree.graph.output:
            for dim in one.type.tensor_type.shape.dim:
                dim.Clear()
        del tree.graph.value_info[:]
        found: bytes = onnx.shape_inference.infer_shapes(tree).SerializeToString()
    except (RuntimeError, ValueError, onnx.shape_inference.InferenceError) as error:
        raise ModelError(f"its shapes cannot be fixed: {line(str(error), 300)}") from None
    return found


@functools.lru_cache(maxsize=2)
def _session(model: bytes) -> Any:
    try:
        return onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    except _FAULTS as error:
        raise ModelError(f"no ONNX network that can be run: {line(str(error), 300)}") from None


if __name__ == "__main__":
    serve({"inputs": inputs, "run": run, "fixed": fixed})
