"""The page itself: template, styles, script and data in one file under a strict policy."""

import base64
import gzip
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from harness import text
from harness.errors import HarnessError
from harness.history.entries import RunEntry
from harness.keys import Key
from harness.report.page import compression, data, story
from harness.report.page.cells import Cell, Class, cells
from harness.report.page.charts import Chart
from harness.report.page.comparing import CellComparison, Stack, compare, stacks
from harness.report.page.gains import Gain, gains
from harness.report.page.growths import growths
from harness.report.page.merging import Merged, merge
from harness.report.page.pictures import ERROR_WHITE, Gallery, gallery
from harness.report.page.placements import placements, spills
from harness.report.page.planes import planes
from harness.report.page.strips import Strip, strips
from harness.report.page.timings import timings
from harness.report.page.trends import Trends, given, trends
from harness.results import Results
from harness.verdict import Outcome

_CHANGES_SHOWN = 100
"""Most changed cells that the page lists above the matrix."""
_EFFECTS_SHOWN = 5
"""Most lines of one effect of a change that are shown without asking for more."""
_PACKED_FROM = 1_000_000
"""Characters from which a part of the page's data is packed."""
_NEVER_PACKED = ("cells", "images")
"""Parts that are read at once, or that packing makes no smaller."""


def write(
    results: Sequence[Results],
    path: Path,
    *,
    against: Sequence[Results] = (),
    past: Sequence[RunEntry] = (),
    golden_dir: Path = Path("golden"),
    whole: bool = False,
) -> None:
    """Write the page of runs to a file.

    Args:
        results: At least one run.
        path: The file.
        against: Earlier runs; the page says what changed since.
        past: The runs of a history, for sparklines of each number.
        golden_dir: Folder of the subjects, for the images that outputs are shown beside.
        whole: Whether to scale no image, however large the page becomes.

    Raises:
        ConfigError: a fact's fields are not those of its kind.
        HarnessError: the file cannot be written.
    """
    page = render(results, against=against, past=past, golden_dir=golden_dir, whole=whole)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise HarnessError(f"{path}: cannot be written ({error.strerror})") from None


