"""Check every network of the zoo: shapes, sizes, MACs, and what the phones ask of a graph."""

import numpy as np
import pytest

pytest.importorskip("keras")

import keras

from harness import graph
from harness.compress.export import Precision, convert
from harness.study.facts import ARCHITECTURES
from harness.zoo.designs import DESIGNS, OP_GRID, PAPER_DESIGNS
from tests.keras_warnings import ARRAY_COPY

pytestmark = [pytest.mark.train, ARRAY_COPY]

HD_PIXELS = 1280 * 720
SIDE_PX = 64


def _exported(model: keras.Model) -> graph.Graph:
    return graph.parse(convert(model, precision=Precision.FP32, size_px=(SIDE_PX, SIDE_PX)))


def _gmacs_at_720p(exported: graph.Graph) -> float:
    return exported.macs / SIDE_PX**2 * HD_PIXELS / 1e9


@pytest.mark.parametrize("name", DESIGNS)
def test_a_small_design_restores_any_size_its_stride_divides(name):
    model = DESIGNS[name]()

    for height, width in ((32, 48), (16, 16)):
        frame = np.zeros((1, height, width, 3), np.float32)
        assert model(frame).shape == frame.shape


@pytest.mark.parametrize("name", DESIGNS)
def test_a_small_design_has_about_5_gmac_and_no_float_fallback_ops(name):
    exported = _exported(DESIGNS[name]())

    assert 4.4 <= _gmacs_at_720p(exported) <= 5.9
    names = {op.name for op in exported.ops}
    assert not names & {"PAD", "PADV2", "CUSTOM", "MIRROR_PAD", "TRANSPOSE", "RESHAPE"}


@pytest.mark.parametrize("name", DESIGNS)
def test_every_convolution_has_its_bias(name):
    for layer in DESIGNS[name]().layers:
        if hasattr(layer, "kernel"):
            assert layer.use_bias, layer.name


@pytest.mark.parametrize("name", PAPER_DESIGNS)
def test_a_paper_design_has_250_gmac_at_720p_within_2_percent(name):
    assert _gmacs_at_720p(_exported(PAPER_DESIGNS[name]())) == pytest.approx(250.0, rel=0.02)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_architectures_that_the_study_compares_have_equal_macs_within_2_percent(name):
    wanted = _exported(DESIGNS["deblur_unet"]()).macs

    assert _exported(DESIGNS[name]()).macs == pytest.approx(wanted, rel=0.02)


def test_the_six_of_the_op_grid_cost_the_same_macs():
    grid = {name: build() for name, build in OP_GRID.items()}

    macs = {name: _exported(model).macs for name, model in grid.items()}

    assert len(macs) == 6
    assert len(set(macs.values())) == 1


def test_the_portable_unet_has_one_resize_per_doubling_that_api_29_accepts():
    resizes = [op for op in _exported(DESIGNS["deblur_unet"]()).ops if op.name == "RESIZE_BILINEAR"]

    assert len(resizes) == 3
    for op in resizes:
        assert not op.options["half_pixel_centers"]
        assert not op.options["align_corners"]


def test_equal_seeds_give_equal_weights():
    first, second = (_seeded(3), _seeded(3))

    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.array_equal(first[0], _seeded(4)[0])


def _seeded(seed: int) -> list[np.ndarray]:
    keras.utils.set_random_seed(seed)
    return DESIGNS["deblur_unet"]().get_weights()
