"""The charts of the page as ECharts options: data alone, no function, and a table beside each.

A text of the form `--name` is a colour of the page; its script puts the theme's in.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.report.page.merging import Merged
from harness.report.page.timings import Timing

SYMBOLS = (
    "circle", "rect", "triangle", "diamond", "path://M3,0H7V3H10V7H7V10H3V7H0V3H3Z",
    "path://M0,0H10L5,9Z", "path://M3,0H7L10,5L7,9H3L0,5Z",
)  # fmt: skip
"""The last three are a plus, a triangle that points down and a hexagon."""
_COLOURS = 7
_IN_A_ROW = 3
"""Names of a legend that fit into one row on a small screen."""


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
        marks: What the numbers on it stand for, from 1.
    """

    target: str
    title: str
    option: dict[str, Any]
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    marks: tuple[str, ...] = ()


def styles(merged: Merged) -> dict[tuple[str, str], tuple[str, str]]:
    """Return a colour and a symbol for each subject and variant, the same in every chart."""
    found: dict[tuple[str, str], tuple[str, str]] = {}
    subjects: Counter[str] = Counter()
    for subject, variant in dict.fromkeys(
        (one.subject, one.variant) for one in (*merged.records, *merged.facts)
    ):
        number = subjects[subject]
        subjects[subject] += 1
        symbol = SYMBOLS[(number + number // _COLOURS) % len(SYMBOLS)]
        found[subject, variant] = (f"--series{number % _COLOURS}", symbol)
    return found


def drawn_line(
    name: str, data: list[Any], *, colour: str, width: float, symbol: str = "none",
    size: list[int] | None = None, step: str = "", dashed: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Return a line that carries no name of its own in tooltips."""
    return {
        "type": "line", "name": name, "data": data, "symbol": symbol, "symbolSize": size or 0,
        "step": step or False, "connectNulls": False, "silent": True,
        "tooltip": {"show": False}, "z": 3, "itemStyle": {"color": colour},
        "lineStyle": {"color": colour, "width": width, "type": "dashed" if dashed else "solid"},
    }  # fmt: skip


def option(
    series: list[dict[str, Any]], *, x: tuple[str, str], y: tuple[str, str], legend: list[str]
) -> dict[str, Any]:
    """Return what ECharts is given: series, axes by name and kind, and a legend."""
    axis = {
        "nameLocation": "middle", "nameTextStyle": {"color": "--muted"}, "scale": True,
        "axisLine": {"lineStyle": {"color": "--line"}},
        "axisLabel": {"color": "--muted", "hideOverlap": True},
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


def note(timings: Sequence[Timing], more: str) -> str:
    """Return what a reader must know of latencies, and more."""
    relative = any(timing.relative for timing in timings)
    said = (
        "relative only: no figure of this phone is public, compare the variants" if relative else ""
    )
    return "; ".join(filter(None, (said, more)))


def interval(timing: Timing) -> str:
    """Return the ends of a latency's interval."""
    if timing.low_ms is None or timing.high_ms is None:
        return "not known"
    return f"{timing.low_ms:.3g} to {timing.high_ms:.3g}"


def drawn_ms(value: float) -> float:
    """Return milliseconds with the digits that a drawing has."""
    return float(f"{value:.5g}")
