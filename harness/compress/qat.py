"""Quantization-aware training: fake 8-bit quantization with straight-through gradients.

Every tensor that the integer file stores is rounded in the forward pass as the file will round
it: weights to 8 bits per output channel, symmetric; activations to 8 bits per tensor, over a range
that calibration frames set before training and that then stays. The backward pass treats rounding
as the identity, inside the range.

Source: Jacob et al., "Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference", CVPR 2018 (arXiv:1712.05877), section 3; Bengio, Leonard,
Courville, "Estimating or Propagating Gradients Through Stochastic Neurons", 2013
(arXiv:1308.3432), straight-through estimator.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from harness.compress.export import Frames, convert_function, exchanged
from harness.subjects import Precision
from harness.zoo.layers import Tensor


@keras.saving.register_keras_serializable(package="harness")
class FakeQuant(keras.layers.Layer):  # type: ignore[misc]
    """Activations rounded to 8 bits over a range that calibration frames have set.

    Attributes:
        observing: Up to which percentile of their values calls widen the range, or None; see
            `calibrate`.
    """

    def __init__(self, *, as_operator: bool = False, **settings: Any) -> None:
        """Say whether to be TensorFlow's operator, which the converter understands."""
        super().__init__(**settings)
        self.as_operator = as_operator
        self.observing: float | None = None

    def build(self, input_shape: Any) -> None:
        """Make the range, empty until the first frame."""
        del input_shape
        self.low = self.add_weight(shape=(), initializer="zeros", trainable=False, name="low")
        self.high = self.add_weight(shape=(), initializer="zeros", trainable=False, name="high")

    def call(self, inputs: Tensor) -> Tensor:
        """Round to the nearest of 256 steps of the range, and clip to it."""
        if self.as_operator:
            return tf.quantization.fake_quant_with_min_max_vars(
                inputs, self.low.value, self.high.value, num_bits=8
            )
        if self.observing is not None:
            self._widen(inputs, self.observing)
        low, scale = nudged_range(self.low, self.high)
        return straight_through(inputs, low, low + 255.0 * scale, scale)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the same shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return the settings that build this layer again."""
        return {**super().get_config(), "as_operator": self.as_operator}

    def _widen(self, inputs: Tensor, percentile: float) -> None:
        """Widen the range to a tensor's percentiles; zero is always inside."""
        ops = keras.ops
        values = ops.convert_to_numpy(inputs)
        low, high = np.percentile(values, [100.0 - percentile, percentile])
        self.low.assign(ops.minimum(self.low, float(low)))
        self.high.assign(ops.maximum(self.high, float(high)))


@keras.saving.register_keras_serializable(package="harness")
class FakeQuantConv2D(keras.layers.Conv2D):  # type: ignore[misc]
    """A convolution with fake-quantized weights; its output is rounded unless a ReLU follows."""

    def __init__(
        self,
        *args: Any,
        rounds: bool = True,
        as_operator: bool = False,
        per_channel: bool = True,
        **settings: Any,
    ):
        """Say whether the output is rounded here, and how many scales the weights have."""
        super().__init__(*args, **settings)
        self.rounds = rounds
        self.per_channel = per_channel
        self.as_operator = as_operator
        self.range = FakeQuant(as_operator=as_operator, name="range") if rounds else None

    def build(self, input_shape: Any) -> None:
        """Make kernel, bias and range."""
        super().build(input_shape)
        if self.range is not None:
            self.range.build(None)

    def call(self, inputs: Tensor) -> Tensor:
        """Map [N, H, W, C] to [N, H', W', filters]."""
        if not self.as_operator:
            kernel = self.rounded_kernel()
        elif self.per_channel:
            kernel = self.kernel  # the converter's own choice is a scale per channel
        else:
            most = tf.reduce_max(tf.abs(self.kernel.value))
            kernel = tf.quantization.fake_quant_with_min_max_vars(
                self.kernel.value, -most, most, num_bits=8, narrow_range=True
            )
        outputs = self.convolution_op(inputs, kernel) + self.bias
        return outputs if self.range is None else self.range(outputs)

    def rounded_kernel(self) -> Tensor:
        """Return the weights as the integer file will hold them."""
        return rounded_weights(self.kernel, per_channel=self.per_channel)

    def get_config(self) -> dict[str, Any]:
        """Return the settings that build this layer again."""
        own = {
            "rounds": self.rounds,
            "as_operator": self.as_operator,
            "per_channel": self.per_channel,
        }
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="harness")
class FakeQuantPReLU(keras.layers.PReLU):  # type: ignore[misc]
    """PReLU with fake-quantized slopes and a rounded output."""

    def __init__(self, *args: Any, as_operator: bool = False, **settings: Any) -> None:
        """Make the range of the output."""
        super().__init__(*args, **settings)
        self.as_operator = as_operator
        self.range = FakeQuant(as_operator=as_operator, name="range")

    def build(self, input_shape: Any) -> None:
        """Make slopes and range."""
        super().build(input_shape)
        self.range.build(None)

    def call(self, inputs: Tensor) -> Tensor:
        """Return the same shape."""
        if self.as_operator:
            return self.range(super().call(inputs))
        ops = keras.ops
        most = ops.max(ops.abs(self.alpha)) + 1e-12
        slope = straight_through(self.alpha, -most, most, most / 127.0)
        outputs = ops.relu(inputs) - slope * ops.relu(-inputs)
        return self.range(outputs)

    def get_config(self) -> dict[str, Any]:
        """Return the settings that build this layer again."""
        return {**super().get_config(), "as_operator": self.as_operator}


