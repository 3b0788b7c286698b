"""Fit a phone's latency constants to published or measured milliseconds."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from harness.errors import ConfigError
from harness.estimate import fit, interval, kernels, roofline
from harness.estimate.fit import Free, Score
from harness.estimate.kernels import Kernel
from harness.estimate.roofline import Rates
from harness.graph import Graph
from harness.placement import Placement
from harness.profiles import EstimateConstants

_MIB = 2**20
_ON_CHIP_RATIO = 3.0
"""On-chip over off-chip rate, tied because no public row tells the two apart.

Source: an assumption; Snapdragon 855's shared L3 against its LPDDR4X, by order of magnitude.
"""


@dataclass(frozen=True, kw_only=True)
class TimedNetwork:
    """One measured whole network or kernel benchmark.

    Attributes:
        name: Of the network.
        family: Rows of one family are held out together.
        graph: What was measured.
        placement: Where it ran.
        measured_ms: Median or published milliseconds of one inference.
    """

    name: str
    family: str
    graph: Graph
    placement: Placement
    measured_ms: float


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Fitted constants with how well they do on rows they never saw.

    Attributes:
        constants: For the profile.
        held_out_ms: Prediction of each sample from the other families.
        score: Of those predictions.
        macs_only: Of a line through MACs and a floor, on the same split.
        second_ms: Of each sample by a second opinion on the same split, where there is one.
    """

    constants: EstimateConstants
    held_out_ms: tuple[float, ...]
    score: Score
    macs_only: Score
    second_ms: tuple[float, ...] | None = None


_CPU = Rates(
    dense_gmacs_per_s=40.0, depthwise_gmacs_per_s=15.0, vector_gops_per_s=15.0,
    on_chip_gb_per_s=30.0, off_chip_gb_per_s=10.0, on_chip_mib=2.0, float_bytes=4.0,
    channel_multiple=8.0, transpose_conv_ratio=2.0, dispatch_us=8.0, floor_ms=0.1,
    crossing_us=300.0, crossing_gb_per_s=2.0,
)  # fmt: skip

STARTS: Mapping[tuple[str, str], Rates] = {
    ("cpu", "float"): _CPU,
    ("cpu", "int8"): replace(_CPU, dense_gmacs_per_s=160.0, depthwise_gmacs_per_s=40.0,
                             vector_gops_per_s=40.0, transpose_conv_ratio=3.3),
    ("gpu", "float"): replace(_CPU, dense_gmacs_per_s=150.0, depthwise_gmacs_per_s=50.0,
                              vector_gops_per_s=50.0, on_chip_mib=3.0, float_bytes=2.0,
                              channel_multiple=4.0, dispatch_us=20.0, floor_ms=1.0),
    ("nnapi", "float"): replace(_CPU, dense_gmacs_per_s=80.0, depthwise_gmacs_per_s=28.0,
                                vector_gops_per_s=28.0, on_chip_mib=3.0, float_bytes=2.0,
                                channel_multiple=4.0, dispatch_us=80.0, floor_ms=2.0),
    ("qnn", "float"): replace(_CPU, dense_gmacs_per_s=5000.0, depthwise_gmacs_per_s=500.0,
                              vector_gops_per_s=500.0, on_chip_gb_per_s=150.0,
                              off_chip_gb_per_s=50.0, on_chip_mib=8.0, float_bytes=2.0,
                              channel_multiple=32.0, dispatch_us=3.0, floor_ms=0.3),
    ("qnn", "int8"): replace(_CPU, dense_gmacs_per_s=15000.0, depthwise_gmacs_per_s=1500.0,
                             vector_gops_per_s=1500.0, on_chip_gb_per_s=150.0,
                             off_chip_gb_per_s=50.0, on_chip_mib=8.0, float_bytes=2.0,
                             channel_multiple=32.0, dispatch_us=2.0, floor_ms=0.1),
    ("nnapi", "int8"): replace(_CPU, dense_gmacs_per_s=400.0, depthwise_gmacs_per_s=120.0,
                               vector_gops_per_s=120.0, on_chip_mib=3.0, float_bytes=2.0,
                               channel_multiple=32.0, dispatch_us=20.0, floor_ms=1.0),
}  # fmt: skip
"""Where each fit starts, and what stays fixed in it.

Sources: four big cores of a Snapdragon 855 peak at (2.84 + 3 x 2.42) GHz x 8 = 81 float GMAC/s
and four times that in int8 dot products; half of the peak is the start. 2 MiB of shared L3
(AnandTech on Snapdragon 865) decides for the CPU, about 3 MiB of system cache (unverified) for
the rest. A transposed convolution executes 2.1 times (float) and 3.3 times (int8) the
instructions of a convolution of the same MACs on Arm (counted under QEMU for Pixel 4's cores;
2x2 filters, stride 2). Crossings (0.3 ms, 2 GB/s), that cost on accelerators (2x) and channel
multiples are assumptions that no public row tests.
"""

