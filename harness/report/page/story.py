"""What the page says first: the one sentence that matters, the counts, the failures."""

import shlex
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from harness.evidence import Evidence
from harness.keys import Key
from harness.placement import ON_CPU, UNKNOWN, Placement
from harness.report import joining, ruling
from harness.report.page.cells import Cell, Class, names
from harness.report.page.comparing import CellComparison, Turn
from harness.report.page.gains import Gain
from harness.report.page.merging import Merged
from harness.results import Record, Results, Run
from harness.text import counted
from harness.verdict import FALLBACK, Outcome

_GRAVEST = (
    Class.RESIDENT_BUT_WRONG, Class.WRONG, Class.FALLBACK, Class.SLOW, Class.COSTLY,
    Class.LARGE, Class.REGRESSED, Class.ERROR,
)  # fmt: skip
_SAYS = {
    Class.RESIDENT_BUT_WRONG: ("gives", "give", "wrong numbers"),
    Class.WRONG: ("gives", "give", "wrong numbers"),
    Class.FALLBACK: ("leaves", "leave", "the accelerator"),  # or its name, where it is known
    Class.SLOW: ("is", "are", "over budget"),
    Class.COSTLY: ("is", "are", "over the energy budget"),
    Class.LARGE: ("is", "are", "too large"),
    Class.REGRESSED: ("is", "are", "worse than the baseline"),
    Class.ERROR: ("ends", "end", "in an error"),
}
"""The verb for one variant and for several, and what they do, by class."""
_ACCELERATORS = {"gpu": "the GPU", "npu": "the NPU", "qnn": "the NPU"}
"""What each delegate speaks to; NNAPI speaks to drivers, and a placement names the one."""
_NAMED = 2
"""Most variants that the sentence names; more are counted."""
_KEPT = (
    "--origin", "--serial", "--lab", "--against", "--strict", "--rootdir", "-o", "--override-ini",
    "-c",
)  # fmt: skip
"""Options of a run that change what it finds, and so are in the command that repeats a test."""
_TAKES_VALUE = frozenset(_KEPT) - {"--strict"}


def units(placements: Mapping[Key, Placement]) -> dict[Key, str]:
    """Return the accelerator of each placement that has one alone, by what it is about.

    Args:
        placements: By what they are about.
    """
    found = {
        about: {node.unit for node in placement.nodes} - ON_CPU - {UNKNOWN}
        for about, placement in placements.items()
    }
    return {about: next(iter(names)) for about, names in found.items() if len(names) == 1}


def headline(cells: Sequence[Cell], units: Mapping[Key, str] = MappingProxyType({})) -> str:
    """Return the one sentence that matters, such as `int8_ptq leaves the NPU on 3 of 7 phones`.

    The gravest class of failure is said first, of the subject that has it on most phones.

    Args:
        cells: The cells of the page.
        units: Names of accelerators, by what runs on them.
    """
    if not cells:
        return "Nothing was tested"
    for kind in _GRAVEST:
        found = [cell for cell in cells if cell.kind is kind]
        if found:
            return _failing(kind, found, cells, units)
    unsure = [cell for cell in cells if cell.outcome is Outcome.INCONCLUSIVE]
    names = len({cell.name for cell in cells})
    phones = len({cell.target for cell in cells})
    if unsure:
        kinds = Counter(cell.kind for cell in unsure)
        several = len(kinds) > 1
        why = ", ".join(
            f"{kind.words} ({count})" if several else kind.words
            for kind, count in kinds.most_common()
        )
        return f"Nothing fails; {len(unsure)} of {counted(len(cells), 'cell')} undecided: {why}"
    subjects = {cell.about.subject for cell in cells}
    of = f" of {subjects.pop()}" if len(subjects) == 1 else ""
    who = f"{cells[0].name} keeps" if names == 1 else f"All {names} variants{of} keep"
    where = cells[0].target if phones == 1 else f"all {phones} phones"
    return f"{who} every limit on {where}"


def change_headline(
    comparison: CellComparison,
    cells: Sequence[Cell],
    units: Mapping[Key, str] = MappingProxyType({}),
) -> str:
    """Return the one sentence about a change, `int8_ptq leaves ... on 3 of 7 phones since it`.

    What newly fails is said first, then what is no longer decided, then what is better.

    Args:
        comparison: The cells beside earlier ones.
        cells: The cells of the page.
        units: Names of accelerators, by what runs on them.
    """
    turns = Counter(one.turn for one in comparison.changed)
    both = sum(turns.values()) - turns[Turn.NEW] - turns[Turn.GONE]
    if not both:
        return "No cell was tested in both runs"
    for kind in _GRAVEST:
        found = [one.now for one in comparison.changed if one.kind is kind and one.now]
        if found:
            return _failing(kind, found, cells, units, since=" since this change")
    fail = sum(cell.outcome is Outcome.FAIL for cell in cells)
    new = [one.now for one in comparison.changed if one.turn is Turn.NEW and one.now]
    failing = sum(cell.outcome is Outcome.FAIL for cell in new)
    still = f"; {counted(fail - failing, 'cell')} failed before too" if fail > failing else ""
    still += f"; {failing} of {counted(len(new), 'new cell')} failing" if failing else ""
    if turns[Turn.WORSE]:
        cell = counted(turns[Turn.WORSE], "cell")
        return f"{cell} of {both} no longer decided as well as before this change{still}"
    if turns[Turn.BETTER]:
        better = counted(turns[Turn.BETTER], "cell")
        return f"Nothing is worse since this change; {better} of {both} better{still}"
    return f"No verdict of {counted(both, 'cell')} is another since this change{still}"


