"""Check exported files: what operators they hold, and that they compute what the network does."""

import numpy as np
import pytest

pytest.importorskip("keras")

import keras

from harness import graph
from harness.compress import export
from harness.compress.check import measure, spread
from harness.compress.export import ConversionRefused, convert
from harness.fidelity import image_psnr_db
from harness.stacks import xnnpack
from harness.subjects import Precision
from harness.training.photos import CropPairs
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


@pytest.fixture(scope="module")
def frames() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.random((1, *SIZE_PX, 3), dtype=np.float32) for _ in range(3)]


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return _tiny(Upsampling.RESIZE_BILINEAR, Activation.PRELU)


def _tiny(upsampling: Upsampling, activation: Activation) -> keras.Model:
    keras.utils.set_random_seed(1)
    return unet(size=TINY, upsampling=upsampling, activation=activation)


@pytest.mark.parametrize("activation", list(Activation))
@pytest.mark.parametrize("upsampling", list(Upsampling))
def test_the_fp32_file_computes_what_the_network_does(upsampling, activation, frames):
    model = _tiny(upsampling, activation)

    file = convert(model, precision=Precision.FP32, size_px=SIZE_PX)

    np.testing.assert_allclose(
        xnnpack.run(models.model(file), frames[0]), model(frames[0]), atol=2e-5
    )


@pytest.mark.parametrize("activation", list(Activation))
@pytest.mark.parametrize("upsampling", list(Upsampling))
def test_the_16x8_file_is_within_70_db_of_the_network(upsampling, activation, frames):
    model = _tiny(upsampling, activation)

    file = convert(model, precision=Precision.INT16_PTQ, size_px=SIZE_PX, calibration=frames)

    assert {t.dtype for t in graph.parse(file).tensors} <= {"int8", "int16", "int32", "int64"}
    output = xnnpack.run(models.model(file), frames[0])
    assert image_psnr_db(output, np.clip(model(frames[0]), 0.0, 1.0)) > 50.0


def test_the_int8_file_has_no_float_between_its_ends(model, frames):
    file = convert(model, precision=Precision.INT8_PTQ, size_px=SIZE_PX, calibration=frames)

    assert {t.dtype for t in graph.parse(file).tensors} == {"int8", "int32"}
    output = xnnpack.run(models.model(file), frames[0])
    assert image_psnr_db(output, np.clip(model(frames[0]), 0.0, 1.0)) > 30.0


def test_the_fp16_file_holds_half_the_weights_in_bytes(model):
    fp32 = graph.parse(convert(model, precision=Precision.FP32, size_px=SIZE_PX))
    fp16 = graph.parse(convert(model, precision=Precision.FP16, size_px=SIZE_PX))

    assert fp16.weight_bytes < 0.6 * fp32.weight_bytes
    assert {op.name for op in fp16.ops} - {op.name for op in fp32.ops} == {"DEQUANTIZE"}


def test_integers_without_calibration_frames_are_refused(model):
    with pytest.raises(ValueError, match="int8_ptq needs calibration frames"):
        convert(model, precision=Precision.INT8_PTQ, size_px=SIZE_PX)


def test_a_refused_operator_is_named_with_a_way_round(model, frames):
    with pytest.raises(ConversionRefused, match=r"int16_ptq for PRELU: write it as relu"):
        export.convert_function(
            lambda image: model(image, training=False),
            precision=Precision.INT16_PTQ,
            size_px=SIZE_PX,
            calibration=frames,
        )


def test_a_file_measured_against_itself_drops_nothing(model):
    rng = np.random.default_rng(0)
    sharp = rng.integers(0, 256, (2, *SIZE_PX, 3), dtype=np.uint8)
    pairs = CropPairs(blurred=np.roll(sharp, 1, axis=2), sharp=sharp, titles=("a", "b"))
    file = convert(model, precision=Precision.FP32, size_px=SIZE_PX)

    quality = measure(file, file, pairs)

    assert quality.drop_db.mean == 0.0
    assert quality.to_fp32_db.mean == np.inf
    assert quality.psnr_db.frames == 2


def test_a_spread_has_the_standard_error_of_the_mean():
    found = spread([1.0, 2.0, 3.0])

    assert (found.mean, found.least, found.frames) == (2.0, 1.0, 3)
    assert found.standard_error == pytest.approx(1.0 / 3**0.5)
