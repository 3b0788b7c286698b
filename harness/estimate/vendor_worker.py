"""Ask Qualcomm's performance estimator, in a process of its own; started by `harness.child`."""

import csv
import functools
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from harness import extras
from harness.errors import DeviceError, ModelError, StackMissing
from harness.flatbuffer import DAMAGE
from harness.graph import Graph
from harness.worker import serve

_PROVIDER = "QNNExecutionProvider"
_ARCHITECTURE = "73"
_TIME = "Simulated (Accelerator exec time us)"
_TRAFFIC = frozenset({"Input Fill", "Intermediate Fill", "Intermediate Spill"})
"""Bytes that pass between main memory and the chip, but for the outputs."""
_COUNTER = 2**32
"""The estimator counts those bytes in 32 bits, and writes a count from 2^31 on as a negative one in
64 bits: 2,359,296,000 as 18,446,744,071,773,880,320."""
_OPTIMIZATION = "2"
"""For inference: the default of Qualcomm's delegate for LiteRT. Level 3 takes twice as long or far
longer, and its estimates are no closer to phones (docs/latency.md)."""


def estimate(graph: Graph, soc_number: str) -> tuple[float, int, tuple[str, ...]]:
    """Finalize a graph for a chip and read what the estimator wrote.

    Args:
        graph: Wholly on the NPU; constants may be empty, but for shapes and axes.
        soc_number: The chip's number in Qualcomm's table, one that the estimator knows.

    Returns:
        Microseconds of one inference, the bytes that it moves between main memory and the chip, and
        the estimator's word for each op that it has no cost for, such as `Concat`.

    Raises:
        StackMissing: onnxruntime-qnn is not installed.
        ModelError: an op cannot be written, or Qualcomm's provider does not take the whole graph.
        DeviceError: the estimator gave no estimate.
    """
    weights: dict[str, NDArray[Any]] = {}
    model = _write(graph, weights)
    with tempfile.TemporaryDirectory() as folder:
        profile = Path(folder, "profile.csv")
        _finalize(model, weights, soc_number, profile)
        found = _read(profile) if profile.exists() else None
    if found is None:
        raise DeviceError(f"Qualcomm's estimator gave no estimate for chip {soc_number}")
    return found


def _write(graph: Graph, weights: dict[str, NDArray[Any]]) -> bytes:
    try:
        from harness.estimate import onnx_ops, onnx_writer
    except ImportError as error:
        raise _missing(error) from None
    try:
        return onnx_writer.write(graph, onnx_ops.EMITTERS, apart=weights)
    except DAMAGE as error:
        raise ModelError(
            "cannot be written for the vendor's estimator: an op's inputs or options make no "
            f"sense ({type(error).__name__}: {error})"
        ) from None


def _missing(error: ImportError) -> StackMissing:
    return StackMissing(f"{error.name} is not installed; {extras.install_command('qualcomm')}")


def _finalize(
    model: bytes, weights: Mapping[str, NDArray[Any]], soc_number: str, profile: Path
) -> None:
    try:
        _keep_backend(soc_number)
        _session(model, weights, soc_number, profile)
    except StackMissing:
        raise
    except Exception as error:  # noqa: BLE001 - ONNX Runtime's errors share no narrower public base
        text = " ".join(str(error).split())[:300]
        raise ModelError(f"Qualcomm's provider does not take the graph: {text}") from None


@functools.cache
def _keep_backend(soc_number: str) -> Any:
    """Return a session of one op: while one is there, Qualcomm's library is not loaded again.

    To load it takes 50 ms, several times as long as to finalize a graph of one op.
    """
    from harness.estimate.onnx_writer import one_op

    return _session(one_op(), {}, soc_number)


def _session(
    model: bytes,
    weights: Mapping[str, NDArray[Any]],
    soc_number: str,
    profile: Path | None = None,
) -> Any:
    try:
        import onnxruntime
        import onnxruntime_qnn
    except ImportError as error:
        raise _missing(error) from None
    devices = [d for d in onnxruntime.get_ep_devices() if d.ep_name == _PROVIDER]
    if not devices:
        library = onnxruntime_qnn.get_library_path()
        onnxruntime.register_execution_provider_library(_PROVIDER, library)
        devices = [d for d in onnxruntime.get_ep_devices() if d.ep_name == _PROVIDER]
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1  # the compiler has one thread; others would only spin
    options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    # A QUANTIZE of a quantized tensor is what such a pair is written for.
    options.add_session_config_entry("session.disable_double_qdq_remover", "1")
    values = [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in weights.values()]
    if values:
        options.add_external_initializers(list(weights), values)
    written = {"profiling_level": "detailed", "profiling_file_path": str(profile)}
    options.add_provider_for_devices(
        devices[:1],
        {
            "backend_path": onnxruntime_qnn.get_qnn_htp_path(),
            "soc_model": soc_number,
            "htp_arch": _ARCHITECTURE,
            "htp_graph_finalization_optimization_mode": _OPTIMIZATION,
            **(written if profile else {}),
        },
    )
    return onnxruntime.InferenceSession(model, options)


def _read(profile: Path) -> tuple[float, int, tuple[str, ...]] | None:
    """Return time, traffic and ops without a cost; None where the chip has no estimates.

    An op without a cost has a row for each of its tiles, all of one number: `Concat122 : OpId_7`.
    """
    with profile.open(newline="") as file:
        rows = [(row[6], row[2]) for row in csv.reader(file) if len(row) >= 7]
    time_us = next((value for name, value in rows if name == _TIME), None)
    if time_us is None:
        return None
    traffic = sum(int(value) % _COUNTER for name, value in rows if name in _TRAFFIC)
    uncosted = sorted({name for name, _ in rows if " : OpId_" in name})
    words = tuple(name.split(" : ")[0].rstrip("0123456789") for name in uncosted)
    return float(time_us), traffic, words


if __name__ == "__main__":
    serve({"estimate": estimate})
