"""Judge from the phone's own traces which unit ran each node, or refuse to.

Three traces speak: the runtime info (which delegate took which node), the op profile (what the
execution plan held) and the tool's delegation lines. For NNAPI the driver log says which unit
ran what inside the delegate. They must agree; where they do not, or where none speaks of a
node, nothing is claimed and a MeasurementError says why.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from harness.devices.traces import dispatch
from harness.devices.traces.nnapi_log import REFERENCE, DriverLog
from harness.devices.traces.op_profile import ProfileRow, total_ms
from harness.devices.traces.runtime_info import RuntimeNode
from harness.errors import MeasurementError
from harness.graph import Graph
from harness.placement import CPU, XNNPACK, NodePlacement, partition
from harness.profiles import GPU_FP32

CPU_DELEGATES = ("XNNPack", "YNNPack")
"""Beginnings of delegate names, after `TfLite`, whose nodes run on the CPU."""
_OWN_NAMES = {
    "nnapi": ("TfLiteNnapiDelegate",),
    "gpu": ("TfLiteGpuDelegate", "TfLiteGpuDelegateV2", "LITERT_CL", "LITERT_WEBGPU"),
    "hexagon": ("TfLiteHexagonDelegate",),
    "npu": (dispatch.DELEGATE,),
}
"""Names under which each delegate's partitions appear. Source: LiteRT, tflite/delegates; device
logs of LiteRT 2 for LITERT_*."""
_NNAPI_NAMES = {
    "TRANSPOSE_CONV": "TRANSPOSE_CONV_2D",
    "PADV2": "PAD_V2",
    "RELU_N1_TO_1": "RELU1",
    "LEAKY_RELU": "PRELU",
    "SUM": "REDUCE_SUM",
}
"""NNAPI's names of TFLite ops where they differ. Source: LiteRT, nnapi_delegate.cc (Map)."""

_NPU_REMEDY = (
    "add the folder that holds it to the ini key `npu_libraries`, or compile the model for the "
    "chip when you export it (AOT)"
)


def reached(delegate: str) -> str:
    """Return the delegate as the traces name it: `gpu-fp32` is the GPU's."""
    return "gpu" if delegate == GPU_FP32 else delegate


def nnapi_name(op: str) -> str:
    """Return NNAPI's name of a TFLite op, as the driver log has it."""
    return _NNAPI_NAMES.get(op, op)


@dataclass(frozen=True, kw_only=True)
class Delegation:
    """What the tool's log lines say of the delegate that was asked for.

    Attributes:
        created: A delegate was created; this says nothing about its use.
        extent: `all`, `part` or `none` of the graph, or '' where no line says.
        kernels: Delegate partitions in the execution plan, where printed.
        replaced: Nodes that it took, where printed.
        partitions: All partitions, those on the CPU included, where printed.
        failed: The delegate was refused altogether.
    """

    created: bool = False
    extent: str = ""
    kernels: int | None = None
    replaced: int | None = None
    partitions: int | None = None
    failed: bool = False


def parse_delegation(output: str, delegate: str) -> Delegation:
    """Read the delegation lines of any build; XNNPACK's lines count only where it was asked for.

    Source: LiteRT, benchmark_tflite_model.cc and tflite/core/subgraph.cc.
    """
    replaced = partitions = None
    for match in re.finditer(
        r"Replacing (\d+) out of (\d+) node\(s\) with delegate \((\w+)\) node, "
        r"yielding (\d+) partitions",
        output,
    ):
        own = _is_own(match[3], delegate)
        if own and replaced is None:
            replaced, partitions = int(match[1]), int(match[4])
    label = {"nnapi": "NNAPI", "gpu": "GPU", "cpu": "XNNPACK", "hexagon": "Hexagon"}.get(
        delegate, "EXTERNAL"
    )
    kernels = re.search(
        rf"applied {label} delegate, and the model graph will be partially executed by the "
        r"delegate w/ (\d+) delegate kernels",
        output,
    )
    extent = ""
    if kernels:
        extent = "part"
    elif f"applied {label} delegate, and the model graph will be completely" in output:
        extent = "all"
    elif f"Though {label} delegate is explicitly applied, the model graph will not be" in output:
        extent = "none"
    return Delegation(
        created=f"{label} delegate created" in output or "Created TensorFlow Lite" in output,
        extent=extent,
        kernels=int(kernels[1]) if kernels else None,
        replaced=replaced,
        partitions=partitions,
        failed=f"Failed to apply {label} delegate" in output,
    )


