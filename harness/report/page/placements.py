"""Where ops ran and what was spilled, from the facts of runs."""

from collections.abc import Sequence

from harness import schema
from harness.fact_lines import Taken
from harness.keys import Key
from harness.memory import Memory
from harness.placement import Placement
from harness.report.page.cells import names, pixels
from harness.requests import Verb


def placements(facts: Sequence[Taken]) -> dict[Key, Placement]:
    """Return the placements among facts, small resolutions first.

    Raises:
        ConfigError: a fact's fields are not those of its kind.
    """
    found = {
        names(fact): schema.parse(Placement, fact.answer, where=f"fact {fact.request[:12]}")
        for fact in facts
        if fact.verb == Verb.PLACE.value and fact.kind == Placement.__name__
    }
    return dict(sorted(found.items(), key=lambda one: pixels(one[0].resolution)))


def spills(facts: Sequence[Taken]) -> dict[Key, float]:
    """Return what compilers move out of on-chip memory, in MiB, where they say so.

    Raises:
        ConfigError: a fact's fields are not those of its kind.
    """
    found = {
        names(fact): schema.parse(Memory, fact.answer, where=f"fact {fact.request[:12]}").spill_mib
        for fact in facts
        if fact.verb == Verb.MEMORY.value and fact.kind == Memory.__name__
    }
    return {about: spill for about, spill in found.items() if spill is not None}
