"""Draw the summary of a run as text: one table per device and subject, variants x gates."""

import io
from collections.abc import Iterable, Mapping, Sequence

from rich.box import HORIZONTALS
from rich.table import Table
from rich.text import Text

from harness import text
from harness.evidence import Evidence
from harness.metrics import HEADINGS, LATENCY_MS
from harness.report import ruling
from harness.report.console import open_console
from harness.report.page import story
from harness.report.page.cells import cells
from harness.results import Record
from harness.verdict import Outcome, Verdict, join

_STYLES = {Outcome.PASS: "green", Outcome.FAIL: "red", Outcome.INCONCLUSIVE: "yellow"}
_MARKS = {Outcome.PASS: "", Outcome.FAIL: "FAIL ", Outcome.INCONCLUSIVE: "? "}
"""What tells a ruling from a pass where there is no colour."""
_ESTIMATES = (Evidence.MODEL, Evidence.VENDOR_MODEL)
_NARROW = 100
"""Columns of a terminal below which long words get room for a line break."""
_ROWS_MAX = 4
"""Most rows that one line of the notes names; their table shows the others."""
_RANK = {Outcome.FAIL: 0, Outcome.INCONCLUSIVE: 1, Outcome.PASS: 2}


def summary(
    records: Sequence[Record],
    withheld: Mapping[tuple[str, str], Sequence[str]],
    *,
    unrecorded: Sequence[str] = (),
    width: int,
    color: bool,
) -> str:
    """Return the sentence that matters, the tables of a run, and what does not ship.

    Args:
        records: All rulings of the run.
        withheld: Variants that do not ship, by (target, reason).
        unrecorded: Planned tests of which nothing is known.
        width: Columns of the terminal.
        color: Whether to use terminal colours.
    """
    console = open_console(io.StringIO(), width=width, color=color)
    if records:
        console.print(Text(f"{story.headline(cells(records, unrecorded))}.", style="bold"))
    groups: dict[tuple[str, str, str], list[Record]] = {}
    for record in records:
        groups.setdefault((record.device, record.delegate, record.subject), []).append(record)
    for (device, delegate, subject), group in groups.items():
        title = f"{subject or 'tests'} on {device}:{delegate}"
        console.print(_table(title, group, narrow=width < _NARROW))
    for line in _notes(records, withheld):
        console.print(line)
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def change(
    *, against: str, unchanged: int, loosened: Sequence[str], new: Sequence[str]
) -> list[str]:
    """Return the lines on a change that come first: what it was judged against, what it loosens.

    Args:
        against: The revision or folder.
        unchanged: Variants on phones that do not differ.
        loosened: What the change made easier to pass.
        new: Subjects that this did not have.
    """
    same = (
        f"{text.counted(unchanged, 'case')} did not change and {'is' if unchanged == 1 else 'are'}"
    )
    lines = [f"Against {text.line(against)}: {same} not judged."]
    lines += [ruling.new_subjects(against, new)] if new else []
    if loosened:
        lines.append("This change makes it easier to pass:")
        lines += [f"  {text.line(one)}" for one in loosened]
    return lines


def _table(title: str, records: Sequence[Record], *, narrow: bool) -> Table:
    table = Table(
        title=title, title_justify="left", title_style="bold", box=HORIZONTALS,
        padding=0, show_edge=False,
    )  # fmt: skip
    table.add_column("variant", overflow="fold")
    gates = [name for name in HEADINGS if any(r.verdict.gate == name for r in records)]
    others = sorted({r.verdict.gate for r in records} - set(HEADINGS))
    for name in (*gates, *others):
        heading = HEADINGS[name].heading if name in HEADINGS else name
        table.add_column(heading, overflow="fold")
    table.add_column("verdict", overflow="fold")
    for (variant, resolution), row in _rows(records).items():
        cells = [
            _cell([r.verdict for r in row if r.verdict.gate == name], narrow=narrow)
            for name in (*gates, *others)
        ]
        table.add_row(f"{variant}\n{resolution}", *cells, _verdict(row, narrow=narrow))
    return table


