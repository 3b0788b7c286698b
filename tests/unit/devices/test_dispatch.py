"""Tell what ran on an NPU from what LiteRT 2 says of a graph that it compiled."""

import pytest

from harness.devices.traces import dispatch
from harness.devices.traces.attribution import Delegation, Traces, attribute
from harness.devices.traces.runtime_info import RuntimeNode
from harness.errors import MeasurementError
from harness.graph import Graph, parse
from harness.placement import CPU
from tests import models

XNNPACK = "TfLiteXNNPackDelegate"


@pytest.fixture
def graph() -> Graph:
    return parse(models.unet(upsampling="TRANSPOSE_CONV"))


def left(graph: Graph, *indices: int, named: bool = True) -> tuple[RuntimeNode, ...]:
    """Return the runtime's nodes where only these ops are left, between two compiled pieces."""
    pieces = [
        RuntimeNode(index=0, op="DISPATCH_OP", delegate=dispatch.DELEGATE),
        *(
            RuntimeNode(
                index=number,
                op=graph.ops[i].name,
                delegate=XNNPACK,
                output=graph.tensors[graph.ops[i].outputs[0]].name if named else "renamed",
            )
            for number, i in enumerate(indices, 1)
        ),
        RuntimeNode(index=len(indices) + 1, op="DISPATCH_OP", delegate=dispatch.DELEGATE),
    ]
    return tuple(pieces)


def place(graph: Graph, nodes: tuple[RuntimeNode, ...], output: str = "") -> Traces:
    return Traces(
        delegate="npu", accelerator="", delegation=Delegation(), nodes=nodes, output=output
    )


def test_what_a_plugin_left_is_told_by_the_name_of_its_output(graph: Graph):
    convolutions = [op.index for op in graph.ops if op.name == "CONV_2D"]

    found = attribute(graph, place(graph, left(graph, convolutions[1])))

    assert [node.index for node in found.nodes if node.unit == CPU] == [convolutions[1]]
    assert found.partitions == 3


def test_tensors_that_were_renamed_do_where_all_ops_of_a_name_are_left(graph: Graph):
    wanted = [op.index for op in graph.ops if op.name == "CONCATENATION"]

    found = attribute(graph, place(graph, left(graph, *wanted, named=False)))

    assert [node.index for node in found.nodes if node.unit == CPU] == wanted


def test_which_of_several_is_left_is_not_guessed(graph: Graph):
    first = next(op.index for op in graph.ops if op.name == "CONV_2D")

    with pytest.raises(MeasurementError, match=r"1 of \d+ CONV_2D were left.*not known which"):
        attribute(graph, place(graph, left(graph, first, named=False)))


def test_litert_and_the_runtime_info_must_agree_on_how_many_ops_were_taken(graph: Graph):
    said = "INFO: Partitioned subgraph<0>, selected 3 ops, from a total of 16 ops. resulted in 2"

    with pytest.raises(MeasurementError, match=r"contradict.*it took 3 of 16"):
        attribute(graph, place(graph, left(graph, 1), said))


def test_what_was_compiled_and_ran_elsewhere_is_not_claimed(graph: Graph):
    nodes = (RuntimeNode(index=0, op="DISPATCH_OP", delegate=XNNPACK),)

    with pytest.raises(MeasurementError, match="not by DispatchDelegate"):
        attribute(graph, place(graph, nodes))


def test_pieces_that_lie_side_by_side_count_as_partitions(graph: Graph):
    found = attribute(graph, place(graph, left(graph)))

    assert {node.unit for node in found.nodes} == {"npu"}
    assert found.partitions == 2


def test_a_model_compiled_before_is_told_by_the_dispatch_delegate():
    model = models.ModelBuilder()
    image = model.activation((1, 8, 8, 3), name="image")
    made = model.activation((1, 8, 8, 3))
    model.op("DISPATCH_OP", [image], [made])
    graph = parse(model.build([image], [made]))
    nodes = (RuntimeNode(index=0, op="DISPATCH_OP", delegate=dispatch.DELEGATE),)

    found = attribute(graph, place(graph, nodes))

    assert [(node.op, node.unit) for node in found.nodes] == [("DISPATCH_OP", "npu")]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("ERROR: [litert_dispatch.cc:1] No dispatch library found in /d", "No dispatch library"),
        ("E litert: Failed to load compiler plugins: No compiler plugin found", "Failed to load"),
        ("all is well", ""),
    ],
)
def test_why_litert_went_on_without_the_npu_is_read_from_its_log(line: str, said: str):
    assert dispatch.failure(f"INFO: STARTING!\n{line}\n")[: len(said) or None] == said
