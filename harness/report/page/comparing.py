"""The page of two runs: what differs between a cell now and the same cell before."""

import enum
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from harness.report.page.cells import Cell, Class, cells
from harness.report.page.merging import Merged, merge
from harness.report.page.placements import placements
from harness.report.page.strips import Strip, strips
from harness.report.page.timings import Timing, timings
from harness.results import Results
from harness.verdict import Outcome, join

_RANKS = {Outcome.PASS: 0, Outcome.INCONCLUSIVE: 1, Outcome.FAIL: 2}
"""What is higher is worse."""


class Turn(enum.Enum):
    """How a cell is beside what it was, what a reader looks for first in front."""

    WORSE = "worse"
    BETTER = "better"
    OTHER = "other class"
    GONE = "not tested now"
    NEW = "not tested before"
    SAME = "as before"


@dataclass(frozen=True, kw_only=True)
class Changed:
    """A cell in two runs.

    Attributes:
        turn: How it changed.
        was: The cell before, or None.
        now: The cell now, or None.
        number: Number of the cell now among all of the page, or None.
        gates: Gates whose outcome differs, with the outcome before and now.
        kind: Class of what newly fails; None where nothing does.
    """

    turn: Turn
    was: Cell | None
    now: Cell | None
    number: int | None
    gates: tuple[tuple[str, Outcome, Outcome], ...] = ()
    kind: Class | None = None

    @property
    def cell(self) -> Cell:
        """Return the cell now; the one before where there is none."""
        found = self.now or self.was
        assert found is not None
        return found

    @property
    def cause(self) -> str:
        """Return the cause of the first ruling that newly fails, or ''."""
        worse = [gate for gate, was, now in self.gates if _RANKS[now] > _RANKS[was]]
        records = self.now.records if self.now else ()
        causes = (
            record.verdict.cause or record.verdict.compared
            for gate in worse
            for record in records
            if record.verdict.gate == gate and record.verdict.outcome is not Outcome.PASS
        )
        return next(filter(None, causes), "")


@dataclass(frozen=True, kw_only=True)
class Stack:
    """The strips of one variant, to be drawn above each other.

    Attributes:
        name: Subject and variant.
        strips: Each with what it is beside an earlier run, or ''.
    """

    name: str
    strips: tuple[tuple[str, Strip], ...]

    @property
    def targets(self) -> tuple[str, ...]:
        """Return the phones and delegates."""
        return tuple(dict.fromkeys(strip.target for _, strip in self.strips))


@dataclass(frozen=True, kw_only=True)
class CellComparison:
    """What earlier runs know, beside the cells of the page.

    Attributes:
        merged: The earlier runs.
        timings: Their latencies.
        strips: Their placements.
        changed: Each cell of either, what is worse first.
    """

    merged: Merged
    timings: tuple[Timing, ...]
    strips: tuple[Strip, ...]
    changed: tuple[Changed, ...]

    @property
    def news(self) -> tuple[Changed, ...]:
        """Return what is not as before, what is worse first."""
        return tuple(one for one in self.changed if one.turn is not Turn.SAME)

    @cached_property
    def by_number(self) -> Mapping[int, Changed]:
        """Return what became of each cell of the page, by its number."""
        return {one.number: one for one in self.changed if one.number is not None}

    def beside(self, strip: Strip) -> Iterator[tuple[str, Strip]]:
        """Yield a strip below the earlier one of the same variant, phone and resolution.

        Where ops run as before, the strip alone says so.
        """
        for earlier in self.strips:
            same = (earlier.target, earlier.name) == (strip.target, strip.name)
            if same and set(earlier.resolutions) & set(strip.resolutions):
                if earlier.stretches == strip.stretches:
                    yield "as before", strip
                else:
                    yield "before", earlier
                    yield "now", strip
                return
        yield "not known before", strip


def stacks(strips: Sequence[Strip], comparison: CellComparison | None) -> tuple[Stack, ...]:
    """Return the strips of each variant together, each with its earlier one where there is one."""
    found: dict[str, list[tuple[str, Strip]]] = {}
    for strip in strips:
        beside = comparison.beside(strip) if comparison else [("", strip)]
        found.setdefault(strip.name, []).extend(beside)
    return tuple(Stack(name=name, strips=tuple(one)) for name, one in found.items())


def compare(found: Sequence[Cell], against: Sequence[Results]) -> CellComparison:
    """Put the cells of a page beside those of earlier runs.

    Args:
        found: The cells.
        against: At least one earlier run; of two rulings of one test the newer counts.

    Raises:
        ConfigError: a fact's fields are not those of its kind.
    """
    merged = merge(against)
    before = {_key(cell): cell for cell in cells(merged.records, merged.unrecorded)}
    timed = timings(merged.facts)
    changed = [_changed(before.get(_key(cell)), cell, at) for at, cell in enumerate(found)]
    now = {_key(cell) for cell in found}
    changed += [
        Changed(turn=Turn.GONE, was=cell, now=None, number=None)
        for key, cell in before.items()
        if key not in now
    ]
    ranks = list(Turn)
    changed.sort(key=lambda one: (ranks.index(one.turn), one.kind is None))
    return CellComparison(
        merged=merged,
        timings=timed,
        strips=strips(placements(merged.facts), timed),
        changed=tuple(changed),
    )


def _key(cell: Cell) -> tuple[str, str, str]:
    return cell.name, cell.about.resolution, cell.target


def _changed(was: Cell | None, now: Cell, number: int) -> Changed:
    if was is None:
        return Changed(turn=Turn.NEW, was=None, now=now, number=number)
    gates = tuple(_gates(was, now))
    pairs = [(before, after) for _, before, after in gates]
    if was.kind is not now.kind:
        pairs.append((was.outcome, now.outcome))
    turn = Turn.SAME if was.kind is now.kind else Turn.OTHER
    if any(_RANKS[after] > _RANKS[before] for before, after in pairs):
        turn = Turn.WORSE
    elif any(_RANKS[after] < _RANKS[before] for before, after in pairs):
        turn = Turn.BETTER
    return Changed(
        turn=turn, was=was, now=now, number=number, gates=gates, kind=_newly(was, now, gates)
    )


def _gates(was: Cell, now: Cell) -> Iterator[tuple[str, Outcome, Outcome]]:
    """Yield the gates that ruled in both and whose outcome differs."""
    before = was.by_gate()
    for gate, (outcome, _) in now.by_gate().items():
        if gate in before and before[gate][0] is not outcome:
            yield gate, before[gate][0], outcome


def _newly(was: Cell, now: Cell, gates: Sequence[tuple[str, Outcome, Outcome]]) -> Class | None:
    """Return the class of what fails now and did not before, or None."""
    newly = {gate for gate, _, after in gates if after is Outcome.FAIL}
    if not newly:
        failed = now.outcome is Outcome.FAIL and was.outcome is not Outcome.FAIL
        return now.kind if failed else None
    if Class.ERROR in (now.kind, was.kind):
        return now.kind
    verdicts = [record.verdict for record in now.records]
    counted = [v for v in verdicts if v.gate in newly or v.outcome is not Outcome.FAIL]
    return Class[join(counted)[1].name]
