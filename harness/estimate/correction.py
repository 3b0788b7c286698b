"""Correct the vendor's estimate for a Snapdragon phone: a floor, a factor, some prices.

The vendor's estimator knows one chip generation. A phone adds a floor for each call into the NPU
and runs by its own clocks (the factor). Some ops cost a phone what the estimator does not see:
quantized ops that only clamp or rescale, which the estimator merges into their neighbours and a
phone runs one by one; ARG_MAX; each op of a float graph a little; convolutions of 3x3 and those to
many channels in float, and dilated ones in integers. What the estimator asks for each op of a
quantized graph and for poolings is more than phones take. The memory of later chips is slower
beside their arithmetic than that of the estimator's, and what earlier chips hold at once costs them
time.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from harness.estimate import work
from harness.estimate.quantization import QUANTIZED
from harness.estimate.vendor import VendorEstimate
from harness.graph import Graph, Op

_MIB = 2**20
_PORT_MS_PER_MIB = 0.12
"""What float32 input and output cost on the estimator's chip, beyond its estimate.

The NPU computes in fp16, so that its float32 ports are converted. Source: rows of Qualcomm AI Hub
Models; fitted freely it is 0.11 on both devices of the estimator's generation and 0.03 to 0.07 on
five others, whose held-out errors hardly depend on it.
"""
_APART = frozenset({"QUANTIZE", "RELU", "RELU6", "RELU_0_TO_1", "RELU_N1_TO_1"})
_WIDE_CHANNELS = 256
"""Of one group. Source: the published rows, whose misfit is smallest with it (decision 0027)."""


@dataclass(frozen=True, kw_only=True)
class Correction:
    """What leads from the vendor's estimate to one phone in one precision.

    Prices are milliseconds on the estimator's chip.

    Attributes:
        floor_ms: Cost of one call into the NPU, on the phone.
        vendor_ratio: Phone's time over that of the estimator's chip.
        apart_ms: Cost of each quantized op that only clamps or rescales; none in float.
        arg_max_ms: Cost of an ARG_MAX over a million elements, beyond the vendor's estimate.
        op_ms: Cost of each op of a float graph, beyond the vendor's estimate.
        op_less_ms: What each op of a quantized graph costs less than the vendor's estimate.
        pool_less_ms: What a MAX_POOL_2D costs less for each million elements of its windows.
        average_less_ms: What an AVERAGE_POOL_2D costs less for as many.
        conv3x3_ms: Cost of each GMAC of float convolutions of 3x3, beyond the vendor's estimate.
        wide_ms: Cost of each GMAC of float convolutions to 256 channels or more, beyond it.
        dilated_ms: Cost of each GMAC of dilated convolutions of a quantized graph, beyond it.
        memory_ms: Cost of each MiB that passes between main memory and the chip, beyond the
            vendor's estimate.
        peak_ms: Cost of each MiB of activations that are alive at one time, beyond it; on chips
            older than the estimator's.
    """

    floor_ms: float
    vendor_ratio: float
    apart_ms: float = 0.0
    arg_max_ms: float = 0.0
    op_ms: float = 0.0
    op_less_ms: float = 0.0
    pool_less_ms: float = 0.0
    average_less_ms: float = 0.0
    conv3x3_ms: float = 0.0
    wide_ms: float = 0.0
    dilated_ms: float = 0.0
    memory_ms: float = 0.0
    peak_ms: float = 0.0

    def __post_init__(self) -> None:
        """Refuse constants that cannot be."""
        wrong = sorted(name for name, value in vars(self).items() if not 0.0 <= value < 1e6)
        if wrong or self.vendor_ratio <= 0.0:
            raise ValueError(f"{', '.join(wrong) or 'vendor_ratio'} must be positive and finite")


def precision_of(graph: Graph) -> str:
    """Return the precision that most of a graph's MACs run in, or most of its ops without MACs."""
    weight: dict[str, int] = {}
    for op in graph.ops:
        if not graph.unpacks_constant(op):
            precision = work.precision_of(graph, op)
            weight[precision] = weight.get(precision, 0) + 1 + op.macs
    return max(weight, key=lambda name: weight[name])


