"""Estimate the latency of a placed graph on one phone through one delegate."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from harness import cache, evidence
from harness import placement as placements
from harness.errors import ModelError
from harness.estimate import constants, interval, kernels, roofline, snapdragon, vendor, work
from harness.estimate.constants import Ground
from harness.estimate.kernels import Kernel
from harness.estimate.roofline import KernelCost
from harness.estimate.snapdragon import NpuCost
from harness.evidence import Evidence, Provenance
from harness.flatbuffer import DAMAGE
from harness.graph import Graph
from harness.latency import Estimate
from harness.model import Model
from harness.placement import ON_CPU, Placement
from harness.profiles import GPU_FP32, Target
from harness.text import counted

_MIB = 2**20
_STAND_IN_SHARE_MAX = 0.1
"""Share of an estimate that may rest on another phone's constants before it is only relative."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One addend of an estimate.

    Attributes:
        label: A kernel, an NPU partition, `crossings between partitions` or `floor`.
        ms: Milliseconds.
        low_ms: Lower end of its 90 % interval.
        high_ms: Its upper end.
        absolute: Whether figures of this phone are behind it.
        fell_back: Whether it runs on the CPU though an accelerator was asked.
        inner: What it is divided into where that is estimated apart, as shares by label.
    """

    label: str
    ms: float
    low_ms: float
    high_ms: float
    absolute: bool
    fell_back: bool = False
    inner: Mapping[str, float] = field(default_factory=dict)

    @property
    def divided(self) -> dict[str, float]:
        """Return milliseconds by label."""
        if not self.inner:
            return {self.label: self.ms}
        return {f"NPU {label}": share * self.ms for label, share in self.inner.items()}


@dataclass(frozen=True, kw_only=True)
class Breakdown:
    """An estimate by cause, in milliseconds.

    Attributes:
        parts: What the estimate is the sum of.
        kernels: Cost of each kernel that the roofline costed, in execution order.
        npu: Cost of each partition that runs on a Qualcomm NPU.
        bases: What it rests on, one line each.
    """

    parts: tuple[Part, ...]
    kernels: tuple[KernelCost, ...]
    npu: tuple[NpuCost, ...]
    bases: tuple[str, ...]

    @property
    def by_vendor(self) -> bool:
        """Return whether the vendor's estimator answered for all that runs on its NPU."""
        return bool(self.npu) and all(cost.by_vendor for cost in self.npu)

    @property
    def total_ms(self) -> float:
        """Return the estimate."""
        return sum(part.ms for part in self.parts)


def estimate(model: Model, placement: Placement, target: Target) -> Estimate:
    """Estimate the median latency of one inference.

    Args:
        model: At the resolution in question.
        placement: Of the same model on the same target.
        target: Phone and delegate.

    Raises:
        ModelError: an op has no rule, or the placement is of another graph.
        ConfigError: the profile's constants are malformed or missing.
        StackMissing: the delegate is qnn and the `qualcomm` extra is not installed.
        DeviceError: the vendor's estimator crashed or gave no answer.
    """
    if target.stack == snapdragon.DELEGATE:  # what the vendor's estimator says is remembered
        found = estimate_graph(model.graph, placement, target)
    else:
        key = cache.key_of(__name__, model.sha256, placement.nodes, placement.partitions, target)
        found = cache.remember(
            "estimate",
            key,
            lambda: estimate_graph(model.graph, placement, target),
            kind=Estimate,
        )
    made = replace(
        found.provenance,
        variant_sha256=model.sha256,
        file_sha256=model.file_sha256,
        runtime={**placement.provenance.runtime, **found.provenance.runtime},
        time_utc=evidence.now_utc(),
    )
    return replace(found, provenance=made)


