"""The page itself: template, styles, script and data in one file under a strict policy."""

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from harness import text
from harness.errors import HarnessError
from harness.evidence import Evidence, Provenance
from harness.report.page import charts, story
from harness.report.page.cells import Cell, Class, cells
from harness.report.page.merging import Merged, merge
from harness.report.page.pictures import ERROR_WHITE, Frame, gallery
from harness.report.page.strips import Strip, strips
from harness.report.page.timings import timings
from harness.results import Record, Results
from harness.verdict import Outcome


def write(
    results: Sequence[Results],
    path: Path,
    *,
    golden_dir: Path = Path("golden"),
    whole: bool = False,
) -> None:
    """Write the page of runs to a file.

    Args:
        results: At least one run.
        path: The file.
        golden_dir: Folder of the subjects, for the images that outputs are shown beside.
        whole: Whether to scale no image, however large the page becomes.

    Raises:
        ConfigError: a fact's fields are not those of its kind.
        HarnessError: the file cannot be written.
    """
    page = render(results, golden_dir=golden_dir, whole=whole)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise HarnessError(f"{path}: cannot be written ({error.strerror})") from None


def render(
    results: Sequence[Results], *, golden_dir: Path = Path("golden"), whole: bool = False
) -> str:
    """Return the page of one or several runs.

    Args:
        results: At least one run; of two rulings of one test the newer counts.
        golden_dir: As for `write`.
        whole: Likewise.

    Raises:
        ConfigError: a fact's fields are not those of its kind.
    """
    merged = merge(results)
    found = cells(merged.records, merged.unrecorded)
    timed = timings(merged.facts)
    planes = charts.planes(merged, timed)
    growths = charts.by_resolution(merged, timed)
    placed = strips(merged.facts, timed)
    shown = gallery(merged, golden_dir, whole=whole)
    cards = _Cards(merged)
    data = {
        "cells": [cards.card(cell) for cell in found],
        "provenances": cards.provenances,
        "charts": [chart.option for chart in (*planes, *growths)],
        "strips": [_drawing(strip) for strip in placed],
        "frames": [_viewed(frame) for frame in shown.frames],
    }
    styles = Markup(_static("page.css"))
    scripts = [Markup(_static(name)) for name in ("echarts.common.min.js", "page.js")]
    return _environment().get_template("page.html.j2").render(
        merged=merged,
        headline=story.headline(found),
        strength=story.strength(merged.records),
        ground=story.ground(merged.records),
        cells=found,
        classes=[kind for kind in Class if any(cell.kind is kind for cell in found)],
        matrix=_matrix(found, merged),
        targets=list(dict.fromkeys(cell.target for cell in found)),
        known_by=_ground,
        gates=list(dict.fromkeys(record.verdict.gate for record in merged.records)),
        counts=_counts(merged),
        failures=story.failures(merged),
        planes=planes,
        growths=growths,
        strips=placed,
        gallery=shown,
        error_white=ERROR_WHITE,
        styles=styles,
        scripts=scripts,
        policy=policy(styles=[styles], scripts=scripts),
        data=Markup(_json(data)),
        images=Markup(_json([Markup(image) for image in shown.images])),
    )  # fmt: skip


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