def render(
    results: Sequence[Results],
    *,
    against: Sequence[Results] = (),
    past: Sequence[RunEntry] = (),
    golden_dir: Path = Path("golden"),
    whole: bool = False,
) -> str:
    """Return the page of one or several runs.

    Args:
        results: At least one run; of two rulings of one test the newer counts.
        against: As for `write`.
        past: Likewise.
        golden_dir: Likewise.
        whole: Likewise.

    Raises:
        ConfigError: a fact's fields are not those of its kind.
    """
    merged = merge(results)
    found = cells(merged.records, merged.unrecorded)
    comparison = compare(found, against) if against else None
    shown = gallery(merged, golden_dir, whole=whole)
    drawn = _draw(merged, comparison, shown, golden_dir)
    missing = story.missing(results)
    units = story.units(placements(merged.facts))
    said = (
        story.change_headline(comparison, found, units)
        if comparison
        else story.headline(found, units)
    )
    over_time = trends(results, past) if past else None
    styles = Markup(_static("page.css"))
    scripts = [Markup(_static(name)) for name in ("echarts.common.min.js", "page.js")]
    return _environment().get_template("page.html.j2").render(
        merged=merged,
        comparison=comparison,
        changes_shown=_CHANGES_SHOWN,
        headline=story.partial_headline(said, found, missing),
        cautions=story.cautions(results, merged, missing),
        effects=story.effects(results),
        effects_shown=_EFFECTS_SHOWN,
        about_change=story.about_change(results),
        missing=missing,
        strength=story.strength(merged.records),
        ground=story.ground(merged.records),
        cells=found,
        classes=_classes(found, comparison),
        matrix=_matrix(found, merged, comparison),
        targets=list(dict.fromkeys(cell.target for cell in found)),
        known_by=data.ground,
        gates=list(dict.fromkeys(record.verdict.gate for record in merged.records)),
        counts=_counts(merged),
        failures=story.failures(merged, drawn.gains),
        drawn=drawn,
        trends=over_time,
        gallery=shown,
        error_white=ERROR_WHITE,
        styles=styles,
        scripts=scripts,
        policy=policy(styles=[styles], scripts=scripts),
        parts=[
            _part(name, part)
            for name, part in _given(found, merged, comparison, drawn, shown, over_time).items()
        ],
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class _Drawn:
    """The drawings of a page.

    Attributes:
        planes: Quality against latency.
        growths: Latency against resolution.
        stacks: Placement strips.
        compression: What each variant saves, and what it costs.
        gains: What a remedy for fallbacks can gain.
    """

    planes: tuple[Chart, ...]
    growths: tuple[Chart, ...]
    stacks: tuple[Stack, ...]
    compression: tuple[compression.CompressionRow, ...]
    gains: Mapping[Key, Gain]

    @property
    def variants(self) -> tuple[str, ...]:
        """Return the variants that the rows of compression have, each once."""
        return tuple(dict.fromkeys(name for row in self.compression for name in row.variants))

    @property
    def charts(self) -> tuple[Chart, ...]:
        """Return all charts in the order of their numbers."""
        return (*self.planes, *self.growths)

    @property
    def strips(self) -> tuple[Strip, ...]:
        """Return all strips in the order of their numbers."""
        return tuple(strip for stack in self.stacks for _, strip in stack.strips)


def _draw(
    merged: Merged, comparison: CellComparison | None, shown: Gallery, golden_dir: Path
) -> _Drawn:
    timed = timings(merged.facts)
    placed = placements(merged.facts)
    return _Drawn(
        planes=planes(merged, timed, comparison),
        growths=growths(merged, timed, placed, spills(merged.facts)),
        stacks=stacks(strips(placed, timed), comparison),
        compression=compression.rows(merged, timed, shown.frames, golden_dir),
        gains=gains(timed, placed),
    )


def _given(
    found: Sequence[Cell],
    merged: Merged,
    comparison: CellComparison | None,
    drawn: _Drawn,
    shown: Gallery,
    over_time: Trends | None,
) -> dict[str, Any]:
    """Return what the script of the page is given, in parts that it reads when it needs them."""
    cards = data.Cards(merged)
    before = comparison.by_number if comparison else {}
    asked = [data.filtered(cell, before.get(at)) for at, cell in enumerate(found)]
    opened = [cards.card(cell, before.get(at)) for at, cell in enumerate(found)]
    return {
        "cells": asked,
        "cards": {"cards": opened, "provenances": cards.provenances},
        "charts": [data.charted(chart) for chart in drawn.charts],
        "strips": [
            data.drawing(stack.name, said, strip)
            for stack in drawn.stacks
            for said, strip in stack.strips
        ],
        "frames": [data.viewed(frame) for frame in shown.frames],
        "images": [Markup(image) for image in shown.images],
        **({"trends": given(over_time)} if over_time else {}),
    }


@dataclass(frozen=True, kw_only=True)
class _Part:
    """A part of what the script of the page is given, as it stands in a script element.

    Attributes:
        name: Its name.
        type: `application/json`, or `application/gzip` where it is packed, in base64.
        text: What the element holds.
    """

    name: str
    type: str
    text: Markup


def _part(name: str, given: object) -> _Part:
    """Return a part; a long one is packed, unless it is images, which are packed already."""
    text = _json(given)
    if len(text) < _PACKED_FROM or name in _NEVER_PACKED:
        return _Part(name=name, type="application/json", text=Markup(text))
    packed = gzip.compress(text.encode(), mtime=0)
    held = Markup(base64.b64encode(packed).decode())
    return _Part(name=name, type="application/gzip", text=held)


def _classes(found: Sequence[Cell], comparison: CellComparison | None) -> list[Class]:
    """Return the classes of cells now and before, in the order of their legend."""
    earlier = [one.was for one in comparison.news if one.was] if comparison else []
    kinds = {cell.kind for cell in (*found, *earlier)}
    return [kind for kind in Class if kind in kinds]


def policy(*, styles: Sequence[str], scripts: Sequence[str]) -> str:
    """Return a Content-Security-Policy that lets these run, by hash, and nothing else."""
    return (
        f"default-src 'none'; script-src {_hashes(scripts)}; style-src {_hashes(styles)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _hashes(parts: Sequence[str]) -> str:
    digests = (hashlib.sha256(part.encode()).digest() for part in parts)
    return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)


def _static(name: str) -> str:
    """Return a file of the package, as it may stand between two tags."""
    file = resources.files("harness.report.page") / "static" / name
    return file.read_text(encoding="utf-8")


def _environment() -> jinja2.Environment:
    """Return the templates; all that they show is escaped, printable and bounded."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("harness.report.page"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["counted"] = text.counted
    environment.filters["breakable"] = _breakable
    return environment


def _breakable(name: str) -> Markup:
    """Return a name in which a line may end after the subject."""
    return Markup("<wbr>").join(part for part in re.split(r"(?<=[._])", text.line(name)))


def _printable(value: object) -> object:
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return text.line(value)


def _json(given: object) -> str:
    """Return data for a script element: printable texts, and no character that could end it."""
    dumped = json.dumps(_cleaned(given), separators=(",", ":"), allow_nan=False)
    return dumped.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _cleaned(given: Any) -> Any:
    if isinstance(given, Markup):
        return str(given)  # of this package's own making, and longer than a line
    if isinstance(given, str):
        return text.line(given)
    if isinstance(given, Mapping):
        return {text.line(str(key)): _cleaned(value) for key, value in given.items()}
    if isinstance(given, (list, tuple)):
        return [_cleaned(value) for value in given]
    return given


def _counts(merged: Merged) -> dict[str, int]:
    outcomes = list(merged.outcomes().values())
    return {outcome.value: outcomes.count(outcome) for outcome in Outcome}


def _matrix(
    found: Sequence[Cell], merged: Merged, comparison: CellComparison | None
) -> dict[str, list[tuple[str, str, list[tuple[int, Cell] | str]]]]:
    """Return by subject rows of name, resolution and, for each phone, a cell or why there is none.

    Rows in which a cell changed come first, what is worse before the rest.
    """
    targets = list(dict.fromkeys(cell.target for cell in found))
    withheld = {(one.variant, one.target): one.because for one in merged.withheld}
    at = {(c.name, c.about.resolution, c.target): (i, c) for i, c in enumerate(found)}
    news = comparison.news if comparison else ()
    changed = [one.now for one in news if one.now]
    rows = {(cell.name, cell.about.resolution): cell.about.subject for cell in (*changed, *found)}
    blocks: dict[str, list[tuple[str, str, list[tuple[int, Cell] | str]]]] = {}
    for (name, resolution), subject in rows.items():
        row = [
            at.get((name, resolution, target), withheld.get((name, target), ""))
            for target in targets
        ]
        blocks.setdefault(subject, []).append((name, resolution, row))
    return blocks
