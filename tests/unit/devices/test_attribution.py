"""Attribute nodes to units from the traces of a run, and refuse to where they do not suffice."""

from dataclasses import replace

import pytest

from harness.devices import protos
from harness.devices.traces import attribution, nnapi_log, runtime_info
from harness.devices.traces.attribution import Delegation, Traces, attribute
from harness.devices.traces.op_profile import ProfileRow
from harness.devices.traces.runtime_info import RuntimeNode
from harness.errors import DeviceError, MeasurementError
from harness.graph import Graph, parse
from harness.placement import CPU
from tests import models

EDGETPU = "google-edgetpu"
NNAPI = "TfLiteNnapiDelegate"


@pytest.fixture
def graph() -> Graph:
    return parse(models.conv_net())


def traces(graph: Graph, delegates: list[str], **changes: object) -> Traces:
    nodes = tuple(
        RuntimeNode(index=op.index, op=op.name, delegate=name)
        for op, name in zip(graph.ops, delegates, strict=True)
    )
    found = Traces(delegate="nnapi", accelerator=EDGETPU, delegation=Delegation(), nodes=nodes)
    return replace(found, **changes)  # type: ignore[arg-type]


def log_line(op: str, device: str) -> str:
    return f"I/ExecutionPlan(1): ModelBuilder::findBestDeviceForEachOperation({op}) = 0 ({device})"


def test_nodes_of_the_named_delegate_are_on_the_accelerator(graph: Graph):
    found = attribute(graph, traces(graph, [NNAPI] * len(graph.ops)))

    assert {node.unit for node in found.nodes} == {EDGETPU}
    assert (found.partitions, found.cpu_time_share) == (1, 0.0)


def test_xnnpacks_nodes_are_on_the_cpu_when_nnapi_was_asked_for(graph: Graph):
    delegates = [NNAPI] * len(graph.ops)
    delegates[1] = "TfLiteXNNPackDelegate"

    found = attribute(graph, traces(graph, delegates))

    assert [node.index for node in found.nodes if node.unit == CPU] == [1]
    assert found.partitions == 3


def test_a_created_delegate_that_took_nothing_is_a_fallback_of_every_node(graph: Graph):
    found = attribute(
        graph,
        traces(graph, [""] * len(graph.ops), delegation=Delegation(created=True, extent="none")),
    )

    assert all(node.unit == CPU for node in found.nodes)
    assert "was created but took no node" in found.nodes[0].reason
    assert found.cpu_time_share == 1.0


def test_xnnpacks_nodes_are_on_its_own_unit_when_cpu_was_asked_for(graph: Graph):
    delegates = ["TfLiteXNNPackDelegate"] * len(graph.ops)

    found = attribute(graph, traces(graph, delegates, delegate="cpu", accelerator=""))

    assert {node.unit for node in found.nodes} == {"xnnpack"}


def test_operations_on_nnapi_reference_are_on_the_cpu(graph: Graph):
    log = "\n".join(log_line(op.name, "nnapi-reference") for op in graph.ops)

    found = attribute(graph, traces(graph, [NNAPI] * len(graph.ops), driver=nnapi_log.parse(log)))

    assert all(node.unit == CPU for node in found.nodes)
    assert "nnapi-reference" in found.nodes[0].reason


def test_a_mixed_log_is_read_in_order_of_operations_when_it_is_complete(graph: Graph):
    devices = [EDGETPU] * len(graph.ops)
    devices[1] = "nnapi-reference"
    count = f"I/ExecutionPlan(1): ModelBuilder::partitionTheWork: operationCount = {len(graph.ops)}"
    lines = [log_line(op.name, d) for op, d in zip(graph.ops, devices, strict=True)]

    found = attribute(
        graph,
        traces(graph, [NNAPI] * len(graph.ops), driver=nnapi_log.parse("\n".join([count, *lines]))),
    )

    assert [node.unit for node in found.nodes].index(CPU) == 1
    assert found.nodes[0].unit == EDGETPU


def test_a_mixed_log_with_lost_lines_claims_nothing(graph: Graph):
    lines = [log_line(graph.ops[0].name, EDGETPU), log_line(graph.ops[0].name, "nnapi-reference")]

    with pytest.raises(MeasurementError, match="does not say which unit ran"):
        attribute(
            graph,
            traces(graph, [NNAPI] * len(graph.ops), driver=nnapi_log.parse("\n".join(lines))),
        )


def test_no_accelerator_and_no_log_claims_nothing(graph: Graph):
    with pytest.raises(MeasurementError, match="no accelerator was named"):
        attribute(graph, traces(graph, [NNAPI] * len(graph.ops), accelerator=""))


def test_the_drivers_refusal_is_the_reason_of_a_fallback(graph: Graph):
    delegates = [NNAPI] * len(graph.ops)
    delegates[0] = ""
    log = f"I/ExecutionPlan(1): Device {EDGETPU} can't do operation {graph.ops[0].name}"

    found = attribute(graph, traces(graph, delegates, driver=nnapi_log.parse(log)))

    assert found.nodes[0].reason == f"refused by driver '{EDGETPU}'"


def test_runtime_info_and_delegation_lines_that_disagree_claim_nothing(graph: Graph):
    delegates = [NNAPI] * len(graph.ops)
    delegates[0] = ""

    with pytest.raises(MeasurementError, match="contradict"):
        attribute(graph, traces(graph, delegates, delegation=Delegation(extent="all")))
    with pytest.raises(MeasurementError, match="contradict"):
        attribute(graph, traces(graph, delegates, delegation=Delegation(replaced=99)))