def _rows(records: Sequence[Record]) -> dict[tuple[str, str], list[Record]]:
    """Return the records by variant and resolution; those about all sizes join every row."""
    rows: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        if record.resolution:
            rows.setdefault((record.variant, record.resolution), [])
    for record in records:
        keys = [
            key for key in rows if key[0] == record.variant and record.resolution in ("", key[1])
        ]
        for key in keys or [(record.variant, record.resolution)]:
            rows.setdefault(key, []).append(record)
    order = list(dict.fromkeys(record.variant for record in records))
    return dict(sorted(rows.items(), key=lambda item: (order.index(item[0][0]), _pixels(item[0]))))


def _pixels(key: tuple[str, str]) -> int:
    width, _, height = key[1].partition("x")
    return int(width) * int(height) if height else 0


def _ground(evidence: Evidence | None, *, narrow: bool) -> str:
    """Return how something is known, with room for a line break where columns are narrow."""
    if evidence is None:
        return "no evidence"
    return evidence.value.replace("+", " +") if narrow else evidence.value


def _cell(verdicts: Sequence[Verdict], *, narrow: bool) -> Text:
    """Return the worst ruling of a gate: value and limit, then outcome and evidence."""
    if not verdicts:
        return Text("-", style="dim")
    head = HEADINGS.get(verdicts[0].gate)
    usual = head.name if head else ""
    worst = min(verdicts, key=lambda v: (_RANK[v.outcome], v.metric != usual, _margin(v), v.metric))
    ground = _ground(worst.evidence, narrow=narrow)
    name = "" if worst.observed is None or worst.metric == usual else f"\n{worst.metric}"
    return Text(
        f"{_value(worst)}{name}\n{_MARKS[worst.outcome]}{ground}", style=_STYLES[worst.outcome]
    )


def _value(verdict: Verdict) -> str:
    if verdict.observed is None:
        return "error" if verdict.metric == "error" else "unknown"
    estimated = verdict.metric == LATENCY_MS.name and verdict.evidence in _ESTIMATES
    text = f"{'~' if estimated else ''}{verdict.observed:.3g}"
    if verdict.limit is not None:
        text += f"{verdict.sense.value}{verdict.limit:.3g}"
    return text


def _margin(verdict: Verdict) -> float:
    """Return how far inside its limit a value is, as a share of the limit; less is closer."""
    if verdict.observed is None or not verdict.limit:
        return float("inf")
    gap = (verdict.limit - verdict.observed) / abs(verdict.limit)
    return gap if verdict.sense.value == "<=" else -gap


def _verdict(records: Sequence[Record], *, narrow: bool) -> Text:
    outcome, finding, evidence = join([record.verdict for record in records])
    if any(record.verdict.metric == "error" for record in records):
        return Text("ERROR\nsee below", style="red")
    ground = f" {_ground(evidence, narrow=narrow)}" if evidence else ""
    return Text(f"{outcome.value}{ground}\n{finding.value}", style=_STYLES[outcome])


def _about(record: Record) -> str:
    """Return what a record is about, `deblur_unet.fp32 on pixel4:nnapi at 256x256`."""
    name = ".".join(filter(None, (record.subject, record.variant))) or "a test"
    at = f" at {record.resolution}" if record.resolution else ""
    return f"{name} on {record.device}:{record.delegate}{at}"


def _notes(
    records: Sequence[Record], withheld: Mapping[tuple[str, str], Sequence[str]]
) -> Iterable[Text]:
    questions: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        verdict = record.verdict
        if verdict.outcome is Outcome.INCONCLUSIVE and verdict.metric != "error":
            questions.setdefault((verdict.gate, verdict.because), []).append(record)
    for (gate, because), found in questions.items():
        rows = dict.fromkeys(_about(record) for record in found)
        shown = ", ".join(list(rows)[:_ROWS_MAX])
        more = f" and {len(rows) - _ROWS_MAX} more" if len(rows) > _ROWS_MAX else ""
        metrics = dict.fromkeys(r.verdict.metric for r in found)
        yield Text(
            f"INCONCLUSIVE {shown}{more}: {gate} ({', '.join(metrics)}): {because}",
            style="yellow",
        )
    for line in ruling.worse_and_allowed(records):
        yield Text(f"Worse, and allowed: {text.line(line)}", style="yellow")
    provenances = (record.verdict.provenance for record in records)
    for note in dict.fromkeys(p.note for p in provenances if p is not None and p.note):
        yield Text(f"Note: {note}", style="dim")
    for (target, because), variants in withheld.items():
        line = f"Not shipped to {target}: {', '.join(variants)} - {because}"
        yield Text(text.line(line), style="dim")
