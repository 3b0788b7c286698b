"""Lead from the vendor's estimate to a Snapdragon phone: a floor, a factor, the weights.

The vendor's estimator knows the compute units of one chip generation and prices a graph whose
weights stream in while it computes. A phone adds a floor for each call into the NPU, runs by its
own clocks (the factor), and pays for weights that do not stream in for free.
"""

from dataclasses import dataclass

from harness import schema
from harness.errors import ConfigError
from harness.estimate import interval, vendor, work
from harness.estimate.vendor import VendorEstimate
from harness.graph import Graph
from harness.profiles import EstimateConstants, Profile

_MIB = 2**20
_PORT_MS_PER_MIB = 0.1
"""What float32 input and output cost on the estimator's chip, beyond its estimate.

The NPU computes in fp16, so that its float32 ports are converted. Source: round value from the
rows of Qualcomm AI Hub Models on Galaxy S23, S24 and S25; fitted freely it was 0.09 to 0.14 there.
"""
DELEGATE = "qnn"


@dataclass(frozen=True, kw_only=True)
class Correction:
    """Hold what leads from the vendor's estimate to one phone in one precision.

    Attributes:
        floor_ms: Cost of one call into the NPU.
        vendor_ratio: Phone's time over the vendor's estimate, float ports added to it.
        weight_ms_per_mib: Cost of reading weights, as stored on the NPU (floats as fp16).
    """

    floor_ms: float
    vendor_ratio: float
    weight_ms_per_mib: float

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
        weights_ms: Reading the weights.
        floor_ms: The call.
        interval_ratio: Times and divided by this is the 90 % interval.
        absolute: Whether figures of this chip are behind it.
        basis: What it rests on, in one line.
        missing_ops: Ops that the vendor's estimator has no cost for.
    """

    compute_ms: float
    weights_ms: float
    floor_ms: float
    interval_ratio: float
    absolute: bool
    basis: str
    missing_ops: int

    @property
    def total_ms(self) -> float:
        """Return the time of the partition."""
        return self.compute_ms + self.weights_ms + self.floor_ms


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
    widening = 1.0 + found.missing_ops / len(part.ops)
    return NpuCost(
        compute_ms=correction.vendor_ratio * (found.time_ms + ports_ms(part)),
        weights_ms=correction.weight_ms_per_mib * weights_mib(part),
        floor_ms=correction.floor_ms,
        interval_ratio=widening
        * interval.widen(
            entry.interval_ratio, macs=part.macs, fitted_gmacs_max=entry.fitted_gmacs_max
        ),
        absolute=entry.rows > 0 and precision_of(part) != work.INT16,
        basis=_basis(entry, found),
        missing_ops=found.missing_ops,
    )


def precision_of(graph: Graph) -> str:
    """Return the precision that most of a graph's MACs run in, or most of its ops without MACs."""
    weight: dict[str, int] = {}
    for op in graph.ops:
        if not work.is_unpacking(graph, op):
            precision = work.precision_of(graph, op)
            weight[precision] = weight.get(precision, 0) + 1 + op.macs
    return max(weight, key=lambda name: weight[name])


def weights_mib(graph: Graph) -> float:
    """Return the MiB of weights as the NPU stores them: floats in two bytes."""
    weights = work.weight_tensors(graph)
    used = {i for op in graph.ops for i in op.inputs if i in weights}
    unpacked = {i for op in graph.ops if work.is_unpacking(graph, op) for i in op.inputs}
    tensors = [graph.tensors[i] for i in used - unpacked]
    return sum(work.activation_bytes(tensor, float_bytes=2.0) for tensor in tensors) / _MIB


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
    missing = f"; {found.missing_ops} ops without a vendor cost" if found.missing_ops else ""
    return f"Qualcomm's estimator with a {entry.precision} correction {rests}{missing}"
