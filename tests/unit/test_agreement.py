"""How far tensors that are no images agree."""

import numpy as np
import pytest

from harness import agreement
from harness.errors import BlessedDataError, ModelError

SCORES = np.array([[[0.1, 0.9], [0.8, 0.2]], [[0.3, 0.7], [0.6, 0.4]]], np.float32)


def test_a_tensor_agrees_with_itself() -> None:
    same = agreement.compare(SCORES, SCORES)

    assert (same.relative_l2, same.top1_agreement, same.iou) == (0.0, 1.0, 1.0)
    assert same.cosine_similarity == pytest.approx(1.0)


def test_one_class_of_four_positions_that_flips_costs_a_quarter_of_agreement() -> None:
    flipped = SCORES.copy()
    flipped[0, 0] = [0.9, 0.1]

    found = agreement.compare(flipped, SCORES)

    assert found.top1_agreement == 0.75
    assert found.iou == pytest.approx((2 / 3 + 1 / 2) / 2)


def test_classes_lie_on_the_channel_axis() -> None:
    first = np.moveaxis(SCORES, -1, 0)[np.newaxis]

    assert agreement.compare(first, first[:, ::-1], channel_axis=1).top1_agreement == 0.0


def test_a_mask_of_one_channel_has_two_classes() -> None:
    mask = np.array([[0.9], [0.9], [0.1], [0.1]], np.float32)
    moved = np.array([[0.9], [0.1], [0.1], [0.1]], np.float32)

    assert agreement.compare(moved, mask).iou == pytest.approx((1 / 2 + 2 / 3) / 2)


def test_the_opposite_direction_has_a_cosine_of_minus_one() -> None:
    assert agreement.compare(-SCORES, SCORES).cosine_similarity == pytest.approx(-1.0)


def test_values_that_are_not_finite_are_counted_and_cost() -> None:
    broken = SCORES.copy()
    broken[0, 0, 0] = np.nan
    broken[1, 1, 1] = np.inf

    found = agreement.compare(broken, SCORES)

    assert found.non_finite_values == 2
    assert found.relative_l2 > 0.2


def test_other_shapes_and_broken_references_are_errors() -> None:
    with pytest.raises(ModelError, match="shape"):
        agreement.compare(SCORES[:1], SCORES)
    with pytest.raises(BlessedDataError, match="non-finite"):
        agreement.compare(SCORES, SCORES * np.float32(np.inf))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.zeros(4, np.float32), "the output is all zeros"),
        (np.full(4, 0.5, np.float32), "every value of the output is 0.5"),
        (np.array([0, 0, 0, 1], np.float32), ""),
    ],
)
def test_a_flat_output_is_called_so(values: np.ndarray, said: str) -> None:
    assert agreement.flat(values, np.arange(4.0)) == said
    assert agreement.flat(values, np.full(4, 0.5)) == ""
