"""Layers that the networks of the zoo share: convolution, activation, upsampling.

Only `keras.ops` is used, so that a network trains on TensorFlow, JAX and PyTorch. What must become
one particular .tflite operator is exchanged at export (see `harness.compress.export`).
"""

from __future__ import annotations

import enum
from typing import Any

import keras

Tensor = Any  # a keras.KerasTensor while building, a back end's own tensor while running


class Upsampling(enum.StrEnum):
    """The operator that doubles the resolution in a decoder."""

    TRANSPOSE_CONV = "transpose_conv"
    DEPTH_TO_SPACE = "depth_to_space"
    RESIZE_BILINEAR = "resize_bilinear"


class Activation(enum.StrEnum):
    """The activation function of a network."""

    RELU = "relu"
    PRELU = "prelu"


@keras.saving.register_keras_serializable(package="harness")
class LegacyBilinear2x(keras.layers.Layer):  # type: ignore[misc]
    """Twice the height and width by bilinear interpolation with the legacy sampling grid.

    Output row `2i` is input row `i`, output row `2i + 1` is the mean of rows `i` and `i + 1`, and
    the last row is repeated: neither `half_pixel_centers` nor `align_corners`. The NNAPI delegate
    refuses a RESIZE_BILINEAR with either flag below feature level 30, so this is the grid that
    every phone accepts.

    Source: `ResizeBilinear` of TensorFlow with both flags false; LiteRT's `nnapi_delegate.cc`,
    `NNAPIDelegateKernel::Validate`, case kTfLiteBuiltinResizeBilinear.
    """

    def call(self, inputs: Tensor) -> Tensor:
        """Map [N, H, W, C] to [N, 2H, 2W, C]."""
        return _double(_double(inputs, axis=1), axis=2)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return [N, 2H, 2W, C]; an unknown height or width stays unknown."""
        batch, height, width, channels = input_shape
        return (
            batch,
            None if height is None else 2 * height,
            None if width is None else 2 * width,
            channels,
        )


@keras.saving.register_keras_serializable(package="harness")
class DepthToSpace2x(keras.layers.Layer):  # type: ignore[misc]
    """[N, H, W, 4C] as [N, 2H, 2W, C], as TensorFlow's `depth_to_space` does."""

    def call(self, inputs: Tensor) -> Tensor:
        """Move four channels of each pixel into a 2x2 block."""
        ops = keras.ops
        _, height, width, channels = ops.shape(inputs)
        blocks = ops.reshape(inputs, (-1, height, width, 2, 2, channels // 4))
        rows = ops.transpose(blocks, (0, 1, 3, 2, 4, 5))
        return ops.reshape(rows, (-1, 2 * height, 2 * width, channels // 4))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return [N, 2H, 2W, C]; an unknown height or width stays unknown."""
        batch, height, width, channels = input_shape
        if channels is None or channels % 4:
            raise ValueError(f"depth to space wants a multiple of 4 channels, not {channels}")
        return (
            batch,
            None if height is None else 2 * height,
            None if width is None else 2 * width,
            channels // 4,
        )


@keras.saving.register_keras_serializable(package="harness")
class SpaceToDepth2x(keras.layers.Layer):  # type: ignore[misc]
    """[N, 2H, 2W, C] as [N, H, W, 4C], as TensorFlow's `space_to_depth` does."""

    def call(self, inputs: Tensor) -> Tensor:
        """Move each 2x2 block into four times the channels."""
        ops = keras.ops
        _, height, width, channels = ops.shape(inputs)
        blocks = ops.reshape(inputs, (-1, height // 2, 2, width // 2, 2, channels))
        deep = ops.transpose(blocks, (0, 1, 3, 2, 4, 5))
        return ops.reshape(deep, (-1, height // 2, width // 2, 4 * channels))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return [N, H, W, 4C]; an unknown height or width stays unknown."""
        batch, height, width, channels = input_shape
        return (
            batch,
            None if height is None else height // 2,
            None if width is None else width // 2,
            None if channels is None else 4 * channels,
        )


@keras.saving.register_keras_serializable(package="harness")
class ChannelSlice(keras.layers.Layer):  # type: ignore[misc]
    """Some neighbouring channels of [N, H, W, C]."""

    def __init__(self, *, first: int, end: int, **settings: Any) -> None:
        """Keep which channels: `first` to `end - 1`."""
        super().__init__(**settings)
        self.first = first
        self.end = end

    def call(self, inputs: Tensor) -> Tensor:
        """Map [N, H, W, C] to [N, H, W, end - first]."""
        return inputs[:, :, :, self.first : self.end]

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return [N, H, W, end - first]."""
        return (*input_shape[:-1], self.end - self.first)

    def get_config(self) -> dict[str, Any]:
        """Return the settings that build this layer again."""
        return {**super().get_config(), "first": self.first, "end": self.end}


def conv(
    x: Tensor,
    channels: int,
    *,
    kernel: int | tuple[int, int] = 3,
    stride: int = 1,
    gain: float = 1.0,
    name: str,
) -> Tensor:
    """Apply a 'same' convolution with bias, Glorot ("Xavier") initialised times `gain`.

    NNAPI's CONV_2D wants its bias, so there is no way to leave it out.

    Source: Glorot, Bengio, "Understanding the difficulty of training deep feedforward neural
    networks", AISTATS 2010, equation 16: uniform, with the mean of fan-in and fan-out.
    """
    xavier = keras.initializers.VarianceScaling(
        scale=gain**2, mode="fan_avg", distribution="uniform"
    )
    return keras.layers.Conv2D(
        channels, kernel, strides=stride, padding="same", kernel_initializer=xavier, name=name
    )(x)


def activate(x: Tensor, activation: Activation, *, name: str) -> Tensor:
    """Apply ReLU, or PReLU with one slope per channel (starting at 0.25)."""
    if activation is Activation.RELU:
        return keras.layers.ReLU(name=name)(x)
    slope = keras.initializers.Constant(0.25)
    return keras.layers.PReLU(alpha_initializer=slope, shared_axes=[1, 2], name=name)(x)


def upsample2x(x: Tensor, channels: int, upsampling: Upsampling, *, name: str) -> Tensor:
    """Double the resolution and set the channels.

    The three forms cost the same: (channels in) x (channels out) MACs per output pixel. They are a
    2x2 TRANSPOSE_CONV of stride 2; a 1x1 CONV_2D to four times the channels and DEPTH_TO_SPACE;
    RESIZE_BILINEAR and a 1x1 CONV_2D.
    """
    if upsampling is Upsampling.TRANSPOSE_CONV:
        return keras.layers.Conv2DTranspose(
            channels,
            2,
            strides=2,
            padding="same",
            kernel_initializer="glorot_uniform",
            name=f"{name}_transpose_conv",
        )(x)
    if upsampling is Upsampling.DEPTH_TO_SPACE:
        deep = conv(x, 4 * channels, kernel=1, name=f"{name}_conv")
        return DepthToSpace2x(name=f"{name}_depth_to_space")(deep)
    wide = LegacyBilinear2x(name=f"{name}_resize_bilinear")(x)
    return conv(wide, channels, kernel=1, name=f"{name}_conv")


def concatenate(tensors: list[Tensor], *, name: str) -> Tensor:
    """Concatenate along the channels; a single tensor passes as it is."""
    if len(tensors) == 1:
        return tensors[0]
    return keras.layers.Concatenate(name=name)(tensors)


def restored(image: Tensor, residual: Tensor, *, name: str) -> keras.Model:
    """Close a network: its output is the blurred image plus the residual it computed."""
    output = keras.layers.Add(name="restored")([image, residual])
    return keras.Model(image, output, name=name)


def image_input(size_px: tuple[int, int] | None, *, stride: int) -> Tensor:
    """Return the input [N, H, W, 3], float32 in [0, 1].

    Args:
        size_px: (height, width), or None for any size.
        stride: What height and width must be multiples of.

    Raises:
        ValueError: The stride does not divide the size.
    """
    height, width = size_px if size_px is not None else (None, None)
    for side, pixels in (("height", height), ("width", width)):
        if pixels is not None and pixels % stride:
            nearest = max(stride, round(pixels / stride) * stride)
            raise ValueError(
                f"{side} {pixels} px is not a multiple of the network's stride of {stride}; "
                f"the nearest size is {nearest} px"
            )
    return keras.Input((height, width, 3), name="image")


def _double(x: Tensor, *, axis: int) -> Tensor:
    """Interpolate once along one spatial axis (1 or 2), doubling it."""
    ops = keras.ops
    _, height, width, channels = ops.shape(x)
    if axis == 1:
        following = ops.concatenate([x[:, 1:], x[:, -1:]], axis=1)
        pairs = ops.stack([x, (x + following) * 0.5], axis=2)
        return ops.reshape(pairs, (-1, 2 * height, width, channels))
    following = ops.concatenate([x[:, :, 1:], x[:, :, -1:]], axis=2)
    pairs = ops.stack([x, (x + following) * 0.5], axis=3)
    return ops.reshape(pairs, (-1, height, 2 * width, channels))
