"""Check pruning: whole channels leave, ties hold, and what is left computes the same."""

import numpy as np
import pytest

pytest.importorskip("keras")

import keras

from harness import graph
from harness.compress.export import convert
from harness.compress.prune import prune, trace
from harness.subjects import Precision
from harness.zoo.designs import DESIGNS
from harness.zoo.edsr import EDSRSize, edsr
from harness.zoo.layers import Upsampling
from harness.zoo.unet import SMALL, unet
from tests.keras_warnings import ARRAY_COPY

pytestmark = [pytest.mark.train, ARRAY_COPY]

SIZE_PX = (64, 64)


def _macs(model: keras.Model) -> int:
    return graph.parse(convert(model, precision=Precision.FP32, size_px=SIZE_PX)).macs


@pytest.mark.parametrize("macs_share", [0.7, 0.5])
def test_the_exported_file_has_the_macs_asked_for_within_2_percent(macs_share):
    model = unet(size=SMALL)

    smaller = prune(model, macs_share=macs_share)

    assert _macs(smaller) == pytest.approx(macs_share * _macs(model), rel=0.02)


@pytest.mark.parametrize("name", DESIGNS)
def test_pruning_nothing_changes_nothing(name):
    model = DESIGNS[name]()
    frame = np.random.default_rng(0).random((1, 32, 32, 3), dtype=np.float32)

    same = prune(model, macs_share=1.0)

    np.testing.assert_array_equal(same(frame), model(frame))


@pytest.mark.parametrize("upsampling", list(Upsampling))
def test_channels_that_do_nothing_leave_first_and_the_output_stays(upsampling):
    model = unet(size=SMALL, upsampling=upsampling)
    for name in ("enc1_0", "dec0_0", "middle", "enc2_0"):  # their second half makes zeros
        layer = model.get_layer(name)
        kernel, bias = layer.get_weights()
        half = kernel.shape[-1] // 2
        kernel[..., half:] = 0.0
        layer.set_weights([kernel, bias])
    frame = np.random.default_rng(0).random((1, 32, 32, 3), dtype=np.float32)

    smaller = prune(model, macs_share=0.9)

    assert smaller.get_layer("enc1_0").filters < model.get_layer("enc1_0").filters
    np.testing.assert_allclose(smaller(frame), model(frame), atol=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_operands_of_an_addition_lose_the_same_channels(seed):
    keras.utils.set_random_seed(seed)
    model = edsr(size=EDSRSize(width=32, blocks=2))

    smaller = prune(model, macs_share=0.5)

    ends = {smaller.get_layer(f"block{i}_b").filters for i in range(2)}
    assert ends == {smaller.get_layer("stem").filters}
    assert smaller.get_layer("stem").filters < model.get_layer("stem").filters


def test_the_image_and_the_output_keep_their_channels():
    uses, ties, fixed = trace(unet(size=SMALL), size_px=SIZE_PX)

    assert fixed[:3].all()
    assert fixed[uses[-1].makes].all()
    assert len(uses[-1].makes) == 3
    assert not fixed[ties[uses[0].makes]].any()


def test_depth_to_space_ties_the_four_channels_that_become_one():
    smaller = prune(unet(size=SMALL, upsampling=Upsampling.DEPTH_TO_SPACE), macs_share=0.6)

    assert smaller.get_layer("up0_conv").filters % 4 == 0
    assert smaller.output_shape[-1] == 3


@pytest.mark.parametrize("share", [0.0, -0.5, 1.1])
def test_a_share_that_makes_no_sense_is_refused(share):
    with pytest.raises(ValueError, match="macs_share must be in"):
        prune(unet(size=SMALL), macs_share=share)


def test_a_share_that_would_leave_too_little_is_refused():
    with pytest.raises(ValueError, match="cannot be reached within 2 %"):
        prune(unet(size=SMALL), macs_share=0.01)


def test_a_layer_whose_channels_cannot_be_followed_is_refused():
    image = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(4, 3, padding="same")(image)
    x = keras.layers.Dense(6)(x)
    model = keras.Model(image, keras.layers.Conv2D(3, 3, padding="same")(x))

    with pytest.raises(ValueError, match="does not know how channels pass Dense"):
        prune(model, macs_share=0.9)