def estimate_graph(graph: Graph, placement: Placement, target: Target) -> Estimate:
    """Estimate a graph that need not be a file, such as a published network drawn again.

    Raises:
        ModelError, ConfigError, StackMissing, DeviceError: as `estimate`.
    """
    found = break_down(graph, placement, target)
    total_ms = found.total_ms
    if total_ms <= 0.0:
        raise ModelError(
            f"holds nothing that takes time: {counted(len(graph.ops), 'op')}, all of them on "
            "constants or without elements; export the network itself"
        )
    borrowed_ms = sum(part.ms for part in found.parts if not part.absolute)
    return Estimate(
        estimate_ms=total_ms,
        low_ms=sum(part.low_ms for part in found.parts),
        high_ms=sum(part.high_ms for part in found.parts),
        shares={
            label: ms / total_ms
            for part in found.parts
            for label, ms in part.divided.items()
            if ms > 0.0
        },
        basis="; ".join(found.bases),
        absolute=borrowed_ms <= _STAND_IN_SHARE_MAX * total_ms,
        cpu_share=sum(part.ms for part in found.parts if part.fell_back) / total_ms,
        off_chip_share=_off_chip_share(found),
        provenance=Provenance(
            evidence=Evidence.VENDOR_MODEL if found.by_vendor else Evidence.MODEL,
            device=f"{target} {'vendor estimate' if found.by_vendor else 'roofline'}",
            variant_sha256="",
            runtime={"profile": target.sha256[:12]},  # its constants are in it
            time_utc=evidence.now_utc(),
        ),
    )


def break_down(graph: Graph, placement: Placement, target: Target) -> Breakdown:
    """Cost every kernel or NPU partition, crossing and floor of a placed graph.

    Raises:
        ModelError, ConfigError, StackMissing, DeviceError: as `estimate`.
    """
    try:
        return _break_down(graph, placement, target)
    except DAMAGE as error:
        raise ModelError(
            "cannot be costed: an op's inputs or options make no sense "
            f"({type(error).__name__}: {error}); export the model again"
        ) from None


def _break_down(graph: Graph, placement: Placement, target: Target) -> Breakdown:
    grounds = _Grounds(target, graph.macs)
    by_vendor = target.stack == snapdragon.DELEGATE
    fused = kernels.fuse(graph, placement, only=ON_CPU if by_vendor else None)
    costs, parts, guessed, mixed = [], [], set[str](), 0
    for kernel in fused:
        ground = grounds.of(kernel.unit, kernel.precision)
        resident = graph.weight_bytes <= ground.rates.on_chip_mib * _MIB
        cost = roofline.cost(graph, kernel, ground.rates, weights_resident=resident)
        costs.append(cost)
        fell_back = kernel.unit in ON_CPU and target.delegate != "cpu"
        part = _part(kernel.label, cost.total_ms, ground, fell_back=fell_back)
        if kernel.work.kind == work.REFERENCE and ground.rates.reference_gops_per_s is None:
            part = replace(part, absolute=False)
            guessed.update(graph.ops[i].name for i in kernel.ops)
        if _has_dynamic_range(graph, kernel):
            part = replace(part, absolute=False)
            mixed += 1
        parts.append(part)
    partitions = _partitions(graph, placement)
    npu = _npu_costs(graph, placement, target, partitions) if by_vendor else {}
    for label, found in npu.items():
        parts.append(
            Part(
                label=label,
                ms=found.total_ms,
                low_ms=found.low_ms,
                high_ms=found.high_ms,
                absolute=found.absolute,
                inner=found.shares,
            )
        )
    if costs:
        parts += _crossings(graph, partitions, grounds.used(), with_floor=not npu)
    return Breakdown(
        parts=tuple(parts),
        kernels=tuple(costs),
        npu=tuple(npu.values()),
        bases=(
            *dict.fromkeys(
                [
                    *(ground.basis for ground in grounds.used()),
                    *(found.basis for found in npu.values()),
                    *_doubts(graph, guessed, mixed),
                ]
            ),
        ),
    )


def _doubts(graph: Graph, guessed: Collection[str], mixed: int) -> list[str]:
    """Return what an estimate takes for want of a figure.

    Args:
        graph: The whole model.
        guessed: Names of ops whose kernels have no known rate.
        mixed: How many kernels have int8 weights and float activations.
    """
    bases = []
    if guessed:
        bases.append(
            f"{', '.join(sorted(guessed))} in int8 has only reference kernels on the CPU, whose "
            "rate on this phone is not known: counted instructions stand in, ratios only"
        )
    if graph.believed:
        bases.append(graph.belief)
    if mixed:
        bases.append(
            f"{mixed} kernels have int8 weights and float activations (dynamic range), for which "
            "there are no figures: float arithmetic stands in, ratios only"
        )
    return bases