class _RoundedOutput(keras.layers.Layer):  # type: ignore[misc]
    """A layer without weights whose output is rounded; its kinds say what it does."""

    def __init__(self, *, as_operator: bool = False, **settings: Any) -> None:
        """Make the range of the output."""
        super().__init__(**settings)
        self.as_operator = as_operator
        self.range = FakeQuant(as_operator=as_operator, name="range")

    def build(self, input_shape: Any) -> None:
        """Make the range."""
        del input_shape
        self.range.build(None)

    def get_config(self) -> dict[str, Any]:
        """Return the settings that build this layer again."""
        return {**super().get_config(), "as_operator": self.as_operator}


@keras.saving.register_keras_serializable(package="harness")
class FakeQuantReLU(_RoundedOutput):
    """ReLU with a rounded output."""

    def call(self, inputs: Tensor) -> Tensor:
        """Return the same shape."""
        return self.range(keras.ops.relu(inputs))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the same shape."""
        return input_shape


@keras.saving.register_keras_serializable(package="harness")
class FakeQuantAdd(_RoundedOutput):
    """The rounded sum of tensors of one shape."""

    def call(self, inputs: list[Tensor]) -> Tensor:
        """Return the shape of one of the tensors."""
        total = inputs[0]
        for one in inputs[1:]:
            total = total + one
        return self.range(total)

    def compute_output_shape(self, input_shape: list[Any]) -> Any:
        """Return the shape of one of the tensors."""
        return input_shape[0]


KINDS: dict[type[keras.layers.Layer], type[keras.layers.Layer]] = {
    keras.layers.Conv2D: FakeQuantConv2D,
    keras.layers.PReLU: FakeQuantPReLU,
    keras.layers.ReLU: FakeQuantReLU,
    keras.layers.Add: FakeQuantAdd,
}
REFUSED = (keras.layers.Conv2DTranspose, keras.layers.DepthwiseConv2D, keras.layers.Subtract)


def quantization_aware(model: keras.Model, *, per_channel: bool = True) -> keras.Model:
    """Return a copy of a trained network that rounds as its integer file will.

    Args:
        model: A network of Conv2D, PReLU, ReLU, Add and layers that keep their input's values
            (resize, concatenate, pool, slice, rearrange).
        per_channel: Whether weights have a scale per output channel, or one per tensor.

    Raises:
        ValueError: The network has a layer that is not covered.
    """

    def exchange(layer: keras.layers.Layer) -> keras.layers.Layer:
        if isinstance(layer, REFUSED):
            raise ValueError(
                f"quantization-aware training does not cover {type(layer).__name__} "
                f"({layer.name}); use int8_ptq for this network"
            )
        config = layer.get_config()
        kind = KINDS.get(type(layer), type(layer))
        if kind is FakeQuantReLU:
            config = {"name": layer.name}
        if kind is FakeQuantConv2D:
            config["rounds"] = not _feeds_relu_only(layer)
            config["per_channel"] = per_channel
        return kind.from_config(config)

    copy = keras.models.clone_model(model, clone_function=exchange)
    for layer in copy.layers:
        source = model.get_layer(layer.name)
        for variable, value in zip(layer.trainable_weights, source.trainable_weights, strict=True):
            variable.assign(value)
    return copy


def convert_qat(
    model: keras.Model,
    *,
    size_px: tuple[int, int] = (256, 256),
    input_range: tuple[float, float] = (0.0, 1.0),
) -> bytes:
    """Export a quantization-aware network as a fully integer .tflite, int8 at both ends.

    Args:
        model: What `quantization_aware` made, so that its ranges are known.
        size_px: (height, width) of the input.
        input_range: What the 256 steps of the input reach over.

    Raises:
        ConversionRefused: TensorFlow refuses an operator.
    """

    def as_operators(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = layer.get_config()
        if isinstance(layer, tuple(KINDS.values())):
            config["as_operator"] = True
        return type(layer).from_config(config)

    operators = keras.models.clone_model(model, clone_function=as_operators)
    operators.set_weights(model.get_weights())
    for layer in operators.layers:
        if isinstance(layer, FakeQuantConv2D):
            layer.kernel.assign(layer.rounded_kernel())
    exported = exchanged(operators, precision=Precision.INT8_PTQ)

    def integer(image: Any) -> Any:
        pixels = tf.quantization.fake_quant_with_min_max_args(image, *input_range, num_bits=8)
        return exported(pixels, training=False)

    return convert_function(integer, precision=Precision.INT8_QAT, size_px=size_px)


def nudged_range(low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Return the lower end and the step of 256 steps over a range, zero being one of them.

    Source: Jacob et al., equation 13 (nudged zero point).
    """
    ops = keras.ops
    scale = ops.maximum((high - low) / 255.0, 1e-12)
    zero_point = ops.round(-low / scale)
    return -zero_point * scale, scale


