"""What a phone measured off its level, to be measured again in the same night. Arithmetic only."""

import math
import statistics
from collections.abc import Collection, Iterable
from dataclasses import replace

from harness.changes import Rule
from harness.history import levels
from harness.history.entries import RunEntry, SeriesKey


def off_level(
    run: RunEntry, before: Iterable[RunEntry], rule: Rule | None = None
) -> frozenset[SeriesKey]:
    """Return the series that a phone measured farther from their level than a change begins at.

    The level is the median of the last nights. What repeats, and counts, need no second look.

    Args:
        run: Tonight's.
        before: Earlier runs, oldest first.
        rule: The limits; default those of `changes`.
    """
    rule = rule or Rule()
    tonight = {
        fact.series: level
        for fact in run.facts
        if fact.attempt == 0
        and not levels.is_exact(fact.series)
        and (level := levels.of(fact.series, fact.value)) is not None
    }
    past: dict[SeriesKey, list[float]] = {}
    for one in before:
        for fact in one.facts if one.id != run.id else ():
            if fact.series in tonight and fact.attempt == 0:
                level = levels.of(fact.series, fact.value)
                past.setdefault(fact.series, []).extend([level] if level is not None else [])
    return frozenset(
        series
        for series, nights in past.items()
        if nights
        and abs(math.log(tonight[series] / statistics.median(nights[-rule.level_nights :])))
        > math.log1p(rule.share)
    )


def confirmed(run: RunEntry, again: RunEntry, wanted: Collection[SeriesKey]) -> RunEntry:
    """Return tonight's run with what was measured again as further attempts.

    Args:
        run: Tonight's.
        again: The second run of the same night.
        wanted: The series that it was for; of the others nothing is taken.
    """
    attempts: dict[SeriesKey, int] = {}
    for fact in run.facts:
        attempts[fact.series] = max(attempts.get(fact.series, 0), fact.attempt)
    added = [
        replace(fact, attempt=attempts[fact.series] + 1 + fact.attempt, placement=None)
        for fact in again.facts
        if fact.series in wanted
    ]
    return replace(run, facts=(*run.facts, *added))
