"""Check quantization-aware training: rounding, gradients, and the file that comes of it."""

import numpy as np
import pytest

pytest.importorskip("keras")

import keras
import tensorflow as tf

from harness import graph
from harness.compress import qat
from harness.stacks import xnnpack
from harness.zoo.layers import Activation, Upsampling
from harness.zoo.unet import UNetSize, unet
from tests import models
from tests.keras_warnings import ARRAY_COPY

pytestmark = [
    pytest.mark.train,
    ARRAY_COPY,
    pytest.mark.filterwarnings("ignore:Statistics for quantized inputs"),
]

TINY = UNetSize(widths=(4, 8), convs=1, stem_stride=2)
SIZE_PX = (32, 48)


@pytest.fixture
def frames() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.random((1, *SIZE_PX, 3), dtype=np.float32) for _ in range(3)]


def _aware(activation: Activation, frames: list[np.ndarray]) -> keras.Model:
    keras.utils.set_random_seed(1)
    aware = qat.quantization_aware(unet(size=TINY, activation=activation))
    qat.calibrate(aware, frames)
    return aware


@pytest.mark.parametrize("activation", list(Activation))
def test_the_file_is_integer_from_end_to_end(activation, frames):
    file = qat.convert_qat(_aware(activation, frames), size_px=SIZE_PX)

    assert {tensor.dtype for tensor in graph.parse(file).tensors} == {"int8", "int32"}


@pytest.mark.parametrize("activation", list(Activation))
def test_the_file_computes_what_training_saw(activation, frames):
    aware = _aware(activation, frames)

    output = xnnpack.run(models.model(qat.convert_qat(aware, size_px=SIZE_PX)), frames[0])

    step = float(aware.get_layer("restored").range.high - aware.get_layer("restored").range.low)
    assert np.abs(output - aware(frames[0])).max() <= 3.01 * step / 255.0


def test_tensors_that_are_joined_share_one_range(frames):
    aware = _aware(Activation.PRELU, frames)

    one, other = (aware.get_layer(name).range for name in ("up0_act", "enc0_0_act"))
    assert float(one.low) == float(other.low) < 0.0
    assert float(one.high) == float(other.high) > 0.0


def test_the_file_has_no_requantization_that_old_phones_refuse(frames):
    file = qat.convert_qat(_aware(Activation.PRELU, frames), size_px=SIZE_PX)

    assert "QUANTIZE" not in {op.name for op in graph.parse(file).ops}


def test_rounding_agrees_with_tensorflows_fake_quantization():
    x = np.random.default_rng(0).uniform(-1.7, 2.9, 400).astype(np.float32)
    layer = qat.FakeQuant()
    layer.build(None)
    layer.low.assign(-1.3)
    layer.high.assign(2.1)

    mine = layer(x)

    theirs = tf.quantization.fake_quant_with_min_max_args(x, -1.3, 2.1, num_bits=8)
    np.testing.assert_allclose(mine, theirs, atol=1e-5)


def test_gradients_pass_inside_the_range_and_stop_outside():
    x = tf.Variable([-2.0, 0.31, 5.0])

    with tf.GradientTape() as tape:
        y = qat.straight_through(x, -1.0, 1.0, 2.0 / 255.0)

    np.testing.assert_array_equal(tape.gradient(y, x), [0.0, 1.0, 0.0])


def test_weights_keep_one_step_per_output_channel():
    kernel = np.random.default_rng(0).normal(size=(3, 3, 4, 5)).astype(np.float32)
    kernel[..., 2] *= 100.0

    rounded = np.asarray(qat.rounded_weights(kernel))

    for channel in range(5):
        step = np.abs(kernel[..., channel]).max() / 127.0
        steps = rounded[..., channel] / step
        np.testing.assert_allclose(steps, np.rint(steps), atol=1e-3)
        assert np.abs(rounded[..., channel] - kernel[..., channel]).max() <= 0.5001 * step


def test_training_moves_weights_through_the_rounding(frames):
    aware = _aware(Activation.PRELU, frames)
    before = [np.array(weight) for weight in aware.trainable_weights]
    aware.compile(optimizer=keras.optimizers.Adam(1e-3), loss="mean_absolute_error")

    aware.train_on_batch(frames[0], frames[1])

    moved = [
        not np.array_equal(old, new)
        for old, new in zip(before, aware.trainable_weights, strict=True)
    ]
    assert all(moved)


def test_a_layer_that_is_not_covered_is_refused_by_name():
    model = unet(size=TINY, upsampling=Upsampling.TRANSPOSE_CONV)

    with pytest.raises(ValueError, match=r"does not cover Conv2DTranspose \(up0_transpose_conv\)"):
        qat.quantization_aware(model)
