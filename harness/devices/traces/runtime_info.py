"""Read the benchmark tool's runtime info: which node which delegate took, one by one.

Source: LiteRT, tflite/profiling/proto/model_runtime_info.proto and model_runtime_info.cc.
"""

from dataclasses import dataclass

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from harness.devices import protos
from harness.errors import DeviceError


@dataclass(frozen=True, kw_only=True)
class RuntimeNode:
    """One node of the original graph.

    Attributes:
        index: In the graph.
        op: Its name.
        delegate: Name of what took it, or ''.
        output: Name of its first output tensor, or '' where the file does not say.
    """

    index: int
    op: str
    delegate: str
    output: str = ""


def parse(data: bytes) -> tuple[RuntimeNode, ...]:
    """Read the nodes of the primary graph, in the order of their indices.

    Raises:
        DeviceError: the file is empty, damaged or contradicts itself.
    """
    details = protos.ModelRuntimeDetails()
    try:
        details.ParseFromString(data)
    except DecodeError as error:
        raise DeviceError(f"the benchmark tool's runtime info is damaged ({error})") from None
    if not details.subgraphs or not details.subgraphs[0].nodes:
        raise DeviceError("the benchmark tool's runtime info is empty")
    nodes = details.subgraphs[0].nodes
    names = {
        node.id: node.delegate_node_details.delegate_name
        for node in nodes
        if node.HasField("delegate_node_details")
    }
    taken = [node for node in nodes if node.HasField("delegated_to_node_id")]
    strays = {node.delegated_to_node_id for node in taken} - set(names)
    if strays:
        raise DeviceError(
            f"the benchmark tool's runtime info names delegate nodes {sorted(strays)} "
            "that it does not hold; the file is damaged"
        )
    tensors = {edge.id: edge.name for edge in details.subgraphs[0].edges}
    return tuple(
        RuntimeNode(
            index=node.id,
            op=node.name,
            delegate=names[node.delegated_to_node_id]
            if node.HasField("delegated_to_node_id")
            else "",
            output=tensors.get(node.outputs[0], "") if node.outputs else "",
        )
        for node in sorted(nodes, key=lambda node: int(node.id))
        if node.id not in names
    )
