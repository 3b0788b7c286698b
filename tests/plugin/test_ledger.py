"""Keep estimates beside what phones measured in a gate run."""

from pathlib import Path

import pytest

from harness import ledger, profiles, subjects
from harness.cases import Case
from harness.devices.emulated import Emulated
from harness.evidence import Evidence, Provenance
from harness.images import Size
from harness.latency import summarize
from harness.plugin import estimate_pairs
from harness.requests import Fact, Request, Verb

SIZE = Size(width_px=64, height_px=64)


@pytest.mark.parametrize(("evidence", "pairs"), [(Evidence.PHONE, 1), (Evidence.FAKE, 0)])
def test_only_what_a_real_phone_measured_is_put_beside_its_estimate(
    golden_dir: Path, tmp_path: Path, evidence: Evidence, pairs: int
) -> None:
    known = profiles.load_all([profiles.shipped_folder()])
    (target,) = profiles.select(known, ["pixel4"])
    (subject,) = subjects.load_all(golden_dir)
    case = Case(target=target, subject=subject, variant=subject.reference)
    request = Request.of(case, Verb.TIME, SIZE)
    made = Provenance(evidence=evidence, device="a phone", variant_sha256=request.sized.sha256)
    measured = summarize([5.0], first_ms=6.0, init_ms=7.0, provenance=made)

    estimate_pairs.write([Fact(request=request, answer=measured)], tmp_path / "ledger.jsonl")

    entries = ledger.read(tmp_path / "ledger.jsonl")
    assert [entry.measured_ms for entry in entries] == [5.0] * pairs
    assert [(e.subject, e.variant, e.resolution) for e in entries] == [
        ("unet", "fp32", "64x64")
    ] * pairs
    estimate = Emulated(target).time(request.sized)
    assert all(entry.estimate_ms == estimate.estimate_ms for entry in entries)


def test_a_ledger_that_cannot_be_written_costs_no_measurement(
    golden_dir: Path, tmp_path: Path
) -> None:
    (target,) = profiles.select(profiles.load_all([profiles.shipped_folder()]), ["pixel4"])
    (subject,) = subjects.load_all(golden_dir)
    (tmp_path / "taken").write_text("", encoding="utf-8")
    path = tmp_path / "taken" / "ledger.jsonl"
    request = Request(target=target, verb=Verb.TIME, model=subject.reference.model(), size=SIZE)
    made = Provenance(
        evidence=Evidence.PHONE, device="a phone", variant_sha256=request.sized.sha256
    )
    measured = summarize([5.0], first_ms=6.0, init_ms=7.0, provenance=made)

    estimate_pairs.write([Fact(request=request, answer=measured)], path)

    assert not path.exists()
