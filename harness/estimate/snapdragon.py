"""Lead from the vendor's estimate to a Snapdragon phone: a floor, a factor, two kinds of ops.

The vendor's estimator knows one chip generation. A phone adds a floor for each call into the NPU
and runs by its own clocks (the factor). Two kinds of ops cost a phone what the estimator does not
see: quantized ops that only clamp or rescale, which the estimator merges into their neighbours and
a phone runs one by one; and ARG_MAX.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from harness import schema
from harness.errors import ConfigError
from harness.estimate import interval, vendor, work
from harness.estimate.quantization import QUANTIZED
from harness.estimate.vendor import VendorEstimate
from harness.graph import Graph
from harness.profiles import EstimateConstants, Profile

_MIB = 2**20
_PORT_MS_PER_MIB = 0.12
"""What float32 input and output cost on the estimator's chip, beyond its estimate.

The NPU computes in fp16, so that its float32 ports are converted. Source: rows of Qualcomm AI Hub
Models; fitted freely it is 0.11 on both devices of the estimator's generation and 0.03 to 0.07 on
five others, whose held-out errors hardly depend on it.
"""
_APART = frozenset({"QUANTIZE", "RELU", "RELU6", "RELU_0_TO_1", "RELU_N1_TO_1"})
DELEGATE = "qnn"


@dataclass(frozen=True, kw_only=True)
class Correction:
    """Hold what leads from the vendor's estimate to one phone in one precision.

    Attributes:
        floor_ms: Cost of one call into the NPU.
        vendor_ratio: Phone's time over the vendor's estimate, float ports added to it.
        apart_ms: Cost of each quantized op that only clamps or rescales; none in float.
        arg_max_ms: Cost of an ARG_MAX over a million elements, beyond the vendor's estimate.
    """

    floor_ms: float
    vendor_ratio: float
    apart_ms: float = 0.0
    arg_max_ms: float = 0.0

    def __post_init__(self) -> None:
        """Refuse constants that cannot be."""
        wrong = sorted(name for name, value in vars(self).items() if not 0.0 <= value < 1e6)
        if wrong or self.vendor_ratio <= 0.0:
            raise ValueError(f"{', '.join(wrong) or 'vendor_ratio'} must be positive and finite")


@dataclass(frozen=True, kw_only=True)
class NpuCost:
    """Hold the milliseconds of one NPU partition by cause.

    Attributes:
        compute_ms: The vendor's estimate and the conversion of float ports, times the phone's
            factor.
        unseen_ms: Ops whose cost the estimator does not see.
        floor_ms: The call.
        interval_ratio: Times and divided by this is the 90 % interval.
        absolute: Whether figures of this chip are behind it.
        basis: What it rests on, in one line.
    """

    compute_ms: float
    unseen_ms: float
    floor_ms: float
    interval_ratio: float
    absolute: bool
    basis: str

    @property
    def total_ms(self) -> float:
        """Return the time of the partition."""
        return self.compute_ms + self.unseen_ms + self.floor_ms


def cost(part: Graph, profile: Profile) -> NpuCost:
    """Cost a graph that runs wholly on the NPU, in one call.

    Args:
        part: From `vendor.part`, or a whole graph.
        profile: A phone with constants for the delegate qnn.

    Raises:
        StackMissing: the `qualcomm` extra is not installed.
        ConfigError: the profile has no constants for the NPU, or malformed ones.
        ModelError: the vendor's provider does not take the graph.
        DeviceError: the estimator crashed or gave no answer.
    """
    entry = _constants(profile, precision_of(part))
    correction = schema.parse(
        Correction, dict(entry.values), where=f"{profile.name}: qnn {entry.precision}: values"
    )
    found = vendor.estimate(part)
    # Ops without a cost make the estimate too small by an unknown amount: widen by their share.
    widening = 1.0 + len(found.uncosted) / len(part.ops)
    return NpuCost(
        compute_ms=correction.vendor_ratio * (found.time_ms + ports_ms(part)),
        unseen_ms=sum(getattr(correction, name) * count(part) for name, count in UNSEEN.items()),
        floor_ms=correction.floor_ms,
        interval_ratio=widening
        * interval.widen(
            entry.interval_ratio, macs=part.macs, fitted_gmacs_max=entry.fitted_gmacs_max
        ),
        absolute=entry.rows > 0 and precision_of(part) != work.INT16,
        basis=_basis(entry, found),
    )


def precision_of(graph: Graph) -> str:
    """Return the precision that most of a graph's MACs run in, or most of its ops without MACs."""
    weight: dict[str, int] = {}
    for op in graph.ops:
        if not work.is_unpacking(graph, op):
            precision = work.precision_of(graph, op)
            weight[precision] = weight.get(precision, 0) + 1 + op.macs
    return max(weight, key=lambda name: weight[name])


def apart(graph: Graph) -> int:
    """Count the ops that only clamp or rescale quantized tensors."""
    return sum(
        op.name in _APART and graph.tensors[op.inputs[0]].dtype in QUANTIZED for op in graph.ops
    )


def arg_max_millions(graph: Graph) -> float:
    """Return how many million elements the graph's ARG_MAX ops read."""
    read = [graph.tensors[op.inputs[0]].elements for op in graph.ops if op.name == "ARG_MAX"]
    return sum(read) / 1e6


UNSEEN: Mapping[str, Callable[[Graph], float]] = {
    "apart_ms": apart, "arg_max_ms": arg_max_millions,
}  # fmt: skip
"""What a graph holds of ops whose cost the estimator does not see, by the constant that prices
one."""


def ports_ms(graph: Graph) -> float:
    """Return what converting float32 inputs and outputs costs on the estimator's chip."""
    ports = [graph.tensors[i] for i in (*graph.inputs, *graph.outputs)]
    floats = sum(tensor.size_bytes for tensor in ports if tensor.dtype == "float32")
    return _PORT_MS_PER_MIB * floats / _MIB


def _constants(profile: Profile, precision: str) -> EstimateConstants:
    """Return the constants of a precision; int8's stand in for 16-bit fixed point."""
    wanted = work.INT8 if precision == work.INT16 else precision
    for entry in profile.estimates:
        if (entry.delegate, entry.precision) == (DELEGATE, wanted):
            return entry
    raise ConfigError(
        f"{profile.name}: no `[[estimates]]` for qnn in {wanted}; fit them with "
        "`harness calibrate`, or copy those of a phone with a like chip and set rows = 0"
    )


def _basis(entry: EstimateConstants, found: VendorEstimate) -> str:
    rests = (
        f"fitted to {entry.rows} figures, median held-out error {entry.error_share:.0%}"
        if entry.rows
        else "constants of another chip stand in, ratios only"
    )
    names = ", ".join(f"{found.uncosted.count(n)} {n}" for n in dict.fromkeys(found.uncosted))
    missing = f"; ops without a vendor cost: {names}" if names else ""
    return f"Qualcomm's estimator with a {entry.precision} correction {rests}{missing}"
