"""What a whole run ruled, in one word and one sentence."""

from collections.abc import Sequence
from dataclasses import dataclass

from harness import text
from harness.results import Planned, Record, Results
from harness.text import counted
from harness.verdict import Change, Outcome

_SHARDS = 8
_ENDS_WELL = (0, 5)
"""What pytest ends with where nothing failed, or where it had no test."""
_TESTS_FAILED = 1
STRICTLY = "with --strict, pytest failed"
"""Said of verdicts that could not be ruled, where that is so."""
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


def by_effect(
    *, loosened: Sequence[str], tightened: Sequence[str], altered: Sequence[str]
) -> dict[str, list[str]]:
    """Return what a change did to who has to pass, each line once, under what is said of it.

    Args:
        loosened: What allows more.
        tightened: What allows less.
        altered: What is judged otherwise.
    """
    found = {
        "This change makes it easier to pass": loosened,
        "This change alters what is judged": altered,
        "This change makes it harder to pass": tightened,
    }
    return {heading: list(dict.fromkeys(lines)) for heading, lines in found.items() if lines}


def effects_of(plans: Sequence[Planned]) -> dict[str, list[str]]:
    """Return what the changes of some plans did, as `by_effect`."""
    return by_effect(
        loosened=[line for plan in plans for line in plan.loosened],
        tightened=[line for plan in plans for line in plan.tightened],
        altered=[line for plan in plans for line in plan.altered],
    )


def judged_against(plan: Planned) -> str:
    """Return the line on what a change is judged against, and what of it is not judged."""
    same = f"{counted(plan.unchanged, 'case')} did not change and "
    same += f"{'is' if plan.unchanged == 1 else 'are'} not judged"
    return text.line(
        f"Against {plan.against}: {same if plan.unchanged else 'every case is judged'}."
    )


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


def is_strict(results: Results) -> bool:
    """Return whether what could not be ruled failed its test."""
    planned = any(plan.strict for plan in results.plans)
    return planned or "--strict" in results.run.command  # the command is all that old runs have


def failed_strictly(results: Results) -> bool:
    """Return whether pytest failed for what could not be ruled, by no verdict that failed."""
    outcomes = {record.verdict.outcome for record in results.records}
    ended = results.end is not None and results.end.exit_code == _TESTS_FAILED
    return ended and is_strict(results) and outcomes - {Outcome.PASS} == {Outcome.INCONCLUSIVE}


def fails_by_verdict(results: Results) -> bool:
    """Return whether a verdict is why pytest failed: it failed, or under --strict was not ruled."""
    failed = any(record.verdict.outcome is Outcome.FAIL for record in results.records)
    return failed or failed_strictly(results)


def unexplained(results: Results) -> int:
    """Return what pytest ended with where it failed by no verdict, else 0."""
    code = results.end.exit_code if results.end is not None else 0
    return 0 if fails_by_verdict(results) or code in _ENDS_WELL else code


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
    if code := unexplained(results):
        sentence = f"no verdict failed, but pytest ended with {code}: see its log"
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
    softer = [line for plan in results.plans for line in (*plan.loosened, *plan.altered)]
    if not results.records and not results.planned and revisions and not softer:
        return Ruling(outcome=Outcome.PASS, sentence=f"nothing differs from {revisions[0]}")
    if not results.records:
        why = f"; {counted(len(softer), 'thing')} easier to pass or judged otherwise"
        why = why if softer else ""
        return Ruling(outcome=Outcome.INCONCLUSIVE, sentence=f"nothing was ruled{why}")
    total = counted(len(results.records), "verdict")
    if unsure:
        sentence = f"nothing failed, but {len(unsure)} of {total} could not be ruled"
        sentence += f": {STRICTLY}" if failed_strictly(results) else ""
        return Ruling(outcome=Outcome.INCONCLUSIVE, sentence=sentence)
    return Ruling(outcome=Outcome.PASS, sentence=total)
