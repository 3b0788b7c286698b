"""Several runs as one: the shards of a plan, or the runs of a matrix."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from harness.errors import ConfigError
from harness.report import ruling
from harness.results import End, Planned, Record, Results
from harness.shards import Shard
from harness.text import counted
from harness.verdict import Outcome

_NOTHING = 5
"""What pytest ends with where it had no test."""
_NAMED = 3


def join(found: Sequence[Results]) -> Results:
    """Return what several runs know together; of a test that two ruled on, the newer counts.

    Args:
        found: At least one run.

    Raises:
        ConfigError: they are shards of different plans, or of different commits.
    """
    ordered = sorted(found, key=lambda one: one.run.time_utc)
    rulings: dict[str, list[Record]] = {}
    for one in ordered:
        ruled: dict[str, list[Record]] = {}
        for record in one.records:
            ruled.setdefault(record.test, []).append(record)
        rulings |= ruled
    newest = ordered[-1]
    names = [one.run.id for one in ordered]
    more = f" and {counted(len(names) - _NAMED, 'more run')}" if len(names) > _NAMED else ""
    return replace(
        newest,
        run=replace(newest.run, id=", ".join(names[:_NAMED]) + more),
        plans=tuple(plan for one in ordered for plan in one.plans),
        facts=tuple(fact for one in ordered for fact in one.facts),
        records=tuple(record for ruling in rulings.values() for record in ruling),
        done=tuple(done for one in ordered for done in one.done),
        end=_end(ordered, [record for ruling in rulings.values() for record in ruling]),
        missing=tuple(_missing(ordered)),
    )


def _end(found: Sequence[Results], records: Sequence[Record]) -> End | None:
    """Return the last end with the worst exit code; none where a run has none.

    The code of a run that failed for a ruling counts while such a ruling is among the records that
    are left.
    """
    known = [one.end for one in found if one.end is not None]
    if len(known) < len(found):
        return None
    broken = any(one.verdict.outcome is not Outcome.PASS for one in records)
    codes = {
        0 if ruling.fails_by_verdict(one) and not broken else one.end.exit_code
        for one in found
        if one.end is not None
    }
    codes -= {_NOTHING} if len(codes) > 1 else set()
    return replace(max(known, key=lambda end: end.time_utc), exit_code=max(codes))


def _missing(found: Sequence[Results]) -> Iterator[str]:
    """Yield the shards that are not among some runs, such as `3/4`.

    Raises:
        ConfigError: there are shards of two plans or two commits.
    """
    parts = [(one, plan) for one in found for plan in one.plans if plan.shard]
    for what, kinds in (
        ("plans", {(plan.whole, Shard.parse(plan.shard).of) for _, plan in parts}),
        ("commits", {one.run.git_commit for one, _ in parts}),
    ):
        if len(kinds) > 1:
            listed = ", ".join(f"{plan.shard} in {one.path}" for one, plan in parts[:6])
            raise ConfigError(
                f"these are shards of {len(kinds)} different {what}: {listed}; "
                "give the shards of one plan, judged at one commit"
            )
    yield from lost([plan for _, plan in parts])


def lost(plans: Sequence[Planned]) -> tuple[str, ...]:
    """Return the shards that are not among some plans, such as `3/4`, of each larger plan.

    Args:
        plans: Plans of runs; those that are no shards count for nothing.
    """
    there: dict[tuple[str, int], set[int]] = {}
    for plan in plans:
        if plan.shard:
            shard = Shard.parse(plan.shard)
            there.setdefault((plan.whole, shard.of), set()).add(shard.number)
    return tuple(
        str(Shard(number=number, of=of))
        for (_, of), numbers in there.items()
        for number in range(1, of + 1)
        if number not in numbers
    )


def shard_of(plans: Sequence[Planned]) -> str:
    """Return the shard that a run's plan is, such as `2/4`, or ''."""
    return next((plan.shard for plan in plans if plan.shard), "")