@dataclass(frozen=True, kw_only=True)
class Traces:
    """Everything that one run left about where its nodes ran.

    Attributes:
        delegate: What was asked for: nnapi, gpu, cpu, hexagon, or an external delegate's name.
        accelerator: The unit that was asked for, as the delegate names it, or ''.
        delegation: The tool's lines.
        nodes: The runtime info, or () where the build cannot write it.
        profile: The op profile, or () where the build printed none.
        driver: The NNAPI log; empty for other delegates.
        output: What the tool printed.
        missing: Of an NPU, which libraries it lacks, or ''.
    """

    delegate: str
    accelerator: str
    delegation: Delegation
    nodes: tuple[RuntimeNode, ...] = ()
    profile: tuple[ProfileRow, ...] = ()
    driver: DriverLog = field(default_factory=DriverLog)
    output: str = ""
    missing: str = ""

    def rewritten(self, graph: Graph) -> bool:
        """Return whether a compiler plugin rewrote the graph before it ran."""
        return self.delegate == "npu" and dispatch.was_rewritten(graph, self.nodes)


@dataclass(frozen=True, kw_only=True)
class Attribution:
    """Where each node ran, how many partitions there were and the CPU's share of time."""

    nodes: tuple[NodePlacement, ...]
    partitions: int
    cpu_time_share: float | None


def attribute(graph: Graph, traces: Traces) -> Attribution:
    """Say which unit ran each node of a graph.

    Raises:
        MeasurementError: the traces contradict each other or leave a node unattributed.
    """
    taken, rewritten = _taken(graph, traces), traces.rewritten(graph)
    if not rewritten:  # what is printed of it speaks of another graph
        _cross_check(taken, traces)
    remedy = _NPU_REMEDY if traces.missing and not any(taken) else ""
    nodes = tuple(
        NodePlacement(index=op.index, op=op.name, unit=unit, reason=reason, remedy=remedy)
        for op, (unit, reason) in zip(graph.ops, _units(graph, taken, traces), strict=True)
    )
    found = partition(graph, [node.unit != CPU for node in nodes])
    printed = None if rewritten else traces.delegation.partitions
    on_delegate = [unit != "" for unit in taken]
    resident = on_delegate == [node.unit != CPU for node in nodes]
    pieces = dispatch.kernels(traces.nodes) if rewritten else 0
    return Attribution(
        nodes=nodes,
        partitions=printed if printed is not None and resident else max(len(found), pieces),
        cpu_time_share=_cpu_time_share(nodes, traces),
    )


def _taken(graph: Graph, traces: Traces) -> list[str]:
    """Return the name of the delegate that took each node, '' for none or one of the CPU's."""
    if traces.rewritten(graph):
        return dispatch.taken(graph, traces.nodes, traces.output)
    if traces.nodes:
        ops = [node.op for node in traces.nodes]
        if ops != [op.name for op in graph.ops]:
            raise MeasurementError(
                f"the runtime info speaks of another graph: {len(ops)} nodes {ops[:3]}..., the "
                f"model has {len(graph.ops)} ops {[op.name for op in graph.ops[:3]]}..."
            )
        return [_own(node.delegate, traces.delegate) for node in traces.nodes]
    if traces.profile:
        return _taken_by_profile(graph, traces)
    if traces.delegation.extent == "all":
        return [traces.delegate] * len(graph.ops)
    if traces.delegation.extent == "none":
        return [""] * len(graph.ops)
    raise MeasurementError(
        f"nothing the benchmark tool printed says which of {len(graph.ops)} nodes the "
        f"{traces.delegate} delegate took; use a build that knows --export_model_runtime_info "
        "or --enable_op_profiling"
    )


