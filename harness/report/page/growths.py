"""The growth charts of the page: latency against resolution, and the cliffs on the way."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness import metrics, scaling
from harness.images import Size
from harness.keys import Key
from harness.placement import Placement
from harness.report.page import charts
from harness.report.page.cells import names, pixels
from harness.report.page.charts import Chart, drawn_ms
from harness.report.page.merging import Merged
from harness.report.page.timings import Timing
from harness.scaling import Cliff, Point


@dataclass(frozen=True, kw_only=True)
class Line:
    """A variant over resolutions.

    Attributes:
        name: The variant.
        timings: Its latencies, small resolutions first.
        steps: The step to each resolution, by that resolution; none to the first.
        limit: Largest ratio of ms per megapixel that a step may have, or None.
        style: Colour and symbol.
    """

    name: str
    timings: tuple[Timing, ...]
    steps: Mapping[str, Cliff]
    limit: float | None
    style: tuple[str, str]

    @property
    def cliffs(self) -> dict[str, Cliff]:
        """Return the steps that are steeper than the limit, by the resolution above."""
        if self.limit is None:
            return {}
        return {at: step for at, step in self.steps.items() if step.ratio > self.limit}


def growths(
    merged: Merged,
    timings: Sequence[Timing],
    placements: Mapping[Key, Placement],
    spills: Mapping[Key, float],
) -> tuple[Chart, ...]:
    """Return latency against resolution, one chart for each phone and subject.

    Args:
        merged: What the runs know; their rulings have the limit above which a step is a cliff.
        timings: Their latencies, small resolutions first.
        placements: Where ops run, by what it is about.
        spills: What is moved out of on-chip memory, in MiB, likewise.
    """
    looks = charts.styles(merged)
    limits = {
        replace(names(record), resolution=""): record.verdict.limit
        for record in merged.records
        if record.verdict.metric == metrics.CLIFF_RATIO.name
    }
    groups: dict[tuple[str, str], dict[str, list[Timing]]] = {}
    for timing in timings:
        about = timing.about
        if pixels(about.resolution) and 0.0 < timing.ms < math.inf:
            key = (f"{about.device}:{about.delegate}", about.subject)
            groups.setdefault(key, {}).setdefault(about.variant, []).append(timing)
    found = []
    for (target, subject), variants in groups.items():
        lines = [
            Line(
                name=variant,
                timings=tuple(known),
                steps=_steps(known, placements, spills),
                limit=limits.get(replace(known[0].about, resolution="")),
                style=looks[subject, variant],
            )
            for variant, known in variants.items()
        ]
        if max(len(line.timings) for line in lines) > 1:
            lines.sort(key=lambda line: list(looks).index((subject, line.name)))
            found.append(_growth(target, f"{subject} on {target}", lines))
    return tuple(found)


def _steps(
    timings: Sequence[Timing], placements: Mapping[Key, Placement], spills: Mapping[Key, float]
) -> dict[str, Cliff]:
    """Return the step to each resolution; what is not known of a placement is no cause."""
    known = {_size(one.about): one for one in timings}
    placed = all(one.about in placements for one in timings)
    points = [
        Point(
            size=size,
            ms=one.ms,
            partitions=placements[one.about].partitions if placed else 0,
            cpu_ops=placements[one.about].cpu_ops if placed else 0,
            spill_mib=spills.get(one.about),
            off_chip_share=one.off_chip_share,
        )
        for size, one in known.items()
    ]
    return {str(step.above): step for step in scaling.steps(points)}


def _size(about: Key) -> Size:
    width, _, height = about.resolution.partition("x")
    return Size(width_px=int(width), height_px=int(height))


def _growth(target: str, title: str, lines: Sequence[Line]) -> Chart:
    flat = [timing for line in lines for timing in line.timings]
    marks: dict[tuple[str, str], list[tuple[str, float]]] = {}
    for line in lines:
        for step in line.cliffs.values():
            marks.setdefault(_mark(step), []).append((line.name, step.ratio))
    numbers = {mark: number for number, mark in enumerate(marks, start=1)}
    return Chart(
        target=target,
        title=title,
        option=charts.option(
            [_drawn(line, numbers) for line in lines],
            x=("megapixels", "log"),
            y=("latency, ms", "log"),
            legend=[line.name for line in lines],
        ),
        head=("variant", "resolution", "latency ms", "interval ms", "evidence",
              "ms per megapixel beside the size below", "what changes there"),
        rows=tuple(_row(line, timing) for line in lines for timing in line.timings),
        note=charts.note(flat, _note(lines)),
        marks=tuple(_said(mark, steps) for mark, steps in marks.items()),
    )  # fmt: skip


def _mark(step: Cliff) -> tuple[str, str]:
    """Return what cliffs of several variants share: between which sizes, and the cause."""
    return f"{step.below} to {step.above}", step.cause or "cause unknown"


def _said(mark: tuple[str, str], steps: Sequence[tuple[str, float]]) -> str:
    """Return a line on the cliffs that share a mark."""
    variants = ", ".join(f"{name} {ratio:.2f}x" for name, ratio in steps)
    return f"{mark[0]}: {variants} the ms per megapixel; {mark[1]}"


def _note(lines: Sequence[Line]) -> str:
    said = "both axes are logarithmic: a straight line is a power law"
    limits = {line.limit for line in lines} - {None}
    cliffs = sum(len(line.cliffs) for line in lines)
    if not limits:
        return f"{said}; no limit says what a cliff is"
    limit = " or ".join(f"{one:g}" for one in sorted(filter(None, limits)))
    marked = f"{cliffs or 'no'} cliff{'' if cliffs == 1 else 's'}"
    return f"{said}; {marked}: a step by more than {limit} in ms per megapixel"


def _row(line: Line, timing: Timing) -> tuple[str, ...]:
    at = timing.about.resolution
    step = line.steps.get(at)
    ratio = f"{step.ratio:.2f}x" if step else ""
    if at in line.cliffs:
        ratio += f", a cliff: at most {line.limit:g}"
    return (
        line.name, at, f"{timing.ms:.3g}", charts.interval(timing), timing.evidence.value, ratio,
        _mark(step)[1] if step and (step.cause or at in line.cliffs) else "",
    )  # fmt: skip


def _drawn(line: Line, numbers: Mapping[tuple[str, str], int]) -> dict[str, Any]:
    """Return a line with a numbered pin at each cliff."""
    colour, symbol = line.style
    places = {t.about.resolution: [_megapixels(t.about), drawn_ms(t.ms)] for t in line.timings}
    return {
        "type": "line", "name": line.name, "data": list(places.values()), "symbol": symbol,
        "symbolSize": 9, "lineStyle": {"color": colour, "width": 2}, "itemStyle": {"color": colour},
        "markPoint": {
            "silent": True, "symbol": "pin", "symbolSize": 26, "itemStyle": {"color": "--fail"},
            "label": {"color": "--back", "fontSize": 10, "fontWeight": "bold"},
            "data": [
                {"coord": places[at], "label": {"formatter": str(numbers[_mark(step)])}}
                for at, step in line.cliffs.items()
            ],
        },
    }  # fmt: skip


def _megapixels(about: Key) -> float:
    return round(pixels(about.resolution) / 1e6, 4)
