"""Fit what leads from the vendor's estimate to a Snapdragon phone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.errors import ConfigError
from harness.estimate import calibrate, fit, interval, snapdragon, vendor
from harness.estimate.calibrate import Calibration
from harness.estimate.figures import Figure
from harness.estimate.fit import Free
from harness.estimate.vendor import VendorEstimate
from harness.graph import Graph
from harness.profiles import EstimateConstants

_FREE = (
    Free(name="floor_ms", start=0.1, spread=1.0),
    Free(name="vendor_ratio", start=0.7, spread=0.7),
)
_UNSEEN = (
    Free(name="apart_ms", start=0.003, spread=1.0),
    Free(name="arg_max_ms", start=0.1, spread=1.0),
)


@dataclass(frozen=True, kw_only=True)
class NpuSample:
    """Hold one measured network with the vendor's estimate of it."""

    figure: Figure
    graph: Graph
    estimate: VendorEstimate


def gather(figures: Sequence[Figure]) -> tuple[NpuSample, ...]:
    """Draw the networks of some figures and ask the vendor's estimator about each.

    Raises:
        StackMissing: the `qualcomm` extra is not installed.
        ModelError, DeviceError: as `vendor.estimate`.
    """
    graphs: dict[tuple[str, str], Graph] = {}
    for figure in figures:
        key = (figure.reference.name, figure.precision)
        if key not in graphs:
            graphs[key] = figure.reference.graph(figure.precision)
    return tuple(
        NpuSample(figure=figure, graph=graph, estimate=vendor.estimate(graph))
        for figure in figures
        for graph in (graphs[figure.reference.name, figure.precision],)
    )


def calibrate_npu(samples: Sequence[NpuSample], *, source: str) -> Calibration:
    """Fit the correction of one phone and precision; leave one family out for its error.

    Args:
        samples: Of one phone and precision; two families or more.
        source: Where the figures come from.

    Raises:
        ConfigError: fewer than two families.
    """
    families = [sample.figure.reference.family for sample in samples]
    if len(set(families)) < 2:
        raise ConfigError("calibration needs networks of two families or more to hold one out")
    measured = [sample.figure.latency_ms for sample in samples]
    times = np.array(
        [sample.estimate.time_ms + snapdragon.ports_ms(sample.graph) for sample in samples]
    )
    unseen = {
        item: np.array([snapdragon.UNSEEN[item.name](sample.graph) for sample in samples])
        for item in _UNSEEN
    }
    priced = {item: counts for item, counts in unseen.items() if counts.any()}
    free = (*_FREE, *priced)

    def predict(values: Mapping[str, float], rows: Sequence[int]) -> NDArray[np.float64]:
        chosen = list(rows)
        total: NDArray[np.float64] = values["floor_ms"] + values["vendor_ratio"] * times[chosen]
        for item, counts in priced.items():
            total += values[item.name] * counts[chosen]
        return total

    def train(rows: Sequence[int]) -> dict[str, float]:
        return fit.fit(free, lambda values: predict(values, rows), [measured[i] for i in rows])

    predicted = fit.held_out(families, lambda rows, test: predict(train(rows), test))
    result = fit.score(predicted, measured)
    constants = EstimateConstants(
        delegate=snapdragon.DELEGATE,
        precision=samples[0].figure.precision,
        values={k: float(f"{v:.4g}") for k, v in train(range(len(samples))).items()},
        rows=len(samples),
        error_share=round(result.median_error, 3),
        interval_ratio=round(interval.ratio(predicted.tolist(), measured), 3),
        source=source,
        fitted_gmacs_max=calibrate.largest_gmacs([sample.graph for sample in samples]),
    )
    macs = [sample.graph.macs for sample in samples]
    return Calibration(
        constants=constants,
        held_out_ms=tuple(predicted.tolist()),
        score=result,
        macs_only=calibrate.macs_only(macs, families, measured),
    )
