"""Tell which tensors of a graph share a quantization."""

from harness.graph import Graph


def scale_numbers(graph: Graph) -> dict[int, int]:
    """Number the quantizations of a graph in order of appearance, 0 for none.

    Which tensors share one decides where values are quantized again; its size does not matter.
    """
    seen: dict[tuple[float, int], int] = {}
    numbers = {}
    for tensor in graph.tensors:
        found = tensor.quantization
        key = (found.scales[0], found.zero_points[0] if found.zero_points else 0) if found else None
        numbers[tensor.index] = 0 if key is None else seen.setdefault(key, len(seen) + 1)
    return numbers
