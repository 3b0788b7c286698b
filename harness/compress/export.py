"""Turn a Keras network into .tflite files: fp32, fp16, 8-bit and 16x8-bit integers.

Layers whose meaning needs one particular operator are exchanged here, with the same weights; the
rest of the network is converted as it was trained. TensorFlow is needed whatever back end trained.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorflow.python.framework import convert_to_constants

from harness.errors import ModelError
from harness.subjects import Precision
from harness.zoo.layers import DepthToSpace2x, LegacyBilinear2x, SpaceToDepth2x

Frames = Iterable[npt.NDArray[np.float32]]  # each [1, H, W, 3] in [0, 1]

WAYS_ROUND = {
    "PRELU": "write it as relu(x) + slope * (x - relu(x))",
    "NEG": "subtract instead of adding a negative",
    "SPACE_TO_DEPTH": "use a CONV_2D of stride 2 whose 2x2 kernel is one-hot",
    "DEPTH_TO_SPACE": "use a TRANSPOSE_CONV whose 2x2 kernel is one-hot, or RESIZE_BILINEAR",
}


class ConversionRefused(ModelError):
    """A network that TensorFlow's converter does not take, with the operators at fault."""


class ResizeBilinearOp(LegacyBilinear2x):
    """`LegacyBilinear2x` as one RESIZE_BILINEAR operator."""

    def call(self, inputs: Any) -> Any:
        """Map [N, H, W, C] to [N, 2H, 2W, C]."""
        _, height, width, _ = inputs.shape
        return tf.raw_ops.ResizeBilinear(
            images=inputs,
            size=tf.constant([2 * height, 2 * width], tf.int32),
            align_corners=False,
            half_pixel_centers=False,
        )


class DepthToSpaceOp(DepthToSpace2x):
    """`DepthToSpace2x` as one DEPTH_TO_SPACE operator."""

    def call(self, inputs: Any) -> Any:
        """Map [N, H, W, 4C] to [N, 2H, 2W, C]."""
        return tf.nn.depth_to_space(inputs, 2)


class DepthToSpaceAsTransposeConv(DepthToSpace2x):
    """`DepthToSpace2x` as a TRANSPOSE_CONV with a one-hot kernel.

    The converter's 16x8 mode has no DEPTH_TO_SPACE; ones and zeros are exact in 8-bit weights.
    """

    def call(self, inputs: Any) -> Any:
        """Map [N, H, W, 4C] to [N, 2H, 2W, C]."""
        _, height, width, deep = inputs.shape
        channels = deep // 4
        kernel = np.eye(deep, dtype=np.float32).reshape(2, 2, channels, deep)
        shape = [1, 2 * height, 2 * width, channels]
        return tf.nn.conv2d_transpose(inputs, kernel, shape, strides=2)


class SpaceToDepthOp(SpaceToDepth2x):
    """`SpaceToDepth2x` as one SPACE_TO_DEPTH operator."""

    def call(self, inputs: Any) -> Any:
        """Map [N, 2H, 2W, C] to [N, H, W, 4C]."""
        return tf.nn.space_to_depth(inputs, 2)


class SpaceToDepthAsConv(SpaceToDepth2x):
    """`SpaceToDepth2x` as a CONV_2D with a one-hot kernel.

    The converter's 16x8 mode has no SPACE_TO_DEPTH; ones and zeros are exact in 8-bit weights.
    """

    def call(self, inputs: Any) -> Any:
        """Map [N, 2H, 2W, C] to [N, H, W, 4C]."""
        channels = inputs.shape[-1]
        kernel = np.eye(4 * channels, dtype=np.float32).reshape(2, 2, channels, 4 * channels)
        return tf.nn.conv2d(inputs, kernel, strides=2, padding="VALID")


class PReLUAsRelu(keras.layers.PReLU):  # type: ignore[misc]
    """PReLU without PRELU and NEG, which the converter's 16x8 mode does not have.

    relu(-x) equals relu(x) - x, so relu(x) - slope * relu(-x) is relu(x) + slope * (x - relu(x)).
    """

    def call(self, inputs: Any) -> Any:
        """Apply one slope per channel to negative values."""
        positive = keras.ops.relu(inputs)
        return positive + self.alpha * (inputs - positive)


