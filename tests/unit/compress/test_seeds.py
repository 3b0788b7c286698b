"""Check what is measured of networks that were trained with several seeds."""

import pytest

pytest.importorskip("keras")

import keras

from harness import graph
from harness.compress import seeds
from harness.errors import ConfigError
from harness.training.checkpoint import save_weights
from harness.zoo.designs import DESIGNS
from tests.keras_warnings import ARRAY_COPY

pytestmark = [pytest.mark.train, ARRAY_COPY]


def test_every_further_seed_that_left_weights_gives_a_file_beside_the_committed_one(tmp_path):
    golden, folder = tmp_path / "golden", tmp_path / "trainings"
    for own in (golden / "deblur_edsr", folder / "deblur_dbpn_seed2", folder / "deblur_edsr_seed1"):
        own.mkdir(parents=True)
    (golden / "deblur_dbpn").mkdir()
    for seed, own in enumerate((golden / "deblur_dbpn", folder / "deblur_dbpn_seed2")):
        keras.utils.set_random_seed(seed)
        save_weights(DESIGNS["deblur_dbpn"](), own / "weights.npz")

    found = dict(seeds.files(folder, golden=golden, cache=tmp_path))

    assert set(found) == {"deblur_dbpn"}
    first, second = found["deblur_dbpn"]["fp32"], found["deblur_dbpn"]["seed2"]
    assert list(found["deblur_dbpn"]) == ["fp32", "seed2"]
    assert first != second
    assert graph.parse(first, name="first").macs == graph.parse(second, name="second").macs


def test_a_folder_without_a_further_seed_says_what_to_run(tmp_path):
    with pytest.raises(ConfigError, match="`harness study train`"):
        next(seeds.files(tmp_path, golden=tmp_path, cache=tmp_path))
