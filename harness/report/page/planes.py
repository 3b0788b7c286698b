"""The planes of the page: quality against latency, and how far each variant went on them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.keys import Key
from harness.report.page import charts
from harness.report.page.cells import names
from harness.report.page.charts import SYMBOLS, Chart, drawn_line, drawn_ms
from harness.report.page.comparing import CellComparison
from harness.report.page.merging import Merged
from harness.report.page.timings import Timing
from harness.results import Record
from harness.verdict import FIDELITY, LATENCY

_FIDELITY_MAX_DB = 60.0
"""PSNR to FP32 from which a difference is not drawn: at 60 dB it is a quarter of an 8-bit step."""
_SPAN_LEAST_DB = 1.0
"""Least height of the plane: a difference of hundredths of a decibel must not look like one."""


_BUDGET_NEAR = 3.0
"""Most times the largest latency that a budget may be for the axis to reach out to it."""
_TOUCHING = 0.02
"""Share of both axes below which two markers cover each other."""


@dataclass(frozen=True, kw_only=True)
class PlanePoint:
    """A variant on the plane of quality and latency.

    Attributes:
        name: The variant.
        timing: Its latency.
        quality_db: Its quality.
        style: Colour and symbol.
        was: The point of an earlier run, or None.
    """

    name: str
    timing: Timing
    quality_db: float
    style: tuple[str, str] = ("--series0", SYMBOLS[0])
    was: "PlanePoint | None" = None

    @property
    def moved(self) -> bool:
        """Return whether the table shows another latency or quality than before."""
        return self.was is not None and _figures(self) != _figures(self.was)


@dataclass(frozen=True, kw_only=True)
class Plane:
    """Variants of a subject on a phone at a resolution, by latency and quality.

    Attributes:
        target: Phone and delegate.
        title: What it is about.
        points: The variants.
        budget_ms: Budget of latency that all of them share, or None.
        sharp: Whether quality is PSNR to the sharp target; else to FP32.
    """

    target: str
    title: str
    points: tuple[PlanePoint, ...]
    budget_ms: float | None
    sharp: bool

    @property
    def quality(self) -> str:
        """Return what the quality is, with its unit."""
        return "PSNR to the sharp target, dB" if self.sharp else "PSNR to FP32, dB, worst frame"

    def drawn_db(self, point: PlanePoint) -> float:
        """Return the quality that a drawing shows: to FP32 no more than can be seen."""
        return point.quality_db if self.sharp else min(point.quality_db, _FIDELITY_MAX_DB)

    @property
    def ends_db(self) -> tuple[float, float]:
        """Return the ends of an axis in dB that shows all points with a margin, earlier ones too.

        An earlier point counts where this one has moved from it.
        """
        earlier = [point.was for point in self.points if point.was and point.moved]
        heights = [self.drawn_db(point) for point in (*self.points, *earlier)]
        margin = max(_SPAN_LEAST_DB, (max(heights) - min(heights)) * 1.2) / 2
        middle = (max(heights) + min(heights)) / 2
        return round(middle - margin, 1), round(middle + margin, 1)

    @property
    def largest_ms(self) -> float:
        """Return the largest latency that is drawn: of points, their intervals, earlier ones."""
        earlier = [point.was.timing for point in self.points if point.was and point.moved]
        drawn = [*(point.timing for point in self.points), *earlier]
        return max(max(timing.ms, timing.high_ms or 0.0) for timing in drawn)

    @property
    def budget_near(self) -> bool:
        """Return whether the budget is near enough to be drawn without crowding the points."""
        return self.budget_ms is not None and self.budget_ms <= _BUDGET_NEAR * self.largest_ms

    @property
    def end_ms(self) -> float:
        """Return the end of an axis in ms that shows all points, and a budget that is near."""
        budget_ms = self.budget_ms if self.budget_ms is not None and self.budget_near else 0.0
        return float(f"{1.08 * max(self.largest_ms, budget_ms):.3g}")

    def covered(self, at: int) -> int:
        """Return how many points before this one its marker would cover."""
        low_db, high_db = self.ends_db
        here = self.points[at]
        return sum(
            abs(here.timing.ms - one.timing.ms) < _TOUCHING * self.end_ms
            and abs(self.drawn_db(here) - self.drawn_db(one)) < _TOUCHING * (high_db - low_db)
            for one in self.points[:at]
        )


def pareto(points: Sequence[PlanePoint]) -> tuple[PlanePoint, ...]:
    """Return the points that no other beats in both latency and quality, the fastest first."""
    front: list[PlanePoint] = []
    for point in sorted(points, key=lambda p: (p.timing.ms, -p.quality_db)):
        if not front or point.quality_db > front[-1].quality_db:
            front.append(point)
    return tuple(front)


def _figures(point: PlanePoint) -> tuple[str, str]:
    """Return latency in ms and quality in dB as the table has them."""
    return f"{point.timing.ms:.3g}", f"{point.quality_db:.2f}"


@dataclass(frozen=True, kw_only=True)
class _Known:
    """What runs know of latency and quality, by what it is about."""

    timings: Mapping[Key, Timing]
    sharp: Mapping[Key, float]
    exact: Mapping[Key, float]

    def point(self, about: Key, style: tuple[str, str], *, sharp: bool) -> PlanePoint | None:
        """Return a point in one of the two qualities, or None where it is not known."""
        known = self.sharp if sharp else self.exact
        if about not in known or about not in self.timings:
            return None
        return PlanePoint(
            name=about.variant, timing=self.timings[about], quality_db=known[about], style=style
        )


def _known(merged: Merged, timings: Sequence[Timing]) -> _Known:
    return _Known(
        timings={timing.about: timing for timing in timings},
        sharp=_quality(merged.records, "", "quality_db"),
        exact=_quality(merged.records, FIDELITY, "psnr_db"),
    )


def planes(
    merged: Merged, timings: Sequence[Timing], before: CellComparison | None = None
) -> tuple[Chart, ...]:
    """Return quality against latency, one chart for each phone, subject and resolution.

    Args:
        merged: What the runs know.
        timings: Their latencies.
        before: Earlier runs; an arrow leads from a point of theirs.
    """
    return tuple(
        _plane(found, two=before is not None) for found in found_in(merged, timings, before)
    )


def found_in(
    merged: Merged, timings: Sequence[Timing], before: CellComparison | None = None
) -> Iterator[Plane]:
    """Yield the planes of some runs; arguments as for `planes`."""
    looks = charts.styles(merged)
    now = _known(merged, timings)
    earlier = _known(before.merged, before.timings) if before else None
    budgets = {
        names(record): record.verdict.limit
        for record in merged.records
        if (record.verdict.gate, record.verdict.metric) == (LATENCY, "latency_ms")
    }
    groups: dict[tuple[str, str, str], list[Key]] = {}
    for timing in timings:
        about = timing.about
        if about in now.sharp or about in now.exact:
            target = f"{about.device}:{about.delegate}"
            groups.setdefault((target, about.subject, about.resolution), []).append(about)
    for (target, subject, resolution), group in groups.items():
        sharp = all(about in now.sharp for about in group)
        points = []
        for about in group:
            style = looks[about.subject, about.variant]
            point = now.point(about, style, sharp=sharp)
            was = earlier.point(about, style, sharp=sharp) if earlier else None
            points += [_after(point, was)] if point else []
        limits = {budgets.get(about) for about in group} - {None}
        budget = limits.pop() if len(limits) == 1 else None
        yield Plane(
            target=target,
            title=f"{subject} on {target} at {resolution}",
            points=tuple(points),
            budget_ms=budget,
            sharp=sharp,
        )


def _after(point: PlanePoint, was: PlanePoint | None) -> PlanePoint:
    """Return a point with the earlier one, unless their latencies are known in different ways."""
    if was is None or was.timing.evidence is not point.timing.evidence:
        return point
    return replace(point, was=was)


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


def _budget_line(budget: float) -> dict[str, Any]:
    return {
        "symbol": "none", "silent": True, "data": [{"xAxis": budget}],
        "lineStyle": {"color": "--fail", "width": 1.5, "type": "solid"},
        "label": {"formatter": f"budget {budget:g} ms", "color": "--fail"},
    }  # fmt: skip


def _plane(plane: Plane, *, two: bool) -> Chart:
    """Return the chart of a plane; `two` where earlier points were looked for."""
    points, sharp = plane.points, plane.sharp
    front = pareto(points)

    def place(point: PlanePoint) -> list[float]:
        return [drawn_ms(point.timing.ms), round(plane.drawn_db(point), 3)]

    bars: list[list[float | str]] = []
    for point in points:
        ends = (point.timing.low_ms, point.timing.high_ms)
        if ends[0] is not None and ends[1] is not None:
            bars += [[drawn_ms(end), place(point)[1]] for end in ends if end is not None]
            bars.append(["-", "-"])
    moved = [point for point in points if point.moved]
    series: list[dict[str, Any]] = [
        drawn_line("interval", bars, colour="--muted", width=1.5, symbol="rect", size=[2, 9]),
        drawn_line("Pareto front", [place(p) for p in front], colour="--ok", width=2,
                   step="end", dashed=True),
        *(_dot(point, place, plane.covered(at)) for at, point in enumerate(points)),
        *(_arrow(point, place) for point in moved),
    ]  # fmt: skip
    x_name = "latency, ms"
    if plane.budget_ms is not None and plane.budget_near:
        series[0]["markLine"] = _budget_line(plane.budget_ms)
    elif plane.budget_ms is not None:
        x_name += f" (budget {plane.budget_ms:g} ms, far to the right)"
    y = (plane.quality, "value")
    option = charts.option(series, x=(x_name, "value"), y=y, legend=[p.name for p in points])
    option["xAxis"] |= {"min": 0, "max": plane.end_ms}
    low_db, high_db = plane.ends_db
    option["yAxis"] |= {"min": low_db, "max": high_db}
    says = ["" if sharp else f"drawn up to {_FIDELITY_MAX_DB:g} dB"]
    rings = [point.name for at, point in enumerate(points) if plane.covered(at)]
    says.append(f"{', '.join(rings)}: a ring, around what lies at the same place" if rings else "")
    if two:
        says.append("arrows lead from the run before" if moved else "nothing moved since")
    return Chart(
        target=plane.target,
        title=plane.title,
        option=option,
        head=("variant", "latency ms", "interval ms", "dB", "Pareto", "evidence",
              *(("before: ms", "before: dB") if two else ())),
        rows=tuple(_row(point, point in front, two=two) for point in points),
        note=charts.note([p.timing for p in points], "; ".join(filter(None, says))),
    )  # fmt: skip


def _row(point: PlanePoint, best: bool, *, two: bool) -> tuple[str, ...]:
    before = _figures(point.was) if point.was else ("not known", "not known")
    ms, db = _figures(point)
    return (
        point.name, ms, charts.interval(point.timing), db, "yes" if best else "no",
        point.timing.evidence.value, *(before if two else ()),
    )  # fmt: skip


def _dot(
    point: PlanePoint, place: Callable[[PlanePoint], list[float]], covered: int
) -> dict[str, Any]:
    """Return a marker; one that would cover others is a ring around them."""
    colour, symbol = point.style
    filled = {"color": colour, "borderColor": "--back", "borderWidth": 1}
    ring = {"color": "transparent", "borderColor": colour, "borderWidth": 2}
    return {
        "type": "scatter", "name": point.name, "symbolSize": 14 + 9 * covered, "symbol": symbol,
        "itemStyle": ring if covered else filled, "data": [place(point)], "z": 5 - min(covered, 2),
    }  # fmt: skip


def _arrow(point: PlanePoint, place: Callable[[PlanePoint], list[float]]) -> dict[str, Any]:
    """Return the earlier point, hollow, and an arrow from it to where it is now."""
    assert point.was is not None
    colour, symbol = point.style
    ends = [{"coord": place(point.was)}, {"coord": place(point)}]
    return {
        "type": "scatter", "name": f"{point.name} before", "symbolSize": 10, "symbol": symbol,
        "itemStyle": {"color": "--back", "borderColor": colour, "borderWidth": 2},
        "data": [place(point.was)], "z": 4,
        "markLine": {
            "symbol": ["none", "arrow"], "symbolSize": 10, "silent": True, "z": 6,
            "label": {"show": False}, "data": [ends],
            "lineStyle": {"color": "--text", "width": 1.5, "type": "solid"},
        },
    }  # fmt: skip
