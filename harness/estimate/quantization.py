"""Tell which quantized tensors of a graph share a scale."""

from harness.graph import Graph

QUANTIZED = ("int8", "uint8", "int16")
_KEEPS_SCALE = frozenset({
    "AVERAGE_POOL_2D", "BATCH_TO_SPACE_ND", "CONCATENATION", "DEPTH_TO_SPACE", "EXPAND_DIMS",
    "GATHER", "MAX_POOL_2D", "MIRROR_PAD", "PACK", "PAD", "PADV2", "RESHAPE", "RESIZE_BILINEAR",
    "RESIZE_NEAREST_NEIGHBOR", "SLICE", "SPACE_TO_BATCH_ND", "SPACE_TO_DEPTH", "SPLIT", "SPLIT_V",
    "SQUEEZE", "STRIDED_SLICE", "TILE", "TRANSPOSE", "UNPACK",
})  # fmt: skip
"""Ops whose inputs and outputs must have one scale. Source: LiteRT's 8-bit quantization
specification, and the kernels' checks for those that it leaves out."""


def scale_numbers(graph: Graph) -> dict[int, int]:
    """Return for each quantized tensor of a graph's ops which scale it has, counted from 0.

    Ops that only move numbers keep their input's scale; every other op makes one of its own, as a
    calibrated file has it.
    """
    same: dict[int, int] = {}

    def first(index: int) -> int:
        while same.setdefault(index, index) != index:
            index = same[index]
        return index

    for op in graph.ops:
        tensors = [
            i for i in (*op.inputs, *op.outputs) if i >= 0 and graph.tensors[i].dtype in QUANTIZED
        ]
        for index in tensors:
            if op.name in _KEEPS_SCALE:
                same[first(index)] = first(tensors[0])
            else:
                first(index)
    found: dict[int, int] = {}
    return {index: found.setdefault(first(index), len(found)) for index in same}