def apart(graph: Graph) -> int:
    """Count the ops that only clamp or rescale quantized tensors."""
    return _of_quantized(graph, _APART)


def rescalings(graph: Graph) -> int:
    """Count the ops that only rescale quantized tensors, as exporters leave them at joins."""
    return _of_quantized(graph, frozenset({"QUANTIZE"}))


def rescalings_ms(graph: Graph, constants: Correction) -> float:
    """Return what those rescalings cost a phone; with some software, nothing."""
    each_ms = max(0.0, constants.apart_ms - constants.op_less_ms)
    return constants.vendor_ratio * each_ms * rescalings(graph)


def _of_quantized(graph: Graph, names: frozenset[str]) -> int:
    return sum(
        op.name in names and graph.tensors[op.inputs[0]].dtype in QUANTIZED for op in graph.ops
    )


def arg_max_millions(graph: Graph) -> float:
    """Return how many million elements the graph's ARG_MAX ops read."""
    read = [graph.tensors[op.inputs[0]].elements for op in graph.ops if op.name == "ARG_MAX"]
    return sum(read) / 1e6


def float_ops(graph: Graph) -> int:
    """Count the ops that run, if the graph is a float one."""
    return _running(graph) if precision_of(graph) == work.FLOAT else 0


def quantized_ops(graph: Graph) -> int:
    """Count the ops that run, if the graph is a quantized one."""
    return _running(graph) if precision_of(graph) != work.FLOAT else 0


def _running(graph: Graph) -> int:
    return sum(not graph.unpacks_constant(op) for op in graph.ops)


def pooled_millions(graph: Graph) -> float:
    """Return how many million elements the windows of the graph's maximum poolings read."""
    return _windowed_millions(graph, "MAX_POOL_2D")


def averaged_millions(graph: Graph) -> float:
    """Return how many million elements the windows of the graph's average poolings read."""
    return _windowed_millions(graph, "AVERAGE_POOL_2D")


def _windowed_millions(graph: Graph, name: str) -> float:
    pools = [op for op in graph.ops if op.name == name]
    return sum(work.work_of(graph, op, on_cpu=False).operations for op in pools) / 1e6


def conv3x3_gmacs(graph: Graph) -> float:
    """Return the GMACs of convolutions of 3x3, if the graph is a float one."""
    return sum(op.macs for op in _float_convolutions(graph) if _is_3x3(graph, op)) / 1e9


def _is_3x3(graph: Graph, op: Op) -> bool:
    return graph.tensors[op.inputs[1]].shape[1:3] == (3, 3)


def wide_gmacs(graph: Graph) -> float:
    """Return the GMACs of convolutions to many channels, if the graph is a float one."""
    asked = [work.work_of(graph, op, on_cpu=False) for op in _float_convolutions(graph)]
    wide = (one.operations for one in asked if one.out_channels >= _WIDE_CHANNELS)
    return sum(wide) / 1e9


def _float_convolutions(graph: Graph) -> list[Op]:
    if precision_of(graph) != work.FLOAT:
        return []
    return [op for op in graph.ops if op.name == "CONV_2D" and not work.is_depthwise(graph, op)]


def dilated_gmacs(graph: Graph) -> float:
    """Return the GMACs of dilated convolutions, if the graph is a quantized one."""
    if precision_of(graph) == work.FLOAT:
        return 0.0
    return sum(op.macs for op in graph.ops if _is_dilated(op)) / 1e9


def _is_dilated(op: Op) -> bool:
    return any(int(op.options.get(f"dilation_{side}_factor") or 1) > 1 for side in "wh")


def peak_mib(graph: Graph) -> float:
    """Return the most MiB of activations that are alive at one time, floats in two bytes each."""
    running = tuple(op for op in graph.ops if not graph.unpacks_constant(op))
    width = 0.5 if precision_of(graph) == work.FLOAT else 1.0
    return width * replace(graph, ops=running).peak_activation_bytes / _MIB


