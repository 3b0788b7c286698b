"""IMDN for deblurring: blocks that distil a quarter of their channels at each step.

The source's contrast-aware channel attention is left out, as the study asks for no attention, and
so is its upsampler.

Source: Hui, Gao, Yang, Wang, "Lightweight Image Super-Resolution with Information
Multi-distillation Network", ACM MM 2019 (arXiv:1909.11856), sections 3.1 and 3.2.
"""

from __future__ import annotations

import dataclasses

import keras

from harness.zoo.layers import (
    Activation,
    ChannelSlice,
    Tensor,
    activate,
    concatenate,
    conv,
    image_input,
    restored,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class IMDNSize:
    """The size of an IMDN.

    Attributes:
        width: Channels between blocks, a multiple of 4.
        blocks: Distillation blocks.
    """

    width: int
    blocks: int


SMALL = IMDNSize(width=8, blocks=3)


def imdn(
    *,
    size: IMDNSize = SMALL,
    activation: Activation = Activation.PRELU,
    size_px: tuple[int, int] | None = None,
) -> keras.Model:
    """Build an IMDN that maps a blurred frame [N, H, W, 3] to a sharp one; any size fits.

    Args:
        size: Width and depth.
        activation: The activation of each step (leaky ReLU with slope 0.05 in the source).
        size_px: (height, width), or None for any size.
    """
    image = image_input(size_px, stride=1)
    first = conv(image, size.width, name="stem")
    x = first
    outputs = []
    for i in range(size.blocks):
        x = _distil(x, size.width, activation, name=f"block{i}")
        outputs.append(x)
    x = concatenate(outputs, name="join")
    x = activate(conv(x, size.width, kernel=1, name="fusion"), activation, name="fusion_act")
    x = conv(x, size.width, name="body")
    x = keras.layers.Add(name="long_skip")([x, first])
    return restored(image, conv(x, 3, name="head"), name="imdn")


def _distil(x: Tensor, width: int, activation: Activation, *, name: str) -> Tensor:
    """Keep a quarter of the channels at each of three steps, refine the rest, join all."""
    quarter = width // 4
    kept, rest = [], x
    for step in range(3):
        refined = conv(rest, width, name=f"{name}_conv{step}")
        refined = activate(refined, activation, name=f"{name}_act{step}")
        kept.append(ChannelSlice(first=0, end=quarter, name=f"{name}_keep{step}")(refined))
        rest = ChannelSlice(first=quarter, end=width, name=f"{name}_rest{step}")(refined)
    kept.append(conv(rest, quarter, name=f"{name}_conv3"))
    joined = concatenate(kept, name=f"{name}_join")
    fused = conv(joined, width, kernel=1, name=f"{name}_fusion")
    return keras.layers.Add(name=f"{name}_skip")([x, fused])
