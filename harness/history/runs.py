"""Take a results file of `pytest --device=NAME` as a run of the history."""

import json
import math
from collections.abc import Iterator

from harness import schema
from harness.evidence import Provenance
from harness.fact_lines import answer_of
from harness.history.entries import FactEntry, RunEntry, SeriesKey
from harness.metrics import CPU_OPS
from harness.placement import Placement
from harness.results import Record, Results
from harness.verdict import CHANGE, worst

_OF_THE_RUN = ("time_utc", "git_commit")
"""Parts of a provenance that every run has anew; they are left to the run."""
_PLACEMENT_MAX = 1 << 19
"""Characters of a placement beyond which a run goes into the history without it."""


def entry(results: Results) -> RunEntry:
    """Return a run with one fact for each number that was ruled on.

    Several gates may rule on one number: it is one fact, with the worst of their outcomes. A
    number that was taken again in the same run is a further attempt. What has no value, or none
    that is finite, is no fact.
    """
    found: dict[SeriesKey, list[tuple[float, list[Record]]]] = {}
    for record in results.records:
        if record.verdict.gate == CHANGE:
            continue  # it speaks of two files
        value = record.verdict.observed
        if value is None or not math.isfinite(value) or record.verdict.provenance is None:
            continue
        key = series_of(record, record.verdict.provenance)
        attempts = found.setdefault(key, [])
        same = next((records for seen, records in attempts if seen == value), None)
        if same is None:
            attempts.append((value, [record]))
        else:
            same.append(record)
    run = results.run
    return RunEntry(
        id=run.id,
        time_utc=run.time_utc,
        commit=run.git_commit,
        host=run.host,
        facts=tuple(_facts(found, _placements(results))),
    )


def _placements(results: Results) -> dict[tuple[str, ...], str]:
    """Return which op ran where, as text, by the parts of the series of the count of CPU ops."""
    found: dict[tuple[str, ...], str] = {}
    for taken in results.facts:
        if taken.kind != Placement.__name__ or taken.revision:
            continue
        placed = answer_of(taken, where=taken.request[:12])
        assert isinstance(placed, Placement)
        about = (taken.subject, taken.variant, taken.device, taken.delegate, taken.resolution)
        nodes = [[node.index, node.op, node.unit, node.reason] for node in placed.nodes]
        text = json.dumps(nodes, separators=(",", ":"))
        if len(text) <= _PLACEMENT_MAX:
            found[*about, placed.provenance.evidence.value] = text
    return found


def series_of(record: Record, provenance: Provenance) -> SeriesKey:
    """Return the series that a ruling belongs to."""
    by_phone = not provenance.evidence.repeats
    return SeriesKey(
        subject=record.subject or record.device,
        variant=record.variant,
        profile=record.device,
        delegate=record.delegate,
        size=record.resolution,
        frame=record.frame,
        metric=record.verdict.metric,
        evidence=provenance.evidence.value,
        fingerprint=provenance.device if by_phone else "",
    )


def _facts(
    found: dict[SeriesKey, list[tuple[float, list[Record]]]], placed: dict[tuple[str, ...], str]
) -> Iterator[FactEntry]:
    for key, attempts in found.items():
        names = (key.subject, key.variant, key.profile, key.delegate, key.size, key.evidence)
        nodes = placed.get(names) if key.metric == CPU_OPS.name else None
        for attempt, (value, records) in enumerate(attempts):
            ruled = records[0].verdict
            ends = (ruled.low, ruled.high)
            low, high = (end if end is not None and math.isfinite(end) else None for end in ends)
            outcome = worst([record.verdict.outcome for record in records])
            yield FactEntry(
                series=key,
                value=float(value),
                low=low,
                high=high,
                outcome=outcome.value,
                attempt=attempt,
                provenance=_provenance(ruled.provenance),
                placement=nodes if attempt == 0 else None,
            )


def _provenance(made: Provenance | None) -> str:
    """Return a provenance as JSON, alike in each run where only the time differs."""
    parts = schema.dump(made) if made is not None else {}
    return json.dumps({name: parts[name] for name in parts if name not in _OF_THE_RUN})
