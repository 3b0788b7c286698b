"""RDN for deblurring: residual dense blocks at full resolution, without the final upsampler.

Source: Zhang, Tian, Kong, Zhong, Fu, "Residual Dense Network for Image Super-Resolution", CVPR
2018 (arXiv:1802.08797), sections 3.1 to 3.3.
"""

from __future__ import annotations

import dataclasses

import keras

from harness.zoo.layers import (
    Activation,
    Tensor,
    activate,
    concatenate,
    conv,
    image_input,
    restored,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RDNSize:
    """The size of an RDN.

    Attributes:
        width: Channels between blocks (G0 in the source).
        growth: Channels that each convolution of a block adds (G).
        blocks: Residual dense blocks (D).
        convs: Convolutions of a block (C).
    """

    width: int
    growth: int
    blocks: int
    convs: int


SMALL = RDNSize(width=8, growth=6, blocks=3, convs=2)
PAPER = RDNSize(width=50, growth=24, blocks=4, convs=3)


def rdn(
    *,
    size: RDNSize = SMALL,
    activation: Activation = Activation.PRELU,
    size_px: tuple[int, int] | None = None,
) -> keras.Model:
    """Build an RDN that maps a blurred frame [N, H, W, 3] to a sharp one; any size fits.

    Args:
        size: Width and depth.
        activation: The activation after each dense convolution (ReLU in the source).
        size_px: (height, width), or None for any size.
    """
    image = image_input(size_px, stride=1)
    shallow = conv(image, size.width, name="shallow0")
    x = conv(shallow, size.width, name="shallow1")
    outputs = []
    for i in range(size.blocks):
        x = _dense_block(x, size, activation, name=f"block{i}")
        outputs.append(x)
    x = concatenate(outputs, name="global_join")
    x = conv(x, size.width, kernel=1, name="global_fusion")
    x = conv(x, size.width, name="global_conv")
    x = keras.layers.Add(name="global_skip")([x, shallow])
    return restored(image, conv(x, 3, name="head"), name="rdn")


def _dense_block(x: Tensor, size: RDNSize, activation: Activation, *, name: str) -> Tensor:
    seen = [x]
    for i in range(size.convs):
        joined = concatenate(seen, name=f"{name}_join{i}")
        grown = conv(joined, size.growth, name=f"{name}_conv{i}")
        seen.append(activate(grown, activation, name=f"{name}_act{i}"))
    joined = concatenate(seen, name=f"{name}_join")
    fused = conv(joined, size.width, kernel=1, name=f"{name}_fusion")
    return keras.layers.Add(name=f"{name}_skip")([x, fused])
