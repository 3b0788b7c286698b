"""Cost kernels by an explainable roofline: compute, memory, dispatch, crossings, a floor."""

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness import schema
from harness.estimate import work
from harness.estimate.kernels import Kernel
from harness.graph import Graph
from harness.placement import ON_CPU
from harness.profiles import EstimateConstants

REFERENCE_GOPS_PER_S = 0.15
"""Rate of reference kernels where none was measured: 47 instructions per element (counted for Arm
under QEMU) on one core of 2.84 GHz at 2.5 instructions per cycle.

The last is an assumption, so what rests on this is relative. An x86 host does 0.3.
"""
_GIGA = 1e9
_MIB = 2**20


@dataclass(frozen=True, kw_only=True)
class Rates:
    """What one unit does in one precision; read from a profile's `[[estimates]]`.

    Attributes:
        dense_gmacs_per_s: Rate of convolutions and matrix products at full channel alignment.
        depthwise_gmacs_per_s: Rate of depthwise convolutions.
        vector_gops_per_s: Rate of element-wise, pooling and resizing arithmetic.
        on_chip_gb_per_s: Rate of activations whose kernel's working set fits on chip.
        off_chip_gb_per_s: Rate of those whose working set does not.
        on_chip_mib: Size of the memory that decides between the two.
        float_bytes: Bytes a float activation takes on this unit: 4, or 2 where it is kept as fp16.
        channel_multiple: Channels are padded to a multiple of this.
        transpose_conv_ratio: Cost of a TRANSPOSE_CONV MAC over a CONV_2D MAC.
        dispatch_us: Cost of one kernel launch.
        floor_ms: Cost of one inference before any kernel runs.
        crossing_us: Cost of handing over between two partitions.
        crossing_gb_per_s: Rate at which the tensors between two partitions are copied.
        reference_gops_per_s: Elements per second of ops for which the CPU has only reference
            kernels; None where no figure is known and `REFERENCE_GOPS_PER_S` stands in.
    """

    dense_gmacs_per_s: float
    depthwise_gmacs_per_s: float
    vector_gops_per_s: float
    on_chip_gb_per_s: float
    off_chip_gb_per_s: float
    on_chip_mib: float
    float_bytes: float
    channel_multiple: float
    transpose_conv_ratio: float
    dispatch_us: float
    floor_ms: float
    crossing_us: float
    crossing_gb_per_s: float
    reference_gops_per_s: float | None = None

    def __post_init__(self) -> None:
        """Refuse a rate that cannot be: everything here is positive."""
        known = {name: value for name, value in vars(self).items() if value is not None}
        wrong = sorted(name for name, value in known.items() if not 0.0 < value < 1e9)
        if wrong:
            raise ValueError(f"{', '.join(wrong)} must be positive and finite")
        if self.off_chip_gb_per_s > self.on_chip_gb_per_s:
            raise ValueError("off_chip_gb_per_s must not exceed on_chip_gb_per_s")


@dataclass(frozen=True, kw_only=True)
class Demand:
    """What a kernel asks of a unit: padded operations and bytes."""

    dense_operations: float
    transposed_operations: float
    depthwise_operations: float
    vector_operations: float
    reference_operations: float
    activation_bytes: float
    weight_bytes: float

    @property
    def working_set_bytes(self) -> float:
        """Return the bytes that a kernel touches."""
        return self.activation_bytes + self.weight_bytes


@dataclass(frozen=True, kw_only=True)
class KernelCost:
    """The milliseconds of one kernel by cause; compute and memory overlap."""

    kernel: Kernel
    compute_ms: float
    memory_ms: float
    dispatch_ms: float
    working_set_bytes: float
    off_chip_share: float

    @property
    def total_ms(self) -> float:
        """Return the time of the kernel: the slower of compute and memory, and its launch."""
        return max(self.compute_ms, self.memory_ms) + self.dispatch_ms


def rates(constants: EstimateConstants, *, where: str) -> Rates:
    """Read the rates of a profile's `[[estimates]]` entry.

    Raises:
        ConfigError: a constant is missing, unknown or not positive.
    """
    return schema.parse(Rates, dict(constants.values), where=f"{where}: values")


