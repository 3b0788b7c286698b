"""What one or several runs know together: of two rulings of one test the newer counts."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.cases import Withheld
from harness.fact_lines import Taken
from harness.results import Record, Results, Run
from harness.verdict import Outcome, worst


@dataclass(frozen=True, kw_only=True)
class Merged:
    """What several runs know together.

    Attributes:
        runs: Their heads, the oldest first.
        cut_short: Ids of the runs that have no end.
        records: The rulings; of a test that several runs ruled on, those of the newest.
        done: Tests that are over and ruled nothing.
        unrecorded: Planned tests of which no run knows anything.
        facts: One for each request, the newest.
        root_of: The folder above `.results` that the images of a request lie below.
        withheld: Variants that do not ship to a phone, and why.
        run_of: The run that each test was last planned or ruled in.
    """

    runs: tuple[Run, ...]
    cut_short: frozenset[str]
    records: tuple[Record, ...]
    done: tuple[str, ...]
    unrecorded: tuple[str, ...]
    facts: tuple[Taken, ...]
    root_of: dict[str, Path]
    withheld: tuple[Withheld, ...]
    run_of: dict[str, Run]

    def outcomes(self) -> dict[str, Outcome]:
        """Return how each test that is about a phone ended; nothing known is INCONCLUSIVE."""
        ruled: dict[str, list[Outcome]] = {}
        for record in self.records:
            ruled.setdefault(record.test, []).append(record.verdict.outcome)
        found = {test: worst(outcomes) for test, outcomes in ruled.items()}
        return found | dict.fromkeys(self.unrecorded, Outcome.INCONCLUSIVE)


def merge(results: Sequence[Results]) -> Merged:
    """Return what runs know together.

    Args:
        results: At least one run.
    """
    ordered = sorted(results, key=lambda one: one.run.time_utc)
    rulings: dict[str, list[Record]] = {}
    over: dict[str, None] = {}
    planned: dict[str, None] = {}
    facts: dict[str, Taken] = {}
    root_of: dict[str, Path] = {}
    run_of: dict[str, Run] = {}
    for one in ordered:
        ruled: dict[str, list[Record]] = {}
        for record in one.records:
            ruled.setdefault(record.test, []).append(record)
        rulings |= ruled
        over |= dict.fromkeys(done.test for done in one.done)
        planned |= dict.fromkeys(one.planned)
        facts |= {fact.request: fact for fact in one.facts if not fact.revision}
        root_of |= dict.fromkeys((f.request for f in one.facts), one.path.resolve().parents[1])
        run_of |= dict.fromkeys((*one.planned, *ruled), one.run)
    withheld = {
        (one.target, one.variant): one for run in ordered for p in run.plans for one in p.withheld
    }
    return Merged(
        runs=tuple(one.run for one in ordered),
        cut_short=frozenset(one.run.id for one in ordered if one.end is None),
        records=tuple(record for ruling in rulings.values() for record in ruling),
        done=tuple(test for test in over if test not in rulings),
        unrecorded=tuple(test for test in planned if test not in rulings and test not in over),
        facts=tuple(facts.values()),
        root_of=root_of,
        withheld=tuple(withheld.values()),
        run_of=run_of,
    )
