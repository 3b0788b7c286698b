"""Tell which quantized tensors of a graph need a scale apart from the others."""

from harness.graph import Graph

_QUANTIZED = ("int8", "uint8", "int16")


def scale_numbers(graph: Graph) -> dict[int, int]:
    """Return 0 or 1 for each tensor: which of two scales it gets for the vendor's estimator.

    All tensors share one scale, but for what an op explicitly quantizes again: with one scale that
    op would vanish. A scale of its own for every tensor, as in real files, was tried on the
    published figures and raised the held-out error of S23, S24 and S25 in int8 (10.6 to 16.4 %
    on S24), so the scales of the file are not used.
    """
    numbers = {tensor.index: 0 for tensor in graph.tensors}
    for op in graph.ops:
        if op.name == "QUANTIZE" and graph.tensors[op.inputs[0]].dtype in _QUANTIZED:
            numbers[op.outputs[0]] = 1 - numbers[op.inputs[0]]
    return numbers
