"""One line for a shell, a table for a notebook, whatever a stranger has named things."""

import html.parser
from dataclasses import replace
from pathlib import Path

import pytest

import harness
from harness import markup, profiles
from harness.errors import DeviceError
from harness.evidence import Evidence, Provenance
from harness.images import Size
from harness.latency import Estimate, Latency
from harness.markup import Row
from harness.model import Model
from harness.placement import NodePlacement, Placement
from harness.requests import Fact, Request, Verb
from harness.results import Record
from harness.verdict import Outcome, Sense, Verdict
from tests import models

EVIL = "<script>alert('x')</script>\n\x1b[2J\u202e" * 40
MADE = Provenance(evidence=Evidence.MODEL, device="d", variant_sha256="")
PLACEMENT = Placement(
    nodes=tuple(
        NodePlacement(index=i, op=f"{EVIL}{i}", unit=unit, reason=EVIL, remedy=EVIL)
        for i, unit in enumerate(["cpu", "xnnpack", "unknown", "edgetpu", EVIL] * 100)
    ),
    partitions=500,
    provenance=MADE,
)
LATENCY = Latency(
    median_ms=1.0,
    p95_ms=2.0,
    mean_ms=1.0,
    stddev_ms=0.1,
    min_ms=0.9,
    first_ms=3.0,
    init_ms=4.0,
    runs=50,
    provenance=MADE,
    low_ms=0.9,
    high_ms=1.1,
)
ESTIMATE = Estimate(
    estimate_ms=1.0,
    low_ms=0.5,
    high_ms=2.0,
    basis=EVIL,
    provenance=MADE,
    shares={f"{EVIL}{i}": 0.001 for i in range(1000)},
)
VERDICT = Verdict(
    gate=EVIL,
    metric=EVIL,
    sense=Sense.AT_MOST,
    outcome=Outcome.FAIL,
    observed=3.0,
    limit=2.0,
    unit="ms",
    provenance=MADE,
    cause=EVIL,
    remedy=EVIL,
)


def things() -> dict[str, object]:
    """Return one of everything that Python code meets, named by a stranger."""
    model = Model(name=EVIL, data=models.unet())
    pixel4 = profiles.load_all([profiles.shipped_folder()])["pixel4"]
    profile = replace(pixel4, name=EVIL, title=EVIL, soc=EVIL)
    target = replace(profiles.select({"pixel4": pixel4}, ["pixel4"])[0], profile=profile)
    size = Size(width_px=16, height_px=16)
    request = Request(target=target, verb=Verb.PLACE, model=model, size=size)
    record = Record(
        device=EVIL,
        delegate=EVIL,
        subject=EVIL,
        variant=EVIL,
        resolution="1x1",
        frame=EVIL,
        test=EVIL,
        verdict=VERDICT,
    )
    return {
        "Model": model,
        "Graph": model.graph,
        "Placement": PLACEMENT,
        "Estimate": ESTIMATE,
        "Latency": LATENCY,
        "Verdict": VERDICT,
        "Record": record,
        "Profile": profile,
        "Target": target,
        "Request": request,
        "Fact": Fact(request=request, answer=PLACEMENT),
        "Fact of an error": Fact(request=request, error=DeviceError(EVIL)),
        "Model that is none": Model(name=EVIL, data=b"no model"),
    }


@pytest.mark.parametrize("name", things())
def test_a_repr_is_one_short_printable_line(name: str) -> None:
    shown = repr(things()[name])

    assert shown.startswith(f"<{name.split()[0]} ")
    assert len(shown) < 200
    assert shown.isprintable()


def test_cases_and_plans_are_short_too(golden_dir: Path) -> None:
    plan = harness.plan(golden_dir, "pixel4")
    case = plan.cases[0]

    assert repr(plan) == "<Plan 2 cases, 0 withheld>"
    assert repr(case) == "<Case pixel4:nnapi-unet.fp32>"
    assert repr(case.subject) == "<Subject unet: 2 variants>"
    assert repr(case.variant) == "<Variant fp32: fp32.tflite>"
    assert repr(harness.connect("pixel4")) == "<Emulated pixel4:nnapi>"
    assert repr(case.by_size()[0]) == "<SizedCase pixel4:nnapi-unet.fp32-64x64>"
    assert repr(case.by_frame()[0]) == "<FrameCase pixel4:nnapi-unet.fp32-a>"


def test_reprs_say_what_matters() -> None:
    model = harness.inspect(Model(name="net.tflite", data=models.unet(size_px=32)), "pixel4:nnapi")

    assert repr(model.model).startswith("<Model net.tflite: 1x32x32x3, 16 ops, ")
    assert repr(model.placements["pixel4:nnapi"]) == (
        "<Placement 16 ops: 16 on qti-default; 1 partition [RULES]>"
    )
    assert repr(LATENCY) == "<Latency median 1 (0.9 to 1.1) ms, p95 2 ms, 50 runs [MODEL]>"
    assert repr(replace(ESTIMATE, absolute=False)) == (
        "<Estimate 1 (0.5 to 2) ms relative [MODEL]>"
    )


class Tags(html.parser.HTMLParser):
    """The tags and the text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.cells: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.cells.append(data)


@pytest.mark.parametrize("thing", [PLACEMENT, ESTIMATE, VERDICT], ids=lambda t: type(t).__name__)
def test_what_a_stranger_named_is_text_in_a_table(thing: Placement | Estimate | Verdict) -> None:
    page = Tags(thing._repr_html_())

    assert set(page.tags) == {"table", "caption", "thead", "tbody", "tr", "th", "td"}
    assert page.tags.count("tr") <= markup.ROWS_MAX + 1
    assert any("<script>" in cell for cell in page.cells)
    assert all(cell.isprintable() for cell in page.cells)


def test_a_placement_tells_units_by_letter_and_by_colour() -> None:
    page = PLACEMENT._repr_html_()

    marks = [cell for cell in Tags(page).cells if cell in "CX?A"]
    assert marks[:5] == ["C", "X", "?", "A", "A"]
    assert all(color in page for color in (markup.BLUE, markup.GREEN, markup.ORANGE, markup.GREY))
    assert "the first 200 of 500 rows" in page


def test_an_estimate_shows_the_most_costly_ops_first() -> None:
    shares = {"CONV_2D #1": 0.25, "CONV_2D #2": 0.5}

    cells = Tags(replace(ESTIMATE, shares=shares, basis="a fit")._repr_html_()).cells

    assert cells[0] == "1 (0.5 to 2) ms [MODEL], 90 % interval; a fit"
    assert cells[-8:] == ["E", "CONV_2D #2", "0.5", "50.0%", "E", "CONV_2D #1", "0.25", "25.0%"]


def test_a_table_has_a_row_for_each_row() -> None:
    rows = [Row(mark="a", color="#000000", cells=("1 < 2",))] * 3

    assert markup.table("t", ("h",), rows).count("1 &lt; 2") == 3
