"""The roofline is fast enough to answer for every resolution and phone at once."""

from typing import Any

from harness.estimate.model import estimate_graph
from tests.unit.estimate import phones
from tests.unit.estimate.test_model import net


def test_sixty_ops_at_five_resolutions_on_ten_phones(benchmark: Any) -> None:
    """Fifty estimates of a graph of 60 ops; the aim is under one second."""
    names = ("PRELU", "TANH", "ABS") * 19
    graphs = [net(height=64 * k, width=64 * k, ops=names) for k in range(1, 6)]
    placed = [(graph, phones.place(graph)) for graph in graphs]
    target = phones.target()

    def estimate_all() -> float:
        return sum(
            estimate_graph(graph, placement, target).estimate_ms
            for _ in range(10)
            for graph, placement in placed
        )

    assert benchmark(estimate_all) > 0.0
