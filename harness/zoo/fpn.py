"""FPN for deblurring on an Inception-ResNet-v2 backbone, as in DeblurGAN-v2's generator.

The backbone keeps the kinds of block of its source and their branch ratios, without
normalisation, with 'same' padding, and with a total stride of 16 in place of 32 so that 720p
frames fit. No discriminator: it is trained with L1 like the rest.

Source: Kupyn, Martyniuk, Wu, Wang, "DeblurGAN-v2", ICCV 2019 (arXiv:1908.03826), section 3.1;
Szegedy, Ioffe, Vanhoucke, Alemi, "Inception-v4, Inception-ResNet and the Impact of Residual
Connections on Learning", AAAI 2017 (arXiv:1602.07261), figures 16 to 19.
"""

from __future__ import annotations

import dataclasses

import keras

from harness.zoo.layers import (
    Activation,
    Tensor,
    Upsampling,
    activate,
    concatenate,
    conv,
    image_input,
    restored,
    upsample2x,
)

RESIDUAL_SCALE = 0.2  # Szegedy et al., section 3.3: between 0.1 and 0.3


@dataclasses.dataclass(frozen=True, kw_only=True)
class FPNSize:
    """The size of an FPN.

    Attributes:
        unit: Channels of the narrowest branch (32 in Inception-ResNet-v2); the rest follows.
        blocks: Inception blocks at strides 4, 8 and 16.
        pyramid: Channels of every level of the pyramid.
    """

    unit: int
    blocks: tuple[int, int, int]
    pyramid: int


SMALL = FPNSize(unit=6, blocks=(1, 3, 2), pyramid=36)
PAPER = FPNSize(unit=48, blocks=(2, 4, 2), pyramid=184)
STRIDE = 16


