"""Tables of a summary: each variant at its worst resolution, or all resolutions and gates."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from rich.box import HORIZONTALS
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from harness.evidence import Evidence
from harness.metrics import HEADINGS, LATENCY_MS
from harness.report.page.cells import pixels
from harness.results import Record
from harness.verdict import (
    CHANGE,
    FALLBACK,
    FIDELITY,
    LATENCY,
    REGRESSION,
    Finding,
    Outcome,
    Verdict,
    join,
)

_Thing = TypeVar("_Thing")
_Key = TypeVar("_Key", bound=Hashable)
_STYLES = {Outcome.PASS: "green", Outcome.FAIL: "red", Outcome.INCONCLUSIVE: "yellow"}
_MARKS = {Outcome.PASS: "", Outcome.FAIL: "FAIL ", Outcome.INCONCLUSIVE: "? "}
"""What tells a ruling from a pass where there is no colour."""
_ESTIMATES = (Evidence.MODEL, Evidence.VENDOR_MODEL)
_NARROW = 100
"""Columns of a terminal below which long words get room for a line break."""
_RANK = {Outcome.FAIL: 0, Outcome.INCONCLUSIVE: 1, Outcome.PASS: 2}
_ALWAYS = (LATENCY, FALLBACK, FIDELITY)
"""Gates with a column even where all of them pass."""
_GRAVEST = (
    Finding.RESIDENT_BUT_WRONG, Finding.WRONG, Finding.FALLBACK, Finding.SLOW,
    Finding.COSTLY, Finding.LARGE,
)  # fmt: skip
_ACCEPTED = (REGRESSION, CHANGE)
"""Gates whose limit is what was before: how near they come says nothing of a budget."""
ERROR = "error"
"""Metric of a ruling that an error stands in for."""


def style_of(outcome: Outcome) -> str:
    """Return the colour of an outcome; its word is always beside it."""
    return _STYLES[outcome]


@dataclass(frozen=True, kw_only=True)
class _Row:
    """A variant at a resolution.

    Attributes:
        variant: Its name.
        target: Phone and delegate.
        resolution: The resolution, or ''.
        records: The rulings on it, those about all resolutions among them.
    """

    variant: str
    target: str
    resolution: str
    records: tuple[Record, ...]

    @property
    def outcome(self) -> Outcome:
        """Return the worst outcome."""
        return join(self._verdicts)[0]

    @property
    def finding(self) -> str:
        """Return the class of what was found, in words."""
        return "an error, see below" if self.broken else join(self._verdicts)[1].value

    @property
    def evidence(self) -> Evidence | None:
        """Return the weakest evidence that it rests on."""
        return join(self._verdicts)[2]

    @property
    def broken(self) -> bool:
        """Return whether an error kept a gate from ruling."""
        return any(record.verdict.metric == ERROR for record in self.records)

    @property
    def badness(self) -> tuple[int, int, int, float]:
        """Return what sorts rows, the worst first: outcome, class, how many fail, margin."""
        outcome, finding, _ = join(self._verdicts)
        broken = sum(verdict.outcome is not Outcome.PASS for verdict in self._verdicts)
        judged = [v for v in self._verdicts if v.gate not in _ACCEPTED]
        closest = min(map(_margin, judged), default=float("inf"))
        gravity = _GRAVEST.index(finding) if finding in _GRAVEST else len(_GRAVEST)
        return _RANK[outcome], gravity, -broken, closest

    @property
    def _verdicts(self) -> list[Verdict]:
        return [record.verdict for record in self.records]

    def worst(self, gate: str) -> Verdict | None:
        """Return the worst ruling of a gate, or None where it did not rule."""
        head = HEADINGS.get(gate)
        usual = head.name if head else ""
        return min(
            (verdict for verdict in self._verdicts if verdict.gate == gate),
            key=lambda v: (_RANK[v.outcome], v.metric != usual, _margin(v), v.metric),
            default=None,
        )


def brief(records: Sequence[Record], *, width: int) -> Iterator[RenderableType]:
    """Yield a table for each subject: a line for each variant, at its worst resolution.

    What is equal is said once: evidence that a whole column shares is in its heading, gates that
    all pass are in a line below, and phones and variants that differ in nothing share a line.

    Args:
        records: The rulings of a run.
        width: Columns of the terminal.
    """
    for subject, found in _grouped(records, lambda record: record.subject).items():
        yield from _brief(subject or "tests", _rows(found), narrow=width < _NARROW)


def details(records: Sequence[Record], *, width: int) -> Iterator[RenderableType]:
    """Yield a table for each subject on each phone: every resolution, the worst of every gate.

    Args:
        records: The rulings of a run.
        width: Columns of the terminal.
    """
    narrow = width < _NARROW
    for (subject, target), found in _grouped(records, lambda r: (r.subject, _target(r))).items():
        rows = _rows(found)
        gates = _gates(rows)
        yield Text(f"{subject or 'tests'} on {target}", style="bold")
        table = _table()
        for heading in ("variant", *map(_heading, gates), "verdict"):
            table.add_column(heading, overflow="fold")
        for row in rows:
            cells = [_cell(row.worst(gate), narrow=narrow) for gate in gates]
            table.add_row(f"{row.variant}\n{row.resolution}", *cells, _verdict(row, narrow=narrow))
        yield table


def _brief(subject: str, found: Sequence[_Row], *, narrow: bool) -> Iterator[RenderableType]:
    sizes = _grouped(found, lambda row: (row.variant, row.target))
    rows = [min(of_one, key=lambda row: row.badness) for of_one in sizes.values()]
    gates = _gates(rows)
    shown = [g for g in gates if g in _ALWAYS or any(_fails(row, g) for row in rows)]
    shared = {gate: _shared_evidence(rows, gate) for gate in shown}
    phones = list(dict.fromkeys(row.target for row in rows))
    findings = {row.finding for row in rows}
    title = f"{subject} on {phones[0] if len(phones) == 1 else f'{len(phones)} phones'}"
    yield Text(f"{title}: {rows[0].finding}" if len(findings) == 1 else title, style="bold")
    table = _table()
    headings = [f"{_heading(gate)}\n{shared[gate]}".strip() for gate in shown]
    apart = len(phones) > 1 and not narrow
    wanted = {"phone": apart, "finding": len(findings) > 1}
    for heading in ("verdict", "variant", "phone", "worst at", *headings, "finding"):
        if wanted.get(heading, True):
            table.add_column(heading, overflow="fold")
    lines = []
    for row in rows:
        where = Text(_where(row, sizes[row.variant, row.target]))
        cells = [_brief_cell(row, g, alone=bool(shared[g]), narrow=narrow) for g in shown]
        last = [Text(row.finding, style=_STYLES[row.outcome])] if len(findings) > 1 else []
        lines.append(_Line(row.variant, row.target, (_word(row), where, *cells, *last)))
    for line in _folded(lines):
        word, *others = line.cells
        names = [line.variant, line.phone] if len(phones) > 1 else [line.variant]
        below = [Text("\n".join(names))]  # where there is no room for a column of phones
        table.add_row(word, *([Text(name) for name in names] if apart else below), *others)
    yield table
    yield from _kept(rows, [gate for gate in gates if gate not in shown])


@dataclass(frozen=True)
class _Line:
    """A line of a brief table; variants or phones that share it are separated by commas."""

    variant: str
    phone: str
    cells: tuple[Text, ...]

    @property
    def said(self) -> str:
        """Return its cells as plain text."""
        return "\n".join(cell.plain for cell in self.cells)


def _folded(lines: Sequence[_Line]) -> list[_Line]:
    """Return lines with those that differ in the phone alone, then in the variant alone, as one."""
    by_phone = _grouped(lines, lambda line: (line.variant, line.said))
    lines = [
        replace(alike[0], phone=", ".join(line.phone for line in alike))
        for alike in by_phone.values()
    ]
    by_variant = _grouped(lines, lambda line: (line.phone, line.said))
    return [
        replace(alike[0], variant=", ".join(line.variant for line in alike))
        for alike in by_variant.values()
    ]


def _grouped(things: Iterable[_Thing], key: Callable[[_Thing], _Key]) -> dict[_Key, list[_Thing]]:
    """Return things by a key of theirs, in the order in which keys come."""
    groups: dict[_Key, list[_Thing]] = {}
    for thing in things:
        groups.setdefault(key(thing), []).append(thing)
    return groups


def _target(record: Record) -> str:
    return f"{record.device}:{record.delegate}"


def _table() -> Table:
    return Table(box=HORIZONTALS, padding=0, show_edge=False)


def _gates(rows: Sequence[_Row]) -> list[str]:
    """Return the gates that ruled, in the order of their columns."""
    ruled = {record.verdict.gate for row in rows for record in row.records}
    return [*(name for name in HEADINGS if name in ruled), *sorted(ruled - set(HEADINGS))]


def _heading(gate: str) -> str:
    return HEADINGS[gate].heading if gate in HEADINGS else gate


def _rows(records: Sequence[Record]) -> list[_Row]:
    """Return the rows; what is about all resolutions of a variant joins each of them."""
    rows = []
    for (variant, target), found in _grouped(records, lambda r: (r.variant, _target(r))).items():
        sizes = {record.resolution for record in found if record.resolution}
        for size in sorted(sizes, key=pixels) or [""]:
            about = tuple(record for record in found if record.resolution in ("", size))
            rows.append(_Row(variant=variant, target=target, resolution=size, records=about))
    return rows


def _fails(row: _Row, gate: str) -> bool:
    worst = row.worst(gate)
    return worst is not None and worst.outcome is not Outcome.PASS


def _shared_evidence(rows: Sequence[_Row], gate: str) -> str:
    """Return the evidence that all rulings of a gate rest on, or '' where they differ."""
    rulings = [worst for row in rows if (worst := row.worst(gate)) is not None]
    kinds = {_ground(ruling.evidence) for ruling in rulings}
    return kinds.pop() if len(kinds) == 1 else ""


def _word(row: _Row) -> Text:
    return (
        Text("ERROR", style="red")
        if row.broken
        else Text(row.outcome.value, style=_STYLES[row.outcome])
    )


def _where(row: _Row, sizes: Sequence[_Row]) -> str:
    """Return the resolution of a row, and how many of its variant's rule as it does."""
    alike = sum(one.outcome is row.outcome for one in sizes)
    if row.outcome is Outcome.PASS or len(sizes) == 1:
        return row.resolution
    return f"{row.resolution}, {alike} of {len(sizes)}"


