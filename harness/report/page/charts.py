"""The charts of the page as ECharts options: data alone, no function, and a table beside each.

A text of the form `--name` is a colour of the page; its script puts the theme's in.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.keys import Key
from harness.report.page.cells import names, pixels
from harness.report.page.merging import Merged
from harness.report.page.timings import Timing
from harness.results import Record
from harness.verdict import FIDELITY, LATENCY

_FIDELITY_MAX_DB = 60.0
"""PSNR to FP32 from which a difference is not drawn: at 60 dB it is a quarter of an 8-bit step."""
_SYMBOLS = (
    "circle", "rect", "triangle", "diamond", "path://M3,0H7V3H10V7H7V10H3V7H0V3H3Z",
    "path://M0,0H10L5,9Z", "path://M3,0H7L10,5L7,9H3L0,5Z",
)  # fmt: skip
"""The last three are a plus, a triangle that points down and a hexagon."""
_COLOURS = 7
_IN_A_ROW = 3
"""Names of a legend that fit into one row on a small screen."""
_SPAN_LEAST_DB = 1.0
"""Least height of the plane: a difference of hundredths of a decibel must not look like one."""


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A chart and the table that says the same.

    Attributes:
        target: Phone and delegate, for the filter.
        title: What it is about.
        option: What ECharts is given.
        head: Headings of the table.
        rows: Its cells.
        note: What a reader must know to read it, or ''.
    """

    target: str
    title: str
    option: dict[str, Any]
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Point:
    """A variant on the plane of quality and latency.

    Attributes:
        name: The variant.
        timing: Its latency.
        quality_db: Its quality.
        style: Colour and symbol.
    """

    name: str
    timing: Timing
    quality_db: float
    style: tuple[str, str] = ("--series0", _SYMBOLS[0])


def pareto(points: Sequence[Point]) -> tuple[Point, ...]:
    """Return the points that no other beats in both latency and quality, the fastest first."""
    front: list[Point] = []
    for point in sorted(points, key=lambda p: (p.timing.ms, -p.quality_db)):
        if not front or point.quality_db > front[-1].quality_db:
            front.append(point)
    return tuple(front)


