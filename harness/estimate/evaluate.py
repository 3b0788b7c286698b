"""Score the latency models on figures, held out by family, as the table in docs/latency.md."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from harness.estimate import fit, interval, published, snapdragon
from harness.estimate.calibrate import STARTS
from harness.estimate.figures import Figure
from harness.estimate.fit import Score

_ROWS_MIN = 4
_COVERED_ROWS_MIN = 10
"""With fewer, an interval cannot be fitted to the rows of the other families."""
_HEADER = (
    "| device | precision | model | rows | within 10 % | within 25 % | median error | Spearman "
    "| coverage |",
    "|---|---|---|---|---|---|---|---|---|",
)


def coverage(
    families: Sequence[str], predicted_ms: Sequence[float], measured_ms: Sequence[float]
) -> float | None:
    """Return the share of rows inside an interval that never saw their family; None if too few."""
    if len(families) < _COVERED_ROWS_MIN:
        return None
    predicted, measured = np.array(predicted_ms), np.array(measured_ms)

    def ratios(train: Sequence[int], test: Sequence[int]) -> NDArray[np.float64]:
        rows = list(train)
        ratio = interval.ratio(predicted[rows].tolist(), measured[rows].tolist())
        return np.full(len(test), ratio)

    found = fit.held_out(families, ratios)
    return float(np.mean(np.abs(np.log(predicted / measured)) <= np.log(found)))


def table(chosen: Iterable[Figure]) -> Iterator[str]:
    """Score every device, precision and unit that has enough figures, one table row after another.

    Yields:
        Lines of a Markdown table, held out by family of networks.

    Raises:
        StackMissing: there are figures of a Qualcomm NPU and the `qualcomm` extra is not installed.
        ModelError, DeviceError: as `vendor.estimate`.
    """
    yield from _HEADER
    groups: dict[tuple[str, str, str], list[Figure]] = {}
    for figure in chosen:
        key = (figure.device, figure.delegate, figure.precision)
        groups.setdefault(key, []).append(figure)
    for key in sorted(groups):
        found = tuple(groups[key])
        if len(found) >= _ROWS_MIN and (key[1], _drawn(key)) in STARTS:
            yield from _rows(f"{key[0]} ({key[1]})", found)


def _drawn(key: tuple[str, str, str]) -> str:
    return "float" if key[1] == "gpu" else key[2]


def _rows(name: str, chosen: tuple[Figure, ...]) -> Iterator[str]:
    families = [f.reference.family for f in chosen]
    measured = [f.latency_ms for f in chosen]
    precision = chosen[0].precision
    if chosen[0].delegate == snapdragon.DELEGATE:
        found = published.fit(chosen)
        share = coverage(families, found.held_out_ms, measured)
        yield _row(name, precision, "vendor + correction", found.score, share)
    plain = published.fit_roofline(chosen)
    share = coverage(families, plain.held_out_ms, measured)
    yield _row(name, precision, "plain roofline", plain.score, share)
    yield _row(name, precision, "MACs and a floor", plain.macs_only, None)


def _row(name: str, precision: str, model: str, score: Score, covered: float | None) -> str:
    share = "" if covered is None else f"{covered:.0%}"
    return (
        f"| {name} | {precision} | {model} | {score.rows} | {score.within_10:.0%} "
        f"| {score.within_25:.0%} | {score.median_error:.1%} | {score.spearman:.3f} | {share} |"
    )
