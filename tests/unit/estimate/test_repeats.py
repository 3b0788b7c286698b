"""A long graph of repeated blocks is asked about by three shorter ones, and says so."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from harness.errors import TimeLimitError
from harness.estimate import repeats, snapdragon, vendor
from harness.estimate.reference.draft import Draft, Node
from harness.estimate.repeats import RepeatedBlocks
from harness.graph import Graph
from harness.profiles import EstimateConstants
from tests.unit.estimate import phones

NPU = EstimateConstants(
    delegate="qnn", precision="float", values={"floor_ms": 0.5, "vendor_ratio": 1.0}, rows=9,
    error_share=0.1, interval_ratio=1.2, source="round numbers for tests",
)  # fmt: skip


def block(net: Draft, x: Node) -> Node:
    """Three ops, of which the last reads what the block reads."""
    return net.add(x, net.conv(net.conv(x, 16, norm=False), 16, act="NONE", norm=False))


def net(blocks: int, *, features: tuple[int, ...] = ()) -> Graph:
    """A head, blocks, a join of what some blocks made and the last, and a long skip."""
    draft = Draft()
    first = x = draft.conv(draft.input(16, 16, 3), 16, norm=False)
    taken = []
    for number in range(blocks):
        x = block(draft, x)
        if number in features:
            taken.append(x)
    x = draft.conv(draft.concat(x, *taken), 16, norm=False) if taken else x
    return draft.finish(draft.conv(draft.add(x, first), 3, norm=False))


def test_blocks_that_are_alike_are_found() -> None:
    assert repeats.find(net(20)) == RepeatedBlocks(first=1, length=3, times=20)


def test_few_blocks_are_none() -> None:
    assert repeats.find(net(7)) is None


def test_blocks_of_other_shapes_are_none() -> None:
    draft = Draft()
    x = draft.input(8, 8, 3)
    for channels in range(8, 40):
        x = draft.conv(x, channels, norm=False)

    assert repeats.find(draft.finish(x)) is None


@pytest.mark.parametrize("times", [1, 2, 9])
def test_a_shortened_graph_is_the_one_with_fewer_blocks(times: int) -> None:
    graph = net(20)

    found = repeats.shorten(graph, RepeatedBlocks(first=1, length=3, times=20), times)

    assert vendor.structure_key(vendor.without_weights(found)) == vendor.structure_key(
        vendor.without_weights(net(times))
    )


def test_what_later_ops_read_of_a_block_that_went_is_of_one_that_is_left() -> None:
    graph = net(20, features=(0, 9, 18))

    found = repeats.shorten(graph, RepeatedBlocks(first=1, length=3, times=20), 4)

    made = {i for op in found.ops for i in op.outputs}
    (join,) = [op for op in found.ops if op.name == "CONCATENATION"]
    assert set(join.inputs) <= made
    # The last block, the first (which is left), none earlier than the first, and the last but one.
    assert [
        next(n for n, op in enumerate(found.ops) if i in op.outputs) // 3 for i in join.inputs
    ] == [4, 1, 1, 3]


def test_outputs_of_blocks_that_went_are_put_out_once() -> None:
    graph = net(20)
    early, late = (graph.ops[position].outputs[0] for position in (18, 30))
    graph = replace(graph, outputs=(early, late, *graph.outputs))

    found = repeats.shorten(graph, RepeatedBlocks(first=1, length=3, times=20), 4)

    assert found.outputs == (graph.ops[3].outputs[0], *net(20).outputs)


def linear_ms(graph: Graph) -> float:
    return 0.25 + 0.001 * len(graph.ops)


def answering(monkeypatch: pytest.MonkeyPatch, answer_ms: Callable[[Graph], float]) -> list[int]:
    """Answer in place of the estimator; return how many ops each graph has that it is asked."""
    lengths: list[int] = []

    def say(graph: Graph, **limits: float) -> vendor.VendorEstimate:
        lengths.append(len(graph.ops))
        adds = sum(op.name == "ADD" for op in graph.ops)
        words = ("Min", *["Add"] * adds)
        said = answer_ms(graph)
        return vendor.VendorEstimate(time_ms=said, traffic_mib=2.0 * said, uncosted=words)

    monkeypatch.setattr(vendor, "estimate", say)
    return lengths


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many ops each graph had that the estimator was asked about."""
    return answering(monkeypatch, linear_ms)


