"""Ask Qualcomm's own performance estimator about the part of a graph that runs on the NPU.

The estimator knows two chips of the generation of Snapdragon 8 Gen 2 (HTP v73); a small fitted
correction (see `snapdragon.py`) leads from its answer to a phone. Answers are kept by the graph's
structure: weights do not matter.
"""

import functools
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib import metadata

from harness import cache
from harness.estimate import work
from harness.estimate.quantization import scale_numbers
from harness.evidence import sha256_of
from harness.graph import Graph, Tensor
from harness.worker import ONE_A_CORE, Worker

ESTIMATOR_SOC = "52"
"""SA8255 in Qualcomm's table; chip 77 (QCS9075) answers the same. Others have no estimates."""

_MIB = 2**20
_TIMEOUT_S = 300.0
_KEPT_BYTES_MAX = 1024
_TURN_MIB = 4096.0
"""After so much the estimator's counters of bytes begin again, which are of 32 bits."""
_MOVED_RATIO = 1.05
"""Most that a compiler moves, over what ops read and write. Source: Qualcomm's own for Galaxy S24,
which counts in 64 bits, x1.04 for EDSR of paper size at 1920x1080 and for RDN at 1280x720."""


@dataclass(frozen=True, kw_only=True)
class VendorEstimate:
    """What the estimator says of one graph on its own chip.

    Attributes:
        time_ms: Milliseconds of one inference.
        traffic_mib: MiB read from main memory, and written there for want of room on chip.
        uncosted: The estimator's word for each op that it has no cost for, such as `Concat`.
        hidden_mib: MiB that may have passed beyond `traffic_mib`, where ops read and write so
            much that a counter of 32 bits may have begun again.
    """

    time_ms: float
    traffic_mib: float
    uncosted: tuple[str, ...]
    hidden_mib: float = 0.0


def estimate(graph: Graph, *, timeout_s: float = _TIMEOUT_S) -> VendorEstimate:
    """Estimate a graph that runs wholly on the NPU.

    Args:
        graph: As the phone runs it.
        timeout_s: Wall-clock limit of the estimator.

    Raises:
        TimeLimitError: the estimator gave no answer in time.
        StackMissing: the `qualcomm` extra is not installed.
        ModelError: an op has no conversion, or the vendor's provider does not take the graph.
        DeviceError: the estimator crashed, gave no answer or no estimate.
    """
    bare = without_weights(graph)

    def ask() -> VendorEstimate:
        time_us, traffic_bytes, uncosted = _worker().call(
            "estimate", bare, ESTIMATOR_SOC, timeout_s=timeout_s
        )
        traffic_mib = traffic_bytes / _MIB
        return VendorEstimate(
            time_ms=time_us / 1e3,
            traffic_mib=traffic_mib,
            uncosted=uncosted,
            hidden_mib=_hidden_mib(graph, traffic_mib),
        )

    return cache.remember("vendor-estimate", structure_key(bare), ask, kind=VendorEstimate)


def estimate_each(
    graphs: Sequence[Graph], *, timeout_s: float = _TIMEOUT_S
) -> tuple[VendorEstimate, ...]:
    """Estimate several graphs side by side, as many at a time as there are cores.

    Args:
        graphs: As `estimate` takes one; begun in this order.
        timeout_s: Wall-clock limit of each.

    Raises:
        TimeLimitError, StackMissing, ModelError, DeviceError: as `estimate`, of the first of the
            graphs that it raises for.
    """
    ask = functools.partial(estimate, timeout_s=timeout_s)
    with ThreadPoolExecutor(ONE_A_CORE, thread_name_prefix="harness-estimate") as threads:
        try:
            return tuple(threads.map(ask, graphs))
        except KeyboardInterrupt:
            threads.shutdown(wait=False, cancel_futures=True)
            _worker().kill()
            raise


def subgraph(graph: Graph, ops: Sequence[int]) -> Graph:
    """Return some ops of a graph as a graph of their own.

    Tensors keep their numbers; its inputs are what the ops read from outside, its outputs what
    others or the caller read.
    """
    chosen = set(ops)
    weights = work.weight_tensors(graph)
    unpacking = {op.index for op in graph.ops if graph.unpacks_constant(op)}
    inside = [op for op in graph.ops if op.index in chosen]
    made = {i for op in inside for i in op.outputs}
    read = dict.fromkeys(i for op in inside for i in op.inputs if i >= 0)
    wanted = set(graph.outputs)
    wanted.update(i for op in graph.ops if op.index not in chosen for i in op.inputs)
    return replace(
        graph,
        ops=tuple(op for op in graph.ops if op.index in chosen or op.index in unpacking),
        inputs=tuple(i for i in read if i not in made and i not in weights),
        outputs=tuple(i for op in inside for i in op.outputs if i in wanted),
    )


def without_weights(graph: Graph) -> Graph:
    """Return a graph whose constants are empty, but for the few that are axes, shapes or sizes."""
    return replace(graph, tensors=tuple(_bare(tensor) for tensor in graph.tensors))


def structure_key(graph: Graph) -> str:
    """Return a key of everything the estimate depends on: ops, options, shapes, dtypes, wiring."""
    used = sorted(
        {i for op in graph.ops for i in (*op.inputs, *op.outputs) if i >= 0} | {*graph.inputs}
    )
    number = {old: new for new, old in enumerate(used)}
    ops = [
        (
            op.name,
            [number.get(i, -1) for i in op.inputs],
            [number[i] for i in op.outputs],
            sorted((k, str(v)) for k, v in op.options.items()),
        )
        for op in graph.ops
    ]
    scales = scale_numbers(graph)
    tensors = [
        (
            list(t.shape),
            t.dtype,
            scales.get(t.index),
            None if t.constant is None else sha256_of(t.constant),
        )
        for t in (graph.tensors[i] for i in used)
    ]
    wiring = [[number[i] for i in graph.inputs], [number[i] for i in graph.outputs]]
    # Hashed here: to walk thousands of ops as data of unknown type takes ten times as long.
    structure = sha256_of(json.dumps([ops, tensors, wiring]).encode())
    return cache.key_of(__name__, ESTIMATOR_SOC, _versions(), structure)


def _hidden_mib(graph: Graph, traffic_mib: float) -> float:
    """Return the whole turns of the counters that what ops read and write leaves room for."""
    weights = work.weight_tensors(graph)
    moved_bytes = sum(
        work.activation_bytes(graph.tensors[i], float_bytes=2.0)
        for op in graph.ops
        for i in (*op.inputs, *op.outputs)
        if i >= 0 and i not in weights
    )
    left_mib = _MOVED_RATIO * moved_bytes / _MIB - traffic_mib
    return max(0.0, left_mib // _TURN_MIB) * _TURN_MIB


def _bare(tensor: Tensor) -> Tensor:
    keep = tensor.constant is None or (
        tensor.dtype in ("int32", "int64") and len(tensor.constant) <= _KEPT_BYTES_MAX
    )
    return tensor if keep else replace(tensor, constant=b"")


@functools.cache
def _versions() -> str:
    """Return the version of the package that holds the estimator, or ''."""
    try:
        return metadata.version("onnxruntime-qnn")
    except metadata.PackageNotFoundError:
        return ""


@functools.cache
def _worker() -> Worker:
    return Worker(
        "harness.estimate.vendor_worker",
        stage="Qualcomm performance estimator",
        log=cache.root() / "logs" / "qnn-estimator.log",
        env={"OPENBLAS_NUM_THREADS": "1"},  # its threads spin, and nothing is multiplied there
        processes=ONE_A_CORE,
    )
