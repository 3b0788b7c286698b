"""Measure how far an image is from the one it should be, by arithmetic in float64."""

import math
from dataclasses import dataclass

import numpy as np

from harness import cache
from harness.arrays import inner_product
from harness.images import UNIT_RANGE, ArrayMemo, Pixels, out_of_range_share, sha256_of_pixels
from harness.inputs import check_comparable

PEAK = 1.0
"""Peak of every PSNR here: images are compared over their stated range, mapped to [0, 1]."""
COPY_STEPS = 65535
"""Steps between the least and the greatest value of a copy in 16 bits."""
PSNR_CEILING_DB = 120.0
"""PSNR reported for images that agree to float32 rounding, where the formula tends to infinity."""
TILE_PX = 32
"""Edge of the tiles of the worst-tile PSNR."""


@dataclass(frozen=True, kw_only=True)
class Fidelity:
    """The distance of an image from the one it should be.

    Attributes:
        psnr_db: Peak signal-to-noise ratio, the peak being the width of the stated range; at
            most 120 dB.
        relative_l2: L2 norm of the difference over the L2 norm of the reference (ratio).
        worst_tile_psnr_db: The lowest PSNR of any 32 x 32 tile.
        worst_tile_px: Left and top edge of that tile.
        max_error: Largest absolute difference, as a share of the stated range.
        out_of_range_share: Share of the output's values outside the stated range by more than
            the overshoot that a display may clip unseen.
        non_finite_values: How many values of the output are NaN or infinite.
    """

    psnr_db: float
    relative_l2: float
    worst_tile_psnr_db: float
    worst_tile_px: tuple[int, int]
    max_error: float
    out_of_range_share: float
    non_finite_values: int


def compare(
    pixels: Pixels, reference: Pixels, *, output_range: tuple[float, float] = UNIT_RANGE
) -> Fidelity:
    """Compare an image with a reference, both clipped to the stated range as a display would.

    Non-finite values of the image are counted and then taken as the value farthest from the
    reference, so that no metric can look better for them.

    Args:
        pixels: What was made, float32 [1, H, W, 3].
        reference: What it should be, float32 [1, H, W, 3].
        output_range: The values for black and white that the subject states.

    Raises:
        ModelError: the shapes differ.
        BlessedDataError: the reference holds NaN or infinite values.
    """
    if pixels.flags.writeable or reference.flags.writeable:
        return _compare(pixels, reference, output_range)
    return _COMPARED.of(
        (pixels, reference), output_range, lambda: _remembered(pixels, reference, output_range)
    )


def on_display(
    pixels: Pixels, reference: Pixels, output_range: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Return an image and its reference as float64 clipped to their range and mapped to [0, 1].

    Non-finite values of the image are the value farthest from the reference.

    Raises:
        ModelError: the shapes differ.
        BlessedDataError: the reference holds NaN or infinite values.
    """
    check_comparable(pixels, reference)
    wanted = _on_display(reference, output_range)
    got = _on_display(pixels, output_range)
    if not np.isfinite(pixels).all():
        farthest = np.where(wanted < PEAK / 2, PEAK, 0.0)
        got = np.where(np.isfinite(pixels), got, farthest)
    return got, wanted


def _remembered(pixels: Pixels, reference: Pixels, output_range: tuple[float, float]) -> Fidelity:
    """Compare two images, or return what an earlier run found of the same two."""
    hashes = sha256_of_pixels(pixels), sha256_of_pixels(reference)
    return cache.remember(
        "fidelity",
        cache.key_of(__name__, *hashes, output_range),
        lambda: _compare(pixels, reference, output_range),
        kind=Fidelity,
    )


def _compare(pixels: Pixels, reference: Pixels, output_range: tuple[float, float]) -> Fidelity:
    got, wanted = on_display(pixels, reference, output_range)
    non_finite = pixels.size - int(np.count_nonzero(np.isfinite(pixels)))
    error = np.subtract(got, wanted, out=got)
    squared_sum = inner_product(error, error)
    max_error = max(float(error.max()), -float(error.min()))
    tile_db, tile_px = _worst_tile(np.square(error, out=error))
    return Fidelity(
        psnr_db=psnr_db(squared_sum / error.size),
        relative_l2=_relative_l2(squared_sum, inner_product(wanted, wanted)),
        worst_tile_psnr_db=tile_db,
        worst_tile_px=tile_px,
        max_error=max_error,
        out_of_range_share=out_of_range_share(pixels, output_range),
        non_finite_values=non_finite,
    )


_COMPARED = ArrayMemo[Fidelity]()
"""Several gates compare one output with one target."""


def _on_display(pixels: Pixels, output_range: tuple[float, float]) -> np.ndarray:
    """Return float64 pixels clipped to their range, and mapped to [0, 1]."""
    low, high = output_range
    clipped: np.ndarray = np.clip(pixels, low, high, dtype=np.float64)
    clipped -= low
    clipped /= high - low
    return clipped


def psnr_db(mean_squared_error: float) -> float:
    """Return the PSNR for a mean squared error of values with peak 1.0, at most 120 dB.

    Source: PSNR = 10 log10(peak^2 / MSE), ITU-T J.340 section 5.
    """
    if mean_squared_error <= 10.0 ** (-PSNR_CEILING_DB / 10.0):
        return PSNR_CEILING_DB
    return 10.0 * math.log10(PEAK**2 / mean_squared_error)


def rounding_rms(pixels: Pixels, output_range: tuple[float, float]) -> float:
    """Return the root mean square of what 16 bits from darkest to brightest cost, of the range.

    Source: an error that is uniform over one step has the mean square step^2 / 12.
    """
    low, high = output_range
    shown = np.clip(pixels, low, high, dtype=np.float64)
    return float(np.ptp(shown)) / COPY_STEPS / math.sqrt(12.0) / (high - low)


def rms_of(db: float) -> float:
    """Return the root mean square of the errors of a PSNR, as a share of the peak."""
    return PEAK * math.pow(10.0, -db / 20.0)


def image_psnr_db(output: Pixels, reference: Pixels) -> float:
    """Return the PSNR of two images, both clipped to [0, 1] as a display would."""
    error = _on_display(output, UNIT_RANGE) - _on_display(reference, UNIT_RANGE)
    return psnr_db(float(np.mean(np.square(error))))


def _relative_l2(squared_sum: float, wanted_squared_sum: float) -> float:
    if wanted_squared_sum == 0.0:
        return 0.0 if squared_sum == 0.0 else math.inf
    return math.sqrt(squared_sum / wanted_squared_sum)


def _worst_tile(squared: np.ndarray) -> tuple[float, tuple[int, int]]:
    """Return the PSNR and the left and top edge of the worst tile; edge tiles may be smaller."""
    rows = np.arange(0, squared.shape[1], TILE_PX)
    columns = np.arange(0, squared.shape[2], TILE_PX)
    sums = np.add.reduceat(np.add.reduceat(squared.sum(axis=(0, 3)), rows, 0), columns, 1)
    heights = np.diff(np.append(rows, squared.shape[1]))
    widths = np.diff(np.append(columns, squared.shape[2]))
    means = sums / (np.outer(heights, widths) * squared.shape[0] * squared.shape[3])
    row, column = np.unravel_index(int(means.argmax()), means.shape)
    return psnr_db(float(means.max())), (int(columns[column]), int(rows[row]))
