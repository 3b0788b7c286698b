"""The placement strips of the page: one block for each op in graph order, by unit."""

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.keys import Key
from harness.placement import CPU, ON_CPU, UNKNOWN, NodePlacement, Placement
from harness.report.page.timings import Timing

_LEAST_PX, _SHARED_PX, _HEIGHT_PX, _GAP_PX = 13.0, 700.0, 34.0, 7.0
"""Width that every block has, width that all share by their time, height, room at a hand-over."""
CROSSINGS = "crossings between partitions"
"""Label of the hand-overs among `Estimate.shares`."""
_OPS = re.compile(r"#(\d+)(?:-(\d+))?$")
"""The end of a label of `Estimate.shares`, such as `CONV_2D+PRELU #0-1`."""
_UNITS = 4
"""Accelerators that have a colour of their own; their letters tell the others."""


@dataclass(frozen=True, kw_only=True)
class Block:
    """An op on a strip.

    Attributes:
        x_px: Left edge.
        width_px: Width.
        letter: Letter of its unit.
        style: Class of its colour.
        fallback: Whether it runs on the CPU because the delegate did not take it.
        says: Op, unit, time, reason and remedy in one line.
    """

    x_px: float
    width_px: float
    letter: str
    style: str
    fallback: bool
    says: str


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """Ops that follow each other on one unit for one reason: a row of the table.

    Attributes:
        ops: Such as `#14` or `#0 to #13`.
        names: What they are.
        unit: Where they run.
        reason: Why not elsewhere, or ''.
        remedy: What would help, or ''.
    """

    ops: str
    names: str
    unit: str
    reason: str
    remedy: str


@dataclass(frozen=True, kw_only=True)
class Strip:
    """Where the ops of a variant run on a phone.

    Attributes:
        target: Phone and delegate.
        name: Subject and variant.
        resolutions: Those at which the placement is this.
        summary: One line: ops, fallbacks, partitions, evidence.
        blocks: The ops.
        legend: Letter, class and name of each unit.
        stretches: The same as a table.
        width_px: Width of the drawing.
        crossings: Where the hand-overs are, their middles.
        timed: Whether the width of a block holds its share of time.
    """

    target: str
    name: str
    resolutions: tuple[str, ...]
    summary: str
    blocks: tuple[Block, ...]
    legend: tuple[tuple[str, str, str], ...]
    stretches: tuple[Stretch, ...]
    width_px: float
    crossings: tuple[float, ...]
    timed: bool
    height_px: float = _HEIGHT_PX


def strips(placements: Mapping[Key, Placement], timings: Sequence[Timing]) -> tuple[Strip, ...]:
    """Return a strip for each placement; equal ones at several resolutions are one.

    Args:
        placements: By what they are about, small resolutions first.
        timings: Latencies; what an estimate says of the ops makes blocks wide.
    """
    shares = {timing.about: dict(timing.shares) for timing in timings}
    groups: dict[tuple[str, str, str, tuple[NodePlacement, ...]], list[tuple[Key, Placement]]] = {}
    for about, found in placements.items():
        target = f"{about.device}:{about.delegate}"
        key = (target, about.subject, about.variant, found.nodes)
        groups.setdefault(key, []).append((about, found))
    made = [
        _strip(target, f"{subject}.{variant}", group, shares.get(group[0][0], {}))
        for (target, subject, variant, _), group in groups.items()
    ]
    return tuple(sorted(made, key=lambda strip: strip.name))