def styles(merged: Merged) -> dict[tuple[str, str], tuple[str, str]]:
    """Return a colour and a symbol for each subject and variant, the same in every chart."""
    found: dict[tuple[str, str], tuple[str, str]] = {}
    subjects: Counter[str] = Counter()
    for subject, variant in dict.fromkeys(
        (one.subject, one.variant) for one in (*merged.records, *merged.facts)
    ):
        number = subjects[subject]
        subjects[subject] += 1
        symbol = _SYMBOLS[(number + number // _COLOURS) % len(_SYMBOLS)]
        found[subject, variant] = (f"--series{number % _COLOURS}", symbol)
    return found


def planes(merged: Merged, timings: Sequence[Timing]) -> tuple[Chart, ...]:
    """Return quality against latency, one chart for each phone, subject and resolution."""
    looks = styles(merged)
    sharp = _quality(merged.records, "", "quality_db")
    exact = _quality(merged.records, FIDELITY, "psnr_db")
    budgets = {
        names(record): record.verdict.limit
        for record in merged.records
        if (record.verdict.gate, record.verdict.metric) == (LATENCY, "latency_ms")
    }
    groups: dict[tuple[str, str, str], list[Timing]] = {}
    for timing in timings:
        about = timing.about
        if about in sharp or about in exact:
            target = f"{about.device}:{about.delegate}"
            groups.setdefault((target, about.subject, about.resolution), []).append(timing)
    found = []
    for (target, subject, resolution), group in groups.items():
        known = sharp if all(timing.about in sharp for timing in group) else exact
        points = [
            Point(
                name=t.about.variant,
                timing=t,
                quality_db=known[t.about],
                style=looks[t.about.subject, t.about.variant],
            )
            for t in group
            if t.about in known
        ]
        limits = {budgets.get(timing.about) for timing in group} - {None}
        budget = limits.pop() if len(limits) == 1 else None
        title = f"{subject} on {target} at {resolution}"
        found.append(_plane(target, title, points, budget=budget, sharp=known is sharp))
    return tuple(found)


def _quality(records: Sequence[Record], gate: str, metric: str) -> dict[Key, float]:
    """Return the worst value of a metric over the frames, by what it is about."""
    found: dict[Key, float] = {}
    for record in records:
        verdict = record.verdict
        if verdict.metric != metric or gate not in ("", verdict.gate) or verdict.observed is None:
            continue
        about = names(record)
        found[about] = min(verdict.observed, found.get(about, verdict.observed))
    return found


def _span(heights: Sequence[float]) -> dict[str, float]:
    """Return the ends of an axis in dB that shows all heights with a margin."""
    margin = max(_SPAN_LEAST_DB, (max(heights) - min(heights)) * 1.2) / 2
    middle = (max(heights) + min(heights)) / 2
    return {"min": round(middle - margin, 1), "max": round(middle + margin, 1)}


def _budget_line(budget: float) -> dict[str, Any]:
    return {
        "symbol": "none", "silent": True, "data": [{"xAxis": budget}],
        "lineStyle": {"color": "--fail", "width": 1.5, "type": "solid"},
        "label": {"formatter": f"budget {budget:g} ms", "color": "--fail"},
    }  # fmt: skip


def _plane(
    target: str, title: str, points: Sequence[Point], *, budget: float | None, sharp: bool
) -> Chart:
    front = pareto(points)
    axis = "PSNR to the sharp target, dB" if sharp else "PSNR to FP32, dB, worst frame"

    def drawn(point: Point) -> float:
        return round(point.quality_db if sharp else min(point.quality_db, _FIDELITY_MAX_DB), 3)

    bars: list[list[float | str]] = []
    for point in points:
        if point.timing.low_ms is not None and point.timing.high_ms is not None:
            bars += [
                [_ms(point.timing.low_ms), drawn(point)],
                [_ms(point.timing.high_ms), drawn(point)],
                ["-", "-"],
            ]
    series: list[dict[str, Any]] = [
        _line("interval", bars, colour="--muted", width=1.5, symbol="rect", size=[2, 9]),
        _line("Pareto front", [[_ms(p.timing.ms), drawn(p)] for p in front], colour="--ok", width=2,
              step="end", dashed=True),
        *({
            "type": "scatter", "name": point.name, "symbolSize": 14, "symbol": symbol,
            "itemStyle": {"color": colour, "borderColor": "--back", "borderWidth": 1},
            "data": [[_ms(point.timing.ms), drawn(point)]], "z": 5,
        } for point in points for colour, symbol in [point.style]),
    ]  # fmt: skip
    if budget is not None:
        series[0]["markLine"] = _budget_line(budget)
    option = _option(
        series, x=("latency, ms", "value"), y=(axis, "value"), legend=[p.name for p in points]
    )
    option["xAxis"]["min"] = 0
    option["yAxis"] |= _span([drawn(point) for point in points])
    kept = "yes" if sharp else f"drawn up to {_FIDELITY_MAX_DB:g} dB"
    return Chart(
        target=target,
        title=title,
        option=option,
        head=("variant", "latency ms", "interval ms", "dB", "Pareto", "evidence"),
        rows=tuple(
            (
                p.name, f"{p.timing.ms:.3g}", _interval(p.timing), f"{p.quality_db:.2f}",
                "yes" if p in front else "no", p.timing.evidence.value,
            )
            for p in points
        ),
        note=_note([p.timing for p in points], "" if sharp else kept),
    )  # fmt: skip


def by_resolution(merged: Merged, timings: Sequence[Timing]) -> tuple[Chart, ...]:
    """Return latency against resolution, one chart for each phone and subject."""
    looks = styles(merged)
    groups: dict[tuple[str, str], dict[str, list[Timing]]] = {}
    for timing in timings:
        about = timing.about
        if pixels(about.resolution):
            key = (f"{about.device}:{about.delegate}", about.subject)
            groups.setdefault(key, {}).setdefault(about.variant, []).append(timing)
    return tuple(
        _growth(target, f"{subject} on {target}", lines, {v: looks[subject, v] for v in lines})
        for (target, subject), lines in groups.items()
        if max(map(len, lines.values())) > 1
    )


def _growth(
    target: str,
    title: str,
    lines: dict[str, list[Timing]],
    looks: dict[str, tuple[str, str]],
) -> Chart:
    series = []
    for name, timings in sorted(lines.items(), key=lambda one: list(looks).index(one[0])):
        colour, symbol = looks[name]
        data = [[_megapixels(t.about), _ms(t.ms)] for t in timings]
        series.append(
            {
                "type": "line", "name": name, "data": data, "symbol": symbol, "symbolSize": 9,
                "lineStyle": {"color": colour, "width": 2}, "itemStyle": {"color": colour},
            }
        )  # fmt: skip
    flat = [timing for timings in lines.values() for timing in timings]
    return Chart(
        target=target,
        title=title,
        option=_option(
            series, x=("megapixels", "log"), y=("latency, ms", "log"), legend=list(lines)
        ),
        head=("variant", "resolution", "latency ms", "interval ms", "evidence"),
        rows=tuple(
            (t.about.variant, t.about.resolution, f"{t.ms:.3g}", _interval(t), t.evidence.value)
            for t in flat
        ),
        note=_note(flat, "both axes are logarithmic: a straight line is a power law"),
    )


def _line(
    name: str, data: list[Any], *, colour: str, width: float, symbol: str = "none",
    size: list[int] | None = None, step: str = "", dashed: bool = False,
) -> dict[str, Any]:  # fmt: skip
    return {
        "type": "line", "name": name, "data": data, "symbol": symbol, "symbolSize": size or 0,
        "step": step or False, "connectNulls": False, "silent": True,
        "tooltip": {"show": False}, "z": 3, "itemStyle": {"color": colour},
        "lineStyle": {"color": colour, "width": width, "type": "dashed" if dashed else "solid"},
    }  # fmt: skip


def _option(
    series: list[dict[str, Any]], *, x: tuple[str, str], y: tuple[str, str], legend: list[str]
) -> dict[str, Any]:
    axis = {
        "nameLocation": "middle", "nameTextStyle": {"color": "--muted"}, "scale": True,
        "axisLine": {"lineStyle": {"color": "--line"}}, "axisLabel": {"color": "--muted"},
        "splitLine": {"lineStyle": {"color": "--line", "opacity": 0.5}},
        "logBase": 2,
    }  # fmt: skip
    return {
        "animation": False,
        "aria": {"enabled": True},
        "textStyle": {"fontFamily": "system-ui, sans-serif"},
        "grid": {
            "left": 32, "right": 28, "top": 28, "bottom": 44 + 22 * -(-len(legend) // _IN_A_ROW),
            "containLabel": True,
        },
        "legend": {
            "bottom": 0, "textStyle": {"color": "--text"}, "data": legend, "itemHeight": 10,
            "itemWidth": 18,
        },
        "tooltip": {"trigger": "item", "renderMode": "richText", "confine": True},
        "xAxis": {**axis, "type": x[1], "name": x[0], "nameGap": 28},
        "yAxis": {**axis, "type": y[1], "name": y[0], "nameGap": 48},
        "series": series,
    }  # fmt: skip


def _note(timings: Sequence[Timing], more: str) -> str:
    relative = any(timing.relative for timing in timings)
    said = (
        "relative only: no figure of this phone is public, compare the variants" if relative else ""
    )
    return "; ".join(filter(None, (said, more)))


def _interval(timing: Timing) -> str:
    if timing.low_ms is None or timing.high_ms is None:
        return "not known"
    return f"{timing.low_ms:.3g} to {timing.high_ms:.3g}"


def _ms(value: float) -> float:
    return float(f"{value:.5g}")


def _megapixels(about: Key) -> float:
    return round(pixels(about.resolution) / 1e6, 4)
