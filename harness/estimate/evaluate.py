"""Score the latency models on figures, held out by family, as the table in docs/latency.md."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.estimate import fit, interval, published, snapdragon
from harness.estimate.calibrate import STARTS, Calibration
from harness.estimate.figures import Figure
from harness.estimate.fit import Score

Vector = NDArray[np.float64]

WRONG_RATIO = 1.5
"""An answer that is off by more than this, and claims not to be, is confidently wrong."""
_ROWS_MIN = 4
_COVERED_ROWS_MIN = 10
"""With fewer, an interval cannot be fitted to the rows of the other families."""
_HEADER = (
    "| device | precision | model | rows | within 10 % | within 25 % | median error | Spearman "
    "| coverage |",
    "|---|---|---|---|---|---|---|---|---|",
)


@dataclass(frozen=True, kw_only=True)
class Held:
    """Held-out answers of one device and precision with the interval that each would claim.

    Attributes:
        predicted_ms: Of each row, by constants that never saw its family.
        low_ms: Lower end of an interval that never saw its family.
        high_ms: Its upper end.
        measured_ms: As published.
    """

    predicted_ms: Vector
    low_ms: Vector
    high_ms: Vector
    measured_ms: Vector

    @property
    def covered(self) -> float:
        """Return the share of rows inside their interval."""
        inside = (self.low_ms <= self.measured_ms) & (self.measured_ms <= self.high_ms)
        return float(np.mean(inside))

    @property
    def confidently_wrong(self) -> int:
        """Count the rows off by more than `WRONG_RATIO` and outside their interval."""
        off = np.abs(np.log(self.predicted_ms / self.measured_ms)) > np.log(WRONG_RATIO)
        outside = (self.measured_ms < self.low_ms) | (self.measured_ms > self.high_ms)
        return int(np.sum(off & outside))


def hold_out(
    families: Sequence[str],
    predicted_ms: Sequence[float],
    measured_ms: Sequence[float],
    second_ms: Sequence[float] | None = None,
) -> Held | None:
    """Give each held-out answer the interval that it would claim; None where rows are too few.

    Args:
        families: Of each row.
        predicted_ms: Held-out answers.
        measured_ms: As published.
        second_ms: Held-out second opinions, where there are any.
    """
    if len(families) < _COVERED_ROWS_MIN:
        return None
    predicted, measured = np.array(predicted_ms), np.array(measured_ms)
    ratio = _ratios(families, predicted, measured, by_family=True)
    low, high = predicted / ratio, predicted * ratio
    if second_ms is not None:
        second = np.array(second_ms)
        agreed = _ratios(families, predicted, second, by_family=False)
        apart = np.abs(np.log(predicted / second)) > np.log(agreed)
        low = np.where(apart, np.minimum(low, second), low)
        high = np.where(apart, np.maximum(high, second), high)
    return Held(predicted_ms=predicted, low_ms=low, high_ms=high, measured_ms=measured)


def _ratios(families: Sequence[str], one: Vector, other: Vector, *, by_family: bool) -> Vector:
    """Return for each row the factor within which nine of ten keep, by rows of other families."""

    def ratios(train: Sequence[int], test: Sequence[int]) -> Vector:
        rows = list(train)
        units = [families[row] for row in rows] if by_family else None
        return np.full(len(test), interval.ratio(one[rows].tolist(), other[rows].tolist(), units))

    return fit.held_out(families, ratios)


def table(chosen: Iterable[Figure]) -> Iterator[str]:
    """Score every device, precision and unit that has enough figures, one table row after another.

    Yields:
        Lines of a Markdown table, held out by family of networks; after it, where a vendor's
        estimator was asked, how many of its answers are confidently wrong.

    Raises:
        StackMissing: there are figures of a Qualcomm NPU and the `qualcomm` extra is not installed.
        ModelError, DeviceError: as `vendor.estimate`.
    """
    yield from _HEADER
    groups: dict[tuple[str, str, str], list[Figure]] = {}
    for figure in chosen:
        key = (figure.device, figure.delegate, figure.precision)
        groups.setdefault(key, []).append(figure)
    by_vendor: list[Held] = []
    for key in sorted(groups):
        found = tuple(groups[key])
        if len(found) < _ROWS_MIN or (key[1], _drawn(key)) not in STARTS:
            continue
        name = f"{key[0]} ({key[1]})"
        if key[1] == snapdragon.DELEGATE:
            fitted = published.fit(found)
            held = _held(found, fitted)
            by_vendor += [held] if held else []
            yield _row(name, key[2], "vendor + correction", fitted.score, held)
        plain = published.fit_roofline(found)
        yield _row(name, key[2], "plain roofline", plain.score, _held(found, plain))
        yield _row(name, key[2], "MACs and a floor", plain.macs_only, None)
    if by_vendor:
        wrong, rows = (
            sum(h.confidently_wrong for h in by_vendor),
            sum(len(h.measured_ms) for h in by_vendor),
        )
        yield ""
        yield (
            f"Off by more than x{WRONG_RATIO} and outside the interval: {wrong} of {rows} answers "
            f"of the vendor's estimator with its correction ({wrong / rows:.2%})"
        )


def _drawn(key: tuple[str, str, str]) -> str:
    return "float" if key[1] == "gpu" else key[2]


def _held(chosen: Sequence[Figure], found: Calibration) -> Held | None:
    families = [f.reference.family for f in chosen]
    measured = [f.latency_ms for f in chosen]
    return hold_out(families, found.held_out_ms, measured, found.second_ms)


def _row(name: str, precision: str, model: str, score: Score, held: Held | None) -> str:
    share = "" if held is None else f"{held.covered:.0%}"
    return (
        f"| {name} | {precision} | {model} | {score.rows} | {score.within_10:.0%} "
        f"| {score.within_25:.0%} | {score.median_error:.1%} | {score.spearman:.3f} | {share} |"
    )