def _strip(
    target: str, name: str, group: Sequence[tuple[Key, Placement]], shares: Mapping[str, float]
) -> Strip:
    placement = group[0][1]
    nodes = placement.nodes
    times = times_of(len(nodes), shares)
    marks = marks_of(nodes)
    changes = sum(a.unit != b.unit for a, b in itertools.pairwise(nodes))
    gap = _GAP_PX + (shares.get(CROSSINGS, 0.0) * _SHARED_PX / changes if changes and times else 0)
    blocks: list[Block] = []
    crossings: list[float] = []
    x_px = 0.0
    for at, node in enumerate(nodes):
        if at and node.unit != nodes[at - 1].unit:
            crossings.append(round(x_px + gap / 2 - 0.5, 2))
            x_px += gap
        width = _LEAST_PX + (times[at] * _SHARED_PX if times else 0.0)
        blocks.append(_block(node, x_px, width, marks[node.unit], times[at] if times else None))
        x_px += width
    count = len(placement.fallbacks)
    return Strip(
        target=target,
        name=name,
        resolutions=tuple(about.resolution for about, _ in group),
        summary=(
            f"{len(nodes)} ops, {count or 'none'} on the CPU by fallback, "
            f"{placement.partitions} partition{'' if placement.partitions == 1 else 's'} "
            f"[{placement.provenance.evidence.value}]"
        ),
        blocks=tuple(blocks),
        legend=tuple((*mark, unit) for unit, mark in marks.items()),
        stretches=_stretches(nodes),
        width_px=round(x_px, 2),
        crossings=tuple(crossings),
        timed=bool(times),
    )


def _block(
    node: NodePlacement, x_px: float, width: float, mark: tuple[str, str], time: float | None
) -> Block:
    spent = f", {time:.1%} of the time" if time is not None else ""
    why = "; ".join(filter(None, (node.reason, node.remedy)))
    return Block(
        x_px=round(x_px, 2),
        width_px=round(width - 1.0, 2),
        letter=mark[0],
        style=mark[1],
        fallback=node.unit == CPU,
        says=f"#{node.index} {node.op} on {node.unit}{spent}{': ' if why else ''}{why}",
    )


def times_of(ops: int, shares: Mapping[str, float]) -> list[float]:
    """Return the share of time of each op; nothing where the shares name no ops."""
    times = [0.0] * ops
    for label, share in shares.items():
        match = _OPS.search(label)
        if match is None:
            continue
        first, last = int(match[1]), int(match[2] or match[1])
        if not 0 <= first <= last < ops:
            return []
        for at in range(first, last + 1):
            times[at] += share / (last + 1 - first)
    return times if any(times) else []


def marks_of(nodes: Sequence[NodePlacement]) -> dict[str, tuple[str, str]]:
    """Return letter and class of each unit; no two units have the same letter."""
    marks: dict[str, tuple[str, str]] = {}
    letters = {"C", "X", "?"}
    for unit in dict.fromkeys(node.unit for node in nodes):
        if unit == CPU:
            marks[unit] = ("C", "unit-cpu")
        elif unit in ON_CPU:
            marks[unit] = ("X", "unit-xnnpack")
        elif unit == UNKNOWN:
            marks[unit] = ("?", "unit-unknown")
        else:
            wanted = [*unit.upper(), *"ABDEFGHIJKLMNOPQRSTUVWYZ"]
            free = [char for char in wanted if char.isascii() and char.isalpha()]
            letter = next((char for char in free if char not in letters), "*")
            letters.add(letter)
            number = sum(style.startswith("unit-acc") for _, style in marks.values())
            marks[unit] = (letter, f"unit-acc{number % _UNITS}")
    return marks


def _stretches(nodes: Sequence[NodePlacement]) -> tuple[Stretch, ...]:
    groups: list[list[NodePlacement]] = []
    for node in nodes:
        last = groups[-1][-1] if groups else None
        same = last and (last.unit, last.reason, last.remedy) == (
            node.unit, node.reason, node.remedy,
        )  # fmt: skip
        if same:
            groups[-1].append(node)
        else:
            groups.append([node])
    return tuple(
        Stretch(
            ops=_span(group),
            names=", ".join(dict.fromkeys(node.op for node in group)),
            unit=group[0].unit,
            reason=group[0].reason,
            remedy=group[0].remedy,
        )
        for group in groups
    )  # fmt: skip


def _span(group: Sequence[NodePlacement]) -> str:
    ends = dict.fromkeys((group[0].index, group[-1].index))
    return " to ".join(f"#{index}" for index in ends)
