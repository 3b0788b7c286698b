"""Be LiteRT 2's way to an NPU on a fake phone: its libraries, its log and its runtime info.

Source: LiteRT, runtime/dispatch/litert_dispatch.cc and compiler/plugin.
"""

import itertools
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from harness.devices import protos
from harness.devices.fake_phone.folder import Folder
from harness.graph import Graph, Op
from harness.placement import partition

_OP = "DISPATCH_OP"
_VENDOR = {"SM": "Qualcomm", "MT": "MediaTek", "Te": "GoogleTensor"}
"""Vendor by the first letters of ro.soc.model."""
_LOADED = {
    "SM8150": ("libQnnSystem.so", "libQnnHtp.so", "libQnnHtpV66Stub.so", "libQnnHtpV66Skel.so"),
    "SM8750": ("libQnnSystem.so", "libQnnHtp.so", "libQnnHtpV79Stub.so", "libQnnHtpV79Skel.so"),
    "MT6989": ("libneuronusdk_adapter.mtk.so",),
}
"""What each dispatch library loads in turn, by ro.soc.model."""


def was_compiled(graph: Graph) -> bool:
    """Return whether a model was compiled for an NPU when it was exported."""
    return any(op.name == _OP for op in graph.ops)


def works(folder: Folder, flags: dict[str, str], graph: Graph) -> bool:
    """Return whether what was asked for reaches the NPU; print what LiteRT prints where not."""
    soc = folder.getprop("ro.soc.model")
    vendor = _VENDOR.get(soc[:2], "")
    where = Path(flags["dispatch_library_path"] or "/nonexistent")
    found = sorted(where.glob("libLiteRtDispatch_*.so"))
    if not found:
        return _fails(f"No dispatch library found in {where}")
    lacking = [name for name in _LOADED.get(soc, ()) if not _can_load(folder, name)]
    if f"_{vendor}.so" not in found[0].name or lacking:
        print(f'ERROR: dlopen failed: library "{(lacking or [""])[0]}" not found', file=sys.stderr)
        return _fails(
            "Failed to create a dispatch delegate kernel: No usable Dispatch runtime found"
        )
    if switched := folder.switches().npu_error:
        return _fails(switched)
    if was_compiled(graph):
        return True
    plugins = Path(flags["compiler_plugin_library_path"] or "/nonexistent")
    if not list(plugins.glob(f"libLiteRtCompilerPlugin_{vendor}.so")):
        return _fails("Failed to load compiler plugins: No compiler plugin found")
    if vendor == "MediaTek" and flags["mediatek_nerun_pilot_version"] != "version8":
        return _fails("Failed to apply compiler plugins: ERROR: [neuron] unsupported version")
    return True


def _can_load(folder: Folder, name: str) -> bool:
    folders = os.environ.get("LD_LIBRARY_PATH", "").split(":")
    own = Path(folder.to_host("/vendor/lib64"))
    return any((Path(one) / name).exists() for one in (*folders, str(own)) if one)


def _fails(why: str) -> bool:
    print(f"ERROR: [litert_dispatch.cc:141] {why}", file=sys.stderr)
    return False


def runtime_info(graph: Graph, taken: Sequence[bool]) -> bytes:
    """Return the runtime info of the graph that a compiler plugin leaves, and log what it took."""
    pieces = partition(graph, taken)
    count = sum(1 for ops in pieces if taken[ops[0]])
    print(
        f"INFO: [compiler_plugin.cc:643] Partitioned subgraph<0>, selected {sum(taken)} ops, from "
        f"a total of {len(taken)} ops. resulted in {count} partitions.",
        file=sys.stderr,
    )
    print(
        f"VERBOSE: Replacing {count} out of {len(pieces)} node(s) with delegate "
        f"(DispatchDelegate) node, yielding {len(pieces)} partitions for subgraph 0 (main).",
        file=sys.stderr,
    )
    details = protos.ModelRuntimeDetails()
    subgraph = details.subgraphs.add(name="main")
    for i, tensor in enumerate(graph.tensors):
        subgraph.edges.add(id=i, name=tensor.name)
    numbers = itertools.count()
    plan: list[tuple[int, str]] = []
    for ops in pieces:
        last = graph.ops[ops[-1]]
        if taken[ops[0]]:
            plan.append((_node(subgraph, next(numbers), _OP, last), "DispatchDelegate"))
            continue
        plan += [
            (_node(subgraph, next(numbers), graph.ops[i].name, graph.ops[i]),
             "TfLiteXNNPackDelegate")
            for i in ops
        ]  # fmt: skip
    for number, delegate in plan:
        own = next(numbers)
        node = subgraph.nodes.add(id=own, name=delegate)
        node.delegate_node_details.delegate_name = delegate
        node.delegate_node_details.tflite_node_ids_replaced.append(number)
        subgraph.nodes[number].delegated_to_node_id = own
        subgraph.execution_plan.append(own)
    data: bytes = details.SerializeToString()
    return data


def _node(subgraph: object, number: int, name: str, like: Op) -> int:
    node = subgraph.nodes.add(id=number, name=name)  # type: ignore[attr-defined]
    node.outputs.extend(like.outputs)
    return number
