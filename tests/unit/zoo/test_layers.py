"""Check the layers against TensorFlow's own operators."""

import numpy as np
import pytest

pytest.importorskip("keras")

import keras
import tensorflow as tf

from harness.zoo import layers
from harness.zoo.layers import Activation, Upsampling
from tests.keras_warnings import ARRAY_COPY

pytestmark = [pytest.mark.train, ARRAY_COPY]


def _noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(7).random(shape, dtype=np.float32)


def test_legacy_bilinear_is_tensorflows_resize_with_both_flags_false():
    x = _noise(2, 5, 7, 3)

    mine = layers.LegacyBilinear2x()(x)

    theirs = tf.raw_ops.ResizeBilinear(
        images=x, size=[10, 14], align_corners=False, half_pixel_centers=False
    )
    np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-6)


def test_legacy_bilinear_is_not_the_half_pixel_resize():
    x = _noise(1, 4, 4, 1)

    mine = layers.LegacyBilinear2x()(x)

    half_pixel = tf.raw_ops.ResizeBilinear(
        images=x, size=[8, 8], align_corners=False, half_pixel_centers=True
    )
    assert np.abs(np.asarray(mine) - np.asarray(half_pixel)).max() > 0.01


def test_depth_to_space_is_tensorflows():
    x = _noise(2, 3, 5, 12)

    np.testing.assert_array_equal(layers.DepthToSpace2x()(x), tf.nn.depth_to_space(x, 2))


def test_space_to_depth_undoes_depth_to_space():
    x = _noise(1, 3, 5, 8)

    there_and_back = layers.SpaceToDepth2x()(layers.DepthToSpace2x()(x))

    np.testing.assert_array_equal(there_and_back, x)


def test_depth_to_space_refuses_channels_that_four_does_not_divide():
    with pytest.raises(ValueError, match="multiple of 4 channels"):
        layers.DepthToSpace2x()(keras.Input((4, 4, 6)))


def test_a_channel_slice_takes_its_channels():
    x = _noise(1, 2, 2, 6)

    np.testing.assert_array_equal(layers.ChannelSlice(first=1, end=4)(x), x[..., 1:4])


@pytest.mark.parametrize("upsampling", list(Upsampling))
def test_every_upsampling_doubles_any_size(upsampling):
    image = keras.Input((None, None, 4))
    model = keras.Model(image, layers.upsample2x(image, 6, upsampling, name="up"))

    assert model(_noise(1, 3, 5, 4)).shape == (1, 6, 10, 6)


def test_prelu_has_one_slope_per_channel_starting_at_a_quarter():
    image = keras.Input((None, None, 4))
    model = keras.Model(image, layers.activate(image, Activation.PRELU, name="act"))

    negative = model(-np.ones((1, 2, 2, 4), np.float32))

    assert model.count_params() == 4
    np.testing.assert_allclose(negative, -0.25)


def test_a_size_that_the_stride_does_not_divide_is_refused_with_the_nearest_one():
    with pytest.raises(ValueError, match=r"height 722 px .* stride of 8; the nearest size is 720"):
        layers.image_input((722, 1280), stride=8)
