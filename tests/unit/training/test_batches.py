"""Check that a batch depends on its seed and step alone."""

import numpy as np
import pytest

from harness.training.batches import PairBatches, ahead, turned
from harness.training.photos import CropPairs


@pytest.fixture
def pairs() -> CropPairs:
    """Return crops whose blurred pixels are their sharp ones, halved."""
    sharp = np.random.default_rng(0).integers(0, 128, (5, 20, 20, 3), dtype=np.uint8) * 2
    return CropPairs(blurred=sharp // 2, sharp=sharp, titles=("t",) * 5)


def test_a_batch_depends_on_seed_and_step_alone(pairs):
    first = PairBatches(pairs, batch=4, patch_px=8, seed=1)
    second = PairBatches(pairs, batch=4, patch_px=8, seed=1)
    second.batch(3)

    np.testing.assert_array_equal(first.batch(9)[0], second.batch(9)[0])
    assert not np.array_equal(first.batch(9)[0], first.batch(10)[0])
    other_seed = PairBatches(pairs, batch=4, patch_px=8, seed=2)
    assert not np.array_equal(first.batch(9)[0], other_seed.batch(9)[0])


def test_blurred_and_sharp_patches_are_the_same_place_turned_the_same_way(pairs):
    for step in range(20):
        blurred, sharp = PairBatches(pairs, batch=4, patch_px=8, seed=1).batch(step)

        np.testing.assert_allclose(2.0 * blurred, sharp, atol=1e-6)


def test_the_eight_turns_of_a_patch_differ():
    patch = np.random.default_rng(0).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    flags = (False, True)

    turns = {turned(patch, (a, b, c)).tobytes() for a in flags for b in flags for c in flags}

    assert len(turns) == 8


def test_batches_made_ahead_come_in_order(pairs):
    batches = PairBatches(pairs, batch=2, patch_px=8, seed=1)

    made = list(ahead(batches, first=4, end=11))

    assert len(made) == 7
    for step, batch in enumerate(made, start=4):
        np.testing.assert_array_equal(batch[0], batches.batch(step)[0])