def test_a_long_graph_is_carried_on_from_a_third_of_its_blocks(asked: list[int]) -> None:
    graph = net(600)

    found = repeats.estimate(graph)

    assert sorted(asked) == [3 + 3 * 1, 3 + 3 * 100, 3 + 3 * 200]
    assert found.said.time_ms == pytest.approx(linear_ms(graph))
    assert found.said.traffic_mib == pytest.approx(2.0 * linear_ms(graph))
    assert found.said.uncosted.count("Add") == 601
    assert found.said.uncosted.count("Min") == 1
    assert found.shortened == "its 600 blocks of 3 ops carried on from 200"
    assert found.ratio == repeats.SHORTENED_RATIO


@pytest.mark.parametrize("later_ms", [0.002, 0.0005])
def test_blocks_that_cost_other_than_those_before_them_are_a_doubt(
    monkeypatch: pytest.MonkeyPatch, later_ms: float
) -> None:
    """What the rest is at the price of the earlier and of the later blocks lies inside."""

    def bent_ms(graph: Graph) -> float:
        blocks = (len(graph.ops) - 3) / 3
        return 0.5 + 0.001 * min(blocks, 100) + later_ms * max(0.0, blocks - 100)

    answering(monkeypatch, bent_ms)

    found = repeats.estimate(net(600))

    asked_ms = 0.5 + 0.1 + 100 * later_ms
    ends_ms = [asked_ms + 400 * each_ms for each_ms in (0.001, later_ms)]
    inside_ms = [min(ends_ms), max(ends_ms)]
    assert inside_ms[0] < found.said.time_ms < inside_ms[1]
    assert found.said.time_ms / found.ratio <= inside_ms[0] * (1 + 1e-9)
    assert found.said.time_ms * found.ratio >= inside_ms[1] * (1 - 1e-9)
    assert found.ratio > repeats.SHORTENED_RATIO
    assert f"the first add 0.001 ms each and the last {later_ms:.2g} ms" in found.shortened


def test_blocks_that_seem_to_cost_nothing_leave_an_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answering(monkeypatch, lambda graph: 5.0 + abs(len(graph.ops) - 303) / 1e3)

    found = repeats.estimate(net(600))

    assert found.said.time_ms > 0.0
    assert found.ratio >= repeats.SHORTENED_RATIO


def test_a_shorter_graph_is_asked_about_whole(asked: list[int]) -> None:
    graph = net(300)

    found = repeats.estimate(graph)

    assert asked == [len(graph.ops)]
    assert (found.said.time_ms, found.shortened) == (linear_ms(graph), "")


def test_an_answer_that_was_carried_on_has_a_wider_interval_and_says_so(asked: list[int]) -> None:
    assert asked == []

    whole, shortened = (snapdragon.cost(net(n), phones.phone(NPU)) for n in (300, 600))

    lacking = 1 + 300 + 1
    assert whole.high_ms / whole.total_ms == pytest.approx(1.2 * (1.0 + lacking / 903))
    lacking = 1 + 600 + 1
    assert shortened.high_ms / shortened.total_ms == pytest.approx(
        1.2 * repeats.SHORTENED_RATIO * (1.0 + lacking / 1803)
    )
    assert "its 600 blocks of 3 ops carried on from 200" in shortened.basis
    assert "carried on" not in whole.basis


def test_a_shorter_graph_that_takes_too_long_is_no_answer_either(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def too_slow(graph: Graph, **limits: float) -> vendor.VendorEstimate:
        raise TimeLimitError("too slow")

    monkeypatch.setattr(vendor, "estimate", too_slow)

    with pytest.raises(TimeLimitError):
        snapdragon.cost(net(600), phones.phone(NPU))
