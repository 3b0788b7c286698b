"""Place and run models on Snapdragon NPUs: Qualcomm's own compiler and HTP simulator."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace

from harness import cache, cutting, evidence
from harness.errors import ConfigError
from harness.evidence import Evidence, Provenance
from harness.graph import Graph
from harness.images import Pixels
from harness.model import Model
from harness.placement import CPU, NodePlacement, Placement
from harness.profiles import Target
from harness.stacks import feeding, qnn_compiler
from harness.stacks.feeding import Values
from harness.stacks.qnn_compiler import HTP, Partition, Split, missing, versions
from harness.worker import ONE_A_CORE, Worker

__all__ = ["Traffic", "execute", "missing", "place", "run", "traffic", "versions"]

_RUN_TIMEOUT_S = 540.0
_MEMORY_MIB = 24 * 1024


def place(model: Model, target: Target) -> Placement:
    """Say which op Qualcomm's partitioner gives to the NPU of a phone, and why others stay.

    Args:
        model: At the size it is to run.
        target: A phone with an accelerator that names its `soc_model`.

    Raises:
        StackMissing: the packages are not installed.
        DeviceError: the compiler does not know the chip, or crashed.
        ModelError: the compiler cannot read the model.
    """
    soc_model = _soc_model(target)
    parts = qnn_compiler.split(model, soc_model)
    units = {i: partition.unit for partition in parts.partitions for i in partition.ops}
    return Placement(
        nodes=tuple(
            NodePlacement(
                index=op.index,
                op=op.name,
                unit=HTP if units[op.index] == HTP else CPU,
                reason=parts.refusals.get(op.index, ""),
            )
            for op in model.graph.ops
        ),
        partitions=len(parts.partitions),
        provenance=_provenance(model, target, "placement by the vendor's compiler on this host"),
    )


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """What the compiler says that one inference moves between the NPU and DRAM.

    Attributes:
        spill_mib: Out of on-chip memory for lack of room.
        fill_mib: Back into it.
        write_mib: Written in all.
        read_mib: Read in all, weights included.
        context_mib: Size of the compiled contexts.
    """

    spill_mib: float
    fill_mib: float
    write_mib: float
    read_mib: float
    context_mib: float


def traffic(model: Model, target: Target) -> Traffic:
    """Compile for a phone and return what its compiler says of memory.

    Returns:
        Sums over the NPU's partitions; all 0 where no op runs there.

    Raises:
        StackMissing, DeviceError, ModelError: as `place`; ModelError also where the compiler
            cannot compile what its partitioner accepted.
    """
    soc_model = _soc_model(target)
    parts = qnn_compiler.split(model, soc_model)
    contexts = [
        qnn_compiler.compile_partition(model, partition, soc_model)
        for partition in _live_partitions(model.graph, parts)
        if partition.unit == HTP
    ]
    return Traffic(
        spill_mib=sum(context.spill_bytes for context in contexts) / 2**20,
        fill_mib=sum(context.fill_bytes for context in contexts) / 2**20,
        write_mib=sum(context.write_bytes for context in contexts) / 2**20,
        read_mib=sum(context.read_bytes for context in contexts) / 2**20,
        context_mib=sum(context.size_bytes for context in contexts) / 2**20,
    )


def run(model: Model, target: Target, frame: Pixels) -> Pixels:
    """Run one frame: the NPU's partitions on the HTP simulator, the rest on the CPU kernels.

    Args:
        model: With one image input and one image output.
        target: A phone with an accelerator that names its `soc_model`.
        frame: Float32 [1, H, W, C]; quantized for the model where it takes integers.

    Returns:
        The first output, float32, dequantized.

    Raises:
        StackMissing: the packages are not installed.
        DeviceError: the compiler or the simulator crashed or gave no answer.
        ModelError: the model does not take the frame, or cannot be compiled.
    """
    return execute(model, target, [frame])[0]


def execute(model: Model, target: Target, inputs: Sequence[Values]) -> tuple[Values, ...]:
    """Run real values as `run` runs a frame; any number of inputs, every output returned."""
    graph = model.graph
    soc_model = _soc_model(target)
    stored = feeding.store(graph, inputs)
    parts = qnn_compiler.split(model, soc_model)
    live = _live_partitions(graph, parts)
    plan = [_order(model, partition, soc_model) for partition in live]
    made = _worker().call(
        "execute",
        plan,
        dict(zip(graph.inputs, stored, strict=True)),
        graph.outputs,
        timeout_s=_RUN_TIMEOUT_S,
    )
    return feeding.read(graph, made)


def _live_partitions(graph: Graph, parts: Split) -> list[Partition]:
    """Return the partitions without the ops that no output depends on.

    The simulator refuses a context with a tensor that nobody reads.
    """
    live: set[int] = set()
    needed = set(graph.outputs)
    for op in reversed(graph.ops):
        if needed & set(op.outputs):
            live.add(op.index)
            needed |= set(op.inputs)
    partitions = []
    for partition in parts.partitions:
        ops = [index for index in partition.ops if index in live]
        written = {i for index in ops for i in graph.ops[index].outputs}
        read = {i for index in ops for i in graph.ops[index].inputs}
        outside = {i for index in live.difference(ops) for i in graph.ops[index].inputs}
        outside |= set(graph.outputs)
        if ops:
            partitions.append(
                replace(
                    partition,
                    ops=tuple(ops),
                    inputs=tuple(i for i in partition.inputs if i in read),
                    outputs=tuple(i for i in partition.outputs if i in written & outside),
                )
            )
    return partitions


def _order(model: Model, partition: Partition, soc_model: str) -> tuple[object, ...]:
    """Describe one partition to the worker."""
    inputs, outputs = partition.inputs, partition.outputs
    if partition.unit != HTP:
        part = cutting.cut(model.data, ops=partition.ops, inputs=inputs, outputs=outputs)
        return ("cpu", part, inputs, outputs)
    context = qnn_compiler.compile_partition(model, partition, soc_model)
    tensors = model.graph.tensors
    ports = {i: (tensors[i].dtype, tensors[i].shape) for i in (*inputs, *outputs)}
    return (HTP, str(context.path), qnn_compiler.GRAPH_NAME, inputs, outputs, ports)


def _soc_model(target: Target) -> str:
    for accelerator in target.profile.accelerators_of(target.delegate):
        if accelerator.soc_model:
            return accelerator.soc_model
    raise ConfigError(
        f"{target}: its profile names no soc_model for the delegate {target.delegate}; "
        'add one to the accelerator, such as soc_model = "SM8650"'
    )


@functools.cache
def _worker() -> Worker:
    return Worker(
        "harness.stacks.qnn_worker",
        stage="Qualcomm HTP simulator",
        log=cache.root() / "logs" / "qnn-simulator.log",
        memory_mib=_MEMORY_MIB,
        processes=ONE_A_CORE,
    )


def _provenance(model: Model, target: Target, note: str) -> Provenance:
    return Provenance(
        evidence=Evidence.VENDOR,
        device=f"{target}, {_soc_model(target)}",
        variant_sha256=model.sha256,
        file_sha256=model.file_sha256,
        runtime=versions(),
        time_utc=evidence.now_utc(),
        note=note,
    )
