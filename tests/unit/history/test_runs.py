"""Take results files as runs of the history."""

import json
import math
from pathlib import Path

import pytest

from harness import results
from harness.errors import ConfigError
from harness.evidence import Evidence, Provenance
from harness.history import exchange, runs
from harness.results import Record
from harness.verdict import Outcome, Sense, Verdict

PHONE = "Pixel 4 (0123) nnapi"


def record(value=20.0, *, gate="latency", evidence=Evidence.MODEL, device="x", **parts):
    verdict = Verdict(
        gate=gate, metric="latency_ms", sense=Sense.AT_MOST, observed=value, limit=30.0,
        outcome=parts.pop("outcome", Outcome.PASS), low=19.0, high=math.inf,
        provenance=Provenance(
            evidence=evidence, device=device, variant_sha256="a" * 64, time_utc=parts.pop("at", "")
        ),
    )  # fmt: skip
    return Record(
        device="pixel4", delegate="nnapi", subject="net", variant="fp32", resolution="64x64",
        test=f"test_{gate}", verdict=verdict,
    )  # fmt: skip


def entry(tmp_path: Path, *records: Record):
    writer = results.Writer(tmp_path)
    for one in records:
        writer.write(one)
    assert writer.path is not None
    return runs.entry(results.load(writer.path)), writer.path


def test_a_number_that_two_gates_rule_on_is_one_fact_with_the_worst_outcome(tmp_path: Path) -> None:
    run, _ = entry(tmp_path, record(), record(gate="regression", outcome=Outcome.FAIL))

    (fact,) = run.facts
    assert (fact.value, fact.outcome, fact.attempt) == (20.0, "FAIL", 0)
    assert (fact.low, fact.high) == (19.0, None)
    assert str(fact.series) == "net fp32 pixel4 nnapi 64x64 latency_ms MODEL"


def test_a_number_taken_again_in_a_run_is_a_further_attempt(tmp_path: Path) -> None:
    run, _ = entry(tmp_path, record(20.0), record(21.0))

    assert [(fact.attempt, fact.value) for fact in run.facts] == [(0, 20.0), (1, 21.0)]


@pytest.mark.parametrize("value", [None, math.inf, math.nan])
def test_what_is_no_number_is_no_fact(tmp_path: Path, value: float | None) -> None:
    run, _ = entry(tmp_path, record(value, outcome=Outcome.FAIL))

    assert run.facts == ()


def test_only_what_a_phone_measured_has_a_fingerprint(
    tmp_path: Path,
) -> None:
    run, _ = entry(tmp_path, record(), record(evidence=Evidence.PHONE, device=PHONE))

    assert [fact.series.fingerprint for fact in run.facts] == ["", PHONE]


def test_provenance_that_differs_in_time_alone_is_kept_once(tmp_path: Path) -> None:
    (early, _), (late, _) = (
        entry(tmp_path, record(at="2026-01-01T00:00:00+00:00")),
        entry(tmp_path, record(at="2026-01-02T00:00:00+00:00")),
    )

    assert early.facts[0].provenance == late.facts[0].provenance
    assert json.loads(early.facts[0].provenance)["variant_sha256"] == "a" * 64


def test_add_reads_results_files_beside_its_own_export(tmp_path: Path) -> None:
    run, path = entry(tmp_path, record())

    assert exchange.read(path) == (run,)


def test_a_results_file_that_is_damaged_is_refused(tmp_path: Path) -> None:
    _, path = entry(tmp_path, record())
    path.write_text(path.read_text("utf-8") + "}\n{}\n", encoding="utf-8")

    with pytest.raises(ConfigError, match="not a JSON line"):
        exchange.read(path)
