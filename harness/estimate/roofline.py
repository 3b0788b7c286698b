"""Cost kernels by an explainable roofline: compute, memory, dispatch, crossings, a floor."""

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness import schema
from harness.estimate import work
from harness.estimate.kernels import Kernel
from harness.graph import Graph
from harness.profiles import EstimateConstants

_GIGA = 1e9
_MIB = 2**20


@dataclass(frozen=True, kw_only=True)
class Rates:
    """Hold what one unit does in one precision; read from a profile's `[[estimates]]`.

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

    def __post_init__(self) -> None:
        """Refuse a rate that cannot be: everything here is positive."""
        wrong = sorted(name for name, value in vars(self).items() if not 0.0 < value < 1e9)
        if wrong:
            raise ValueError(f"{', '.join(wrong)} must be positive and finite")
        if self.off_chip_gb_per_s > self.on_chip_gb_per_s:
            raise ValueError("off_chip_gb_per_s must not exceed on_chip_gb_per_s")


@dataclass(frozen=True, kw_only=True)
class Demand:
    """Hold what a kernel asks of a unit: padded operations and bytes."""

    dense_operations: float
    depthwise_operations: float
    vector_operations: float
    activation_bytes: float
    weight_bytes: float

    @property
    def working_set_bytes(self) -> float:
        """Return the bytes that a kernel touches."""
        return self.activation_bytes + self.weight_bytes


@dataclass(frozen=True, kw_only=True)
class KernelCost:
    """Hold the milliseconds of one kernel by cause; compute and memory overlap."""

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
    """Count what a kernel asks of a unit, with channels padded to the unit's multiple."""
    main = kernel.work
    dense = depthwise = vector = 0.0
    if main.kind == work.DENSE:
        padding = _padding(main.in_channels, rate) * _padding(main.out_channels, rate)
        transposed = any(graph.ops[i].name == "TRANSPOSE_CONV" for i in kernel.ops)
        dense = main.operations * padding * (rate.transpose_conv_ratio if transposed else 1.0)
    elif main.kind == work.DEPTHWISE:
        depthwise = main.operations * _padding(main.out_channels, rate)
    else:
        vector = float(main.operations)
    return Demand(
        dense_operations=dense,
        depthwise_operations=depthwise,
        vector_operations=vector + kernel.fused_operations,
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
    per_byte = off_chip / rate.off_chip_gb_per_s + (1.0 - off_chip) / rate.on_chip_gb_per_s
    weight_rate = rate.on_chip_gb_per_s if weights_resident else rate.off_chip_gb_per_s
    compute_s = (
        asked.dense_operations / rate.dense_gmacs_per_s
        + asked.depthwise_operations / rate.depthwise_gmacs_per_s
        + asked.vector_operations / rate.vector_gops_per_s
    ) / _GIGA
    memory_s = (asked.activation_bytes * per_byte + asked.weight_bytes / weight_rate) / _GIGA
    return KernelCost(
        kernel=kernel,
        compute_ms=compute_s * 1e3,
        memory_ms=memory_s * 1e3,
        dispatch_ms=rate.dispatch_us / 1e3,
        working_set_bytes=asked.working_set_bytes,
        off_chip_share=off_chip,
    )


def total_ms(demands: Demand, rate: Rates, *, weights_resident: bool) -> float:
    """Return the milliseconds of many kernels at once, as `cost` would one by one.

    Args:
        demands: Each field an array with one entry per kernel.
        rate: Of the kernels' unit and precision.
        weights_resident: Whether all weights of the model stay on chip between inferences.
    """
    room = rate.on_chip_mib * _MIB
    off_chip = np.clip(np.asarray(demands.working_set_bytes) / room - 1.0, 0.0, 1.0)
    per_byte = off_chip / rate.off_chip_gb_per_s + (1.0 - off_chip) / rate.on_chip_gb_per_s
    weight_rate = rate.on_chip_gb_per_s if weights_resident else rate.off_chip_gb_per_s
    compute = (
        np.asarray(demands.dense_operations) / rate.dense_gmacs_per_s
        + np.asarray(demands.depthwise_operations) / rate.depthwise_gmacs_per_s
        + np.asarray(demands.vector_operations) / rate.vector_gops_per_s
    )
    memory = demands.activation_bytes * per_byte + np.asarray(demands.weight_bytes) / weight_rate
    busy_ms = float(np.sum(np.maximum(compute, memory))) / _GIGA * 1e3
    return busy_ms + len(off_chip) * rate.dispatch_us / 1e3


def stack(demands: Sequence[Demand]) -> Demand:
    """Put the demands of many kernels into arrays, for `total_ms`."""
    names = [field.name for field in dataclasses.fields(Demand)]
    columns: dict[str, Any] = {
        name: np.array([getattr(one, name) for one in demands]) for name in names
    }
    return Demand(**columns)


def crossing_ms(graph: Graph, tensors: Iterable[int], rate: Rates) -> float:
    """Return the milliseconds of one hand-over that copies some tensors between partitions."""
    moved = sum(graph.tensors[i].size_bytes for i in tensors)
    return rate.crossing_us / 1e3 + moved / (rate.crossing_gb_per_s * _GIGA) * 1e3


def _padding(channels: int, rate: Rates) -> float:
    """Return the channels after padding over the channels."""
    if channels <= 0:
        return 1.0
    multiple = int(rate.channel_multiple)
    return -(-channels // multiple) * multiple / channels
