"""Run context binaries on Qualcomm's HTP simulator, inside a child process.

ONNX Runtime's QNN provider loads a context binary through a one-node ONNX model that names it.
"""

import functools
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import DeviceError, ModelError
from harness.worker import serve

Array = NDArray[Any]
Ports = dict[int, tuple[str, tuple[int, ...]]]
"""Dtype and shape of tensors, by index."""

_ONNX_TYPES = {
    "float32": 1, "uint8": 2, "int8": 3, "uint16": 4, "int16": 5, "int32": 6, "int64": 7,
    "bool": 9, "float16": 10, "uint32": 12,
}  # fmt: skip
"""Source: ONNX, `TensorProto.DataType`."""


def execute(
    plan: Sequence[tuple[Any, ...]], fed: dict[int, Array], outputs: Sequence[int]
) -> list[Array]:
    """Run partitions in order and return the stored values of the output tensors.

    Args:
        plan: `("cpu", model, inputs, outputs)` or
            `("htp", path, graph name, inputs, outputs, ports)` each.
        fed: Stored values of tensors, by index.
        outputs: Indices of the tensors to return.
    """
    values = dict(fed)
    for unit, *step in plan:
        made = _on_cpu(values, *step) if unit == "cpu" else _on_htp(values, *step)
        values.update(made)
    return [values[i] for i in outputs]


def _on_cpu(
    values: dict[int, Array], model: bytes, inputs: Sequence[int], outputs: Sequence[int]
) -> dict[int, Array]:
    interpreter = _interpreter(model)
    try:
        for detail, i in zip(interpreter.get_input_details(), inputs, strict=True):
            interpreter.set_tensor(detail["index"], values[i])
        interpreter.invoke()
    except (ValueError, RuntimeError) as error:
        raise ModelError(f"LiteRT cannot run the part left to the CPU: {error}") from None
    details = interpreter.get_output_details()
    return {
        i: interpreter.get_tensor(detail["index"])
        for detail, i in zip(details, outputs, strict=True)
    }


@functools.lru_cache(maxsize=8)
def _interpreter(model: bytes) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    try:
        interpreter = Interpreter(model_content=model, num_threads=2)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise ModelError(f"LiteRT refuses the part left to the CPU: {error}") from None
    return interpreter


def _on_htp(
    values: dict[int, Array],
    path: str,
    graph_name: str,
    inputs: Sequence[int],
    outputs: Sequence[int],
    ports: Ports,
) -> dict[int, Array]:
    session = _session(
        path,
        graph_name,
        tuple((f"in{k}", *ports[i]) for k, i in enumerate(inputs)),
        tuple((f"out{k}", *ports[i]) for k, i in enumerate(outputs)),
    )
    feeds = {f"in{k}": np.ascontiguousarray(values[i]) for k, i in enumerate(inputs)}
    names = [f"out{k}" for k in range(len(outputs))]
    try:
        made = session.run(names, feeds)
    except _failures() as error:
        raise DeviceError(f"the HTP simulator failed: {_short(error)}") from None
    return dict(zip(outputs, made, strict=True))


Port = tuple[str, str, tuple[int, ...]]


@functools.lru_cache(maxsize=8)
def _session(
    path: str, graph_name: str, inputs: tuple[Port, ...], outputs: tuple[Port, ...]
) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.add_provider_for_devices([_htp_device()], {"backend_path": _backend()})
    options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    # A context binary may be found only beside its model, and a model only on disk.
    with tempfile.TemporaryDirectory(prefix="harness-htp-") as folder:
        binary = Path(folder) / "context.bin"
        binary.symlink_to(path)
        model = Path(folder) / "model.onnx"
        model.write_bytes(wrap(binary.name, graph_name, inputs, outputs))
        try:
            session = onnxruntime.InferenceSession(model, sess_options=options)
            session.disable_fallback()  # else a failed run hides behind a reload of the model
            return session
        except _failures() as error:
            raise DeviceError(f"the HTP simulator refuses the context: {_short(error)}") from None


def _failures() -> tuple[type[Exception], ...]:
    """Return what ONNX Runtime raises; its own errors have no common base but Exception."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    kinds = (kind for kind in vars(state).values() if isinstance(kind, type))
    own = tuple(kind for kind in kinds if issubclass(kind, Exception))
    return (*own, RuntimeError, ValueError)


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


@functools.cache
def _htp_device() -> Any:
    import onnxruntime
    import onnxruntime_qnn

    name = "QNNExecutionProvider"
    onnxruntime.set_default_logger_severity(3)
    onnxruntime.register_execution_provider_library(name, onnxruntime_qnn.get_library_path())
    devices = [d for d in onnxruntime.get_ep_devices() if d.ep_name == name]
    if not devices:
        raise DeviceError("ONNX Runtime lists no device of Qualcomm's provider")
    return devices[0]


def _backend() -> str:
    import onnxruntime_qnn

    return str(onnxruntime_qnn.get_qnn_htp_path())


def wrap(binary: str, graph_name: str, inputs: Sequence[Port], outputs: Sequence[Port]) -> bytes:
    """Return the bytes of an ONNX model of one node that stands for a context binary.

    Source: ONNX `onnx.proto` (field numbers); ONNX Runtime, "EP context design".
    """
    attributes = [
        _attribute("main_context", 1),
        _attribute("embed_mode", 0),
        _attribute("ep_cache_context", binary),
        _attribute("source", "QNN"),
        _attribute("partition_name", graph_name),
    ]
    node = b"".join([
        *(_field(1, name) for name, _, _ in inputs),
        *(_field(2, name) for name, _, _ in outputs),
        _field(3, graph_name),
        _field(4, "EPContext"),
        *(_field(5, attribute) for attribute in attributes),
        _field(7, "com.microsoft"),
    ])  # fmt: skip
    graph = b"".join([
        _field(1, node),
        _field(2, graph_name),
        *(_field(11, _value_info(*port)) for port in inputs),
        *(_field(12, _value_info(*port)) for port in outputs),
    ])  # fmt: skip
    operator_sets = [_field(2, 17), _field(1, "com.microsoft") + _field(2, 1)]
    return b"".join(
        [_field(1, 8), _field(7, graph), *(_field(8, operators) for operators in operator_sets)]
    )


def _attribute(name: str, value: int | str) -> bytes:
    if isinstance(value, int):
        return _field(1, name) + _field(3, value) + _field(20, 2)
    return _field(1, name) + _field(4, value) + _field(20, 3)


def _value_info(name: str, dtype: str, shape: Iterable[int]) -> bytes:
    dimensions = b"".join(_field(1, _field(1, size)) for size in shape)
    tensor = _field(1, _ONNX_TYPES[dtype]) + _field(2, dimensions)
    return _field(1, name) + _field(2, _field(1, tensor))


def _field(number: int, value: int | str | bytes) -> bytes:
    """Write one protocol buffer field: an integer as varint, text and messages with length."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


if __name__ == "__main__":
    serve({"execute": execute})
