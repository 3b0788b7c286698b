"""What the script of the page is given: cards, strips and frames as plain data."""

import json
from typing import Any

from harness.evidence import Evidence, Provenance
from harness.report.page import story
from harness.report.page.cells import Cell
from harness.report.page.charts import Chart
from harness.report.page.comparing import Changed
from harness.report.page.merging import Merged
from harness.report.page.pictures import Frame
from harness.report.page.strips import Strip
from harness.results import Record


def charted(chart: Chart) -> dict[str, Any]:
    """Return a chart as the page's script draws it, and its table."""
    return {
        "option": chart.option,
        "tables": [{"title": chart.title, "target": "", "head": chart.head, "rows": chart.rows}],
    }


def drawing(name: str, said: str, strip: Strip) -> dict[str, Any]:
    """Return a strip as the page's script draws it, and its table.

    Args:
        name: Subject and variant.
        said: What it is beside an earlier run, or ''.
        strip: The strip.
    """
    about = " ".join(filter(None, (strip.target, ", ".join(strip.resolutions), said)))
    return {
        "width": strip.width_px,
        "height": strip.height_px,
        "says": strip.summary,
        "crossings": strip.crossings,
        "blocks": [
            [block.x_px, block.width_px, block.letter, block.style, block.fallback, block.says]
            for block in strip.blocks
        ],
        "tables": [
            {
                "title": f"ops of {name} on {about}",
                "target": strip.target,
                "heading": about,
                "head": ("ops", "unit", "what", "why not elsewhere", "what would help"),
                "rows": [
                    (row.ops, row.unit, row.names, row.reason, row.remedy)
                    for row in strip.stretches
                ],
            }
        ],
    }


def viewed(frame: Frame) -> dict[str, Any]:
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
            if look.image is not None
        ],
    }


def filtered(cell: Cell, before: Changed | None = None) -> dict[str, Any]:
    """Return what the filter asks of a cell, and what it was in an earlier run."""
    return {
        "target": cell.target,
        "outcome": cell.outcome.value,
        "evidence": ground(cell.evidence),
        "gates": {gate: [o.value, ground(e)] for gate, (o, e) in cell.by_gate().items()},
        **({"turn": before.turn.value} if before else {}),
    }


class Cards:
    """The cards of cells as data; provenances that many rulings share are held once."""

    def __init__(self, merged: Merged) -> None:
        self._merged = merged
        self._numbers: dict[str, int] = {}
        self.provenances: list[list[list[str]]] = []

    def card(self, cell: Cell, before: Changed | None = None) -> dict[str, Any]:
        """Return what a cell's card shows.

        Args:
            cell: The cell.
            before: What it was in an earlier run.
        """
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
            "outcome": cell.outcome.value,
            "evidence": ground(cell.evidence),
            "command": story.command(worst, cell.target, run),
            "tests": list(tests),
            "verdicts": [self._row(record, tests[record.test]) for record in cell.records],
            "unrecorded": list(cell.unrecorded),
            **({"before": _before(before)} if before else {}),
        }

    def _row(self, record: Record, test: int) -> list[str | int]:
        verdict = record.verdict
        gate = verdict.gate + (f" ({record.frame})" if record.frame else "")
        return [
            verdict.outcome.value, gate, verdict.compared or f"{verdict.metric} unknown",
            verdict.cause, verdict.remedy, ground(verdict.evidence),
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


def _before(changed: Changed) -> str:
    """Return in one line what a cell was."""
    was = changed.was
    if was is None:
        return changed.turn.value
    gates = (f"{gate} {old.value} to {new.value}" for gate, old, new in changed.gates)
    parts = (f"{was.outcome.value}: {was.kind.words}", was.figures, *gates)
    return "; ".join(filter(None, parts))


def ground(evidence: Evidence | None) -> str:
    """Return the name of a kind of evidence, or that there is none."""
    return evidence.value if evidence else "no evidence"
