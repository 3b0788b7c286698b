"""A known failure of GPU delegates is found where its pattern is, and not in its twin."""

from collections.abc import Callable

import numpy as np
import pytest

from harness import graph as graphs
from harness.placement import CPU, NodePlacement
from harness.stacks import known_failures
from tests.models import ModelBuilder

Net = Callable[[ModelBuilder], tuple[list[int], list[int]]]


def found(net: Net) -> list[str]:
    builder = ModelBuilder()
    graph = graphs.parse(builder.build(*net(builder)))
    return [failure.op for failure in known_failures.find(graph)]


def padded(*shape: int) -> Net:
    def net(b: ModelBuilder) -> tuple[list[int], list[int]]:
        x = b.activation(shape)
        pads = [[0, 0]] * len(shape)
        pads[-2] = [1, 1]
        y = b.activation(tuple(n + sum(pad) for n, pad in zip(shape, pads, strict=True)))
        b.op("PAD", [x, b.constant(np.array(pads))], [y])
        return [x], [y]

    return net


def added(*shape: int, constant: bool = True, other: tuple[int, ...] | None = None) -> Net:
    def net(b: ModelBuilder) -> tuple[list[int], list[int]]:
        x = b.activation(shape)
        if constant:
            values = np.ones(other or shape, np.float32)
            return [x], [b.same("ADD", x, b.constant(values, "float32"))]
        y = b.activation(shape)
        return [x, y], [b.same("ADD", x, y)]

    return net


def reduced(*, shown: bool, reader: str = "SUM") -> Net:
    def net(b: ModelBuilder) -> tuple[list[int], list[int]]:
        x, y = b.activation((1, 8, 8, 4)), b.activation((1, 8, 8, 4))
        total = b.same("ADD", x, y)
        pooled = b.activation((1, 1, 1, 4))
        if reader in ("SUM", "MEAN"):
            b.op(reader, [total, b.constant(np.array([1, 2]))], [pooled], keep_dims=True)
            return [x, y], [total, pooled] if shown else [pooled]
        return [x, y], [total, b.same(reader, total)]

    return net


def pooled(size_px: int) -> Net:
    def net(b: ModelBuilder) -> tuple[list[int], list[int]]:
        x, y = b.activation((1, size_px, size_px, 4)), b.activation((1, 1, 1, 4))
        b.op("MEAN", [x, b.constant(np.array([1, 2]))], [y], keep_dims=True)
        return [x], [y]

    return net


def broadcast(channels: int, *, multiplied: bool) -> Net:
    def net(b: ModelBuilder) -> tuple[list[int], list[int]]:
        x, y = b.activation((1, 8, 8, channels)), b.activation((1, 8, 8, 16))
        total = b.same("ADD", y, x)
        return [x, y], [b.same("MUL", total, y) if multiplied else total]

    return net


def divided(channels: int) -> Net:
    def net(b: ModelBuilder) -> tuple[list[int], list[int]]:
        x, y = b.activation((1, 8, 8, channels)), b.activation((1, 8, 8, channels))
        return [x, y], [b.conv(b.same("DIV", x, y), 4)]

    return net


@pytest.mark.parametrize(
    ("fault", "twin", "op"),
    [
        (padded(4, 8, 4), padded(1, 8, 8, 4), "PAD"),
        (padded(4, 8, 4), padded(1, 8, 4), "PAD"),
        (added(64, 16), added(64, 16, other=(16,)), "ADD"),
        (added(4, 64, 16), added(1, 64, 16), "ADD"),
        (added(64, 16), added(64, 16, constant=False), "ADD"),
        (reduced(shown=True), reduced(shown=False), "ADD"),
        (reduced(shown=True, reader="MEAN"), reduced(shown=True, reader="RELU"), "ADD"),
        (pooled(720), pooled(256), "MEAN"),
        (broadcast(1, multiplied=True), broadcast(1, multiplied=False), "ADD"),
        (broadcast(1, multiplied=True), broadcast(16, multiplied=True), "ADD"),
        (divided(3), divided(4), "DIV"),
    ],
)
def test_a_pattern_is_found_and_its_harmless_twin_is_not(fault: Net, twin: Net, op: str) -> None:
    assert found(fault) == [op]
    assert found(twin) == []


def test_only_what_the_gpu_takes_is_marked() -> None:
    builder = ModelBuilder()
    graph = graphs.parse(builder.build(*padded(4, 8, 4)(builder)))
    (op,) = graph.ops

    on_gpu, note = known_failures.mark([NodePlacement(index=0, op=op.name, unit="gpu")], graph)
    on_cpu, nothing = known_failures.mark(
        [NodePlacement(index=0, op=op.name, unit=CPU, reason="refused")], graph
    )

    assert "computed wrongly by LiteRT 2.1.6 to 2.3.0" in on_gpu[0].reason
    assert on_gpu[0].remedy == "pad at rank 4"
    assert note.endswith("remedy: pad at rank 4")
    assert (on_cpu[0].reason, nothing) == ("refused", "")
