"""Keep estimates beside what phones measured in a gate run."""

from pathlib import Path

import pytest

from harness import ledger, profiles, subjects
from harness.devices.emulated import Emulated
from harness.evidence import Evidence, Provenance, sha256_of
from harness.images import Size
from harness.latency import Latency, summarize
from harness.plugin.ledgering import Ledgered
from harness.profiles import Target
from harness.subjects import Variant

SIZE = Size(width_px=64, height_px=64)


class _Stopwatch(Emulated):
    """Answer as the profile's phone would, with 5 ms for every inference."""

    def __init__(self, target: Target, evidence: Evidence) -> None:
        super().__init__(target)
        self._evidence = evidence

    def time(self, variant: Variant, size: Size, *, limit_ms: float | None = None) -> Latency:
        made = Provenance(
            evidence=self._evidence, device="a phone", variant_sha256=sha256_of(variant.read())
        )
        return summarize([5.0], first_ms=6.0, init_ms=7.0, provenance=made)


@pytest.mark.parametrize(("evidence", "pairs"), [(Evidence.PHONE, 1), (Evidence.FAKE, 0)])
def test_only_what_a_real_phone_measured_is_put_beside_its_estimate(
    golden_dir: Path, tmp_path: Path, evidence: Evidence, pairs: int
) -> None:
    known = profiles.load_all([profiles.shipped_folder()])
    (target,) = profiles.select(known, ["pixel4"])
    (subject,) = subjects.load_all(golden_dir)
    device = Ledgered(_Stopwatch(target, evidence), target, tmp_path / "ledger.jsonl")

    measured = device.time(subject.reference, SIZE, limit_ms=None)

    assert isinstance(measured, Latency)
    entries = ledger.read(tmp_path / "ledger.jsonl")
    assert [entry.measured_ms for entry in entries] == [5.0] * pairs
    estimate = Emulated(target).time(subject.reference, SIZE)
    assert all(entry.estimate_ms == estimate.estimate_ms for entry in entries)


def test_a_ledger_that_cannot_be_written_costs_no_measurement(
    golden_dir: Path, tmp_path: Path
) -> None:
    (target,) = profiles.select(profiles.load_all([profiles.shipped_folder()]), ["pixel4"])
    (subject,) = subjects.load_all(golden_dir)
    (tmp_path / "taken").write_text("", encoding="utf-8")
    path = tmp_path / "taken" / "ledger.jsonl"
    device = Ledgered(_Stopwatch(target, Evidence.PHONE), target, path)

    assert isinstance(device.time(subject.reference, SIZE), Latency)