def _taken_by_profile(graph: Graph, traces: Traces) -> list[str]:
    """Tell from the op profile: a row of an op's own type ran on the built-in CPU kernels."""
    by_tensor = {graph.tensors[op.outputs[0]].name: op for op in graph.ops if op.outputs}
    on_cpu: set[int] = set()
    delegates: list[str] = []
    for row in traces.profile:
        op = by_tensor.get(row.tensor)
        if row.index is not None and row.index < len(graph.ops):
            op = graph.ops[row.index]
        if op is not None and op.name == row.node_type:
            on_cpu.add(op.index)
        else:
            delegates.append(row.node_type)
    names = {_own(name, traces.delegate) for name in delegates} - {""}
    cpu_delegates = [name for name in delegates if _is_cpu(name)]
    if names and cpu_delegates and traces.delegate != "cpu":
        raise MeasurementError(
            f"both {', '.join(sorted(names))} and {', '.join(cpu_delegates)} ran, and the op "
            "profile alone does not say which took which node; use a build that knows "
            "--export_model_runtime_info"
        )
    name = names.pop() if names else ""
    return ["" if op.index in on_cpu else name for op in graph.ops]


def _cross_check(taken: Sequence[str], traces: Traces) -> None:
    """Raise where two traces contradict each other."""
    count = sum(1 for name in taken if name)
    lines = traces.delegation
    if (lines.extent == "all" and count < len(taken)) or (lines.extent == "none" and count > 0):
        raise MeasurementError(
            f"the traces contradict each other: the runtime info has {count} of {len(taken)} "
            f"nodes on the delegate, the tool's log says {lines.extent}"
        )
    if lines.replaced is not None and lines.replaced != count and traces.nodes:
        raise MeasurementError(
            f"the traces contradict each other: the runtime info has {count} nodes on the "
            f"delegate, the log line says it replaced {lines.replaced}"
        )
    if traces.nodes and traces.profile:
        indices = {row.index for row in traces.profile if row.index is not None}
        both = sorted(indices & {i for i, name in enumerate(taken) if name})
        if both:
            raise MeasurementError(
                f"the traces contradict each other: nodes {both[:5]} are on the delegate in the "
                "runtime info, but the op profile timed them on the CPU's kernels"
            )


def _units(graph: Graph, taken: Sequence[str], traces: Traces) -> list[tuple[str, str]]:
    """Return unit and reason for each node."""
    units: list[tuple[str, str]] = []
    driver = traces.driver
    for op, name in zip(graph.ops, taken, strict=True):
        if name:
            units.append((traces.accelerator or traces.delegate, ""))
            continue
        refusers = driver.refused_by(nnapi_name(op.name))
        reason = f"the {traces.delegate} delegate did not take it"
        if refusers:
            reason = f"refused by driver {', '.join(repr(device) for device in refusers)}"
        elif traces.delegate == "npu":
            reason = _why_not_npu(taken, traces)
        elif not any(taken):
            reason = f"the {traces.delegate} delegate was created but took no node"
        units.append((CPU, reason))
    if traces.delegate == "cpu":
        return [(XNNPACK, "") if name else unit for name, unit in zip(taken, units, strict=True)]
    if traces.delegate == "nnapi" and any(taken):
        return _nnapi_units(graph, taken, units, traces)
    return units


def _why_not_npu(taken: Sequence[str], traces: Traces) -> str:
    """Return why a node is not on the NPU that was asked for."""
    if any(taken):
        return "the NPU's compiler did not take it"
    why = traces.missing or dispatch.failure(traces.output) or "LiteRT does not say why"
    return f"the NPU was asked for and XNNPACK ran it: {why}"


