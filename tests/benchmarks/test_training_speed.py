"""Training is kept busy by its data, and a paper-size network is exported in seconds."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("keras")

from harness.compress import subject
from harness.training.batches import PairBatches
from harness.training.photos import CropPairs
from harness.training.train import small, train
from harness.zoo.unet import unet
from tests.keras_warnings import ARRAY_COPY

pytestmark = [pytest.mark.train, ARRAY_COPY]


def test_the_share_of_a_step_that_waits_for_data(benchmark: Any, tmp_path: Path) -> None:
    """Forty steps of the small preset; the aim is to wait for less than 10 % of the time."""
    pixels = np.random.default_rng(0).integers(0, 256, (50, 128, 128, 3), dtype=np.uint8)
    pairs = CropPairs(blurred=pixels, sharp=pixels, titles=("noise",) * 50)
    recipe = small(steps=40)
    batches = PairBatches(pairs, batch=recipe.batch, patch_px=recipe.patch_px, seed=1)

    trained = benchmark.pedantic(
        lambda: train(unet, batches, recipe=recipe, folder=tmp_path, progress=False),
        rounds=1,
    )

    benchmark.extra_info["data_share"] = trained.data_share
    assert 0.0 <= trained.data_share <= 1.0


@pytest.mark.parametrize("name", ["deblur_unet", "deblur_fpn"])
def test_the_structural_export_of_a_paper_network(
    benchmark: Any, tmp_path: Path, name: str
) -> None:
    """The aim is under 30 seconds for the largest graphs of the zoo."""
    path = benchmark.pedantic(
        lambda: subject.export_paper(name, folder=tmp_path, size_px=(720, 1280)), rounds=1
    )

    assert path.stat().st_size > 10_000_000
