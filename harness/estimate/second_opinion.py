"""Ask a plain roofline of a phone's NPU what the vendor's estimator was asked.

The two answer by different roads: one by Qualcomm's tables of cycles, one by arithmetic and bytes
fitted to the same published rows. Where they differ more than on the fitted networks, one of them
is wrong, and an estimate must not claim to know which.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness import schema
from harness.errors import DeviceError, ModelError
from harness.estimate import kernels, roofline, vendor
from harness.estimate.roofline import Rates
from harness.graph import Graph, Op
from harness.profiles import EstimateConstants

_MIB = 2**20
_UNIT = "npu"
_PROBES_MAX = 16
"""Kinds of ops that the estimator is asked about one by one when an answer is in doubt."""
_WORDS: Mapping[str, frozenset[str]] = {
    "Min": frozenset({"MINIMUM", "RELU6", "RELU_0_TO_1", "RELU_N1_TO_1"}),
    "Max": frozenset({"MAXIMUM", "RELU", "RELU_0_TO_1", "RELU_N1_TO_1"}),
    "Concat": frozenset({"CONCATENATION", "PACK"}),
}
"""Ops of a file that the estimator's word for one without a cost can mean."""


def rates(entry: EstimateConstants, *, where: str) -> Rates | None:
    """Read the roofline of a profile's entry; None where it has none.

    Raises:
        ConfigError: a constant is missing, unknown or not positive.
    """
    if entry.roofline is None:
        return None
    return schema.parse(Rates, dict(entry.roofline), where=f"{where}: roofline")


@dataclass(frozen=True, kw_only=True)
class Opinion:
    """A roofline's answer for a graph that runs wholly on the NPU.

    Attributes:
        estimate_ms: Milliseconds of one inference.
        shares: Of each kernel in the time of all kernels (0..1), by label.
    """

    estimate_ms: float
    shares: Mapping[str, float]


def ask(graph: Graph, rate: Rates) -> Opinion:
    """Return what a roofline says of a graph that runs wholly on the NPU.

    Raises:
        ModelError: an op has no rule.
    """
    resident = graph.weight_bytes <= rate.on_chip_mib * _MIB
    costs_ms = {
        kernel.label: roofline.cost(graph, kernel, rate, weights_resident=resident).total_ms
        for kernel in kernels.fuse_whole(graph, _UNIT)
    }
    total_ms = sum(costs_ms.values())
    return Opinion(
        estimate_ms=rate.floor_ms + total_ms,
        shares={label: ms / total_ms for label, ms in costs_ms.items()},
    )


def unpriced_ms(graph: Graph, words: Sequence[str], rate: Rates) -> float:
    """Return the milliseconds of the ops that the estimator has no cost for.

    Args:
        graph: What the estimator was asked about.
        words: Its word for each of those ops, such as `Concat`.
        rate: Of the phone's NPU.

    Returns:
        For each word the mean cost of the ops that it can mean, or of all ops where it is not
        known.
    """
    total_ms = 0.0
    for word, count in Counter(words).items():
        meant = [op for op in graph.ops if op.name in _WORDS.get(word, frozenset())]
        costs_ms = _alone_ms(graph, meant or graph.ops, rate)
        total_ms += count * sum(costs_ms) / max(1, len(costs_ms))
    return total_ms


def culprit(graph: Graph, rate: Rates, *, estimator_ratio: float) -> str:
    """Return the kind of op on which the two opinions differ the most, as a phrase.

    The estimator is asked about one op alone of each of a few kinds: the largest of those with the
    same name and options.

    Args:
        graph: What the estimator was asked about.
        rate: Of the phone's NPU.
        estimator_ratio: Phone's time over the vendor's estimate.
    """
    running = [op for op in graph.ops if not graph.unpacks_constant(op)]
    kinds: dict[tuple[str, str], list[tuple[float, int]]] = {}
    for op, ms in zip(running, _alone_ms(graph, running, rate), strict=True):
        options = str(sorted((key, str(value)) for key, value in op.options.items()))
        kinds.setdefault((op.name, options), []).append((ms, op.index))
    largest = sorted(kinds.values(), key=lambda costs: -max(costs)[0])[:_PROBES_MAX]
    named = {op.index: op.name for op in running}
    differences: list[tuple[float, str]] = []
    for costs in largest:
        ms, index = max(costs)
        try:
            said = vendor.estimate(vendor.subgraph(graph, [index])).time_ms * estimator_ratio
        except (ModelError, DeviceError):  # not every op can stand alone there
            continue
        scale = sum(each for each, _ in costs) / ms
        phrase = f"{len(costs)} {named[index]} like #{index} "
        phrase += f"({said * scale:.2g} ms against {ms * scale:.2g} ms)"
        differences.append((abs(said - ms) * scale, phrase))
    return max(differences)[1] if differences else "an op that cannot be told"


def _alone_ms(graph: Graph, ops: Sequence[Op], rate: Rates) -> list[float]:
    resident = graph.weight_bytes <= rate.on_chip_mib * _MIB
    return [
        roofline.cost(graph, kernel, rate, weights_resident=resident).total_ms
        for kernel in kernels.alone(graph, ops, _UNIT)
    ]