FAMILIES_MIN = 2
"""Families that a calibration wants: one to fit to, one to hold out."""
_FREE = {
    "dense_gmacs_per_s": 0.7, "depthwise_gmacs_per_s": 0.7, "off_chip_gb_per_s": 0.5,
    "dispatch_us": 0.7, "floor_ms": 0.7,
}  # fmt: skip
_FREE_IF_ASKED = {
    "transposed_operations": "transpose_conv_ratio",
    "reference_operations": "reference_gops_per_s",
}
"""What is fitted only where a measured network asks for it, by what it asks for."""
_FREE_IF_ASKED_SPREAD = 0.7
CHANNEL_MULTIPLES = (4.0, 8.0, 16.0, 32.0)
"""What a unit may pad channels to: widths of vector registers and matrix units."""


def calibrate(
    samples: Sequence[TimedNetwork],
    *,
    delegate: str,
    precision: str,
    start: Rates,
    source: str,
    channel_multiples: Sequence[float] = (),
) -> Calibration:
    """Fit the roofline of one delegate and precision, leave one family out for its error.

    Args:
        samples: Measured networks; two families or more.
        delegate: What they ran through.
        precision: float or int8.
        start: Where to start, and what is not fitted.
        source: Where the figures come from.
        channel_multiples: Choose among these what channels are padded to; that wants networks of
            several channel counts. Without, it is the start's.

    Raises:
        ConfigError: fewer than two families, so that nothing can be held out.
        ModelError: a network holds an op without a rule.
    """
    families = families_of(samples)
    measured = [sample.measured_ms for sample in samples]
    tables = _tables(samples, start, channel_multiples)

    def predict(rows: Sequence[int], test: Sequence[int]) -> NDArray[np.float64]:
        table, rates = _closest(tables, rows, measured)
        return table.predict(test, rates)

    predicted = fit.held_out(families, predict)
    result = fit.score(predicted, measured)
    constants = EstimateConstants(
        delegate=delegate,
        precision=precision,
        values=_rounded(_closest(tables, range(len(samples)), measured)[1]),
        rows=len(samples),
        error_share=round(result.median_error, 3),
        interval_ratio=round(interval.ratio(predicted.tolist(), measured, families), 3),
        source=source,
        fitted_gmacs_max=largest_gmacs([sample.graph for sample in samples]),
    )
    return Calibration(
        constants=constants,
        held_out_ms=tuple(predicted.tolist()),
        score=result,
        macs_only=macs_only([sample.graph.macs for sample in samples], families, measured),
    )


class _Table:
    """What the kernels of all samples ask of a unit, ready to cost under any rates."""

    def __init__(
        self, samples: Sequence[TimedNetwork], fused: Sequence[Sequence[Kernel]], start: Rates
    ) -> None:
        self._start = start
        self._asked = [
            [roofline.demand(sample.graph, kernel, start) for kernel in launched]
            for sample, launched in zip(samples, fused, strict=True)
        ]
        room = start.on_chip_mib * _MIB
        self._resident = [sample.graph.weight_bytes <= room for sample in samples]

    def fit(self, rows: Sequence[int], measured_ms: Sequence[float]) -> Rates:
        """Return the rates that are closest to some samples."""
        predict = self._predictor(rows)
        asked = [demand for row in rows for demand in self._asked[row]]
        spreads = dict(_FREE)
        for what, name in _FREE_IF_ASKED.items():
            if any(getattr(demand, what) for demand in asked):
                spreads[name] = _FREE_IF_ASKED_SPREAD
        # Reference kernels alone may have no rate to start from.
        starts = {"reference_gops_per_s": roofline.REFERENCE_GOPS_PER_S, **_known(self._start)}
        values = fit.fit(
            [Free(name=name, start=starts[name], spread=v) for name, v in spreads.items()],
            lambda values: predict(_tie(self._start, values)),
            measured_ms,
        )
        return _tie(self._start, values)

    def predict(self, rows: Sequence[int], rates: Rates) -> NDArray[np.float64]:
        """Return the milliseconds of some samples."""
        return self._predictor(rows)(rates)

    def _predictor(self, rows: Sequence[int]) -> Callable[[Rates], NDArray[np.float64]]:
        counts = [len(self._asked[row]) for row in rows]
        demands = roofline.stack([demand for row in rows for demand in self._asked[row]])
        resident = np.repeat([self._resident[row] for row in rows], counts)
        begins = np.cumsum([0, *counts[:-1]])

        def predict(rates: Rates) -> NDArray[np.float64]:
            each = roofline.costs_ms(demands, rates, weights_resident=resident)
            total: NDArray[np.float64] = rates.floor_ms + np.add.reduceat(each, begins)
            return total

        return predict


