"""Grouping nodes into the partitions that a delegate and the CPU execute."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from harness import graph
from harness.evidence import Evidence, Provenance
from harness.graph import Graph, Op, Tensor
from harness.placement import CPU, NodePlacement, Placement, partition
from tests.models import conv_net, unet

PROVENANCE = Provenance(evidence=Evidence.RULES, device="test", variant_sha256="0" * 64)


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Draw a graph of up to 12 ops; tensor 0 is the input, tensor i + 1 the output of op i."""
    count = draw(st.integers(1, 12))
    ops = tuple(
        Op(
            index=i,
            name="ADD",
            version=1,
            inputs=tuple(draw(st.lists(st.integers(-1, i), min_size=1, max_size=3))),
            outputs=(i + 1,),
            options={},
            macs=0,
        )
        for i in range(count)
    )
    tensors = tuple(
        Tensor(index=i, name=f"t{i}", shape=(1,), dtype="float32") for i in range(count + 1)
    )
    return Graph(tensors=tensors, ops=ops, inputs=(0,), outputs=(count,), size_bytes=0)


@given(drawn=graphs(), data=st.data())
def test_a_partition_covers_every_node_once_and_respects_dependencies(
    drawn: Graph, data: st.DataObject
) -> None:
    kinds = data.draw(st.lists(st.booleans(), min_size=len(drawn.ops), max_size=len(drawn.ops)))

    partitions = partition(drawn, kinds)

    order = [index for ops in partitions for index in ops]
    assert sorted(order) == list(range(len(drawn.ops)))
    place = {index: position for position, index in enumerate(order)}
    for op in drawn.ops:
        assert all(place[i - 1] < place[op.index] for i in op.inputs if i > 0)


@given(drawn=graphs(), data=st.data())
def test_partitions_are_of_one_kind_and_alternate(drawn: Graph, data: st.DataObject) -> None:
    kinds = data.draw(st.lists(st.booleans(), min_size=len(drawn.ops), max_size=len(drawn.ops)))

    partitions = partition(drawn, kinds)

    of_each = [{kinds[index] for index in ops} for ops in partitions]
    assert all(len(kind) == 1 for kind in of_each)
    assert all(a != b for a, b in itertools.pairwise(of_each))


def test_a_wholly_accelerated_graph_is_one_partition() -> None:
    net = graph.parse(unet())

    assert partition(net, [True] * len(net.ops)) == (tuple(range(len(net.ops))),)


def test_a_refused_op_in_a_chain_makes_three_partitions() -> None:
    net = graph.parse(conv_net(depth=2))  # CONV_2D, RELU, CONV_2D

    assert partition(net, [True, False, True]) == ((0,), (1,), (2,))


def test_a_refused_first_op_makes_two_partitions() -> None:
    net = graph.parse(conv_net(depth=2))

    assert partition(net, [False, True, True]) == ((0,), (1, 2))


def test_what_does_not_wait_for_the_cpu_joins_the_first_partition() -> None:
    def op(index: int, *inputs: int) -> Op:
        return Op(index=index, name="ADD", version=1, inputs=inputs, outputs=(index + 1,),
                  options={}, macs=0)  # fmt: skip

    tensors = tuple(Tensor(index=i, name="", shape=(1,), dtype="float32") for i in range(5))
    # 0 -> 1 (CPU) -> 3, and 0 -> 2 -> 3: op 2 comes after the CPU op but need not wait for it.
    net = Graph(
        tensors=tensors, ops=(op(0, 0), op(1, 1), op(2, 1), op(3, 2, 3)), inputs=(0,),
        outputs=(4,), size_bytes=0,
    )  # fmt: skip

    assert partition(net, [True, False, True, True]) == ((0, 2), (1,), (3,))


def test_refused_upsampling_splits_a_unet_around_its_skips() -> None:
    net = graph.parse(unet(levels=2))

    partitions = partition(net, [op.name != "RESIZE_BILINEAR" for op in net.ops])

    assert len(partitions) == 5
    assert [len(ops) for ops in partitions] == [6, 1, 3, 1, 5]


def test_a_placement_counts_what_is_on_the_cpu() -> None:
    nodes = (
        NodePlacement(index=0, op="CONV_2D", unit="npu"),
        NodePlacement(index=1, op="PRELU", unit=CPU, reason="refused"),
    )
    placed = Placement(nodes=nodes, partitions=2, provenance=PROVENANCE)

    assert placed.cpu_ops == 1
    assert placed.fallbacks == (nodes[1],)


def test_idle_ops_are_in_no_partition_and_split_none() -> None:
    net = graph.parse(unet(fp16_weights=True))
    idle = {op.index for op in net.ops if net.unpacks_constant(op)}
    accelerated = [op.index not in idle for op in net.ops]

    assert len(partition(net, accelerated)) > 1
    assert partition(net, accelerated, idle=idle) == (
        tuple(op.index for op in net.ops if op.index not in idle),
    )
