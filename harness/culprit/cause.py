"""Say what is wrong with an op, from what its tensors can hold and from its constants."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.graph import Graph, Op, Tensor

_CLIPPED_SHARE = 0.001
"""Share of values beyond the range of their tensor that is named as clipping."""
_COARSE_RATIO = 8.0
"""A range so many times wider than its values wastes 3 of 8 bits and is named as coarse."""
_CONSTANT_ERROR_SHARE = 0.05
"""Relative L2 error of constants that is named; rounding to int8 costs about 0.01."""


def explain(
    graph: Graph,
    reference: Graph,
    op: Op,
    pairs: Mapping[int, int],
    truth: Mapping[int, NDArray[np.float32]],
) -> str:
    """Say why an op's output is wrong, from what the files show; '' where they show nothing.

    Args:
        graph: The variant.
        reference: What it should compute.
        op: The op to blame.
        pairs: Tensors of the reference by tensors of the graph.
        truth: What the tensors of the graph should hold, by index, where that is known.
    """
    ports = [op.outputs[0], *(tensor.index for tensor in graph.runtime_inputs(op))]
    judged = [i for i in ports if i in truth and not _is_stored_alike(graph, reference, i, pairs)]
    ranges = [fault for i in judged for fault in _range_faults(graph.tensors[i], truth[i])]
    found = [
        *ranges,
        *_constant_faults(graph, reference, op, pairs),
        *_option_faults(reference, op, pairs),
    ]
    return "; ".join(found)


def _is_stored_alike(graph: Graph, reference: Graph, index: int, pairs: Mapping[int, int]) -> bool:
    """Return whether the reference stores a tensor the same way, so that this explains nothing."""
    here, there = graph.tensors[index], reference.tensors[pairs[index]]
    return (here.dtype, here.quantization) == (there.dtype, there.quantization)


def _range_faults(tensor: Tensor, truth: NDArray[np.float32]) -> list[str]:
    if tensor.quantization is None or len(tensor.quantization.scales) != 1:
        return []
    scale, zero_point = tensor.quantization.scales[0], tensor.quantization.zero_points[0]
    limits = np.iinfo(tensor.dtype)
    low, high = (limits.min - zero_point) * scale, (limits.max - zero_point) * scale
    least, most = float(truth.min()), float(truth.max())
    beyond_share = float(np.mean((truth < low - scale) | (truth > high + scale)))
    if beyond_share > _CLIPPED_SHARE:
        return [
            f"clipped range: {beyond_share:.1%} of the values lie beyond what {tensor.name!r} can "
            f"hold ({low:.4g} to {high:.4g}; the values span {least:.4g} to {most:.4g})"
        ]
    span = most - least
    if span > 0.0 and high - low > _COARSE_RATIO * span:
        return [
            f"wrong scale: {tensor.name!r} has steps of {scale:.4g} for values from {least:.4g} to "
            f"{most:.4g}, {span / scale:.0f} of {limits.max - limits.min} steps"
        ]
    return []


def _constant_faults(graph: Graph, reference: Graph, op: Op, pairs: Mapping[int, int]) -> list[str]:
    other = _counterpart(reference, op, pairs)
    if other is None or other.name != op.name:
        return []
    faults = []
    for here, there in zip(op.inputs, other.inputs, strict=False):
        mine, right = _real(graph, here), _real(reference, there)
        if mine is None or right is None or mine.shape != right.shape or not right.any():
            continue
        error_share = float(np.linalg.norm(mine - right) / np.linalg.norm(right))
        if error_share > _CONSTANT_ERROR_SHARE:
            faults.append(
                f"wrong constant: {graph.tensors[here].name!r} differs from the reference by "
                f"{error_share:.0%}{_ratio(mine, right)}"
            )
    return faults


def _option_faults(reference: Graph, op: Op, pairs: Mapping[int, int]) -> list[str]:
    other = _counterpart(reference, op, pairs)
    if other is None or other.name != op.name:
        return []
    return [
        f"other option: {name} is {value} here and {other.options[name]} in the reference"
        for name, value in op.options.items()
        if name in other.options
        and other.options[name] != value
        and name not in ("quantized_bias_type", "pot_scale_int16", "asymmetric_quantize_inputs")
    ]


def _counterpart(reference: Graph, op: Op, pairs: Mapping[int, int]) -> Op | None:
    return reference.producers.get(pairs.get(op.outputs[0], -1))


def _real(graph: Graph, index: int) -> NDArray[np.float64] | None:
    """Return the real values of a constant, looking through DEQUANTIZE; or None."""
    if index < 0:
        return None
    tensor = graph.tensors[index]
    if tensor.constant is None:
        maker = graph.producers.get(index)
        unpacks = maker is not None and maker.name == "DEQUANTIZE"
        return _real(graph, maker.inputs[0]) if maker is not None and unpacks else None
    stored = tensor.values()
    if stored is None or stored.dtype.kind not in "fi":
        return None
    if tensor.quantization is None:
        return stored.astype(np.float64) if stored.dtype.kind == "f" else None
    scales = np.asarray(tensor.quantization.scales, np.float64)
    zeros = np.asarray(tensor.quantization.zero_points, np.float64)
    shape = [1] * stored.ndim
    if len(scales) > 1:
        shape[tensor.quantization.axis] = len(scales)
    real: NDArray[np.float64] = (stored - zeros.reshape(shape)) * scales.reshape(shape)
    return real


def _ratio(mine: NDArray[Any], right: NDArray[Any]) -> str:
    """Say by which factor constants differ, where it is one factor."""
    factor = float(np.sum(mine * right) / np.sum(right * right))
    rest_share = float(np.linalg.norm(mine - factor * right) / np.linalg.norm(mine))
    return f": it is the reference times {factor:.3g}" if rest_share < _CONSTANT_ERROR_SHARE else ""