def fpn(
    *,
    size: FPNSize = SMALL,
    upsampling: Upsampling = Upsampling.RESIZE_BILINEAR,
    activation: Activation = Activation.PRELU,
    size_px: tuple[int, int] | None = None,
) -> keras.Model:
    """Build an FPN that maps a blurred frame [N, H, W, 3] to a sharp one of the same shape.

    Args:
        size: Widths and depth.
        upsampling: The operator that doubles the resolution in the pyramid and the head.
        activation: The activation after each convolution but the linear ones.
        size_px: (height, width), or None for any size that 16 divides.

    Raises:
        ValueError: 16 does not divide `size_px`.
    """
    image = image_input(size_px, stride=STRIDE)
    net = _Blocks(unit=size.unit, activation=activation)
    half, quarter = net.stem(image)
    for i in range(size.blocks[0]):
        quarter = net.block_a(quarter, name=f"a{i}")
    eighth = net.reduction(quarter, name="reduce_a")
    for i in range(size.blocks[1]):
        eighth = net.block_b(eighth, name=f"b{i}")
    sixteenth = net.reduction(eighth, name="reduce_b")
    for i in range(size.blocks[2]):
        sixteenth = net.block_c(sixteenth, name=f"c{i}")

    width = size.pyramid
    top = conv(sixteenth, width, kernel=1, name="lateral16")
    middle = _merge(top, eighth, width, upsampling, name="lateral8")
    bottom = _merge(middle, quarter, width, upsampling, name="lateral4")
    maps = []
    for name, level, doublings in (("p16", top, 2), ("p8", middle, 1), ("p4", bottom, 0)):
        x = net.conv_act(level, width // 2, name=f"{name}_conv")
        for i in range(doublings):
            x = upsample2x(x, width // 2, upsampling, name=f"{name}_up{i}")
        maps.append(x)
    x = concatenate(maps, name="maps")
    x = net.conv_act(x, width, name="smooth4")
    x = _merge(x, half, width // 2, upsampling, name="lateral2")
    x = net.conv_act(x, width // 2, name="smooth2")
    x = upsample2x(x, width // 2, upsampling, name="head_up")
    x = activate(x, activation, name="head_act")
    return restored(image, conv(x, 3, name="head"), name="fpn")


def _merge(
    coarse: Tensor, lateral: Tensor, width: int, upsampling: Upsampling, *, name: str
) -> Tensor:
    """Double the coarse map and add the backbone's map of that resolution."""
    wide = upsample2x(coarse, width, upsampling, name=f"{name}_up")
    return keras.layers.Add(name=f"{name}_add")([wide, conv(lateral, width, kernel=1, name=name)])


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Blocks:
    """The blocks of the backbone.

    Attributes:
        unit: Channels that stand for 32 of the source.
        activation: The activation after each convolution but the linear ones.
    """

    unit: int
    activation: Activation

    def conv_act(
        self,
        x: Tensor,
        channels: int,
        *,
        kernel: int | tuple[int, int] = 3,
        stride: int = 1,
        name: str,
    ) -> Tensor:
        """Convolve and activate."""
        y = conv(x, channels, kernel=kernel, stride=stride, name=name)
        return activate(y, self.activation, name=f"{name}_act")

    def stem(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return maps at half and at a quarter of the resolution (stem of the source, shorter)."""
        x = self.conv_act(image, self.unit, stride=2, name="stem0")
        half = self.conv_act(x, 2 * self.unit, name="stem1")
        x = keras.layers.MaxPooling2D(3, strides=2, padding="same", name="stem_pool")(half)
        x = self.conv_act(x, 3 * self.unit, kernel=1, name="stem2")
        return half, self.conv_act(x, 6 * self.unit, name="stem3")

    def block_a(self, x: Tensor, *, name: str) -> Tensor:
        """Build Inception-ResNet-A: 1x1; 1x1, 3x3; 1x1, 3x3, 3x3."""
        u = self.unit
        one = self.conv_act(x, u, kernel=1, name=f"{name}_1")
        two = self.conv_act(x, u, kernel=1, name=f"{name}_2a")
        two = self.conv_act(two, u, name=f"{name}_2b")
        three = self.conv_act(x, u, kernel=1, name=f"{name}_3a")
        three = self.conv_act(three, 3 * u // 2, name=f"{name}_3b")
        three = self.conv_act(three, 2 * u, name=f"{name}_3c")
        return self._residual(x, [one, two, three], name=name)

    def block_b(self, x: Tensor, *, name: str) -> Tensor:
        """Build Inception-ResNet-B: 1x1; 1x1, 1x7, 7x1."""
        u = self.unit
        one = self.conv_act(x, 6 * u, kernel=1, name=f"{name}_1")
        two = self.conv_act(x, 4 * u, kernel=1, name=f"{name}_2a")
        two = self.conv_act(two, 5 * u, kernel=(1, 7), name=f"{name}_2b")
        two = self.conv_act(two, 6 * u, kernel=(7, 1), name=f"{name}_2c")
        return self._residual(x, [one, two], name=name)

    def block_c(self, x: Tensor, *, name: str) -> Tensor:
        """Build Inception-ResNet-C: 1x1; 1x1, 1x3, 3x1."""
        u = self.unit
        one = self.conv_act(x, 6 * u, kernel=1, name=f"{name}_1")
        two = self.conv_act(x, 6 * u, kernel=1, name=f"{name}_2a")
        two = self.conv_act(two, 7 * u, kernel=(1, 3), name=f"{name}_2b")
        two = self.conv_act(two, 8 * u, kernel=(3, 1), name=f"{name}_2c")
        return self._residual(x, [one, two], name=name)

    def reduction(self, x: Tensor, *, name: str) -> Tensor:
        """Halve the resolution: max pool; 3x3 of stride 2; 1x1, 3x3, 3x3 of stride 2."""
        u = self.unit
        pool = keras.layers.MaxPooling2D(3, strides=2, padding="same", name=f"{name}_pool")(x)
        one = self.conv_act(x, 3 * u, stride=2, name=f"{name}_1")
        two = self.conv_act(x, 2 * u, kernel=1, name=f"{name}_2a")
        two = self.conv_act(two, 2 * u, name=f"{name}_2b")
        two = self.conv_act(two, 3 * u, stride=2, name=f"{name}_2c")
        return concatenate([pool, one, two], name=f"{name}_join")

    def _residual(self, x: Tensor, branches: list[Tensor], *, name: str) -> Tensor:
        """Join branches by a linear 1x1 convolution that starts small, add it, and activate.

        The source scales the branch down; here the scale is in the initial weights, where it costs
        no operator.
        """
        joined = concatenate(branches, name=f"{name}_join")
        channels = int(x.shape[-1])
        y = conv(joined, channels, kernel=1, gain=RESIDUAL_SCALE, name=f"{name}_linear")
        y = keras.layers.Add(name=f"{name}_add")([x, y])
        return activate(y, self.activation, name=f"{name}_out")
