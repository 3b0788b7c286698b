"""Check that each setting changes what it says, in the network and in the file."""

import dataclasses

import numpy as np
import pytest

pytest.importorskip("keras")

import keras

from harness import graph
from harness.compress import settings
from harness.compress.settings import AS_BUILT, SETTINGS, Setting
from harness.zoo.layers import conv, image_input, restored
from tests.keras_warnings import ARRAY_COPY

pytestmark = [
    pytest.mark.train,
    ARRAY_COPY,
    pytest.mark.filterwarnings("ignore:Statistics for quantized inputs were expected:UserWarning"),
]
SIZE_PX = (16, 16)


@pytest.fixture(scope="module")
def network() -> keras.Model:
    keras.utils.set_random_seed(3)
    image = image_input(None, stride=1)
    x = keras.layers.PReLU(shared_axes=[1, 2], name="act")(conv(image, 6, name="stem"))
    return restored(image, conv(x, 3, name="head"), name="tiny")


@pytest.fixture(scope="module")
def frames() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.random((1, *SIZE_PX, 3), dtype=np.float32) for _ in range(4)]


def _graph(network, frames, setting: Setting) -> graph.Graph:
    aware = settings.prepared(network, setting, frames)
    return graph.parse(settings.integer_file(aware, setting, size_px=SIZE_PX))


def _scales(found: graph.Graph) -> list[int]:
    filters = [found.tensors[op.inputs[1]] for op in found.ops if op.name == "CONV_2D"]
    return [len(one.quantization.scales) for one in filters]


def test_weights_have_a_scale_per_channel_or_one_per_tensor(network, frames):
    per_tensor = dataclasses.replace(AS_BUILT, per_channel=False)

    assert _scales(_graph(network, frames, AS_BUILT)) == [6, 3]
    assert _scales(_graph(network, frames, per_tensor)) == [1, 1]


def test_the_input_and_the_residual_have_the_scale_that_is_asked_for(network, frames):
    setting = dataclasses.replace(AS_BUILT, input_range=(-1.0, 1.0), head_range=(-2.0, 2.0))

    found = _graph(network, frames, setting)

    last = found.ops[-1]
    assert last.name == "ADD"
    scales = sorted(found.tensors[index].quantization.scales[0] for index in last.inputs)
    assert scales == pytest.approx([2.0 / 255.0, 4.0 / 255.0], rel=1e-2)


def test_fewer_frames_and_lower_percentiles_never_widen_a_range(network, frames):
    def range_of(setting: Setting) -> float:
        one = settings.prepared(network, setting, frames).get_layer("stem").range
        return float(one.high) - float(one.low)

    whole = range_of(AS_BUILT)
    assert range_of(dataclasses.replace(AS_BUILT, calibration_frames=1)) <= whole
    assert range_of(dataclasses.replace(AS_BUILT, percentile=90.0)) < whole


def test_a_head_without_its_residual_is_the_same_function_and_ends_in_a_convolution(
    network, frames
):
    plain = settings.without_residual(network)

    np.testing.assert_allclose(plain(frames[0]), network(frames[0]), atol=1e-6)
    found = _graph(network, frames, dataclasses.replace(AS_BUILT, residual=False))
    assert found.ops[-1].name == "CONV_2D"
    joined = found.tensors[found.ops[-1].inputs[0]].quantization
    white = (127 - joined.zero_points[0]) * joined.scales[0]
    assert white >= 0.999  # the image passes whole


def test_settings_change_one_thing_each_but_the_last():
    defaults = dataclasses.asdict(AS_BUILT)
    changed = [
        [key for key, value in dataclasses.asdict(one).items() if value != defaults[key]]
        for one in SETTINGS
    ]

    assert [len(keys) for keys in changed] == [0, *[2] * (len(SETTINGS) - 2), 3]  # with the name
