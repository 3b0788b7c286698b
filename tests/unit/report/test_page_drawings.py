"""Tests of the charts and strips as data."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from harness.evidence import Evidence
from harness.fact_lines import Taken
from harness.placement import NodePlacement
from harness.report.page.cells import names
from harness.report.page.charts import Chart
from harness.report.page.comparing import compare
from harness.report.page.growths import growths
from harness.report.page.merging import merge
from harness.report.page.placements import placements, spills
from harness.report.page.planes import PlanePoint, pareto, planes
from harness.report.page.strips import Strip, strips
from harness.report.page.timings import Timing, timings
from harness.results import Results
from harness.verdict import FIDELITY, LATENCY, Outcome
from tests.unit.report.pages import estimate, placement, record, run


def _point(name: str, ms: float, quality_db: float) -> PlanePoint:
    about = names(record(LATENCY, Outcome.PASS))
    timing = Timing(about=about, ms=ms, low_ms=None, high_ms=None, evidence=Evidence.MODEL)
    return PlanePoint(name=name, timing=timing, quality_db=quality_db)


def _growths(one: Results) -> tuple[Chart, ...]:
    merged = merge([one])
    placed = placements(merged.facts)
    return growths(merged, timings(merged.facts), placed, spills(merged.facts))


def _strips(facts: Sequence[Taken], timed: Sequence[Timing] = ()) -> tuple[Strip, ...]:
    return strips(placements(facts), timed)


def test_the_pareto_front_holds_what_no_other_beats_in_both() -> None:
    points = [
        _point("slow and best", 9, 30), _point("beaten", 8, 25), _point("fast", 1, 20),
        _point("middle", 5, 26), _point("same as middle, slower", 6, 26),
    ]  # fmt: skip

    assert [p.name for p in pareto(points)] == ["fast", "middle", "slow and best"]


def test_a_plane_is_drawn_for_each_phone_with_the_budget_and_the_intervals() -> None:
    records = [
        record(gate, Outcome.PASS, device=device, observed=40.0 if gate == FIDELITY else 1.0)
        for device in ("a", "b")
        for gate in (FIDELITY, LATENCY)
    ]
    facts = [estimate(device, "int8_ptq", "256x256", 8.0) for device in ("a", "b")]
    merged = merge([run(*records, facts=facts)])

    found = planes(merged, timings(merged.facts))

    assert [chart.target for chart in found] == ["a:nnapi", "b:nnapi"]
    series = found[0].option["series"]
    assert series[0]["data"][:2] == [[4.0, 40.0], [16.0, 40.0]]
    assert series[0]["markLine"]["data"] == [{"xAxis": 2.0}]
    assert found[0].rows == (("int8_ptq", "8", "4 to 16", "40.00", "yes", "MODEL"),)


@pytest.mark.parametrize(("high_ms", "drawn"), [(16.0, False), (1.5, True), (0.8, True)])
def test_the_axis_reaches_the_budget_or_says_where_it_is(high_ms: float, drawn: bool) -> None:
    limit_ms = 2.0 if drawn else 200.0
    latency = record(LATENCY, Outcome.PASS)
    latency = replace(latency, verdict=replace(latency.verdict, limit=limit_ms))
    exact = record(FIDELITY, Outcome.PASS, observed=40.0)
    merged = merge(
        [run(latency, exact, facts=[estimate("pixel4", "int8_ptq", "256x256", high_ms / 2)])]
    )

    (chart,) = planes(merged, timings(merged.facts))

    axis, series = chart.option["xAxis"], chart.option["series"]
    assert axis["max"] > high_ms
    assert ("markLine" in series[0]) is drawn
    assert (axis["max"] > limit_ms) is drawn
    assert ("budget 200 ms, far to the right" in axis["name"]) is not drawn


def test_a_marker_that_would_cover_another_is_a_ring_around_it() -> None:
    variants = {"fp32": 8.0, "fp16": 8.05, "int8_ptq": 3.0}
    quality = [record(FIDELITY, Outcome.PASS, variant=name, observed=40.0) for name in variants]
    facts = [estimate("pixel4", name, "256x256", ms) for name, ms in variants.items()]
    merged = merge([run(*quality, facts=facts)])

    (chart,) = planes(merged, timings(merged.facts))

    dots = {one["name"]: one for one in chart.option["series"] if one["type"] == "scatter"}
    assert dots["fp16"]["symbolSize"] > dots["fp32"]["symbolSize"] == dots["int8_ptq"]["symbolSize"]
    assert dots["fp16"]["itemStyle"]["color"] == "transparent" != dots["fp32"]["itemStyle"]["color"]
    assert "fp16: a ring" in chart.note


def test_a_latency_without_quality_is_not_on_the_plane() -> None:
    facts = [estimate("pixel4", "int8_ptq", "256x256", 8.0)]
    merged = merge([run(record(LATENCY, Outcome.PASS), facts=facts)])

    assert planes(merged, timings(merged.facts)) == ()


def test_growth_is_drawn_where_a_variant_has_several_resolutions() -> None:
    sizes = ("1280x720", "256x256")
    facts = [estimate("a", "fp32", size, 8.0) for size in sizes]
    facts.append(estimate("b", "fp32", "256x256", 8.0))

    (chart,) = _growths(run(facts=facts))

    assert chart.target == "a:nnapi"
    assert [row[1] for row in chart.rows] == ["256x256", "1280x720"]


def test_an_arrow_leads_from_where_a_variant_was_on_the_plane() -> None:
    def made(ms: float, db: float) -> Results:
        ruled = record(FIDELITY, Outcome.PASS, observed=db)
        return run(ruled, facts=[estimate("pixel4", "int8_ptq", "256x256", ms)])

    merged = merge([made(8.0, 40.0)])
    timed = timings(merged.facts)
    moved, same = compare((), [made(6.0, 41.0)]), compare((), [made(8.0, 40.0)])

    (chart,), (still,) = planes(merged, timed, moved), planes(merged, timed, same)

    arrow = chart.option["series"][-1]["markLine"]["data"]
    assert arrow == [[{"coord": [6.0, 41.0]}, {"coord": [8.0, 40.0]}]]
    assert chart.rows[0][-2:] == ("6", "41.00")
    assert chart.option["yAxis"]["min"] <= 40.0
    assert chart.option["yAxis"]["max"] >= 41.0
    assert "markLine" not in still.option["series"][-1]
    assert "nothing moved" in still.note


def test_no_arrow_joins_an_estimate_and_a_measurement() -> None:
    ruled = record(FIDELITY, Outcome.PASS, observed=40.0)
    merged = merge([run(ruled, facts=[estimate("pixel4", "int8_ptq", "256x256", 8.0)])])
    before = compare((), [run(ruled, facts=[estimate("pixel4", "int8_ptq", "256x256", 6.0)])])
    measured = replace(
        before,
        timings=tuple(replace(timing, evidence=Evidence.PHONE) for timing in before.timings),
    )

    (chart,) = planes(merged, timings(merged.facts), measured)

    assert chart.rows[0][-2:] == ("not known", "not known")


def _cliff(limit: float, units: tuple[str, ...]) -> Chart:
    sizes = ("100x100", "200x100", "400x100")
    ruled = record("scaling", Outcome.FAIL, metric="cliff_ratio", resolution="", device="a")
    ruled = replace(ruled, verdict=replace(ruled.verdict, limit=limit))
    facts = [
        fact
        for size, ms, unit in zip(sizes, (1.0, 2.0, 6.0), units, strict=True)
        for fact in (
            estimate("a", "int8_ptq", size, ms),
            placement("a", "int8_ptq", size, _nodes("dsp", unit)),
        )
    ]
    (chart,) = _growths(run(ruled, facts=facts))
    return chart


def test_a_cliff_is_marked_with_its_cause_on_the_chart_and_in_the_table() -> None:
    chart = _cliff(1.25, ("dsp", "dsp", "cpu"))

    (mark,) = chart.option["series"][0]["markPoint"]["data"]
    assert mark["coord"] == [0.04, 6.0]
    cause = "placement 0 CPU ops in 3 partitions -> 1 CPU op in 3 partitions"
    assert mark["label"]["formatter"] == "1"
    assert chart.marks == (f"200x100 to 400x100: int8_ptq 1.50x the ms per megapixel; {cause}",)
    assert [row[5:] for row in chart.rows] == [
        ("", ""),
        ("1.00x", ""),
        ("1.50x, a cliff: at most 1.25", cause),
    ]


def test_a_cliff_without_a_known_cause_says_so_and_a_step_within_the_limit_is_none() -> None:
    unknown, within = _cliff(1.25, ("dsp",) * 3), _cliff(1.6, ("dsp", "dsp", "cpu"))

    assert unknown.rows[2][6] == "cause unknown"
    assert within.option["series"][0]["markPoint"]["data"] == []
    assert within.rows[2][5] == "1.50x"
    assert "no cliff" in within.note


def _nodes(*units: str) -> list[NodePlacement]:
    return [
        NodePlacement(index=i, op=f"OP{i}", unit=unit, reason="refused" if unit == "cpu" else "")
        for i, unit in enumerate(units)
    ]


def test_a_strip_has_a_block_for_each_op_and_a_line_for_each_hand_over() -> None:
    fact = placement("a", "fp32", "256x256", _nodes("dsp", "cpu", "dsp"))

    (strip,) = _strips([fact])

    assert [block.letter for block in strip.blocks] == ["D", "C", "D"]
    assert [block.fallback for block in strip.blocks] == [False, True, False]
    assert strip.blocks[1].says == "#1 OP1 on cpu: refused"
    assert len(strip.crossings) == 2
    edges = [(block.x_px, block.x_px + block.width_px) for block in strip.blocks]
    for (_, right), crossing, (left, _) in zip(edges, strip.crossings, edges[1:], strict=False):
        assert right < crossing < left
    assert [row.ops for row in strip.stretches] == ["#0", "#1", "#2"]


def test_a_block_is_as_wide_as_its_time_where_that_is_known() -> None:
    fact = placement("a", "fp32", "256x256", _nodes("dsp", "dsp", "dsp", "dsp"))
    shares = {"A+B #0-1": 0.2, "C #2": 0.6, "floor": 0.2}
    timed = timings([estimate("a", "fp32", "256x256", 8.0, shares)])

    (equal,), (strip,) = _strips([fact]), _strips([fact], timed)

    assert len({block.width_px for block in equal.blocks}) == 1
    least = strip.blocks[3].width_px
    widths = [block.width_px - least for block in strip.blocks]
    assert widths == pytest.approx([widths[0], widths[0], widths[0] * 6, 0.0])
    assert "60.0% of the time" in strip.blocks[2].says


def test_shares_of_ops_that_the_placement_lacks_are_not_believed() -> None:
    fact = placement("a", "fp32", "256x256", _nodes("dsp"))
    timed = timings([estimate("a", "fp32", "256x256", 8.0, {"X #0-7": 1.0})])

    (strip,) = _strips([fact], timed)

    assert not strip.timed


def test_equal_placements_at_several_resolutions_are_one_strip() -> None:
    facts = [placement("a", "fp32", size, _nodes("dsp")) for size in ("512x512", "256x256")]
    facts.append(placement("a", "fp32", "1024x1024", _nodes("cpu")))

    assert [strip.resolutions for strip in _strips(facts)] == [
        ("256x256", "512x512"),
        ("1024x1024",),
    ]


def test_no_two_units_share_a_letter() -> None:
    nodes = _nodes("cpu", "xnnpack", "unknown", "dsp", "d", "dd", "d2", "cpu2")

    (strip,) = _strips([placement("a", "fp32", "256x256", nodes)])

    letters = [letter for letter, _, _ in strip.legend]
    assert len(set(letters)) == len(letters)
