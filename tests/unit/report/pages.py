"""Runs as the tests of the page need them: records, facts and plans without a phone."""

import base64
import gzip
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness import schema
from harness.cases import Withheld
from harness.evidence import Evidence, Provenance
from harness.fact_lines import Taken
from harness.latency import Estimate
from harness.placement import NodePlacement, Placement
from harness.report.page.cells import Cell, cells
from harness.report.page.merging import merge
from harness.results import SCHEMA, End, Planned, Record, Results, Run
from harness.verdict import FALLBACK, FIDELITY, LATENCY, Outcome, Sense, Verdict


def provenance(evidence: Evidence = Evidence.RULES) -> Provenance:
    """Return a provenance of a kind."""
    return Provenance(evidence=evidence, device="rules", variant_sha256="ab")


def record(
    gate: str,
    outcome: Outcome,
    *,
    device: str = "pixel4",
    subject: str = "unet",
    variant: str = "int8_ptq",
    resolution: str = "256x256",
    metric: str = "",
    observed: float = 1.0,
    cause: str = "",
    evidence: Evidence = Evidence.RULES,
) -> Record:
    """Return a ruling; its test is told by what it is about."""
    usual = {LATENCY: "latency_ms", FALLBACK: "cpu_ops", FIDELITY: "psnr_db"}
    size = f"-{resolution}" if resolution else ""
    return Record(
        device=device, delegate="nnapi", subject=subject, variant=variant, resolution=resolution,
        test=f"test_{gate}.py::test_it[{device}:nnapi-{subject}.{variant}{size}]",
        verdict=Verdict(
            gate=gate, metric=metric or usual.get(gate, gate), sense=Sense.AT_MOST, limit=2.0,
            observed=observed, outcome=outcome, provenance=provenance(evidence), cause=cause,
        ),
    )  # fmt: skip


def estimate(
    device: str, variant: str, resolution: str, ms: float, shares: dict[str, float] | None = None
) -> Taken:
    """Return an estimated latency as a line of a run."""
    answer = Estimate(
        estimate_ms=ms, low_ms=ms / 2, high_ms=ms * 2, basis="a test",
        provenance=provenance(Evidence.MODEL), shares=shares or {},
    )  # fmt: skip
    return _taken("time", "Estimate", answer, device, variant, resolution)


def placement(device: str, variant: str, resolution: str, nodes: Sequence[NodePlacement]) -> Taken:
    """Return a placement as a line of a run."""
    answer = Placement(nodes=tuple(nodes), partitions=3, provenance=provenance())
    return _taken("place", "Placement", answer, device, variant, resolution)


def _taken(
    verb: str, kind: str, answer: object, device: str, variant: str, resolution: str
) -> Taken:
    return Taken(
        device=device, delegate="nnapi", subject="unet", variant=variant, resolution=resolution,
        request=f"{verb} {device} {variant} {resolution}", verb=verb, file_sha256="ab", kind=kind,
        answer=schema.dump(answer),
    )  # fmt: skip


def run(
    *records: Record,
    facts: Sequence[Taken] = (),
    planned: Sequence[str] = (),
    withheld: Sequence[Withheld] = (),
    command: Sequence[str] = ("pytest", "--device=pixel4"),
    time_utc: str = "2026-01-01T00:00:00+00:00",
    ended: bool = True,
    exit_code: int = 0,
    shard: str = "",
) -> Results:
    """Return a run; it planned the tests of its records and those that are named."""
    tests = dict.fromkeys([*(one.test for one in records), *planned])
    return Results(
        path=Path("run.jsonl"),
        run=Run(schema=SCHEMA, id=time_utc, command=tuple(command), host="h", time_utc=time_utc),
        plans=(Planned(tests=tuple(tests), withheld=tuple(withheld), shard=shard),),
        facts=tuple(facts),
        records=records,
        done=(),
        end=End(time_utc=time_utc, exit_code=exit_code) if ended else None,
    )


def part(page: str, name: str) -> Any:
    """Return a part of what the script of a page is given."""
    held = re.search(rf'<script type="([^"]*)" id="data-{name}">(.*?)</script>', page)
    assert held is not None
    text = held[2]
    if held[1] == "application/gzip":
        text = gzip.decompress(base64.b64decode(text)).decode()
    return json.loads(text)


def cells_of(*runs: Results) -> tuple[Cell, ...]:
    """Return the cells of runs."""
    merged = merge(runs)
    return cells(merged.records, merged.unrecorded)
