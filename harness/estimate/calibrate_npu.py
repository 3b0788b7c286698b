"""Fit what leads from the vendor's estimate to a Snapdragon phone."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from harness.estimate import (
    calibrate,
    correction,
    figures,
    fit,
    interval,
    repeats,
    snapdragon,
    work,
)
from harness.estimate.calibrate import STARTS, Calibration, TimedNetwork
from harness.estimate.correction import Known
from harness.estimate.fit import Free
from harness.graph import Graph
from harness.profiles import EstimateConstants

_FREE = (
    Free(name="floor_ms", start=0.1, spread=1.0),
    Free(name="vendor_ratio", start=0.7, spread=0.7),
)
_TIMEOUT_S = 3600.0
"""For one network: a fit has nothing to fall back to, and may wait on a busy machine."""
_MEMORY = Free(name="memory_ms", start=0.0003, spread=3.0)
_ARG_MAX = Free(name="arg_max_ms", start=0.2, spread=1.0)
_PRICES: Mapping[str, tuple[Free, ...]] = {
    work.FLOAT: (
        _ARG_MAX,
        Free(name="op_ms", start=0.001, spread=0.7),
        Free(name="pool_less_ms", start=0.015, spread=0.3),
        Free(name="average_less_ms", start=0.03, spread=0.3),
        Free(name="conv3x3_ms", start=0.03, spread=0.3),
        Free(name="wide_ms", start=0.1, spread=0.3),
    ),
    work.INT8: (
        Free(name="apart_ms", start=0.0045, spread=0.5),
        _ARG_MAX,
        Free(name="op_less_ms", start=0.0004, spread=0.3),
        Free(name="pool_less_ms", start=0.005, spread=0.3),
        Free(name="dilated_ms", start=0.06, spread=0.3),
    ),
}
"""Prices on the estimator's chip, which are nearly the same for all phones.

Their starts are what the published rows of all devices give together; few networks tell them on
one device, so that they are held there.
"""

_PEAK = Free(name="peak_ms", start=0.1, spread=0.7)
"""On chips older than the estimator's only; those of its generation and later show none."""


def calibrate_npu(
    samples: Sequence[TimedNetwork], *, precision: str, soc_model: str, source: str
) -> Calibration:
    """Ask the vendor's estimator about each network and fit the correction of one phone.

    Args:
        samples: Measured networks, wholly on the NPU; two families or more.
        precision: float or int8.
        soc_model: Of the phone's chip, such as `SM8650`.
        source: Where the figures come from.

    Raises:
        ConfigError: fewer than two families, so that nothing can be held out.
        StackMissing: the `qualcomm` extra is not installed.
        ModelError, DeviceError: as `vendor.estimate`.
    """
    families = calibrate.families_of(samples)
    measured = [sample.measured_ms for sample in samples]
    graphs = [snapdragon.as_run(sample.graph, soc_model=soc_model) for sample in samples]
    second = _roofline(samples, graphs, precision)
    older = [_PEAK] if soc_model in snapdragon.OLDER_CHIPS else []
    answers = _Answers(graphs, [*_PRICES[precision], *older])
    predicted = fit.held_out(
        families, lambda rows, test: answers.predict(answers.fit(rows, measured), test)
    )
    result = fit.score(predicted, measured)
    constants = EstimateConstants(
        delegate=snapdragon.DELEGATE,
        precision=precision,
        values={
            name: float(f"{value:.4g}")
            for name, value in answers.fit(range(len(samples)), measured).items()
        },
        rows=len(samples),
        error_share=round(result.median_error, 3),
        interval_ratio=round(interval.ratio(predicted.tolist(), measured, families), 3),
        source=source,
        fitted_gmacs_max=calibrate.largest_gmacs(graphs),
        roofline=second.constants.values,
        roofline_interval_ratio=second.constants.interval_ratio,
        agreement_ratio=round(interval.ratio(predicted.tolist(), second.held_out_ms), 3),
    )
    return Calibration(
        constants=constants,
        held_out_ms=tuple(predicted.tolist()),
        score=result,
        macs_only=second.macs_only,
        second_ms=second.held_out_ms,
    )


class _Answers:
    """The vendor's estimates of some networks, ready to be corrected by any constants."""

    def __init__(self, graphs: Sequence[Graph], prices: Sequence[Free]) -> None:
        """Ask the estimator about each graph, and count what is priced apart."""
        each = [
            correction.know(graph, repeats.estimate(graph, timeout_s=_TIMEOUT_S).said)
            for graph in graphs
        ]
        self._known = Known.stack(each)
        priced = [free for free in prices if self._known.counts[free.name].any()]
        self._free = (*_FREE, *priced, _MEMORY)

    def predict(self, values: Mapping[str, float], rows: Sequence[int]) -> NDArray[np.float64]:
        """Return the milliseconds of some networks."""
        seen_ms, unseen_ms = correction.corrected_ms(self._known.at(list(rows)), values)
        total: NDArray[np.float64] = values["floor_ms"] + seen_ms + unseen_ms
        return total

    def fit(self, rows: Sequence[int], measured_ms: Sequence[float]) -> dict[str, float]:
        """Return the constants that come closest to some networks."""
        return fit.fit(
            self._free,
            lambda values: self.predict(values, rows),
            [measured_ms[row] for row in rows],
        )


def _roofline(
    samples: Sequence[TimedNetwork], graphs: Sequence[Graph], precision: str
) -> Calibration:
    """Fit the second opinion, to the graphs as they run."""
    return calibrate.calibrate(
        [
            replace(sample, graph=graph, placement=figures.whole(graph, snapdragon.DELEGATE))
            for sample, graph in zip(samples, graphs, strict=True)
        ],
        delegate=snapdragon.DELEGATE,
        precision=precision,
        start=STARTS[snapdragon.DELEGATE, precision],
        source="",
    )
