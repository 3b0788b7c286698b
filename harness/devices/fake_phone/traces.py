"""Leave the traces of a delegate on a fake phone: log lines, runtime info, profile, driver log."""

import itertools
import sys
from collections.abc import Sequence
from pathlib import Path

from harness.devices import protos
from harness.devices.fake_phone import dispatch, faults
from harness.devices.fake_phone.faults import Fault
from harness.devices.fake_phone.folder import Folder, Switches
from harness.devices.traces.attribution import nnapi_name
from harness.devices.traces.nnapi_log import REFERENCE
from harness.graph import Graph
from harness.placement import partition

_XNNPACK = "TfLiteXNNPackDelegate"
_DELEGATES = {
    "use_nnapi": ("NNAPI", "TfLiteNnapiDelegate"),
    "use_gpu": ("GPU", "TfLiteGpuDelegateV2"),
    "use_hexagon": ("Hexagon", "TfLiteHexagonDelegate"),
    "use_xnnpack": ("XNNPACK", _XNNPACK),
    "external_delegate_path": ("EXTERNAL", "TfLiteQnnDelegate"),
}
_LITERT_2 = {
    "use_npu": ("NPU", "DispatchDelegate"),
    "use_gpu": ("GPU", "LITERT_CL"),
    "use_cpu": ("XNNPACK", _XNNPACK),
}
"""What LiteRT 2 asks in this order. Source: LiteRT, runtime/dispatch/dispatch_delegate.cc; device
logs for LITERT_CL."""
_STAMP = "11-24 01:02:03.456  4242  4242 I "


def asked(flags: dict[str, str]) -> tuple[str, str]:
    """Return the label and the node name of the delegate that the flags ask for, or ('', '')."""
    for flag, names in (_LITERT_2 if "use_npu" in flags else _DELEGATES).items():
        if flags.get(flag, "") not in ("", "false"):
            return names
    return "", ""


def delegate(
    folder: Folder, switches: Switches, flags: dict[str, str], graph: Graph, prefix: str
) -> bool:
    """Print and write what applying the delegate leaves; return whether it could be applied."""
    label, name = asked(flags)
    accelerator = flags.get("nnapi_accelerator_name", "") or switches.accelerators[0]
    if label == "NNAPI":
        names = ",".join(switches.accelerators)
        print(f"{prefix}NNAPI accelerators available: [{names}]")
        if accelerator not in switches.accelerators:
            print(
                f"ERROR: Could not find the specified NNAPI accelerator: {accelerator}. Must be "
                f"one of: {{{names}}}.\nFailed to apply NNAPI delegate.",
                file=sys.stderr,
            )
            return False
    if label == "NPU" and not dispatch.works(folder, flags, graph):
        label, name = _LITERT_2["use_cpu"]
    taken = _taken(switches, label, graph)
    compiled = label == "NPU" and not dispatch.was_compiled(graph)
    if label and not compiled:
        _replacing(name, taken, graph)
    if label and "use_npu" not in flags:
        print(f"{prefix}{label} delegate created.")
        _log_lines(label, taken, graph, prefix)
    if label == "NNAPI" and folder.getprop("debug.nn.vlog"):
        _driver_log(folder, switches, graph, taken, accelerator)
    path = flags.get("model_runtime_info_output_file", "")
    if path and flags.get("export_model_runtime_info", "true") == "true":
        data = (
            dispatch.runtime_info(graph, taken)
            if compiled and any(taken)
            else _runtime_info(switches, graph, taken, name)
        )
        Path(path).write_bytes(data)
    return True


def _taken(switches: Switches, label: str, graph: Graph) -> list[bool]:
    """Say for each op whether the delegate takes it."""
    if not label or (switches.silent_fallback and label != "XNNPACK"):
        return [False] * len(graph.ops)
    if label == "XNNPACK":
        return [True] * len(graph.ops)
    return [op.name not in switches.refused_ops for op in graph.ops]


def _replacing(name: str, taken: Sequence[bool], graph: Graph) -> None:
    """Print what TensorFlow Lite's runtime prints whenever a delegate takes nodes."""
    partitions = partition(graph, taken)
    if any(taken):
        print(
            f"VERBOSE: Replacing {sum(taken)} out of {len(taken)} node(s) with delegate ({name}) "
            f"node, yielding {len(partitions)} partitions for subgraph 0 (main).",
            file=sys.stderr,
        )


def _log_lines(label: str, taken: Sequence[bool], graph: Graph, prefix: str) -> None:
    """Print what TensorFlow Lite's tool says of a delegate; LiteRT 2's says nothing."""
    partitions = partition(graph, taken)
    kernels = sum(1 for ops in partitions if taken[ops[0]])
    if len(partitions) == 1 and kernels:
        print(
            f"{prefix}Explicitly applied {label} delegate, and the model graph will be completely "
            "executed by the delegate."
        )
    elif kernels:
        print(
            f"{prefix}Explicitly applied {label} delegate, and the model graph will be partially "
            f"executed by the delegate w/ {kernels} delegate kernels."
        )
    else:
        print(
            f"{prefix}Though {label} delegate is explicitly applied, the model graph will not be "
            "executed by the delegate."
        )