def partial_headline(said: str, cells: Sequence[Cell], missing: Sequence[str]) -> str:
    """Return the sentence of a page; where shards are lost and nothing fails, it says so.

    Args:
        said: What is to be said of the cells.
        cells: The cells.
        missing: The shards that are not there.
    """
    if not missing or any(cell.outcome is Outcome.FAIL for cell in cells):
        return said
    return f"Nothing fails in what is here, but {_lost(missing)}"


def _lost(missing: Sequence[str]) -> str:
    names = ruling.lost_shards(missing)
    return f"{'shard' if len(missing) == 1 else 'shards'} {names} of the plan did not arrive"


def cautions(results: Sequence[Results], merged: Merged, missing: Sequence[str]) -> tuple[str, ...]:
    """Return what a reader must know before believing the page, one line each.

    Args:
        results: The runs.
        merged: What they know together.
        missing: The shards that are not there.
    """
    found = []
    if missing:
        tested = "it tests" if len(missing) == 1 else "they test"
        found.append(f"{_lost(missing)[0].upper()}{_lost(missing)[1:]}: what {tested} is unknown.")
    failed = any(record.verdict.outcome is Outcome.FAIL for record in merged.records)
    codes = {ruling.unexplained(one) for one in results} - {0}
    if codes and not failed:
        listed = ", ".join(map(str, sorted(codes)))
        found.append(f"No verdict fails, but pytest ended with {listed}: see its log.")
    undecided = any(record.verdict.outcome is Outcome.INCONCLUSIVE for record in merged.records)
    if undecided and not failed and any(ruling.failed_strictly(one) for one in results):
        found.append(f"Verdicts could not be ruled: {ruling.STRICTLY}.")
    return tuple(found)


def effects(results: Sequence[Results]) -> dict[str, list[str]]:
    """Return what the change did to who has to pass, one line each, under what is said of it."""
    return ruling.effects_of([plan for one in results for plan in one.plans])


def about_change(results: Sequence[Results]) -> tuple[str, ...]:
    """Return what runs judged a change against, and what of it was not compared."""
    plans = [plan for one in results for plan in one.plans if plan.against]
    found = [ruling.judged_against(plan) for plan in plans]
    found += [ruling.new_subjects(plan.against, list(plan.new)) for plan in plans if plan.new]
    found += [plan.uncompared for plan in plans if plan.uncompared]
    return tuple(dict.fromkeys(found))


def missing(results: Sequence[Results]) -> tuple[str, ...]:
    """Return the shards that are lost of each plan that some runs are shards of."""
    return joining.lost([plan for one in results for plan in one.plans])


def _failing(
    kind: Class,
    found: Sequence[Cell],
    cells: Sequence[Cell],
    units: Mapping[Key, str],
    *,
    since: str = "",
) -> str:
    places = dict.fromkeys((cell.about.subject, cell.target) for cell in found)
    subjects = Counter(subject for subject, _ in places)
    subject = subjects.most_common(1)[0][0]
    here = [cell for cell in found if cell.about.subject == subject]
    names = list(dict.fromkeys(cell.about.variant for cell in here))
    tested = {c.about.variant for c in cells if c.about.subject == subject}
    where = {cell.target for cell in here}
    asked = {c.target for c in cells if c.about.subject == subject and c.about.variant in names}
    if len(asked) == 1:
        phones = where.pop()
    elif where == asked:
        phones = f"all {len(asked)} phones"
    else:
        phones = f"{len(where)} of {len(asked)} phones"
    one, several, what = _SAYS[kind]
    what = _accelerator(here, units) if kind is Class.FALLBACK else what
    verb = one if len(names) == 1 else several
    but = " though every op is accelerated" if kind is Class.RESIDENT_BUT_WRONG else ""
    return f"{_who(subject, names, len(tested))} {verb} {what} on {phones}{since}{but}"


def _accelerator(cells: Sequence[Cell], units: Mapping[Key, str]) -> str:
    """Return what cells leave: the GPU, the NPU, or the one driver that took the other ops."""
    said = set()
    for cell in cells:
        unit = units.get(cell.about, "")
        driver = f"the driver {unit}" if unit else "the accelerator"
        said.add(_ACCELERATORS.get(cell.about.delegate.partition("-")[0], driver))
    return said.pop() if len(said) == 1 else "the accelerator"


