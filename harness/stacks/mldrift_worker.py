"""Answer calls to LiteRT's GPU accelerator inside a child process.

The accelerator prints why it refuses ops and returns nothing of it, so what a compile prints
is caught and handed back as text; it goes to the worker's log too.
"""

import contextlib
import functools
import os
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from harness.errors import ModelError
from harness.worker import serve

_ERRORS = (ValueError, RuntimeError)


def compile_model(model: bytes) -> tuple[bool, str]:
    """Say whether the accelerator takes a whole model, and what it printed while compiling."""
    with _printed() as file:
        try:
            accelerated = bool(_compiled(model).is_fully_accelerated())
        except _ERRORS as error:
            raise ModelError(
                f"LiteRT's GPU accelerator cannot compile the model: {_reason(error, _text(file))}"
            ) from None
        text = _text(file)
    return accelerated, text


def probe(model: bytes) -> str:
    """Return what the accelerator prints when it is given a model of one op."""
    with _printed() as file:
        try:
            _compile(model)
        except _ERRORS as error:
            return f"{_text(file)}\ncannot be compiled: {_reason(error, _text(file))}"
        return _text(file)


def run(
    model: bytes,
    stored: Sequence[NDArray[Any]],
    shapes: list[tuple[str, tuple[int, ...]]],
    accelerated: bool,
) -> list[NDArray[Any]]:
    """Run one inference and return the stored values of every output.

    Args:
        model: The .tflite.
        stored: Its inputs in their stored dtypes.
        shapes: Dtype and shape of each output.
        accelerated: Whether any op runs on the GPU; LiteRT's buffers for it hold no int16.
    """
    try:
        if not accelerated:
            return _run_on_cpu(model, stored)
        compiled = _compiled(model)
        inputs, outputs = compiled.create_input_buffers(0), compiled.create_output_buffers(0)
        for buffer, values in zip(inputs, stored, strict=True):
            buffer.write(np.ascontiguousarray(values))
        compiled.run_by_index(0, inputs, outputs)
        return [
            np.asarray(buffer.read(int(np.prod(shape)), np.dtype(dtype))).reshape(shape)
            for buffer, (dtype, shape) in zip(outputs, shapes, strict=True)
        ]
    except _ERRORS as error:
        raise ModelError(f"LiteRT's GPU accelerator cannot run the model: {error}") from None


def _run_on_cpu(model: bytes, stored: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=model, num_threads=2)
    interpreter.allocate_tensors()
    for detail, values in zip(interpreter.get_input_details(), stored, strict=True):
        interpreter.set_tensor(detail["index"], values)
    interpreter.invoke()
    return [interpreter.get_tensor(o["index"]) for o in interpreter.get_output_details()]


@functools.lru_cache(maxsize=4)
def _compiled(model: bytes) -> Any:
    return _compile(model)


def _compile(model: bytes) -> Any:
    from ai_edge_litert.compiled_model import CompiledModel
    from ai_edge_litert.hardware_accelerator import HardwareAccelerator
    from ai_edge_litert.options import Options

    both = HardwareAccelerator.GPU | HardwareAccelerator.CPU
    return CompiledModel.from_buffer(model, options=Options(hardware_accelerators=both))


@contextlib.contextmanager
def _printed() -> Iterator[BinaryIO]:
    """Catch what native code writes to standard error; the log gets it afterwards."""
    log = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield file
        finally:
            os.dup2(log, 2)
            os.write(log, _text(file).encode())
            os.close(log)


def _text(file: BinaryIO) -> str:
    file.seek(0)
    return file.read().decode("utf-8", errors="replace")


def _reason(error: Exception, text: str) -> str:
    lines = [
        line.removeprefix("ERROR: ") for line in text.splitlines() if line.startswith("ERROR:")
    ]
    useful = [line for line in lines if not line.startswith(("[", "Restored original"))]
    return (useful or [" ".join(str(error).split())])[0][:300]


if __name__ == "__main__":
    serve({"compile": compile_model, "probe": probe, "run": run})