def _nodes(
    switches: Switches, graph: Graph, taken: Sequence[bool], name: str
) -> list[tuple[str, tuple[int, ...]]]:
    """Return each entry of the execution plan: a delegate's name and its ops, or '' and one op.

    What the delegate leaves goes to XNNPACK, as in builds since 2021; older ones run it on the
    built-in kernels.
    """
    plan: list[tuple[str, tuple[int, ...]]] = []
    for ops in partition(graph, taken):
        if taken[ops[0]]:
            plan.append((name, ops))
        elif switches.tool_build == "2020" or name == _XNNPACK:
            plan += [("", (index,)) for index in ops]
        else:
            plan.append((_XNNPACK, ops))
    return plan


def _runtime_info(switches: Switches, graph: Graph, taken: Sequence[bool], name: str) -> bytes:
    details = protos.ModelRuntimeDetails()
    subgraph = details.subgraphs.add(name="main")
    nodes = [subgraph.nodes.add(id=op.index, name=op.name) for op in graph.ops]
    numbers = itertools.count(len(nodes))
    for delegate_name, ops in _nodes(switches, graph, taken, name):
        if not delegate_name:
            subgraph.execution_plan.append(ops[0])
            continue
        number = next(numbers)
        node = subgraph.nodes.add(id=number, name=delegate_name)
        node.delegate_node_details.delegate_name = delegate_name
        node.delegate_node_details.tflite_node_ids_replaced.extend(ops)
        for index in ops:
            nodes[index].delegated_to_node_id = number
        subgraph.execution_plan.append(number)
    data: bytes = details.SerializeToString()
    return data


def profile(
    switches: Switches, flags: dict[str, str], graph: Graph, *, mean_ms: float, prefix: str
) -> str:
    """Return the op profile as the build prints it; time is shared out by multiplications."""
    label, name = asked(flags)
    plan = _nodes(switches, graph, _taken(switches, label, graph), name)
    work = [1 + sum(graph.ops[index].macs for index in ops) for _, ops in plan]
    start = switches.tool_build == "2020"
    header = [
        "[node type]",
        *(["[start]"] if start else []),
        "[first]",
        "[avg ms]",
        "[%]",
        "[cdf%]",
        "[mem KB]",
        "[times called]",
        "[Name]",
    ]
    rows = []
    numbers = itertools.count(len(graph.ops))
    for (delegate_name, ops), macs in zip(plan, work, strict=True):
        ms = mean_ms * macs / sum(work)
        tensor = graph.tensors[graph.ops[ops[-1]].outputs[0]].name
        number = next(numbers) if delegate_name else ops[0]
        cells = [
            delegate_name or graph.ops[ops[0]].name,
            *(["0.000"] if start else []),
            f"{ms:.3f}",
            f"{ms:.3f}",
            "1.000%",
            "1.000%",
            "0.000",
            "1",
        ]
        rows.append("\t" + "\t".join(f"{cell:>12}" for cell in cells) + f"\t[{tensor}]:{number}")
    return "\n".join(
        [
            f"{prefix}Operator-wise Profiling Info for Regular Benchmark Runs:",
            "============================== Run Order ==============================",
            "\t" + "\t".join(header),
            *rows,
            "",
            f"Number of nodes executed: {len(rows)}",
        ]
    )


def _driver_log(
    folder: Folder, switches: Switches, graph: Graph, taken: Sequence[bool], accelerator: str
) -> None:
    """Write what NNAPI logs while compiling, with repeats collapsed as Android does."""
    lines = [f"Manager : Found interface {name}" for name in switches.accelerators]
    for ops in partition(graph, taken):
        if not taken[ops[0]]:
            lines += [
                f"ExecutionPlan: Device {accelerator} can't do operation "
                f"{nnapi_name(graph.ops[i].name)}"
                for i in ops
            ]
            continue
        lines.append(
            "ExecutionPlan: ModelBuilder::partitionTheWork: sourceModelIndex = 0, "
            f"deviceCount = {len(switches.accelerators)}, operationCount = {len(ops)}"
        )
        for index in ops:
            op = graph.ops[index].name
            device = REFERENCE if op in switches.reference_ops else accelerator
            lines.append(
                f"ExecutionPlan: ModelBuilder::findBestDeviceForEachOperation({nnapi_name(op)}) = "
                f"{switches.accelerators.index(device)} ({device})"
            )
    text = ""
    for line, repeats in itertools.groupby(lines):
        count = len(list(repeats))
        text += f"{_STAMP}{line}\n"
        if count > 1:
            text += (
                f"{_STAMP}chatty  : uid=2000(shell) benchmark_model identical {count - 1} lines\n"
            )
    if faults.take(folder, Fault.LOG_CLAIMS_REPEATS):
        text += f"{_STAMP}chatty  : uid=2000(shell) benchmark_model identical 99999999999 lines\n"
    with (folder.state / "logcat").open("a") as log:
        log.write(text)