def _brief_cell(row: _Row, gate: str, *, alone: bool, narrow: bool) -> Text:
    """Return value and limit on one line; the evidence where the heading does not have it."""
    worst = row.worst(gate)
    if worst is None:
        return Text("-", style="dim")
    head = HEADINGS.get(gate)
    other = worst.observed is not None and head is not None and worst.metric != head.name
    name = f"{worst.metric} " if other else ""
    break_or_blank = "\n" if narrow else " "
    ground = "" if alone else f"{break_or_blank}{_ground(worst.evidence, narrow=narrow)}"
    said = f"{_MARKS[worst.outcome]}{name}{_value(worst)}{ground}"
    return Text(said, style=_STYLES[worst.outcome])


def _kept(rows: Sequence[_Row], gates: Sequence[str]) -> Iterator[Text]:
    """Yield a line on the gates that have no column because all of them pass."""
    if gates:
        grounds = (_shared_evidence(rows, gate) or "several kinds of evidence" for gate in gates)
        said = ", ".join(f"{g} ({ground})" for g, ground in zip(gates, grounds, strict=True))
        yield Text(f"Also kept by all: {said}", style="dim")


def _ground(evidence: Evidence | None, *, narrow: bool = False) -> str:
    """Return how something is known, with room for a line break where columns are narrow."""
    if evidence is None:
        return "no evidence"
    return evidence.value.replace("+", " +") if narrow else evidence.value


def _cell(worst: Verdict | None, *, narrow: bool) -> Text:
    """Return the worst ruling of a gate: value and limit, then outcome and evidence."""
    if worst is None:
        return Text("-", style="dim")
    head = HEADINGS.get(worst.gate)
    usual = head.name if head else ""
    ground = _ground(worst.evidence, narrow=narrow)
    name = "" if worst.observed is None or worst.metric == usual else f"\n{worst.metric}"
    return Text(
        f"{_value(worst)}{name}\n{_MARKS[worst.outcome]}{ground}", style=_STYLES[worst.outcome]
    )


def _value(verdict: Verdict) -> str:
    if verdict.observed is None:
        return "error" if verdict.metric == ERROR else "unknown"
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


def _verdict(row: _Row, *, narrow: bool) -> Text:
    if row.broken:
        return Text("ERROR\nsee below", style="red")
    ground = f" {_ground(row.evidence, narrow=narrow)}" if row.evidence else ""
    return Text(f"{row.outcome.value}{ground}\n{row.finding}", style=_STYLES[row.outcome])
