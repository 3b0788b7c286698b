"""DBPN for deblurring: back projection between full and half resolution.

The first up-projection is left out: a blurred frame has its full resolution already, so the first
unit projects down. The rest alternates as in the source, with dense connections.

Source: Haris, Shakhnarovich, Ukita, "Deep Back-Projection Networks For Super-Resolution", CVPR 2018
(arXiv:1803.02735), section 3 and, for kernel 6 and stride 2, section 4.1.
"""

from __future__ import annotations

import dataclasses

import keras

from harness.zoo.layers import (
    Activation,
    DepthToSpace2x,
    LegacyBilinear2x,
    Tensor,
    Upsampling,
    activate,
    concatenate,
    conv,
    image_input,
    restored,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DBPNSize:
    """The size of a DBPN.

    Attributes:
        first_width: Channels of the first convolution (n0 in the source).
        width: Channels of every projection (nR).
        pairs: Pairs of a down- and an up-projection.
    """

    first_width: int
    width: int
    pairs: int


SMALL = DBPNSize(first_width=48, width=6, pairs=2)
PAPER = DBPNSize(first_width=192, width=48, pairs=2)


def dbpn(
    *,
    size: DBPNSize = SMALL,
    upsampling: Upsampling = Upsampling.RESIZE_BILINEAR,
    activation: Activation = Activation.PRELU,
    size_px: tuple[int, int] | None = None,
) -> keras.Model:
    """Build a DBPN that maps a blurred frame [N, H, W, 3] to a sharp one of the same shape.

    Args:
        size: Width and depth.
        upsampling: The operator inside each projection. TRANSPOSE_CONV has the source's 6x6
            kernel; the other two have 3x3 convolutions of the same MACs.
        activation: The activation after each convolution (PReLU in the source).
        size_px: (height, width), or None for any even size.

    Raises:
        ValueError: `size_px` is not even.
    """
    image = image_input(size_px, stride=2)
    x = activate(conv(image, size.first_width, name="stem"), activation, name="stem_act")
    x = activate(conv(x, size.width, kernel=1, name="reduce"), activation, name="reduce_act")
    step = _Projections(width=size.width, upsampling=upsampling, activation=activation)
    high, low = [x], []
    for i in range(size.pairs):
        low.append(step.project(high, down=True, name=f"down{i}"))
        high.append(step.project(low, down=False, name=f"up{i}"))
    joined = concatenate(high[1:], name="join")
    return restored(image, conv(joined, 3, name="head"), name="dbpn")


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Projections:
    """Projection units of one width.

    Attributes:
        width: Channels.
        upsampling: The operator that doubles the resolution.
        activation: The activation after each convolution.
    """

    width: int
    upsampling: Upsampling
    activation: Activation

    def project(self, seen: list[Tensor], *, down: bool, name: str) -> Tensor:
        """Project, project back, and correct by the projected error."""
        x = concatenate(seen, name=f"{name}_join")
        if len(seen) > 1:
            x = conv(x, self.width, kernel=1, name=f"{name}_reduce")
            x = activate(x, self.activation, name=f"{name}_reduce_act")
        there = self._scale(x, down=down, name=f"{name}_there")
        back = self._scale(there, down=not down, name=f"{name}_back")
        error = keras.layers.Subtract(name=f"{name}_error")([back, x])
        correction = self._scale(error, down=down, name=f"{name}_correction")
        return keras.layers.Add(name=f"{name}_sum")([there, correction])

    def _scale(self, x: Tensor, *, down: bool, name: str) -> Tensor:
        x = self._halve(x, name) if down else self._double(x, name)
        return activate(x, self.activation, name=f"{name}_act")

    def _halve(self, x: Tensor, name: str) -> Tensor:
        return conv(x, self.width, kernel=6, stride=2, name=f"{name}_conv")

    def _double(self, x: Tensor, name: str) -> Tensor:
        if self.upsampling is Upsampling.TRANSPOSE_CONV:
            return keras.layers.Conv2DTranspose(
                self.width,
                6,
                strides=2,
                padding="same",
                kernel_initializer="glorot_uniform",
                name=f"{name}_transpose_conv",
            )(x)
        if self.upsampling is Upsampling.DEPTH_TO_SPACE:
            deep = conv(x, 4 * self.width, name=f"{name}_conv")
            return DepthToSpace2x(name=f"{name}_depth_to_space")(deep)
        wide = LegacyBilinear2x(name=f"{name}_resize_bilinear")(x)
        return conv(wide, self.width, name=f"{name}_conv")
