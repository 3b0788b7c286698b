"""A run in the forms that benchmark services read: Bencher, github-action-benchmark.

Evidence is part of every name: a measured number never continues a line of estimates.
"""

import math
from collections.abc import Iterator
from typing import Any

from harness.results import Record, Results
from harness.verdict import Sense

_NAME_BYTES = 1024
"""Source: Bencher, benchmark_name.rs."""


def bmf(results: Results) -> dict[str, dict[str, dict[str, float]]]:
    """Return a run in Bencher Metric Format."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for record, value in _numbers(results):
        verdict = record.verdict
        measure = {"value": value}
        ends = {"lower_value": verdict.low, "upper_value": verdict.high}
        measure |= {n: end for n, end in ends.items() if end is not None and math.isfinite(end)}
        slug = verdict.metric.replace("_", "-")[:64]
        found.setdefault(_name(record), {}).setdefault(slug, measure)
    return found


def github(results: Results, sense: Sense) -> list[dict[str, Any]]:
    """Return the numbers of one sense for github-action-benchmark.

    AT_MOST is `customSmallerIsBetter` there, AT_LEAST `customBiggerIsBetter`.
    """
    found: dict[str, dict[str, Any]] = {}
    for record, value in _numbers(results):
        verdict = record.verdict
        if verdict.sense is not sense:
            continue
        name = f"{_name(record)} {verdict.metric}"
        entry: dict[str, Any] = {
            "name": name,
            "unit": verdict.unit or "1",
            "value": value,
            "extra": str(verdict),
        }
        ends = [end for end in (verdict.low, verdict.high) if end is not None]
        if len(ends) == 2 and all(map(math.isfinite, ends)):
            entry["range"] = f"± {(ends[1] - ends[0]) / 2:.4g}"
        found.setdefault(name, entry)
    return list(found.values())


def _numbers(results: Results) -> Iterator[tuple[Record, float]]:
    for record in results.records:
        value = record.verdict.observed
        if value is not None and math.isfinite(value) and record.verdict.evidence is not None:
            yield record, float(value)


def _name(record: Record) -> str:
    evidence = record.verdict.evidence
    parts = (
        record.subject, record.variant, record.device, record.delegate, record.resolution,
        record.frame, evidence.value if evidence else "",
    )  # fmt: skip
    return "/".join(filter(None, parts)).encode()[:_NAME_BYTES].decode(errors="ignore")
