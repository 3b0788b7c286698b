"""Read what a job of Qualcomm AI Hub found: latency, placement, outputs, memory.

Source: qai-hub 0.56.0, public_api_pb2.pyi (ProfileDetail, LayerDetail, JobFailureType).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from harness import latency, memory, placement
from harness.devices.traces.attribution import CPU_DELEGATES, reached
from harness.errors import (
    ConfigError,
    DeviceError,
    HarnessError,
    MeasurementError,
    ModelError,
)
from harness.evidence import Provenance
from harness.graph import Graph, Op
from harness.images import Output
from harness.latency import Latency
from harness.memory import Memory
from harness.model import Model
from harness.placement import CPU, XNNPACK, NodePlacement, Placement
from harness.profiles import Target
from harness.stacks import feeding

_MIB = 2**20


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One op as the profiler saw it.

    Attributes:
        name: Its name, that of its output tensor.
        type: Its op, such as `CONV_2D`.
        unit: CPU, GPU, NPU or UNSPECIFIED.
        delegate: Name of the delegate that took it, or ''.
        segment: What was run in one piece with others, or ''.
        time_us: Its time in an extra pass, or None.
    """

    name: str
    type: str
    unit: str
    delegate: str = ""
    segment: str = ""
    time_us: int | None = None


@dataclass(frozen=True, kw_only=True)
class JobResult:
    """What a job found.

    Attributes:
        outputs: Names of the outputs, in the order of `outputs.npz`.
        times_us: Microseconds of each inference.
        cold_load_us: Microseconds of the first load.
        peak_bytes: Peak memory of the inferences; 0 where it is not known.
        tools: Versions of the software that took part.
        layers: What ran where.
    """

    outputs: tuple[str, ...]
    times_us: tuple[int, ...]
    cold_load_us: int
    peak_bytes: int
    tools: dict[str, str]
    layers: tuple[Layer, ...]


def failure(code: int, said: str) -> HarnessError:
    """Return the error of a job that failed, by its failure type."""
    if code in (13000, 13001):
        return ConfigError(f"{said}; inputs or options are not what AI Hub takes")
    if 3000 <= code < 4000 or 13000 < code < 14000:
        return ModelError(f"{said}; AI Hub cannot use this model")
    known = {
        3: "AI Hub does not support this",
        2001: "the process crashed on the phone",
        2002: "AI Hub's worker ran out of disk",
        2004: "AI Hub's worker ran out of memory",
        12000: "it took longer than AI Hub allows",
        12001: "the phone ran out of memory",
        12102: "AI Hub is too busy; run again later with --resume",
        21000: "AI Hub is too busy; run again later with --resume",
    }
    if 1000 <= code < 3000 and code not in known:
        return DeviceError(f"{said}; AI Hub itself failed (type {code}); run again with --resume")
    return DeviceError(f"{said}; {known.get(code, f'failure type {code}')}")


def timed(found: JobResult, made: Provenance) -> Latency:
    """Return the latency.

    Raises:
        MeasurementError: there are no samples.
    """
    samples_ms = [us / 1000 for us in found.times_us]
    return latency.summarize(
        samples_ms,
        first_ms=samples_ms[0] if samples_ms else 0.0,
        init_ms=found.cold_load_us / 1000,
        provenance=made,
    )


def placed(found: JobResult, model: Model, target: Target, made: Provenance) -> Placement:
    """Return which op ran where.

    Raises:
        MeasurementError: the layers are not those of the model.
    """
    graph = model.graph
    layers = _by_op(found.layers, graph)
    nodes = tuple(
        NodePlacement(index=op.index, op=op.name, unit=unit, reason=reason)
        for op, layer in zip(graph.ops, layers, strict=True)
        for unit, reason in (_unit(layer, target),)
    )
    return Placement(
        nodes=nodes,
        partitions=len(placement.partition(graph, [node.unit != CPU for node in nodes])),
        cpu_time_share=_cpu_time_share(nodes, layers),
        provenance=made,
    )


def _by_op(layers: Sequence[Layer], graph: Graph) -> list[Layer]:
    """Return the layer of each op: by the order of all ops, else by the name of an output."""
    if [layer.type for layer in layers] == [op.name for op in graph.ops]:
        return list(layers)
    by_name = {layer.name: layer for layer in layers}
    found = [_named(op, graph, by_name) for op in graph.ops]
    if not all(found):
        missing = next(op for op, layer in zip(graph.ops, found, strict=True) if layer is None)
        raise MeasurementError(
            f"the profile has {len(layers)} layers and none for op #{missing.index} "
            f"{missing.name} of {len(graph.ops)}: it is of another model, or names layers otherwise"
        )
    return [layer for layer in found if layer is not None]


def _named(op: Op, graph: Graph, by_name: dict[str, Layer]) -> Layer | None:
    names = (graph.tensors[i].name for i in op.outputs)
    return next((by_name[name] for name in names if name in by_name), None)


def _unit(layer: Layer, target: Target) -> tuple[str, str]:
    """Return unit and reason of an op, in the words of a phone on the cable."""
    on_cpu = any(word in layer.delegate for word in CPU_DELEGATES)
    if layer.unit in ("GPU", "NPU"):
        return reached(target.delegate), ""
    if layer.unit != "CPU":
        return placement.UNKNOWN, "the profile names no unit"
    if target.delegate == "cpu":
        return (XNNPACK, "") if on_cpu else (CPU, "the cpu delegate did not take it")
    return CPU, f"the {target.delegate} delegate did not take it"


def _cpu_time_share(nodes: Sequence[NodePlacement], layers: Sequence[Layer]) -> float | None:
    """Return the share of the time on the CPU, or None where a time is missing."""
    times = [layer.time_us for layer in layers]
    total = sum(time or 0 for time in times)
    if total == 0 or any(time is None for time in times):
        return None
    cpu = [t or 0 for t, node in zip(times, nodes, strict=True) if node.unit in placement.ON_CPU]
    return sum(cpu) / total


def outputs(found: JobResult, folder: Path, batch: int, model: Model, made: Provenance) -> Output:
    """Return what the model made of one of the inputs.

    Raises:
        DeviceError: the file is missing or damaged, or the outputs have a wrong size.
    """
    graph = model.graph
    wanted = [graph.tensors[i] for i in graph.outputs]
    names = list(found.outputs)
    order = [names.index(n) for n in graph.output_names if n in names]
    if len(order) != len(wanted):
        order = list(range(len(wanted)))  # named by another exporter
    try:
        with np.load(folder / "outputs.npz", allow_pickle=False, max_header_size=4096) as stored:
            arrays = [stored[f"{at}.{batch}"] for at in order]
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise DeviceError(f"{model.name}: its outputs cannot be read ({error})") from None
    for array, tensor in zip(arrays, wanted, strict=True):
        if array.shape != tensor.shape or array.dtype != np.dtype(tensor.dtype):
            raise DeviceError(
                f"{model.name}: an output is {array.dtype} {list(array.shape)}, expected "
                f"{tensor.dtype} {list(tensor.shape)}: results of another model"
            )
    values = feeding.read(graph, arrays)
    return Output(values=dict(zip(graph.output_names, values, strict=True)), provenance=made)


def needed(found: JobResult, model: Model, made: Provenance) -> Memory:
    """Return what an inference needs of memory."""
    reported = found.peak_bytes / _MIB if found.peak_bytes else None
    return replace(memory.of_graph(model.graph, made), reported_peak_mib=reported)
