"""How far two tensors that are no images agree: values, classes, class maps. Arithmetic only."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.arrays import inner_product
from harness.inputs import check_comparable

_HALF = 0.5
"""What separates the two classes of a tensor of one channel, a mask."""


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How far a tensor agrees with the one it should be.

    Attributes:
        relative_l2: L2 norm of the difference over the L2 norm of the reference (ratio).
        cosine_similarity: Cosine of the angle between the two as vectors (-1..1).
        top1_agreement: Share of positions whose largest class is the same (0..1).
        iou: Intersection over union of each class's positions, their mean (0..1).
        non_finite_values: How many values are NaN or infinite; they count as 0 in the others.
    """

    relative_l2: float
    cosine_similarity: float
    top1_agreement: float
    iou: float
    non_finite_values: int


def compare(values: NDArray[Any], reference: NDArray[Any], *, channel_axis: int = -1) -> Agreement:
    """Compare a tensor with the one it should be, in float64.

    Args:
        values: What was made.
        reference: What it should be, of the same shape.
        channel_axis: The axis of the classes; with one channel there are two, parted at 0.5.

    Raises:
        ModelError: the shapes differ.
        BlessedDataError: the reference holds NaN or infinite values.
    """
    check_comparable(values, reference)
    finite = np.isfinite(values)
    got, wanted = np.where(finite, values, 0.0).astype(np.float64), reference.astype(np.float64)
    classes, right = _classes(got, channel_axis), _classes(wanted, channel_axis)
    return Agreement(
        relative_l2=_ratio(_norm(got - wanted), _norm(wanted)),
        cosine_similarity=_cosine(got.ravel(), wanted.ravel()),
        top1_agreement=float(np.mean(classes == right)),
        iou=_iou(classes, right),
        non_finite_values=int(values.size - np.count_nonzero(finite)),
    )


def least(found: Sequence[Agreement]) -> Agreement:
    """Return the worst of each figure."""
    return Agreement(
        relative_l2=max(one.relative_l2 for one in found),
        cosine_similarity=min(one.cosine_similarity for one in found),
        top1_agreement=min(one.top1_agreement for one in found),
        iou=min(one.iou for one in found),
        non_finite_values=max(one.non_finite_values for one in found),
    )


def flat(values: NDArray[Any], reference: NDArray[Any]) -> str:
    """Say that an output is all zeros, or one value, where its reference is not; else ''.

    All zeros is how GPU delegates fail without an error.
    """
    if values.size < 2 or np.ptp(values) != 0 or np.ptp(reference) == 0:
        return ""
    if values.flat[0] == 0:
        return "the output is all zeros"
    return f"every value of the output is {float(values.flat[0]):.4g}"


def _ratio(error: float, norm: float) -> float:
    if norm == 0.0:
        return 0.0 if error == 0.0 else math.inf
    return error / norm


def _cosine(got: NDArray[np.float64], wanted: NDArray[np.float64]) -> float:
    norms = _norm(got) * _norm(wanted)
    if norms == 0.0:
        return 1.0 if np.array_equal(got, wanted) else 0.0
    return inner_product(got, wanted) / norms


def _norm(values: NDArray[np.float64]) -> float:
    return math.sqrt(inner_product(values, values))


def _classes(values: NDArray[np.float64], axis: int) -> NDArray[Any]:
    if values.ndim == 0 or values.shape[axis] == 1:
        return (values > _HALF).astype(np.int64)
    classes: NDArray[Any] = np.argmax(values, axis=axis)
    return classes


def _iou(classes: NDArray[Any], right: NDArray[Any]) -> float:
    shares = []
    for label in np.union1d(classes, right):
        ours, theirs = classes == label, right == label
        shares.append(np.count_nonzero(ours & theirs) / np.count_nonzero(ours | theirs))
    return float(np.mean(shares))
