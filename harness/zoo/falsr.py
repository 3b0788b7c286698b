"""A network of FALSR's search space, for deblurring, without the upsampler.

FALSR was found by a search; the source draws its cells but publishes no table of them, so this is
not FALSR-A, B or C. It is built of the same pieces: cells of plain 3x3 convolutions or inverted
bottlenecks, each with a residual, whose outputs all reach the last layer. The space's grouped
convolutions are not used: the NNAPI delegate refuses them.

Source: Chu, Zhang, Ma, Xu, Li, "Fast, Accurate and Lightweight Super-Resolution with Neural
Architecture Search", ICPR 2020 (arXiv:1901.07261), section 3.1.
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
class FALSRSize:
    """The size of a FALSR.

    Attributes:
        width: Channels between cells.
        expansions: One cell each: 0 for two plain 3x3 convolutions, otherwise by how much an
            inverted bottleneck widens.
    """

    width: int
    expansions: tuple[int, ...]


SMALL = FALSRSize(width=8, expansions=(0, 2, 0, 2, 0))


def falsr(
    *,
    size: FALSRSize = SMALL,
    activation: Activation = Activation.PRELU,
    size_px: tuple[int, int] | None = None,
) -> keras.Model:
    """Build the network: a blurred frame [N, H, W, 3] to a sharp one; any size fits.

    Args:
        size: Width and cells.
        activation: The activation (ReLU in the source).
        size_px: (height, width), or None for any size.
    """
    image = image_input(size_px, stride=1)
    x = conv(image, size.width, name="stem")
    seen = [x]
    for i, expansion in enumerate(size.expansions):
        inner = (
            _bottleneck(x, size.width, expansion, activation, name=f"cell{i}")
            if expansion
            else _plain(x, size.width, activation, name=f"cell{i}")
        )
        x = keras.layers.Add(name=f"cell{i}")([x, inner])
        seen.append(x)
    x = concatenate(seen, name="join")
    x = activate(conv(x, size.width, kernel=1, name="fusion"), activation, name="fusion_act")
    return restored(image, conv(x, 3, name="head"), name="falsr")


def _plain(x: Tensor, width: int, activation: Activation, *, name: str) -> Tensor:
    inner = activate(conv(x, width, name=f"{name}_a"), activation, name=f"{name}_act")
    return conv(inner, width, name=f"{name}_b")


def _bottleneck(
    x: Tensor, width: int, expansion: int, activation: Activation, *, name: str
) -> Tensor:
    wide = conv(x, expansion * width, kernel=1, name=f"{name}_expand")
    wide = activate(wide, activation, name=f"{name}_expand_act")
    depthwise = keras.layers.DepthwiseConv2D(
        3, padding="same", depthwise_initializer="glorot_uniform", name=f"{name}_depthwise"
    )(wide)
    depthwise = activate(depthwise, activation, name=f"{name}_depthwise_act")
    return conv(depthwise, width, kernel=1, name=f"{name}_project")
