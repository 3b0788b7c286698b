"""CARN for deblurring: residual blocks cascaded within and across blocks, without the upsampler.

Source: Ahn, Kang, Sohn, "Fast, Accurate, and Lightweight Super-Resolution with Cascading Residual
Network", ECCV 2018 (arXiv:1803.08664), sections 3.1 and 3.2. The grouped convolutions of CARN-M
are not used: the NNAPI delegate refuses them.
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
class CARNSize:
    """The size of a CARN.

    Attributes:
        width: Channels of every hidden layer.
        blocks: Cascading blocks (3 in the source).
        units: Residual units of a block (3 in the source).
    """

    width: int
    blocks: int
    units: int


SMALL = CARNSize(width=8, blocks=2, units=2)


def carn(
    *,
    size: CARNSize = SMALL,
    activation: Activation = Activation.PRELU,
    size_px: tuple[int, int] | None = None,
) -> keras.Model:
    """Build a CARN that maps a blurred frame [N, H, W, 3] to a sharp one; any size fits.

    Args:
        size: Width and depth.
        activation: The activation (ReLU in the source).
        size_px: (height, width), or None for any size.
    """
    image = image_input(size_px, stride=1)
    x = conv(image, size.width, name="stem")
    seen = [x]
    for i in range(size.blocks):
        seen.append(_block(x, size, activation, name=f"block{i}"))
        x = _cascade(seen, size.width, activation, name=f"cascade{i}")
    return restored(image, conv(x, 3, name="head"), name="carn")


def _block(x: Tensor, size: CARNSize, activation: Activation, *, name: str) -> Tensor:
    seen = [x]
    for i in range(size.units):
        inner = conv(x, size.width, name=f"{name}_unit{i}_a")
        inner = activate(inner, activation, name=f"{name}_unit{i}_act")
        inner = conv(inner, size.width, name=f"{name}_unit{i}_b")
        inner = keras.layers.Add(name=f"{name}_unit{i}")([x, inner])
        seen.append(activate(inner, activation, name=f"{name}_unit{i}_out"))
        x = _cascade(seen, size.width, activation, name=f"{name}_cascade{i}")
    return x


def _cascade(seen: list[Tensor], width: int, activation: Activation, *, name: str) -> Tensor:
    joined = concatenate(list(seen), name=f"{name}_join")
    fused = conv(joined, width, kernel=1, name=f"{name}_fusion")
    return activate(fused, activation, name=f"{name}_act")
