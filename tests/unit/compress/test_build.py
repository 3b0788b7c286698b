"""Check what building a subject writes."""

import hashlib
import json

import numpy as np
import pytest

pytest.importorskip("keras")

import keras

from harness.compress.build import build
from harness.subjects import Precision
from harness.training.checkpoint import load_weights
from harness.training.photos import CropPairs
from harness.zoo.unet import UNetSize, unet
from tests.keras_warnings import ARRAY_COPY

pytestmark = [
    pytest.mark.train,
    ARRAY_COPY,
    pytest.mark.filterwarnings("ignore:Statistics for quantized inputs"),
]

TINY = UNetSize(widths=(4, 8), convs=1, stem_stride=2)


@pytest.fixture
def pairs() -> CropPairs:
    rng = np.random.default_rng(0)
    sharp = rng.integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    return CropPairs(blurred=np.roll(sharp, 1, axis=2), sharp=sharp, titles=("a", "b"))


def _model() -> keras.Model:
    keras.utils.set_random_seed(1)
    return unet(size=TINY)


def _build(folder, pairs, *precisions, **settings):
    return build(
        _model(),
        folder=folder,
        precisions=precisions,
        calibration=pairs,
        held_out=pairs,
        training={"seed": 1},
        **settings,
    )


def test_every_variant_is_written_with_its_hash_and_quality(tmp_path, pairs):
    built = _build(tmp_path, pairs, Precision.FP32, Precision.INT8_PTQ)

    facts = json.loads((tmp_path / "provenance.json").read_text())["variants"]
    assert list(facts) == [variant.name for variant in built] == ["fp32", "int8_ptq"]
    for name, entry in facts.items():
        file = (tmp_path / f"{name}.tflite").read_bytes()
        assert entry["sha256"] == hashlib.sha256(file).hexdigest()
        assert entry["size_bytes"] == len(file)
        assert entry["held_out"]["psnr_db"]["frames"] == 2
    assert facts["fp32"]["held_out"]["to_fp32_db"]["mean"] is None  # the parent itself
    assert facts["int8_ptq"]["held_out"]["to_fp32_db"]["mean"] > 20.0


def test_building_one_variant_again_keeps_the_others(tmp_path, pairs):
    _build(tmp_path, pairs, Precision.FP32, Precision.INT8_PTQ)
    before = json.loads((tmp_path / "provenance.json").read_text())["variants"]["int8_ptq"]

    _build(tmp_path, pairs, Precision.FP32)

    after = json.loads((tmp_path / "provenance.json").read_text())["variants"]["int8_ptq"]
    assert before == after


def test_building_twice_gives_equal_files(tmp_path, pairs):
    first = _build(tmp_path / "a", pairs, Precision.FP32)
    second = _build(tmp_path / "b", pairs, Precision.FP32)

    assert first[0].file == second[0].file


def test_the_weights_beside_the_files_build_the_same_network(tmp_path, pairs):
    _build(tmp_path, pairs, Precision.FP32)
    other = unet(size=TINY)

    load_weights(other, tmp_path / "weights.npz")

    for one, wanted in zip(other.get_weights(), _model().get_weights(), strict=True):
        np.testing.assert_array_equal(one, wanted)


def test_a_prefix_names_the_variants_of_a_pruned_network(tmp_path, pairs):
    built = _build(tmp_path, pairs, Precision.FP32, Precision.INT8_PTQ, prefix="pruned70_")

    assert [variant.name for variant in built] == ["pruned70", "pruned70_int8"]
    assert (tmp_path / "pruned70_weights.npz").is_file()
