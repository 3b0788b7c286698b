"""Answer LiteRT calls inside a child process, so that a bad model can only crash the child."""

import functools
import os
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import ModelError
from harness.worker import serve

_THREADS_MAX = 4
"""More threads than this gain little on the frames of a gate."""
_CUSTOM = re.compile(r"Encountered unresolved custom op: ([^ ]{1,256})\. ")
_FORCE_FP16 = 0x7
"""XNNPACK delegate flags QS8 | QU8 | FORCE_FP16. Source: LiteRT xnnpack_delegate.h."""


def execute(
    model: bytes, stored: Sequence[NDArray[Any]], fp16: bool, threads: int = 0
) -> list[NDArray[Any]]:
    """Run one inference on inputs in their stored dtypes and return every stored output.

    Args:
        model: The bytes of a .tflite.
        stored: One array an input.
        fp16: Force fp16 arithmetic.
        threads: Threads to run with, or 0 for as many as there are cores, at most four. They
            change no bit of the output.
    """
    if fp16:
        return _execute_fp16(model, stored)
    interpreter = _interpreter(model, threads)
    try:
        for detail, values in zip(interpreter.get_input_details(), stored, strict=True):
            interpreter.set_tensor(detail["index"], values)
        interpreter.invoke()
        return [interpreter.get_tensor(o["index"]) for o in interpreter.get_output_details()]
    except (ValueError, RuntimeError) as error:
        raise ModelError(f"LiteRT cannot run the model: {_words(error)}") from None


def delegated(model: bytes) -> list[bool]:
    """Say for each op whether XNNPACK took it.

    The interpreter lists the original nodes and then one DELEGATE node per partition; what
    lies between a partition's inputs and outputs is inside it.
    """
    listed = _interpreter(model)._interpreter  # with dtypes, NumPy would have to know each
    details = [
        {"inputs": listed.NodeInputs(k), "outputs": listed.NodeOutputs(k), "op": listed.NodeName(k)}
        for k in range(listed.NumNodes())
    ]
    originals = [node for node in details if node["op"] != "DELEGATE"]
    producers = {int(i): k for k, node in enumerate(originals) for i in node["outputs"]}
    inside = [False] * len(originals)
    for node in details[len(originals) :]:
        borders = {int(i) for i in node["inputs"]}
        pending = [int(i) for i in node["outputs"]]
        while pending:
            index = producers.get(pending.pop())
            if index is not None and not inside[index]:
                inside[index] = True
                pending += [int(i) for i in originals[index]["inputs"] if int(i) not in borders]
    return inside


@functools.lru_cache(maxsize=2)
def _interpreter(model: bytes, threads: int = 0) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    try:
        used = threads or min(_THREADS_MAX, os.cpu_count() or 1)
        interpreter = Interpreter(model_content=model, num_threads=used)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise ModelError(f"LiteRT refuses the model: {_words(error)}") from None
    return interpreter


def _words(error: Exception) -> str:
    """Return what LiteRT says in one line; of an op that it does not know, what to do."""
    said = " ".join(str(error).split())
    unknown = _CUSTOM.match(said)
    if unknown is None:
        return said
    return (
        f"it has no kernel for the custom op {unknown[1]}; export the model with builtin ops in "
        "its place, or cut it off and judge the rest"
    )


def _execute_fp16(model: bytes, stored: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
    from ai_edge_litert.compiled_model import CompiledModel
    from ai_edge_litert.cpu_options import CpuOptions
    from ai_edge_litert.hardware_accelerator import HardwareAccelerator
    from ai_edge_litert.interpreter import Interpreter
    from ai_edge_litert.options import Options

    try:
        compiled = CompiledModel.from_buffer(
            model,
            options=Options(
                hardware_accelerators=HardwareAccelerator.CPU,
                cpu_options=CpuOptions(xnnpack_flags=_FORCE_FP16),
            ),
        )
        inputs, outputs = compiled.create_input_buffers(0), compiled.create_output_buffers(0)
        for buffer, values in zip(inputs, stored, strict=True):
            buffer.write(np.ascontiguousarray(values))
        compiled.run_by_index(0, inputs, outputs)
        details = Interpreter(model_content=model).get_output_details()  # without its memory
        return [
            np.asarray(buffer.read(int(np.prod(one["shape"])), one["dtype"])).reshape(one["shape"])
            for buffer, one in zip(outputs, details, strict=True)
        ]
    except (ValueError, RuntimeError) as error:
        raise ModelError(f"LiteRT cannot run the model in fp16: {error}") from None


if __name__ == "__main__":
    serve({"execute": execute, "delegated": delegated})
