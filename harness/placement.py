"""Say which op ran where. Arithmetic only."""

import difflib
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from harness import markup, text
from harness.evidence import Provenance
from harness.graph import Graph
from harness.text import counted
from harness.verdict import MovedOp

CPU = "cpu"
"""Unit of a node that the delegate did not take: it runs on the fallback CPU kernels."""

XNNPACK = "xnnpack"
"""Unit of a node that XNNPACK took: the CPU too, by its vectorized kernels."""

ON_CPU = frozenset({CPU, XNNPACK})
"""Units that are the CPU."""

UNKNOWN = "unknown"
"""Unit of a node that ran, but whose unit could not be told; such a placement proves nothing."""

_ALIGNED_MAX = 1000
"""Ops between what two graphs begin and end with, beyond which they are not matched."""
_MOVES_SHOWN = 4
_MARKS = {
    CPU: ("C", markup.ORANGE),
    XNNPACK: ("X", markup.GREEN),
    UNKNOWN: ("?", markup.GREY),
}
"""Letter and colour of a unit in a table; every accelerator is `A`, in blue."""


@dataclass(frozen=True, kw_only=True)
class NodePlacement:
    """Where one node runs: an accelerator's name, `cpu` with the reason, or `unknown`."""

    index: int
    op: str
    unit: str
    reason: str = ""
    remedy: str = ""

    def __post_init__(self) -> None:
        """Make printable what a driver, a compiler or a trace said."""
        for name in ("op", "unit", "reason", "remedy"):
            object.__setattr__(self, name, text.line(getattr(self, name)))


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where every node of a graph runs on one device through one delegate.

    Attributes:
        nodes: One entry per op, in execution order.
        partitions: Groups of nodes on one unit, those on the CPU included, as `partition` counts
            them; 1 for a graph that is wholly on the accelerator.
        provenance: How this is known.
        cpu_time_share: Share of the latency spent on the CPU (0..1), or None where unknown.
    """

    nodes: tuple[NodePlacement, ...]
    partitions: int
    provenance: Provenance
    cpu_time_share: float | None = None

    def __str__(self) -> str:
        """Return how many ops run on which unit, the partitions and the evidence."""
        units = Counter(node.unit for node in self.nodes)
        counts = ", ".join(f"{number} on {unit}" for unit, number in units.items())
        partitions = counted(self.partitions, "partition")
        evidence = self.provenance.evidence.value
        return f"{counted(len(self.nodes), 'op')}: {counts}; {partitions} [{evidence}]"

    def __repr__(self) -> str:
        """Return the same, bounded."""
        return text.repr_of(self, str(self))

    def _repr_html_(self) -> str:
        """Return a table for notebooks: op by op its unit, the reason and the remedy."""
        rows = [
            markup.Row(
                mark=mark,
                color=color,
                cells=(f"#{node.index}", node.op, node.unit, node.reason, node.remedy),
            )
            for node in self.nodes
            for mark, color in (_MARKS.get(node.unit, ("A", markup.BLUE)),)
        ]
        return markup.table(str(self), ("#", "op", "unit", "reason", "remedy"), rows)

    @property
    def fallbacks(self) -> tuple[NodePlacement, ...]:
        """Return the nodes that fall back to the CPU."""
        return tuple(node for node in self.nodes if node.unit == CPU)

    @property
    def unattributed(self) -> int:
        """Return how many nodes ran on a unit that could not be told."""
        return sum(node.unit == UNKNOWN for node in self.nodes)

    @property
    def cpu_ops(self) -> int:
        """Return how many nodes fall back to the CPU."""
        return len(self.fallbacks)


def moved(before: Sequence[NodePlacement], now: Sequence[NodePlacement]) -> tuple[MovedOp, ...]:
    """Return the ops that both placements have and that run on another unit now.

    Ops of two files are matched by their names in order; what only one of them has did not move.

    Args:
        before: The nodes of the earlier placement.
        now: Those of today's.
    """
    pairs = _matched([node.op for node in before], [node.op for node in now])
    return tuple(
        MovedOp(
            index=new.index, op=new.op, was=old.unit, now=new.unit, reason=new.reason or old.reason
        )
        for old, new in ((before[i], now[j]) for i, j in pairs)
        if old.unit != new.unit and UNKNOWN not in (old.unit, new.unit)
    )


def _matched(before: Sequence[str], now: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yield the positions of ops that two graphs have in common, in order."""
    shorter = min(len(before), len(now))
    head = next((i for i in range(shorter) if before[i] != now[i]), shorter)
    left = shorter - head
    tail = next((i for i in range(left) if before[-1 - i] != now[-1 - i]), left)
    yield from zip(range(head), range(head), strict=True)
    middle = before[head : len(before) - tail], now[head : len(now) - tail]
    if all(middle) and max(map(len, middle)) <= _ALIGNED_MAX:
        blocks = difflib.SequenceMatcher(None, *middle, autojunk=False).get_matching_blocks()
        for i, j, size in blocks:
            yield from ((head + i + k, head + j + k) for k in range(size))
    yield from ((len(before) - i, len(now) - i) for i in range(tail, 0, -1))


def describe_moves(moves: Sequence[MovedOp]) -> str:
    """Return the first of some moved ops and how many more there are, or ''."""
    if not moves:
        return ""
    more = f"; and {len(moves) - _MOVES_SHOWN} more" if len(moves) > _MOVES_SHOWN else ""
    return f"{counted(len(moves), 'op')} moved: {'; '.join(map(str, moves[:_MOVES_SHOWN]))}{more}"


def partition(
    graph: Graph, accelerated: Sequence[bool], *, idle: Collection[int] = ()
) -> tuple[tuple[int, ...], ...]:
    """Group nodes into the partitions that a TFLite delegate and the CPU execute.

    Args:
        graph: The graph, in execution order.
        accelerated: For each op, whether the delegate takes it.
        idle: Ops that do not run at an inference, such as those that unpack constants at load;
            they belong to no partition.

    Returns:
        Op indices of each partition, in the order in which the partitions run.

    Source: TFLite `PartitionGraphIntoIndependentNodeSubsets` (graph_info.cc): each partition
    takes every node of its kind whose inputs are ready, until none is left.
    """
    waits = [
        {graph.producers[i].index for i in op.inputs if i in graph.producers} - {op.index}
        for op in graph.ops
    ]
    done = set(idle)
    left = [index for index in range(len(graph.ops)) if index not in done]
    partitions: list[tuple[int, ...]] = []
    while left:
        kind: bool | None = None
        members: list[int] = []
        for index in left:  # file order is a topological order, so one pass is enough
            if waits[index] <= done and kind in (None, accelerated[index]):
                kind = accelerated[index]
                members.append(index)
                done.add(index)
        left = [index for index in left if index not in done]
        partitions.append(tuple(members))
    return tuple(partitions)
