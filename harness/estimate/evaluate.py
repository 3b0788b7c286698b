"""Score the latency models on published figures: `python -m harness.estimate.evaluate CSV`.

Prints one table row per device, precision and model, held out by family of networks, in the form
that docs/latency.md holds.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.estimate import calibrate, calibrate_npu, figures, fit, interval
from harness.estimate.calibrate import STARTS, Calibration
from harness.estimate.fit import Score

_ROWS_MIN = 10
_HEADER = (
    "| device | precision | model | rows | within 10 % | within 25 % | median error | Spearman "
    "| coverage |\n|---|---|---|---|---|---|---|---|---|"
)


def coverage(
    families: Sequence[str], predicted_ms: Sequence[float], measured_ms: Sequence[float]
) -> float:
    """Return the share of rows inside an interval that never saw their family."""
    predicted, measured = np.array(predicted_ms), np.array(measured_ms)

    def ratios(train: Sequence[int], test: Sequence[int]) -> NDArray[np.float64]:
        rows = list(train)
        ratio = interval.ratio(predicted[rows].tolist(), measured[rows].tolist())
        return np.full(len(test), ratio)

    found = fit.held_out(families, ratios)
    return float(np.mean(np.abs(np.log(predicted / measured)) <= np.log(found)))


def main(path: Path) -> None:
    """Print the table of every device, precision and unit that has enough figures."""
    rows = figures.read(path)
    print(_HEADER)
    for key in sorted({(f.device, f.precision, f.unit) for f in rows}):
        device, precision, unit = key
        chosen = [f for f in rows if (f.device, f.precision, f.unit) == key]
        if unit not in ("npu", "gpu") or len(chosen) < _ROWS_MIN:
            continue
        families = [f.reference.family for f in chosen]
        measured = [f.latency_ms for f in chosen]
        delegate = "qnn" if unit == "npu" else "gpu"
        drawn = precision if unit == "npu" else "float"
        plain = calibrate.calibrate(
            figures.draw(chosen, delegate=delegate, precision=drawn), delegate=delegate,
            precision=precision, start=STARTS[delegate, drawn], source=str(path.name),
        )  # fmt: skip
        name = f"{device} ({unit.upper()})"
        if unit == "npu":
            found = calibrate_npu.calibrate_npu(
                figures.draw(chosen, delegate=delegate, precision=drawn), precision=precision,
                source=path.name,
            )  # fmt: skip
            _print(name, precision, "vendor + correction", found, families, measured)
        _print(name, precision, "plain roofline", plain, families, measured)
        _print_score(name, precision, "MACs and a floor", plain.macs_only, "")


def _print(
    device: str,
    precision: str,
    model: str,
    found: Calibration,
    families: Sequence[str],
    measured: Sequence[float],
) -> None:
    share = coverage(families, found.held_out_ms, measured)
    _print_score(device, precision, model, found.score, f"{share:.0%}")


def _print_score(device: str, precision: str, model: str, score: Score, covered: str) -> None:
    print(
        f"| {device} | {precision} | {model} | {score.rows} | {score.within_10:.0%} "
        f"| {score.within_25:.0%} | {score.median_error:.1%} | {score.spearman:.3f} | {covered} |"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
