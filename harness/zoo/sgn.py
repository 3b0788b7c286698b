"""SGN for deblurring: coarse levels, made by space-to-depth, guide the finer ones.

Source: Gu, Li, Van Gool, Timofte, "Self-Guided Network for Fast Image Denoising", ICCV 2019,
section 3 (shuffled inputs, top-down guidance, residual blocks at the coarsest level).
"""

from __future__ import annotations

import dataclasses

import keras

from harness.zoo.layers import (
    Activation,
    SpaceToDepth2x,
    Upsampling,
    activate,
    concatenate,
    conv,
    image_input,
    restored,
    upsample2x,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SGNSize:
    """The size of an SGN.

    Attributes:
        widths: Channels of each level, full resolution first.
        blocks: Residual blocks at the coarsest level.
        convs: Convolutions of every finer level after guidance has joined.
    """

    widths: tuple[int, ...]
    blocks: int
    convs: int

    @property
    def stride(self) -> int:
        """Return what the height and width of a frame must be multiples of."""
        return int(2 ** (len(self.widths) - 1))


SMALL = SGNSize(widths=(8, 16, 36), blocks=1, convs=1)
PAPER = SGNSize(widths=(48, 96, 200, 400), blocks=1, convs=2)


def sgn(
    *,
    size: SGNSize = SMALL,
    upsampling: Upsampling = Upsampling.RESIZE_BILINEAR,
    activation: Activation = Activation.PRELU,
    size_px: tuple[int, int] | None = None,
) -> keras.Model:
    """Build an SGN that maps a blurred frame [N, H, W, 3] to a sharp one of the same shape.

    Args:
        size: Widths and depth.
        upsampling: The operator that hands guidance to the next finer level (DEPTH_TO_SPACE in
            the source).
        activation: The activation after each convolution but the last (ReLU in the source).
        size_px: (height, width), or None for any size that the stride divides.

    Raises:
        ValueError: The stride does not divide `size_px`.
    """
    image = image_input(size_px, stride=size.stride)
    shuffled = [image]
    for level in range(1, len(size.widths)):
        shuffled.append(SpaceToDepth2x(name=f"shuffle{level}")(shuffled[-1]))
    coarsest = len(size.widths) - 1
    x = conv(shuffled[coarsest], size.widths[-1], name=f"in{coarsest}")
    x = activate(x, activation, name=f"in{coarsest}_act")
    for i in range(size.blocks):
        inner = activate(conv(x, size.widths[-1], name=f"block{i}_a"), activation, name=f"block{i}")
        inner = conv(inner, size.widths[-1], name=f"block{i}_b")
        x = keras.layers.Add(name=f"block{i}_skip")([x, inner])
    for level in reversed(range(coarsest)):
        width = size.widths[level]
        guidance = upsample2x(x, width, upsampling, name=f"guide{level}")
        own = activate(
            conv(shuffled[level], width, name=f"in{level}"), activation, name=f"a{level}"
        )
        x = concatenate([own, guidance], name=f"join{level}")
        for i in range(size.convs):
            x = activate(conv(x, width, name=f"conv{level}_{i}"), activation, name=f"c{level}_{i}")
    return restored(image, conv(x, 3, name="head"), name="sgn")
