"""Take over the facts of a run that was cut short, but for those of other software than today's."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from harness import fact_files
from harness.devices import emulated
from harness.devices.benchmark import tool_file
from harness.devices.connect import PhoneSetup
from harness.errors import HarnessError
from harness.evidence import Provenance
from harness.fact_lines import Taken
from harness.requests import Fact, Request
from harness.text import counted, line

_TOOL = "benchmark_model"
_NAMED = 3


def take_over(
    facts: Sequence[Taken],
    wanted: Sequence[Request],
    setup: PhoneSetup,
    root: Path,
    keep: Callable[[Taken, Fact], None],
) -> str:
    """Keep each fact that answers a request, and return how many did and what was left out.

    A fact of this host's software counts only while that has the same versions, and one of a phone
    while the tool that measures is the same file. What a lab's own software said is not compared.

    Args:
        facts: Of the run that was cut short.
        wanted: What is asked today.
        setup: How phones are measured today.
        root: The folder whose `.results` holds their images.
        keep: Is told of each fact that is taken over.
    """
    by_key = {request.key: request for request in wanted}
    versions, tool_of = emulated.versions(), functools.cache(functools.partial(_tool, setup))
    kept, others, changes = 0, 0, dict[str, None]()
    for taken in facts:
        request = by_key.get(taken.request)
        fact = fact_files.read(taken, request, root) if request else None
        if fact is None:
            continue
        found = []
        if fact.answer is not None:
            made = fact.answer.provenance
            tool = {} if made.evidence.repeats else tool_of(fact.request.target.delegate)
            found = list(_changes(made, versions if made.evidence.repeats else tool))
        changes |= dict.fromkeys(found)
        others += 1 if found else 0
        if not found:
            keep(taken, fact)
            kept += 1
    said = f"{counted(kept, 'fact')} taken over"
    if not others:
        return said
    more = f" and {len(changes) - _NAMED} more" if len(changes) > _NAMED else ""
    named = f"{', '.join(list(changes)[:_NAMED])}{more}"
    return line(f"{said}, {others} of other software to be taken again ({named})")


def _changes(made: Provenance, now: Mapping[str, str]) -> Iterator[str]:
    """Yield each piece of software that is another than when a fact was found."""
    for name, version in made.runtime.items() if not made.lab else ():
        today = now.get(name, version)
        if today != version:
            yield f"{name} {version} -> {today or 'missing'}"


def _tool(setup: PhoneSetup, delegate: str) -> Mapping[str, str]:
    """Return the tool's hash as facts state it, or nothing where none is at hand."""
    try:
        return {_TOOL: tool_file.load(setup.tool(delegate)).sha256[:12]}
    except HarnessError:
        return {}