def _who(subject: str, names: Sequence[str], tested: int) -> str:
    if len(names) <= _NAMED:
        return " and ".join(f"{subject}.{name}" if subject else name for name in names)
    share = f"All {tested}" if len(names) == tested else f"{len(names)} of {tested}"
    return f"{share} variants of {subject}"


def ground(records: Sequence[Record]) -> tuple[tuple[str, int], ...]:
    """Return how many rulings rest on each kind of evidence, the strongest first."""
    kinds = Counter(record.verdict.evidence for record in records)
    known = [(kind.value, kinds[kind]) for kind in Evidence if kinds[kind]]
    return (*known, *([("no evidence", kinds[None])] if kinds[None] else []))


def strength(records: Sequence[Record]) -> str:
    """Return a sentence on how strong the evidence is."""
    kinds = {record.verdict.evidence for record in records}
    if kinds == {Evidence.PHONE}:
        return "All of it was measured on phones."
    if Evidence.FAKE in kinds:
        return "The fake phone answered: this is a rehearsal and proves nothing of a real phone."
    if Evidence.PHONE in kinds:
        return "Some of it was measured on phones; the rest is known from software on a host."
    return "No phone was attached: all of it is known from software on a host."


@dataclass(frozen=True, kw_only=True)
class FailureReason:
    """Why something fails, and where.

    Attributes:
        compared: Value and limit.
        cause: The cause, or ''.
        remedy: What is known to help, or ''.
        gain: What the remedy is estimated to gain at most, or ''.
        places: Phone, resolution and frame of each ruling.
    """

    compared: str
    cause: str
    remedy: str
    gain: str
    places: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Failure:
    """What fails of a variant at one gate.

    Attributes:
        name: Subject and variant.
        gate: The gate.
        targets: Where it fails.
        reasons: Why, each with the places that it holds for.
        command: What repeats the first of its tests.
    """

    name: str
    gate: str
    targets: tuple[str, ...]
    reasons: tuple[FailureReason, ...]
    command: str


def failures(merged: Merged, gains: Mapping[Key, Gain]) -> tuple[Failure, ...]:
    """Return what fails, one entry for each variant and gate.

    Args:
        merged: What the runs know.
        gains: What a remedy for fallbacks can gain, by what it is about.
    """
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in merged.records:
        if record.verdict.outcome is Outcome.FAIL:
            name = ".".join(filter(None, (record.subject, record.variant))) or "tests"
            groups.setdefault((name, record.verdict.gate), []).append(record)
    return tuple(
        _failure(name, gate, found, merged, gains) for (name, gate), found in groups.items()
    )


def _failure(
    name: str, gate: str, found: Sequence[Record], merged: Merged, gains: Mapping[Key, Gain]
) -> Failure:
    reasons: dict[tuple[str, str, str], dict[str, None]] = {}
    best: dict[tuple[str, str, str], Gain] = {}
    for record in found:
        verdict = record.verdict
        key = (verdict.compared or verdict.metric, verdict.cause, verdict.remedy)
        place = " ".join(filter(None, (_target(record), record.resolution, record.frame)))
        reasons.setdefault(key, {})[place] = None
        gain = gains.get(names(record)) if gate == FALLBACK and verdict.remedy else None
        if gain is not None and (key not in best or gain.share > best[key].share):
            best[key] = gain
    return Failure(
        name=name,
        gate=gate,
        targets=tuple(dict.fromkeys(map(_target, found))),
        reasons=tuple(
            FailureReason(
                compared=key[0],
                cause=key[1],
                remedy=key[2],
                gain=str(best.get(key, "")),
                places=tuple(places),
            )
            for key, places in reasons.items()
        ),
        command=command(found[0].test, _target(found[0]), merged.run_of[found[0].test]),
    )


def _target(record: Record) -> str:
    return f"{record.device}:{record.delegate}"


def command(test: str, target: str, run: Run) -> str:
    """Return the shell line that repeats a test as its run did it."""
    return shlex.join(["pytest", f"--device={target}", *kept(run.command), test])


def kept(words: Sequence[str], *, but: Collection[str] = ()) -> Iterator[str]:
    """Yield the options that change what a run finds, each with its value.

    Args:
        words: What was typed, `pytest` first.
        but: Options to leave out, such as `--origin`.
    """
    taking = ""
    for word in words[1:]:
        name, equals, _ = word.partition("=")
        about = taking or name.replace("--harness-", "--", 1)
        if about in _KEPT:
            if about not in but:
                yield word
        elif word.startswith("-o") and not word.startswith("--"):
            yield word  # -ogolden_dir=examples
        taking = "" if taking or equals or about not in _TAKES_VALUE else about