def _has_dynamic_range(graph: Graph, kernel: Kernel) -> bool:
    """Return whether a kernel quantizes its float activations for 8-bit weights at run time."""
    weights = (graph.tensors[i].dtype for i in kernel.weights)
    return kernel.precision == work.FLOAT and any(dtype in ("int8", "int4") for dtype in weights)


def _off_chip_share(found: Breakdown) -> float | None:
    """Return the share of the time in kernels that leave on-chip memory; None with an NPU."""
    if found.npu:
        return None
    return sum(cost.total_ms * cost.off_chip_share for cost in found.kernels) / found.total_ms


class _Grounds:
    """The constants of each unit and precision, looked up once."""

    def __init__(self, target: Target, macs: int) -> None:
        self._target = target
        self._macs = macs
        self._found: dict[tuple[str, str], Ground] = {}

    def of(self, unit: str, precision: str) -> Ground:
        delegate = GPU_FP32 if self._target.delegate == GPU_FP32 else self._target.stack
        key = ("cpu" if unit in ON_CPU else delegate, precision)
        if key not in self._found:
            found = constants.ground(self._target.profile, *key)
            ratio = interval.widen(
                found.interval_ratio, macs=self._macs, fitted_gmacs_max=found.fitted_gmacs_max
            )
            self._found[key] = replace(found, interval_ratio=ratio)
        return self._found[key]

    def used(self) -> list[Ground]:
        return list(self._found.values())


def _part(label: str, ms: float, ground: Ground, *, fell_back: bool = False) -> Part:
    return Part(
        label=label,
        ms=ms,
        low_ms=ms / ground.interval_ratio,
        high_ms=ms * ground.interval_ratio,
        absolute=ground.absolute,
        fell_back=fell_back,
    )


def _partitions(graph: Graph, placement: Placement) -> tuple[tuple[int, ...], ...]:
    units = {node.index: node.unit for node in placement.nodes}
    partitions = placements.partition(graph, [units[op.index] not in ON_CPU for op in graph.ops])
    # What is unpacked once, at load, neither runs nor hands over at each inference.
    idle = {op.index for op in graph.ops if graph.unpacks_constant(op)}
    running = (tuple(index for index in ops if index not in idle) for ops in partitions)
    return tuple(ops for ops in running if ops)


def _npu_costs(
    graph: Graph, placement: Placement, target: Target, partitions: Sequence[tuple[int, ...]]
) -> dict[str, NpuCost]:
    units = {node.index: node.unit for node in placement.nodes}
    return {
        f"NPU ops #{ops[0]}-{ops[-1]}": snapdragon.cost(vendor.subgraph(graph, ops), target.profile)
        for ops in partitions
        if units[ops[0]] not in ON_CPU
    }


def _crossings(
    graph: Graph,
    partitions: Sequence[tuple[int, ...]],
    grounds: Sequence[Ground],
    *,
    with_floor: bool,
) -> list[Part]:
    """Cost the hand-overs at the slowest rate among the units, and the floor of one inference."""
    slowest = max(grounds, key=lambda ground: roofline.crossing_ms(graph, (), ground.rates))
    partition_of = {index: number for number, ops in enumerate(partitions) for index in ops}
    running = [op for op in graph.ops if op.index in partition_of]
    producers = {i: partition_of[op.index] for op in running for i in op.outputs}
    handed: dict[int, set[int]] = {number: set() for number in range(1, len(partitions))}
    for op in running:
        number = partition_of[op.index]
        if number:
            handed[number].update(i for i in op.inputs if producers.get(i, number) != number)
    crossings_ms = sum(
        roofline.crossing_ms(graph, tensors, slowest.rates) for tensors in handed.values()
    )
    parts = [_part("crossings between partitions", crossings_ms, slowest)]
    if with_floor:
        highest = max(grounds, key=lambda ground: ground.rates.floor_ms)
        parts.append(_part("floor", highest.rates.floor_ms, highest))
    return parts
