"""Check that variants are found by name, and built from what lies in the subject's folder."""

import numpy as np
import pytest

pytest.importorskip("keras")

from harness.compress import subject
from harness.compress.subject import Workspace, build_variants
from harness.errors import ConfigError
from harness.training import photos
from harness.training.batches import PairBatches
from harness.training.checkpoint import save_weights
from harness.training.subject import design, train_subject
from harness.training.train import small
from tests.keras_warnings import ARRAY_COPY

pytestmark = [
    pytest.mark.train,
    ARRAY_COPY,
    pytest.mark.filterwarnings("ignore:Statistics for quantized inputs"),
]


@pytest.fixture
def workspace(tmp_path, monkeypatch) -> Workspace:
    """Return a workspace with untrained weights, whose photographs are noise."""
    sharp = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    pairs = photos.CropPairs(blurred=np.roll(sharp, 1, axis=2), sharp=sharp, titles=("a", "b"))
    monkeypatch.setattr(photos, "cached_pairs", lambda cut, *, cache: pairs)
    monkeypatch.setattr(photos, "package_versions", lambda *, cache: {"noise": "1"})
    folder = tmp_path / "deblur_unet"
    folder.mkdir()
    save_weights(design("deblur_unet")(), folder / "weights.npz")
    cache = tmp_path / "cache" / "photos"
    return Workspace(subject="deblur_unet", folder=folder, cache=cache, progress=False)


def test_an_unknown_variant_is_refused_with_the_known_ones(workspace):
    with pytest.raises(ConfigError, match=r"no variant 'int4'; known: fp32, .*int8_qat, prunedNN"):
        build_variants(workspace, ["int4"], steps=1)


def test_a_subject_without_weights_says_how_to_get_them(workspace):
    (workspace.folder / "weights.npz").unlink()

    with pytest.raises(ConfigError, match="run `harness train deblur_unet` first"):
        workspace.trained()


def test_an_unknown_design_is_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match=r"no design 'unet9' in this size; known: deblur_carn"):
        design("unet9")


def test_fine_tuned_variants_are_built_from_the_trained_weights(workspace):
    training = {"command": "a test"}
    subject.build_plain(
        workspace, workspace.trained(), training=training, precisions=[subject.Precision.FP32]
    )

    built = build_variants(workspace, ["int8_qat", "pruned50", "pruned50_int8"], steps=2)

    assert [variant.name for variant in built] == ["int8_qat", "pruned50", "pruned50_int8"]
    for variant in built:
        assert (workspace.folder / f"{variant.name}.tflite").read_bytes() == variant.file
    fp32 = built[0].macs
    assert built[1].macs == pytest.approx(0.5 * fp32, rel=0.02)


def test_a_training_starts_from_given_weights(workspace, tmp_path):
    recipe = small(steps=100)

    trained = train_subject(
        "deblur_unet",
        recipe=recipe,
        folder=tmp_path / "run",
        cache=workspace.cache,
        start_from=workspace.folder / "weights.npz",
        stop_after=0,
        progress=False,
    )

    for one, wanted in zip(trained.model.weights, workspace.trained().weights, strict=True):
        np.testing.assert_array_equal(one, wanted)


def test_patches_larger_than_the_photographs_crops_are_refused(workspace, tmp_path):
    with pytest.raises(ConfigError, match="patches of 256 px do not fit"):
        train_subject(
            "deblur_unet", recipe=subject.Recipe(), folder=tmp_path / "run", cache=workspace.cache
        )


def test_a_training_draws_from_photographs_unless_reds_is_given(workspace):
    from harness.training.subject import batches_for

    assert isinstance(batches_for(small(), cache=workspace.cache), PairBatches)
    with pytest.raises(ConfigError, match="no REDS folder"):
        batches_for(small(), cache=workspace.cache, reds_folder=workspace.folder)
