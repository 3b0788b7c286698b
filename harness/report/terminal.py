"""Draw the summary of a run as text: the verdict, a line for each variant, what is lacking."""

import io
from collections.abc import Iterator, Mapping, Sequence

from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from harness import text
from harness.report import lacking, ruling, tables
from harness.report.console import open_console
from harness.report.lacking import Group, Reason
from harness.report.page import story
from harness.report.page.cells import cells
from harness.results import Planned, Record
from harness.verdict import Outcome, worst

_NAMED = 4
_REASONS = 2
"""Most things that a line names and most reasons of one lack without `-v`; others are counted."""
_INDENT = (0, 0, 0, 2)


def summary(
    records: Sequence[Record],
    withheld: Mapping[tuple[str, str], Sequence[str]],
    *,
    unrecorded: Sequence[str] = (),
    command: Sequence[str] = (),
    detailed: bool = False,
    width: int,
    color: bool,
) -> str:
    """Return the verdict, the tables of a run, what is lacking, and what does not ship.

    Args:
        records: All rulings of the run.
        withheld: Variants that do not ship, by (target, reason).
        unrecorded: Planned tests of which nothing is known.
        command: What was typed, `pytest` first.
        detailed: Whether to show every resolution and gate, and to name all that is counted.
        width: Columns of the terminal.
        color: Whether to use terminal colours.
    """
    console = open_console(io.StringIO(), width=width, color=color)
    if records:
        console.print(_headline(records, unrecorded))
    draw = tables.details if detailed else tables.brief
    for drawn in draw(records, width=width):
        console.print(drawn)
    named = None if detailed else _NAMED
    for group in lacking.groups(records, command):
        for line in _lack(group, named):
            console.print(line)
        if group.command:  # on one line, however long, so that it can be copied
            console.print(Text(f"    {group.command}", style="bold"), soft_wrap=True)
    style = tables.style_of(Outcome.INCONCLUSIVE)
    for line in ruling.accepted(records):
        console.print(Text(f"Let stay: {text.line(line)}", style=style))
    for line in ruling.worse_and_allowed(records):
        console.print(Text(f"Worse, and allowed: {text.line(line)}", style=style))
    for line in (*_notes(records), *_unshipped(withheld, named)):
        console.print(line)
    if records and not detailed:
        console.print(Text("-v shows every resolution and gate.", style="dim"))
    file = console.file
    assert isinstance(file, io.StringIO)
    return "".join(f"{line.rstrip()}\n" for line in file.getvalue().splitlines())


def change(plan: Planned) -> list[str]:
    """Return the lines on a change that come first: what it was judged against, what it did.

    Args:
        plan: What is said of it.
    """
    lines = [ruling.judged_against(plan)]
    lines += [ruling.new_subjects(plan.against, plan.new)] if plan.new else []
    for heading, told in ruling.effects_of([plan]).items():
        lines.append(f"{heading}:")
        lines += [f"  {text.line(one)}" for one in told]
    lines += [text.line(plan.uncompared)] if plan.uncompared else []
    return lines


def _headline(records: Sequence[Record], unrecorded: Sequence[str]) -> Text:
    """Return the outcome of the run in one word, and the sentence that matters."""
    outcomes = [record.verdict.outcome for record in records]
    outcome = worst([*outcomes, *(Outcome.INCONCLUSIVE for _ in unrecorded)])
    broken = any(record.verdict.metric == tables.ERROR for record in records)
    word = "ERROR" if broken and outcome is not Outcome.FAIL else outcome.value
    style = "red" if broken else tables.style_of(outcome)
    said = story.headline(cells(records, unrecorded))
    return Text.assemble((word, f"bold {style}"), (f": {said}.", "bold"))


def _lack(group: Group, named: int | None) -> Iterator[RenderableType]:
    """Yield what INCONCLUSIVE rulings lack, why, and what adds it."""
    style = tables.style_of(Outcome.INCONCLUSIVE)
    yield Text(group.title, style=style)
    shown = group.reasons if named is None else group.reasons[:_REASONS]
    for reason in shown:
        yield Padding(Text(_why(reason, named), style=style), _INDENT)
    if len(group.reasons) > len(shown):
        more = text.counted(len(group.reasons) - len(shown), "more reason")
        yield Padding(Text(f"and {more}", style=style), _INDENT)
    if group.remedy:
        yield Padding(Text(f"{group.remedy}{':' if group.command else ''}"), _INDENT)


def _why(reason: Reason, named: int | None) -> str:
    metrics = ", ".join(reason.metrics)
    what = reason.gate if reason.because.startswith(metrics) else f"{reason.gate} ({metrics})"
    return f"{_some(reason.places, named)}: {what}: {reason.because}"


def _some(names: Sequence[str], named: int | None) -> str:
    """Return names, those beyond a number counted."""
    shown = names[:named]
    more = f" and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
    return f"{', '.join(shown)}{more}"


def _notes(records: Sequence[Record]) -> Iterator[Text]:
    """Yield what is to be known of the evidence, each clause once."""
    provenances = (record.verdict.provenance for record in records)
    notes = (p.note for p in provenances if p is not None and p.note)
    clauses = dict.fromkeys(clause for note in notes for clause in note.split("; "))
    if clauses:
        yield Text(f"Note: {'; '.join(clauses)}", style="dim")


def _unshipped(
    withheld: Mapping[tuple[str, str], Sequence[str]], named: int | None
) -> Iterator[Text]:
    """Yield what does not ship and why, phones of which the same is true together."""
    alike: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (target, because), variants in withheld.items():
        alike.setdefault((because, tuple(variants)), []).append(target)
    for (because, variants), targets in alike.items():
        line = f"Not shipped to {_some(targets, named)}: {_some(variants, named)} - {because}"
        yield Text(text.line(line), style="dim")