def test_an_op_timed_on_the_cpu_though_delegated_claims_nothing(graph: Graph):
    profile = (ProfileRow(node_type=graph.ops[0].name, mean_ms=1.0, index=0),)

    with pytest.raises(MeasurementError, match="op profile timed them on the CPU"):
        attribute(graph, traces(graph, [NNAPI] * len(graph.ops), profile=profile))


def test_without_runtime_info_the_op_profile_tells_the_cpus_nodes(graph: Graph):
    last = graph.ops[-1]
    profile = (
        ProfileRow(node_type=NNAPI, mean_ms=3.0, index=99),
        ProfileRow(node_type=last.name, mean_ms=1.0, index=last.index),
    )

    found = attribute(graph, traces(graph, [""] * len(graph.ops), nodes=(), profile=profile))

    assert [node.index for node in found.nodes if node.unit == CPU] == [last.index]
    assert found.cpu_time_share == 0.25


def test_a_profile_without_indices_is_matched_by_output_tensor(graph: Graph):
    first = graph.ops[0]
    profile = (
        ProfileRow(node_type=first.name, mean_ms=1.0, tensor=graph.tensors[first.outputs[0]].name),
        ProfileRow(node_type=NNAPI, mean_ms=1.0),
    )

    found = attribute(graph, traces(graph, [""] * len(graph.ops), nodes=(), profile=profile))

    assert [node.index for node in found.nodes if node.unit == CPU] == [first.index]


def test_silence_claims_nothing(graph: Graph):
    silent = traces(
        graph, [""] * len(graph.ops), nodes=(), delegation=Delegation(created=True, extent="part")
    )

    with pytest.raises(MeasurementError, match="nothing the benchmark tool printed"):
        attribute(graph, silent)


def test_a_delegate_nobody_asked_for_claims_nothing(graph: Graph):
    with pytest.raises(MeasurementError, match="TfLiteGpuDelegateV2"):
        attribute(graph, traces(graph, ["TfLiteGpuDelegateV2"] * len(graph.ops)))


def test_runtime_info_of_another_graph_claims_nothing(graph: Graph):
    other = tuple(RuntimeNode(index=i, op="ABS", delegate=NNAPI) for i in range(2))

    with pytest.raises(MeasurementError, match="another graph"):
        attribute(graph, traces(graph, [""] * len(graph.ops), nodes=other))


def test_the_delegation_lines_of_all_wordings_are_read():
    output = (
        "INFO: Created TensorFlow Lite delegate for NNAPI.\nNNAPI delegate created.\n"
        "VERBOSE: Replacing 60 out of 61 node(s) with delegate (TfLiteNnapiDelegate) node, "
        "yielding 3 partitions for subgraph 0 (main).\n"
        "VERBOSE: Replacing 1 out of 3 node(s) with delegate (TfLiteXNNPackDelegate) node, "
        "yielding 3 partitions for the whole graph.\n"
        "INFO: Explicitly applied NNAPI delegate, and the model graph will be partially executed "
        "by the delegate w/ 2 delegate kernels.\n"
    )

    assert attribution.parse_delegation(output, "nnapi") == Delegation(
        created=True, extent="part", kernels=2, replaced=60, partitions=3
    )


def test_a_delegate_that_could_not_be_applied_is_seen():
    output = "ERROR: Restored original execution plan\nFailed to apply NNAPI delegate.\n"

    assert attribution.parse_delegation(output, "nnapi").failed


def test_runtime_info_resolves_each_node_to_its_delegates_name():
    details = protos.ModelRuntimeDetails()
    subgraph = details.subgraphs.add()
    subgraph.nodes.add(id=0, name="CONV_2D", delegated_to_node_id=2)
    subgraph.nodes.add(id=1, name="ADD")
    delegate = subgraph.nodes.add(id=2, name=NNAPI)
    delegate.delegate_node_details.delegate_name = NNAPI

    nodes = runtime_info.parse(details.SerializeToString())

    assert nodes == (
        RuntimeNode(index=0, op="CONV_2D", delegate=NNAPI),
        RuntimeNode(index=1, op="ADD", delegate=""),
    )


@pytest.mark.parametrize("data", [b"", b"\xff\xff", b"\x12\x00"])
def test_damaged_runtime_info_is_an_error(data: bytes):
    with pytest.raises(DeviceError, match="runtime info"):
        runtime_info.parse(data)


def test_a_pointer_to_a_delegate_node_that_is_missing_is_an_error():
    details = protos.ModelRuntimeDetails()
    details.subgraphs.add().nodes.add(id=0, name="CONV_2D", delegated_to_node_id=5)

    with pytest.raises(DeviceError, match=r"\[5\]"):
        runtime_info.parse(details.SerializeToString())


def test_the_time_of_a_cpu_partition_of_xnnpack_counts_as_the_cpus(graph: Graph):
    delegates = [NNAPI] * len(graph.ops)
    delegates[0] = "TfLiteXNNPackDelegate"
    profile = (
        ProfileRow(node_type="TfLiteXNNPackDelegate", mean_ms=1.0, index=90),
        ProfileRow(node_type=NNAPI, mean_ms=3.0, index=91),
    )

    assert attribute(graph, traces(graph, delegates, profile=profile)).cpu_time_share == 0.25