def _tables(
    samples: Sequence[TimedNetwork], start: Rates, channel_multiples: Sequence[float]
) -> list[_Table]:
    """Return the kernels of all samples, a table for each multiple of channels."""
    starts = [replace(start, channel_multiple=m) for m in channel_multiples] or [start]
    fused = [kernels.fuse(sample.graph, sample.placement) for sample in samples]
    return [_Table(samples, fused, start) for start in starts]


def _closest(
    tables: Sequence[_Table], rows: Sequence[int], measured_ms: Sequence[float]
) -> tuple[_Table, Rates]:
    """Fit each table to some samples; return the one that comes closest, with its rates."""
    chosen = [measured_ms[row] for row in rows]
    found = [(table, table.fit(rows, chosen)) for table in tables]
    return min(found, key=lambda one: fit.misfit(one[0].predict(rows, one[1]), chosen))


def _rounded(rates: Rates) -> dict[str, float]:
    return {name: float(f"{value:.4g}") for name, value in _known(rates).items()}


def _known(rates: Rates) -> dict[str, float]:
    return {name: value for name, value in vars(rates).items() if value is not None}


def families_of(samples: Sequence[TimedNetwork]) -> list[str]:
    """Return the family of each sample.

    Raises:
        ConfigError: fewer than `FAMILIES_MIN`, so that nothing can be held out.
    """
    families = [sample.family for sample in samples]
    if len(set(families)) < FAMILIES_MIN:
        raise ConfigError("calibration needs networks of two families or more to hold one out")
    return families


def largest_gmacs(graphs: Sequence[Graph]) -> float:
    """Return the GMACs of the largest network, rounded up."""
    return math.ceil(max(graph.macs for graph in graphs) / 1e7) / 100


def _tie(start: Rates, values: Mapping[str, float]) -> Rates:
    return replace(
        start,
        **values,
        vector_gops_per_s=values["depthwise_gmacs_per_s"],
        on_chip_gb_per_s=values["off_chip_gb_per_s"] * _ON_CHIP_RATIO,
    )


def macs_only(macs: Sequence[int], families: Sequence[str], measured_ms: Sequence[float]) -> Score:
    """Score a line in MACs with a floor, held out by family: the baseline to beat."""
    counts = np.array(macs, dtype=np.float64) / 1e9
    free = [
        Free(name="ms_per_gmac", start=1.0, spread=3.0),
        Free(name="floor_ms", start=1.0, spread=3.0),
    ]

    def predict(values: Mapping[str, float], rows: Sequence[int]) -> NDArray[np.float64]:
        time: NDArray[np.float64] = values["ms_per_gmac"] * counts[list(rows)] + values["floor_ms"]
        return time

    def line(train: Sequence[int], test: Sequence[int]) -> NDArray[np.float64]:
        measured = [measured_ms[i] for i in train]
        return predict(fit.fit(free, lambda values: predict(values, train), measured), test)

    return fit.score(fit.held_out(families, line), measured_ms)


def to_toml(constants: EstimateConstants) -> str:
    """Return constants as an `[[estimates]]` entry of a device profile."""
    lines = [
        "[[estimates]]",
        f"delegate = {json.dumps(constants.delegate)}",
        f"precision = {json.dumps(constants.precision)}",
        f"rows = {constants.rows}",
        f"error_share = {constants.error_share}",
        f"interval_ratio = {constants.interval_ratio}",
        *(
            [f"fitted_gmacs_max = {constants.fitted_gmacs_max}"]
            if constants.fitted_gmacs_max is not None
            else []
        ),
        *([f"rows_of = {json.dumps(constants.rows_of)}"] if constants.rows_of else []),
        *(
            f"{name} = {getattr(constants, name)}"
            for name in ("agreement_ratio", "roofline_interval_ratio")
            if getattr(constants, name) is not None
        ),
        f"source = {json.dumps(constants.source, ensure_ascii=False)}",
        *_table("values", constants.values),
        *(_table("roofline", constants.roofline) if constants.roofline else []),
    ]
    return "\n".join(lines) + "\n"


def _table(name: str, values: Mapping[str, float]) -> list[str]:
    return ["", f"[estimates.{name}]", *(f"{key} = {value}" for key, value in values.items())]
