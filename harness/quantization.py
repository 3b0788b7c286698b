"""Settings of 8-bit files that are known to cost quality, read from the file alone.

Source: docs/study/quantization.csv, one change of the setting at a time on the same weights
(`harness study quantization deblur_unet`). Only what cost more than 0.3 dB there is named: one
calibration frame, which leaves the brightest pixels out of the output's range. One scale per tensor
for the weights, and a residual with the scale of an image, cost less than 0.02 dB more than what
they replace.
"""

from __future__ import annotations

from harness.nodes import Graph, Tensor

_LIMITS = {"int8": (-128, 127), "uint8": (0, 255)}
_SLACK_STEPS = 2.0  # rounding of scales moves the end of a range by less
_SAME_UNITS = 0.5  # of the input's white: below it, input and output have other units
_CHANNELS = 3


def clipping(graph: Graph) -> str:
    """Say that an 8-bit image model cannot write the brightest pixels that it reads.

    Args:
        graph: Any model; one that does not map an 8-bit image to an 8-bit image is not judged.

    Returns:
        What is wrong, what it cost and what to do, or '' where nothing is.
    """
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        return ""
    read, written = graph.tensors[graph.inputs[0]], graph.tensors[graph.outputs[0]]
    ends, reach = _range(read), _range(written)
    if ends is None or reach is None:
        return ""
    white, brightest = ends[1], reach[1]
    if brightest >= white - _SLACK_STEPS * _step(written) or brightest < _SAME_UNITS * white:
        return ""
    return (
        f"the 8-bit output reaches up to {brightest:.2f}, the input to {white:.2f}: what is "
        "brighter is clipped, as after calibration with too few frames, which cost deblur_unet "
        "2.6 dB (docs/study/quantization.csv); calibrate with frames that hold white"
    )


def _range(tensor: Tensor) -> tuple[float, float] | None:
    """Return the real values at both ends of an 8-bit image, or None for any other tensor."""
    limits, mapping = _LIMITS.get(tensor.dtype), tensor.quantization
    image = len(tensor.shape) == 4 and tensor.shape[-1] == _CHANNELS
    if limits is None or mapping is None or not image or len(mapping.scales) != 1:
        return None
    zero_point = mapping.zero_points[0] if mapping.zero_points else 0
    low, high = (mapping.scales[0] * (end - zero_point) for end in limits)
    return low, high


def _step(tensor: Tensor) -> float:
    return tensor.quantization.scales[0] if tensor.quantization else 0.0
