"""EDSR for deblurring: residual blocks at full resolution, without the final upsampler.

Source: Lim, Son, Kim, Nah, Lee, "Enhanced Deep Residual Networks for Single Image
Super-Resolution", CVPRW 2017 (arXiv:1707.02921), section 3 and its baseline of 1.0 scaling.
"""

from __future__ import annotations

import dataclasses

import keras

from harness.zoo.layers import Activation, activate, conv, image_input, restored


@dataclasses.dataclass(frozen=True, kw_only=True)
class EDSRSize:
    """The size of an EDSR.

    Attributes:
        width: Channels of every hidden layer.
        blocks: Residual blocks.
    """

    width: int
    blocks: int


SMALL = EDSRSize(width=6, blocks=8)
PAPER = EDSRSize(width=48, blocks=6)


def edsr(
    *,
    size: EDSRSize = SMALL,
    activation: Activation = Activation.PRELU,
    size_px: tuple[int, int] | None = None,
) -> keras.Model:
    """Build an EDSR that maps a blurred frame [N, H, W, 3] to a sharp one; any size fits.

    Args:
        size: Width and depth.
        activation: The activation inside each block (ReLU in the source).
        size_px: (height, width), or None for any size.
    """
    image = image_input(size_px, stride=1)
    first = conv(image, size.width, name="stem")
    x = first
    for i in range(size.blocks):
        inner = conv(x, size.width, name=f"block{i}_a")
        inner = activate(inner, activation, name=f"block{i}_act")
        inner = conv(inner, size.width, name=f"block{i}_b")
        x = keras.layers.Add(name=f"block{i}")([x, inner])
    x = conv(x, size.width, name="body")
    x = keras.layers.Add(name="long_skip")([x, first])
    return restored(image, conv(x, 3, name="head"), name="edsr")