def demand(graph: Graph, kernel: Kernel, rate: Rates) -> Demand:
    """Count what a kernel asks of a unit, with channels padded to the unit's multiple.

    The CPU pads the channels produced, an accelerator those summed over as well.

    Source: XNNPACK's matrix kernels take the inner axis in steps of one and tile the output.
    """
    main = kernel.work
    operations = main.operations * _padding(main.out_channels, rate)
    if kernel.unit not in ON_CPU:
        operations *= _padding(main.in_channels, rate)
    by_kind = {main.kind: operations}
    return Demand(
        dense_operations=by_kind.get(work.DENSE, 0.0),
        transposed_operations=by_kind.get(work.TRANSPOSED, 0.0),
        depthwise_operations=by_kind.get(work.DEPTHWISE, 0.0),
        vector_operations=by_kind.get(work.VECTOR, 0.0) + kernel.fused_operations,
        reference_operations=by_kind.get(work.REFERENCE, 0.0),
        activation_bytes=sum(
            work.activation_bytes(graph.tensors[i], float_bytes=rate.float_bytes)
            for i in (*kernel.reads, *kernel.writes)
        ),
        weight_bytes=float(sum(graph.tensors[i].size_bytes for i in kernel.weights)),
    )


def cost(graph: Graph, kernel: Kernel, rate: Rates, *, weights_resident: bool) -> KernelCost:
    """Cost one kernel.

    Memory runs at the on-chip rate while the working set (what it reads, writes and its weights)
    fits, at the off-chip rate once it is twice too large, and in between at a mix.

    Args:
        graph: The graph the kernel is of.
        kernel: From `kernels.fuse`.
        rate: Of the kernel's unit and precision.
        weights_resident: Whether all weights of the model stay on chip between inferences.
    """
    asked = demand(graph, kernel, rate)
    off_chip = min(1.0, max(0.0, asked.working_set_bytes / (rate.on_chip_mib * _MIB) - 1.0))
    weight_rate = rate.on_chip_gb_per_s if weights_resident else rate.off_chip_gb_per_s
    return KernelCost(
        kernel=kernel,
        compute_ms=_compute_ns(asked, rate) / 1e6,
        memory_ms=_memory_ns(asked, rate, off_chip, weight_rate) / 1e6,
        dispatch_ms=rate.dispatch_us / 1e3,
        working_set_bytes=asked.working_set_bytes,
        off_chip_share=off_chip,
    )


def costs_ms(
    demands: Demand, rate: Rates, *, weights_resident: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return the milliseconds of many kernels at once, as `cost` would one by one.

    Args:
        demands: From `stack`.
        rate: Of the kernels' unit and precision.
        weights_resident: For each kernel, whether all weights of its model stay on chip between
            inferences.
    """
    sets = np.asarray(demands.working_set_bytes)
    off_chip = np.clip(sets / (rate.on_chip_mib * _MIB) - 1.0, 0.0, 1.0)
    weight_rate = np.where(weights_resident, rate.on_chip_gb_per_s, rate.off_chip_gb_per_s)
    busy_ns = np.maximum(
        _compute_ns(demands, rate), _memory_ns(demands, rate, off_chip, weight_rate)
    )
    found: NDArray[np.float64] = busy_ns / 1e6 + rate.dispatch_us / 1e3
    return found


def stack(demands: Sequence[Demand]) -> Demand:
    """Put the demands of many kernels into arrays, one entry per kernel, for `costs_ms`."""
    names = [field.name for field in dataclasses.fields(Demand)]
    columns: dict[str, Any] = {
        name: np.array([getattr(one, name) for one in demands]) for name in names
    }
    return Demand(**columns)


def crossing_ms(graph: Graph, tensors: Iterable[int], rate: Rates) -> float:
    """Return the milliseconds of one hand-over that copies some tensors between partitions."""
    moved = sum(graph.tensors[i].size_bytes for i in tensors)
    return rate.crossing_us / 1e3 + moved / (rate.crossing_gb_per_s * _GIGA) * 1e3


def _compute_ns(asked: Demand, rate: Rates) -> Any:
    """Return the nanoseconds of arithmetic: a number for one kernel, an array for many."""
    dense = asked.dense_operations + rate.transpose_conv_ratio * asked.transposed_operations
    return (
        dense / rate.dense_gmacs_per_s
        + asked.depthwise_operations / rate.depthwise_gmacs_per_s
        + asked.vector_operations / rate.vector_gops_per_s
        + asked.reference_operations / (rate.reference_gops_per_s or REFERENCE_GOPS_PER_S)
    )


def _memory_ns(asked: Demand, rate: Rates, off_chip: Any, weight_rate: Any) -> Any:
    """Return the nanoseconds of memory traffic: a number for one kernel, an array for many."""
    per_byte = off_chip / rate.off_chip_gb_per_s + (1.0 - off_chip) / rate.on_chip_gb_per_s
    return asked.activation_bytes * per_byte + asked.weight_bytes / weight_rate


def _padding(channels: int, rate: Rates) -> float:
    """Return the channels after padding over the channels; 1 where there are none to pad."""
    if channels <= 0:
        return 1.0
    multiple = int(rate.channel_multiple)
    return -(-channels // multiple) * multiple / channels