def _json(data: object) -> str:
    """Return data for a script element: printable texts, and no character that could end it."""
    dumped = json.dumps(_cleaned(data), separators=(",", ":"), allow_nan=False)
    return dumped.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _cleaned(data: Any) -> Any:
    if isinstance(data, Markup):
        return str(data)  # of this package's own making, and longer than a line
    if isinstance(data, str):
        return text.line(data)
    if isinstance(data, Mapping):
        return {text.line(str(key)): _cleaned(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_cleaned(value) for value in data]
    return data


def _counts(merged: Merged) -> dict[str, int]:
    outcomes = list(merged.outcomes().values())
    return {outcome.value: outcomes.count(outcome) for outcome in Outcome}


def _matrix(
    found: Sequence[Cell], merged: Merged
) -> list[tuple[str, str, list[tuple[int, Cell] | str]]]:
    """Return rows of name, resolution and, for each phone, a numbered cell or why there is none."""
    targets = list(dict.fromkeys(cell.target for cell in found))
    withheld = {(one.variant, one.target): one.because for one in merged.withheld}
    at = {(c.name, c.about.resolution, c.target): (i, c) for i, c in enumerate(found)}
    rows = dict.fromkeys((cell.name, cell.about.resolution) for cell in found)
    return [
        (
            name,
            resolution,
            [
                at.get((name, resolution, target), withheld.get((name, target), ""))
                for target in targets
            ],
        )
        for name, resolution in rows
    ]


def _drawing(strip: Strip) -> dict[str, Any]:
    """Return a strip as the page's script draws it."""
    return {
        "width": strip.width_px,
        "height": strip.height_px,
        "says": strip.summary,
        "crossings": strip.crossings,
        "blocks": [
            [block.x_px, block.width_px, block.letter, block.style, block.fallback, block.says]
            for block in strip.blocks
        ],
    }


def _viewed(frame: Frame) -> dict[str, Any]:
    """Return a frame as the page's script shows it."""
    return {
        "title": f"{frame.subject} {frame.name}",
        "given": frame.degraded,
        "fp32": frame.fp32,
        "reference": "FP32" if frame.of_fp32 else "first output",
        "sharp": frame.sharp,
        "looks": [
            {
                "name": f"{look.variant} on {', '.join(look.targets)}",
                "image": look.image,
                "error": look.error,
                "tile": look.worst_tile,
                "figures": look.figures,
                "sharp": look.to_sharp,
            }
            for look in frame.looks
        ],
    }


class _Cards:
    """The cards of cells as data; provenances that many rulings share are held once."""

    def __init__(self, merged: Merged) -> None:
        self._merged = merged
        self._numbers: dict[str, int] = {}
        self.provenances: list[list[list[str]]] = []

    def card(self, cell: Cell) -> dict[str, Any]:
        first = cell.records[0].test if cell.records else cell.unrecorded[0]
        worst = next((r.test for r in cell.records if r.verdict.outcome is cell.outcome), first)
        run = self._merged.run_of[worst]
        names = dict.fromkeys(record.test for record in cell.records)
        tests = {name: number for number, name in enumerate(names)}
        return {
            "title": f"{cell.name} on {cell.target}",
            "at": cell.about.resolution,
            "kind": cell.kind.name,
            "letter": cell.kind.letter,
            "words": cell.kind.words,
            "target": cell.target,
            "outcome": cell.outcome.value,
            "evidence": _ground(cell.evidence),
            "gates": {gate: [o.value, _ground(e)] for gate, (o, e) in cell.by_gate().items()},
            "command": story.command(worst, cell.target, run),
            "tests": list(tests),
            "verdicts": [self._row(record, tests[record.test]) for record in cell.records],
            "unrecorded": list(cell.unrecorded),
        }

    def _row(self, record: Record, test: int) -> list[str | int]:
        verdict = record.verdict
        gate = verdict.gate + (f" ({record.frame})" if record.frame else "")
        return [
            verdict.outcome.value, gate, verdict.compared or f"{verdict.metric} unknown",
            verdict.cause, verdict.remedy, _ground(verdict.evidence),
            self._number(verdict.provenance), test,
        ]  # fmt: skip

    def _number(self, provenance: Provenance | None) -> int:
        """Return the number of a provenance among those held."""
        pairs: list[list[str]] = []
        if provenance is not None:
            pairs += [
                ["evidence", provenance.evidence.value],
                ["device", provenance.device],
                ["file SHA-256", provenance.variant_sha256],
                *([name, version] for name, version in provenance.runtime.items()),
                ["harness", provenance.harness_version],
                ["commit", provenance.git_commit or "not known"],
                ["taken", provenance.time_utc],
                *([name, str(value)] for name, value in provenance.device_state.items()),
                ["note", provenance.note],
            ]
        pairs = [pair for pair in pairs if pair[1]]
        key = json.dumps(pairs)
        if key not in self._numbers:
            self._numbers[key] = len(self.provenances)
            self.provenances.append(pairs)
        return self._numbers[key]


def _ground(evidence: Evidence | None) -> str:
    return evidence.value if evidence else "no evidence"