UNSEEN: Mapping[str, Callable[[Graph], float]] = {
    "apart_ms": apart, "arg_max_ms": arg_max_millions, "op_ms": float_ops,
    "conv3x3_ms": conv3x3_gmacs, "wide_ms": wide_gmacs, "dilated_ms": dilated_gmacs,
    "peak_ms": peak_mib,
}  # fmt: skip
"""What a graph holds of ops whose cost the estimator does not see, by the constant that prices
one."""
OVERPRICED: Mapping[str, Callable[[Graph], float]] = {
    "op_less_ms": quantized_ops, "pool_less_ms": pooled_millions,
    "average_less_ms": averaged_millions,
}  # fmt: skip
"""What a graph holds of that for which the estimator asks too much, likewise."""
_LEFT_SHARE_MIN = 0.3
"""Least share of the vendor's estimate that is left of it, far below any published network's."""


@dataclass(frozen=True, kw_only=True)
class Known:
    """What is known of one graph on the estimator's chip, or of many, as arrays.

    Attributes:
        time_ms: The vendor's estimate.
        ports_ms: Conversion of float32 inputs and outputs.
        traffic_mib: What passes between main memory and the chip.
        counts: What is priced apart, by the constant that prices it.
    """

    time_ms: Any
    ports_ms: Any
    traffic_mib: Any
    counts: Mapping[str, Any]

    @classmethod
    def stack(cls, each: Sequence[Self]) -> Self:
        """Put what is known of several graphs into arrays."""
        return cls(
            time_ms=np.array([one.time_ms for one in each]),
            ports_ms=np.array([one.ports_ms for one in each]),
            traffic_mib=np.array([one.traffic_mib for one in each]),
            counts={
                name: np.array([one.counts[name] for one in each], dtype=np.float64)
                for name in (*UNSEEN, *OVERPRICED)
            },
        )

    def at(self, rows: Sequence[int]) -> Self:
        """Return what is known of some of the graphs in arrays."""
        return replace(
            self,
            time_ms=self.time_ms[rows],
            ports_ms=self.ports_ms[rows],
            traffic_mib=self.traffic_mib[rows],
            counts={name: counts[rows] for name, counts in self.counts.items()},
        )


def know(graph: Graph, said: VendorEstimate) -> Known:
    """Return what is known of a graph of which the estimator said something."""
    return Known(
        time_ms=said.time_ms,
        ports_ms=ports_ms(graph),
        traffic_mib=said.traffic_mib,
        counts={name: count(graph) for name, count in {**UNSEEN, **OVERPRICED}.items()},
    )


def corrected_ms(known: Known, values: Mapping[str, float]) -> tuple[Any, Any]:
    """Return a phone's milliseconds but for the floor: of what the estimator sees, and what not.

    Args:
        known: Of one graph or of many.
        values: The phone's constants, by the names of `Correction`; those that lack are 0.
    """
    less_ms = sum(values.get(name, 0.0) * known.counts[name] for name in OVERPRICED)
    seen_ms = np.maximum(known.time_ms - less_ms, _LEFT_SHARE_MIN * known.time_ms)
    unseen_ms = sum(values.get(name, 0.0) * known.counts[name] for name in UNSEEN)
    unseen_ms = unseen_ms + values.get("memory_ms", 0.0) * known.traffic_mib
    ratio = values["vendor_ratio"]
    return ratio * (seen_ms + known.ports_ms), ratio * unseen_ms


def ports_ms(graph: Graph) -> float:
    """Return what converting float32 inputs and outputs costs on the estimator's chip."""
    ports = [graph.tensors[i] for i in (*graph.inputs, *graph.outputs)]
    floats = sum(tensor.size_bytes for tensor in ports if tensor.dtype == "float32")
    return _PORT_MS_PER_MIB * floats / _MIB
