"""Estimate the latency of a placed graph on one phone through one delegate."""

from dataclasses import dataclass

from harness import evidence
from harness import placement as placements
from harness.estimate import constants, kernels, roofline
from harness.estimate.constants import Ground
from harness.estimate.roofline import KernelCost
from harness.evidence import Evidence, Provenance
from harness.graph import Graph
from harness.latency import Estimate
from harness.placement import CPU, Placement
from harness.profiles import Target

_MIB = 2**20


@dataclass(frozen=True, kw_only=True)
class Breakdown:
    """Hold an estimate by cause, in milliseconds.

    Attributes:
        kernels: Cost of each kernel, in execution order.
        crossings_ms: Hand-overs between partitions.
        floor_ms: What one inference costs before any kernel runs.
        cpu_ms: The part of `kernels` that fell back to the CPU.
        grounds: The constants that were used.
    """

    kernels: tuple[KernelCost, ...]
    crossings_ms: float
    floor_ms: float
    cpu_ms: float
    grounds: tuple[Ground, ...]

    @property
    def total_ms(self) -> float:
        """Return the estimate."""
        return sum(cost.total_ms for cost in self.kernels) + self.crossings_ms + self.floor_ms


def estimate(graph: Graph, placement: Placement, target: Target) -> Estimate:
    """Estimate the median latency of one inference.

    Args:
        graph: The model at the resolution in question.
        placement: Of the same graph on the same target.
        target: Phone and delegate.

    Raises:
        ModelError: an op has no rule, or the placement is of another graph.
        ConfigError: the profile's constants are malformed or missing.
    """
    parts = break_down(graph, placement, target)
    ratio = max(ground.interval_ratio for ground in parts.grounds)
    total_ms = parts.total_ms
    accelerated = target.delegate != "cpu"
    return Estimate(
        estimate_ms=total_ms,
        low_ms=total_ms / ratio,
        high_ms=total_ms * ratio,
        shares=_shares(parts),
        basis="; ".join(dict.fromkeys(ground.basis for ground in parts.grounds)),
        absolute=all(ground.absolute for ground in parts.grounds),
        cpu_share=parts.cpu_ms / total_ms if accelerated else 0.0,
        provenance=Provenance(
            evidence=Evidence.MODEL,
            device=f"{target} roofline",
            variant_sha256="",
            time_utc=evidence.now_utc(),
        ),
    )


def break_down(graph: Graph, placement: Placement, target: Target) -> Breakdown:
    """Cost every kernel, crossing and floor of a placed graph.

    Raises:
        ModelError: an op has no rule, or the placement is of another graph.
        ConfigError: the profile's constants are malformed or missing.
    """
    grounds: dict[tuple[str, str], Ground] = {}

    def ground_of(unit: str, precision: str) -> Ground:
        delegate = "cpu" if unit == CPU else target.delegate
        key = (delegate, precision)
        if key not in grounds:
            grounds[key] = constants.ground(target.profile, *key)
        return grounds[key]

    costs = []
    for kernel in kernels.fuse(graph, placement):
        rates = ground_of(kernel.unit, kernel.precision).rates
        resident = graph.weight_bytes <= rates.on_chip_mib * _MIB
        costs.append(roofline.cost(graph, kernel, rates, weights_resident=resident))
    floor = max(ground.rates.floor_ms for ground in grounds.values())
    return Breakdown(
        kernels=tuple(costs),
        crossings_ms=_crossings_ms(graph, placement, grounds),
        floor_ms=floor,
        cpu_ms=sum(cost.total_ms for cost in costs if cost.kernel.unit == CPU),
        grounds=tuple(grounds.values()),
    )


def _crossings_ms(
    graph: Graph, placement: Placement, grounds: dict[tuple[str, str], Ground]
) -> float:
    """Cost the hand-overs between partitions, at the slowest rate among the units."""
    units = {node.index: node.unit for node in placement.nodes}
    stretches = placements.partition(graph, [units[op.index] != CPU for op in graph.ops])
    if len(stretches) < 2:
        return 0.0
    stretch_of = {index: number for number, stretch in enumerate(stretches) for index in stretch}
    producers = {i: stretch_of[op.index] for op in graph.ops for i in op.outputs}
    handed: dict[int, set[int]] = {number: set() for number in range(len(stretches))}
    for op in graph.ops:
        number = stretch_of[op.index]
        handed[number].update(i for i in op.inputs if producers.get(i, number) != number)
    rates = max(
        (ground.rates for ground in grounds.values()),
        key=lambda rate: roofline.crossing_ms(graph, (), rate),
    )
    return sum(roofline.crossing_ms(graph, handed[n], rates) for n in range(1, len(stretches)))


def _shares(parts: Breakdown) -> dict[str, float]:
    spent = {cost.kernel.label: cost.total_ms for cost in parts.kernels}
    spent["crossings between partitions"] = parts.crossings_ms
    spent["floor"] = parts.floor_ms
    total_ms = parts.total_ms
    return {label: ms / total_ms for label, ms in spent.items() if ms > 0.0}