def straight_through(x: Tensor, low: Tensor, high: Tensor, scale: Tensor) -> Tensor:
    """Clip to a range and round to its steps; gradients pass as if only clipped."""
    ops = keras.ops
    clipped = ops.clip(x, low, high)
    rounded = ops.round((clipped - low) / scale) * scale + low
    return clipped + ops.stop_gradient(rounded - clipped)


def rounded_weights(kernel: Tensor, *, per_channel: bool = True) -> Tensor:
    """Round [kh, kw, in, out] to 8 bits, symmetric (-127 to 127).

    Args:
        kernel: The weights.
        per_channel: Whether each output channel has its own step, or all have one.
    """
    ops = keras.ops
    axes = (0, 1, 2) if per_channel else (0, 1, 2, 3)
    most = ops.max(ops.abs(kernel), axis=axes, keepdims=True) + 1e-12
    scale = ops.stop_gradient(most) / 127.0
    rounded = ops.round(kernel / scale) * scale
    return kernel + ops.stop_gradient(rounded - kernel)


def calibrate(model: keras.Model, frames: Frames, *, percentile: float = 100.0) -> None:
    """Set every range of a quantization-aware network from frames, before it is trained.

    Args:
        model: What `quantization_aware` made.
        frames: What the ranges are taken from.
        percentile: Of each tensor's values in a frame; 100 takes the extremes.
    """
    found = [getattr(layer, "range", None) for layer in model.layers]
    ranges = [one for one in found if isinstance(one, FakeQuant)]
    for one in ranges:
        one.observing = percentile
    for frame in frames:
        model(np.asarray(frame), training=False)
    for one in ranges:
        one.observing = None
    _share_joined_ranges(model)


def _share_joined_ranges(model: keras.Model) -> None:
    """Give all tensors that are concatenated one range, as integer CONCATENATION has one scale.

    Without it the converter forces one tensor's range on the others, and adds a QUANTIZE that
    NNAPI below API 30 does not take. Where the image itself is joined, [0, 1] belongs to the range.
    """
    joins = [
        [_maker(tensor) for tensor in layer.input]
        for layer in model.layers
        if isinstance(layer, keras.layers.Concatenate)
    ]
    for _ in joins:  # a range may be in several joins: once per join settles the longest chain
        for makers in joins:
            found = [getattr(maker, "range", None) for maker in makers]
            known = [one for one in found if isinstance(one, FakeQuant)]
            image = any(isinstance(maker, keras.layers.InputLayer) for maker in makers)
            low = min(float(one.low) for one in known)
            high = max(1.0 if image else 0.0, *(float(one.high) for one in known))
            for one in known:
                one.low.assign(low)
                one.high.assign(high)


def _maker(tensor: Any) -> keras.layers.Layer:
    """Return the layer that made a tensor's values, behind layers that keep them."""
    layer = tensor._keras_history.operation
    if isinstance(getattr(layer, "range", None), FakeQuant) or isinstance(
        layer, keras.layers.InputLayer
    ):
        return layer
    return layer if isinstance(layer.input, list) else _maker(layer.input)


def _feeds_relu_only(layer: keras.layers.Layer) -> bool:
    consumers = [node.operation for node in layer._outbound_nodes]  # Keras has no public form
    return bool(consumers) and all(type(one) is keras.layers.ReLU for one in consumers)
