"""Name ops that do the work of a refused one, where the same rules accept them."""

from collections.abc import Callable, Sequence

import numpy as np

from harness.graph import Graph, Op, Quantization, Tensor

SUBSTITUTES: dict[str, tuple[tuple[str, ...], ...]] = {
    "TRANSPOSE_CONV": (
        ("RESIZE_BILINEAR", "CONV_2D"), ("CONV_2D", "DEPTH_TO_SPACE"),
        ("RESIZE_NEAREST_NEIGHBOR", "CONV_2D"),
    ),
    "RESIZE_BILINEAR": (
        ("CONV_2D", "DEPTH_TO_SPACE"), ("RESIZE_NEAREST_NEIGHBOR", "CONV_2D"),
        ("TRANSPOSE_CONV",),
    ),
    "RESIZE_NEAREST_NEIGHBOR": (("RESIZE_BILINEAR",), ("CONV_2D", "DEPTH_TO_SPACE")),
    "DEPTH_TO_SPACE": (("RESIZE_BILINEAR", "CONV_2D"),),
    "PRELU": (("LEAKY_RELU",), ("RELU",)),
    "LEAKY_RELU": (("PRELU",), ("RELU",)),
    "ELU": (("LEAKY_RELU",), ("RELU",)),
    "GELU": (("HARD_SWISH",), ("RELU",)),
    "MIRROR_PAD": (("PAD",),),
    "PADV2": (("PAD",),),
}  # fmt: skip
"""What may stand in for an op, best first: for restoration nets, after retraining.

Source: arXiv 2004.12599 for upsampling (RESIZE_BILINEAR or DEPTH_TO_SPACE for TRANSPOSE_CONV);
the others are common practice.
"""

_VERSIONS = {"CONV_2D": 3, "TRANSPOSE_CONV": 3, "PRELU": 1, "LEAKY_RELU": 1, "HARD_SWISH": 1}
_SCALE = Quantization(scales=(1 / 256,), zero_points=(0,), axis=0)


def substitute(op: str, dtype: str, accepts: Callable[[Sequence[str], str], bool]) -> str:
    """Return a sentence that names what is accepted in place of an op, or ''.

    Args:
        op: The refused op.
        dtype: Of its data.
        accepts: Says whether ops of some names would all run on an accelerator.
    """
    for names in SUBSTITUTES.get(op, ()):
        if accepts(names, dtype):
            return f"{' + '.join(names)} is accepted here"
    return ""


def probe(name: str, dtype: str) -> Graph:
    """Build a graph of one plain op: constant weights and sizes, legacy sampling, no activation."""
    quantized = dtype in ("int8", "uint8", "int16")
    scale = _SCALE if quantized else None
    weights_dtype = "int8" if quantized else dtype
    size = np.asarray([16, 16], np.int32).tobytes()
    weights = bytes(4 * 3 * 3 * 4 * (1 if quantized else 4))
    tensors = (
        Tensor(index=0, name="x", shape=(1, 8, 8, 4), dtype=dtype, quantization=scale),
        Tensor(index=1, name="size", shape=(2,), dtype="int32", constant=size),
        Tensor(
            index=2, name="weights", shape=(4, 3, 3, 4), dtype=weights_dtype, quantization=scale,
            constant=weights,
        ),
        Tensor(index=3, name="bias", shape=(4,), dtype="int32" if quantized else dtype,
               constant=bytes(16)),
        Tensor(index=4, name="y", shape=(1, 16, 16, 4), dtype=dtype, quantization=scale),
        Tensor(index=5, name="slope", shape=(1, 1, 4), dtype=dtype, quantization=scale,
               constant=bytes(4 if quantized else 16)),
        Tensor(index=6, name="paddings", shape=(4, 2), dtype="int32", constant=bytes(32)),
    )  # fmt: skip
    inputs = {
        "CONV_2D": (0, 2, 3), "TRANSPOSE_CONV": (1, 2, 0, 3), "RESIZE_BILINEAR": (0, 1),
        "RESIZE_NEAREST_NEIGHBOR": (0, 1), "PRELU": (0, 5), "PAD": (0, 6),
    }.get(name, (0,))  # fmt: skip
    version = _VERSIONS.get(name, 2) if quantized else 1
    op = Op(index=0, name=name, version=version, inputs=inputs, outputs=(4,), options={}, macs=0)
    return Graph(tensors=tensors, ops=(op,), inputs=(0,), outputs=(4,), size_bytes=0)
