"""UNet for deblurring: encoder, decoder, concatenated skips, and a residual to the blurred image.

Source: Ronneberger, Fischer, Brox, "U-Net: Convolutional Networks for Biomedical Image
Segmentation", MICCAI 2015 (arXiv:1505.04597). Changed for restoration on phones: 'same' padding,
strided convolutions in place of pooling, no normalisation, and output = input + network.
"""

from __future__ import annotations

import dataclasses

import keras

from harness.zoo.layers import (
    Activation,
    Upsampling,
    activate,
    conv,
    image_input,
    restored,
    upsample2x,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class UNetSize:
    """The size of a UNet.

    Attributes:
        widths: Channels of each level, the finest first; each level halves the resolution.
        convs: 3x3 convolutions on each level of the encoder, and again of the decoder.
        stem_stride: 1, or 2 to put the finest level at half the resolution.
    """

    widths: tuple[int, ...]
    convs: int
    stem_stride: int

    @property
    def stride(self) -> int:
        """Return what the height and width of a frame must be multiples of."""
        return int(self.stem_stride * 2 ** (len(self.widths) - 1))


SMALL = UNetSize(widths=(16, 32, 64), convs=1, stem_stride=2)
PAPER = UNetSize(widths=(40, 76, 152, 304), convs=2, stem_stride=1)


def unet(
    *,
    size: UNetSize = SMALL,
    upsampling: Upsampling = Upsampling.RESIZE_BILINEAR,
    activation: Activation = Activation.PRELU,
    head_gain: float = 1.0,
    size_px: tuple[int, int] | None = None,
) -> keras.Model:
    """Build a UNet that maps a blurred frame [N, H, W, 3] to a sharp one of the same shape.

    Args:
        size: Widths and depth; `SMALL` trains on a CPU, `PAPER` has 250 GMAC at 1280x720.
        upsampling: The operator that doubles the resolution in the decoder.
        activation: The activation after each convolution but the last.
        head_gain: Factor of the last convolution's initial weights. Below 1 the network starts
            near the identity; narrow ReLU heads can die in their first steps otherwise.
        size_px: (height, width), or None for any size that the stride divides.

    Raises:
        ValueError: The stride does not divide `size_px`.
    """
    image = image_input(size_px, stride=size.stride)
    x = conv(image, size.widths[0], stride=size.stem_stride, name="stem")
    x = activate(x, activation, name="stem_act")
    skips = []
    for level, width in enumerate(size.widths):
        if level:
            x = conv(x, width, stride=2, name=f"down{level}")
            x = activate(x, activation, name=f"down{level}_act")
        for i in range(size.convs):
            x = conv(x, width, name=f"enc{level}_{i}")
            x = activate(x, activation, name=f"enc{level}_{i}_act")
        skips.append(x)
    x = skips.pop()
    x = conv(x, size.widths[-1], name="middle")
    x = activate(x, activation, name="middle_act")
    for level in reversed(range(len(skips))):
        width = size.widths[level]
        x = upsample2x(x, width, upsampling, name=f"up{level}")
        x = activate(x, activation, name=f"up{level}_act")
        x = keras.layers.Concatenate(name=f"join{level}")([x, skips[level]])
        for i in range(size.convs):
            x = conv(x, width, name=f"dec{level}_{i}")
            x = activate(x, activation, name=f"dec{level}_{i}_act")
    if size.stem_stride == 2:
        x = upsample2x(x, size.widths[0] // 2, upsampling, name="head_up")
        x = activate(x, activation, name="head_up_act")
    return restored(image, conv(x, 3, gain=head_gain, name="head"), name="unet")