def _nnapi_units(
    graph: Graph, taken: Sequence[str], units: list[tuple[str, str]], traces: Traces
) -> list[tuple[str, str]]:
    """Say which driver ran each node inside the NNAPI delegate."""
    driver = traces.driver
    if traces.accelerator == REFERENCE:
        reason = f"NNAPI ran it on its CPU kernels ({REFERENCE} was asked for)"
        return [(CPU, reason) if name else unit for name, unit in zip(taken, units, strict=True)]
    devices = {device for _, device in driver.chosen} | set(driver.only_devices)
    if not devices:
        if not traces.accelerator:
            raise MeasurementError(
                "no accelerator was named and the driver log holds no placement, so NNAPI may "
                "have run anything on its CPU kernels; name the accelerator in the profile"
            )
        return units  # one named unit without CPU: NNAPI compiles for it or fails
    if devices == {traces.accelerator}:
        return units
    single = next(iter(devices)) if len(devices) == 1 else ""
    result = list(units)
    seen: dict[str, int] = {}
    for op, name in zip(graph.ops, taken, strict=True):
        if name:
            device = single or _device_of(graph, op.index, taken, traces, seen)
            result[op.index] = (
                (CPU, f"NNAPI ran it on its CPU kernels ({REFERENCE})")
                if device == REFERENCE
                else (device, "")
            )
    return result


def _device_of(
    graph: Graph, index: int, taken: Sequence[str], traces: Traces, seen: dict[str, int]
) -> str:
    """Return the driver of one delegated node from the log, by name and order of operations."""
    op = graph.ops[index].name
    operation = nnapi_name(op)
    found = traces.driver.devices_of(operation)
    if found and len(set(found)) == 1 and found[0]:
        return found[0]
    nodes = sum(
        1
        for other, name in zip(graph.ops, taken, strict=True)
        if name and nnapi_name(other.name) == operation
    )
    if traces.driver.complete and len(found) == nodes:
        position = seen.get(operation, 0)
        seen[operation] = position + 1
        if found[position]:
            return found[position]
    raise MeasurementError(
        f"the driver log does not say which unit ran {op} #{index}: it names "
        f"{len(found)} {operation} on {sorted(set(found)) or 'none'} for {nodes} nodes, and "
        f"{traces.driver.lost_lines} log lines were lost"
    )


def _cpu_time_share(nodes: Sequence[NodePlacement], traces: Traces) -> float | None:
    """Return the share of time of nodes on the CPU (0..1), or None where it is not known."""
    on_cpu = {node.index for node in nodes if node.unit == CPU}
    if not on_cpu:
        return 0.0
    if len(on_cpu) == len(nodes):
        return 1.0
    total = total_ms(traces.profile)
    if total <= 0.0:
        return None
    inside = sum(
        row.mean_ms
        for row in traces.profile
        if row.index in on_cpu or (traces.delegate != "cpu" and _is_cpu(row.node_type))
    )
    timed = {row.index for row in traces.profile if row.index is not None}
    hidden = on_cpu - timed
    if hidden and not any(_is_cpu(row.node_type) for row in traces.profile):
        return None  # on the CPU inside a delegate's partition, which is one row
    return inside / total


def _own(name: str, delegate: str) -> str:
    """Return the delegate's name if it is the one asked for, else '' for one of the CPU's.

    Raises:
        MeasurementError: it is neither.
    """
    if not name:
        return ""
    if _is_own(name, delegate):
        return name
    if _is_cpu(name):
        return ""
    raise MeasurementError(
        f"a delegate named {name!r} took nodes though {delegate} was asked for; "
        "it is not known which unit that is"
    )


def _is_own(name: str, delegate: str) -> bool:
    """Return whether a delegate of this name is the one that was asked for."""
    if delegate == "cpu":
        return _is_cpu(name)
    names = _OWN_NAMES.get(delegate)
    return name in names if names is not None else not _is_cpu(name)


def _is_cpu(name: str) -> bool:
    return any(name.removeprefix("TfLite").startswith(start) for start in CPU_DELEGATES)
