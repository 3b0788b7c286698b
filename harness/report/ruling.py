"""What a whole run ruled, in one word and one sentence."""

from collections.abc import Sequence
from dataclasses import dataclass

from harness import text
from harness.results import Record, Results
from harness.text import counted
from harness.verdict import Change, Outcome

_SHARDS = 8
_WORST_FIRST = (Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.PASS)


@dataclass(frozen=True, kw_only=True)
class Ruling:
    """The ruling of a run.

    Attributes:
        outcome: PASS, FAIL or INCONCLUSIVE.
        sentence: What broke or lacks, or that nothing did.
    """

    outcome: Outcome
    sentence: str


def where(record: Record) -> str:
    """Return what a record is about, such as `net.fp32 on pixel4:nnapi at 64x64`."""
    name = ".".join(filter(None, (record.subject, record.variant)))
    size = f" at {record.resolution}" if record.resolution else ""
    frame = f" on {record.frame}" if record.frame else ""
    return f"{name} on {record.device}:{record.delegate}{size}{frame}"


def lost_shards(missing: Sequence[str]) -> str:
    """Return the shards that are not among some runs, the first of them by name."""
    more = len(missing) - _SHARDS
    return ", ".join(missing[:_SHARDS]) + (f" and {more} more" if more > 0 else "")


def new_subjects(against: str, names: Sequence[str]) -> str:
    """Return the line on subjects that were not there before a change."""
    does = "is" if len(names) == 1 else "are"
    return text.line(
        f"{', '.join(names)} {does} not in {against}: new, judged by limits and budgets alone."
    )


def worse_and_allowed(records: Sequence[Record]) -> list[str]:
    """Return a line for each number that a change made worse, and that passed all the same."""
    return [
        f"{where(record)}: {record.verdict.because}"
        for record in records
        if record.verdict.change is Change.WORSE and record.verdict.outcome is Outcome.PASS
    ]


def accepted(records: Sequence[Record]) -> list[str]:
    """Return a line for each deviation that passes because a person lets it stay."""
    return [
        f"{where(record)}: {record.verdict.because}"
        for record in records
        if record.verdict.accepted
    ]


def worst_first(results: Results) -> list[Record]:
    """Return the records of a run, what failed first."""
    return sorted(results.records, key=lambda record: _WORST_FIRST.index(record.verdict.outcome))


def of(results: Results) -> Ruling:
    """Return what a run ruled; what was not ruled or not finished is never a PASS."""
    by = {
        outcome: [r for r in results.records if r.verdict.outcome is outcome] for outcome in Outcome
    }
    failed, unsure = by[Outcome.FAIL], by[Outcome.INCONCLUSIVE]
    if failed:
        first = failed[0]
        more = f" and {counted(len(failed) - 1, 'more verdict')}" if len(failed) > 1 else ""
        sentence = f"{first.verdict.gate} {first.verdict.metric} of {where(first)}{more}"
        return Ruling(outcome=Outcome.FAIL, sentence=sentence)
    if results.end is not None and results.end.exit_code not in (0, 5):
        sentence = f"no verdict failed, but pytest ended with {results.end.exit_code}: see its log"
        return Ruling(outcome=Outcome.FAIL, sentence=sentence)
    if results.missing:
        shards = lost_shards(results.missing)
        sentence = f"nothing failed, but {shards} of the plan's shards did not arrive"
        return Ruling(outcome=Outcome.INCONCLUSIVE, sentence=sentence)
    if results.end is None or results.unrecorded:
        lost = len(results.unrecorded)
        what = f"; {counted(lost, 'planned test')} did not run" if lost else ""
        return Ruling(outcome=Outcome.INCONCLUSIVE, sentence=f"the run was cut short{what}")
    revisions = [plan.against for plan in results.plans if plan.against]
    if not results.records and not results.planned and revisions:
        return Ruling(outcome=Outcome.PASS, sentence=f"nothing differs from {revisions[0]}")
    if not results.records:
        return Ruling(outcome=Outcome.INCONCLUSIVE, sentence="nothing was ruled")
    total = counted(len(results.records), "verdict")
    if unsure:
        sentence = f"nothing failed, but {len(unsure)} of {total} could not be ruled"
        return Ruling(outcome=Outcome.INCONCLUSIVE, sentence=sentence)
    return Ruling(outcome=Outcome.PASS, sentence=total)