def convert(
    model: keras.Model,
    *,
    precision: Precision,
    size_px: tuple[int, int] = (256, 256),
    calibration: Frames | None = None,
) -> bytes:
    """Export a network to .tflite with a fixed input of [1, height, width, 3].

    fp32 and fp16 take and give float32; int8_ptq takes and gives int8, int16_ptq int16, with no
    float operator between.

    Args:
        model: Maps [N, H, W, 3] in [0, 1] to the same shape.
        precision: The arithmetic of the file.
        size_px: (height, width) of the input.
        calibration: Frames of `size_px` from which activation ranges are taken; integer files
            need them.

    Raises:
        ConversionRefused: TensorFlow refuses an operator; the message names it and a way round.
        ValueError: Calibration frames are missing.
    """
    network = exchanged(model, precision=precision)
    frames = None if calibration is None else list(calibration)
    return convert_function(
        lambda image: network(image, training=False),
        precision=precision,
        size_px=size_px,
        calibration=frames,
    )


def convert_function(
    function: Callable[[Any], Any],
    *,
    precision: Precision,
    size_px: tuple[int, int],
    calibration: Frames | None = None,
) -> bytes:
    """Export a TensorFlow function of one image [1, height, width, 3] to .tflite.

    int8_qat expects fake-quantization operators in the function, and no calibration.

    Raises:
        ConversionRefused: TensorFlow refuses an operator; the message names it and a way round.
        ValueError: Calibration frames are missing.
    """
    converter = tf.lite.TFLiteConverter.from_concrete_functions([_frozen(function, size_px)])
    if precision is not Precision.FP32:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision is Precision.FP16:
        converter.target_spec.supported_types = [tf.float16]
    if precision in (Precision.INT8_PTQ, Precision.INT8_QAT, Precision.INT16_PTQ):
        _set_integer(converter, precision, calibration)
    try:
        return bytes(converter.convert())
    except RuntimeError as error:
        raise _refusal(error, precision) from error


def exchanged(model: keras.Model, *, precision: Precision) -> keras.Model:
    """Return a copy of a network whose layers become the operators that a precision has."""
    sixteen = precision is Precision.INT16_PTQ

    def exchange(layer: keras.layers.Layer) -> keras.layers.Layer:
        kind: type[keras.layers.Layer] = type(layer)
        if isinstance(layer, LegacyBilinear2x):
            kind = ResizeBilinearOp
        elif isinstance(layer, DepthToSpace2x):
            kind = DepthToSpaceAsTransposeConv if sixteen else DepthToSpaceOp
        elif isinstance(layer, SpaceToDepth2x):
            kind = SpaceToDepthAsConv if sixteen else SpaceToDepthOp
        elif isinstance(layer, keras.layers.PReLU) and sixteen:
            kind = PReLUAsRelu
        return kind.from_config(layer.get_config())

    copy = keras.models.clone_model(model, clone_function=exchange)
    copy.set_weights(model.get_weights())
    return copy


def _frozen(function: Callable[[Any], Any], size_px: tuple[int, int]) -> Any:
    """Trace a function for one input size, its weights folded in as constants."""
    shape = tf.TensorSpec([1, *size_px, 3], tf.float32, name="image")
    traced = tf.function(function, input_signature=[shape])
    return convert_to_constants.convert_variables_to_constants_v2(traced.get_concrete_function())


def _set_integer(converter: Any, precision: Precision, frames: Frames | None) -> None:
    """Ask for integers from end to end."""
    kinds, dtype = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8], tf.int8
    if precision is Precision.INT8_QAT:  # the network's own ranges; the name INT8 wants frames
        kinds = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if precision is Precision.INT16_PTQ:
        sixteen = tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
        kinds, dtype = [sixteen], tf.int16
    if precision is not Precision.INT8_QAT:
        if frames is None:
            raise ValueError(f"{precision} needs calibration frames")
        converter.representative_dataset = lambda: ([frame] for frame in frames)
    converter.target_spec.supported_ops = kinds
    converter.inference_input_type = dtype
    converter.inference_output_type = dtype


def _refusal(error: RuntimeError, precision: Precision) -> ConversionRefused:
    names = sorted(set(re.findall(r"not yet supported for op: '(\w+)'", str(error))))
    if not names:
        first = next((line for line in str(error).splitlines() if line.strip()), "no reason given")
        return ConversionRefused(f"TensorFlow's converter refuses {precision}: {first}")
    advice = "; ".join(f"{name}: {WAYS_ROUND.get(name, 'no known way round')}" for name in names)
    return ConversionRefused(f"TensorFlow's converter refuses {precision} for {advice}")
