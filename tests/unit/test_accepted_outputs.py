"""Outputs that a person lets a device make for a time."""

import dataclasses

import numpy as np
import pytest

from harness import accepted_outputs, gate, subjects
from harness.accepted_outputs import AcceptedOutput
from harness.errors import BlessedDataError, ConfigError
from harness.evidence import Evidence, Provenance
from harness.verdict import FIDELITY, Outcome, Sense, Verdict
from tests import tiny

MADE = Provenance(evidence=Evidence.PHONE, device="phone 1", variant_sha256="")
LET = AcceptedOutput(
    frame="a", variant="int8_ptq", file_sha256="ab", device="pixel4", delegate="gpu",
    evidence=Evidence.PHONE, image_sha256="", because="driver 512", until="2026-06-30",
    fingerprint="phone 1",
)  # fmt: skip


def ruled(outcome: Outcome) -> Verdict:
    return Verdict(gate=FIDELITY, metric="psnr_db", sense=Sense.AT_LEAST, outcome=outcome)


@pytest.mark.parametrize(
    ("golden", "other", "today", "outcome", "let"),
    [
        (Outcome.PASS, Outcome.PASS, "2026-06-30", Outcome.PASS, ""),
        (Outcome.FAIL, Outcome.PASS, "2026-06-30", Outcome.PASS, "until 2026-06-30: driver 512"),
        (Outcome.FAIL, Outcome.FAIL, "2026-06-30", Outcome.FAIL, ""),
        (Outcome.FAIL, Outcome.INCONCLUSIVE, "2026-06-30", Outcome.FAIL, ""),
        (Outcome.FAIL, Outcome.PASS, "2026-07-01", Outcome.FAIL, ""),
    ],
)
def test_an_accepted_output_counts_where_the_golden_fails_and_up_to_its_last_day(
    golden: Outcome, other: Outcome, today: str, outcome: Outcome, let: str
) -> None:
    (found,) = gate.or_accepted([ruled(golden)], [LET], lambda one: [ruled(other)], today=today)

    assert (found.outcome, found.accepted) == (outcome, let)
    assert ("could stay until 2026-06-30" in found.cause) is (today > LET.until)


@pytest.mark.parametrize(
    ("made", "fits"),
    [
        ({}, True),
        ({"device": "phone 2"}, False),
        ({"evidence": Evidence.HOST}, False),
    ],
)
def test_only_an_output_of_the_same_phone_and_kind_is_held_to_it(made: dict, fits: bool) -> None:
    assert LET.fits(dataclasses.replace(MADE, **made)) is fits


def test_several_for_one_device_are_kept_in_16_bits(golden_dir) -> None:
    subject = subjects.load(golden_dir / tiny.NAME)
    shape = (1, tiny.SIZE_PX, tiny.SIZE_PX, 3)
    images = [np.full(shape, level, np.float32) for level in (0.25, 0.75)]

    for image in images:
        accepted_outputs.store(subject, [(LET, [image])])

    listed = accepted_outputs.load(subject)
    kept = [accepted_outputs.outputs_of(subject, one)[0] for one in listed]
    assert sorted(float(one.mean()) for one in kept) == pytest.approx([0.25, 0.75], abs=1e-4)


def test_what_is_over_is_taken_off_with_its_image_and_what_is_not_stays(golden_dir) -> None:
    subject = subjects.load(golden_dir / tiny.NAME)
    shape = (1, tiny.SIZE_PX, tiny.SIZE_PX, 3)
    for until, level in (("2026-06-30", 0.25), ("2026-07-31", 0.75)):
        image = np.full(shape, level, np.float32)
        accepted_outputs.store(subject, [(dataclasses.replace(LET, until=until), [image])])

    accepted_outputs.drop_expired(subject, today="2026-07-01")

    (kept,) = accepted_outputs.load(subject)
    assert float(accepted_outputs.outputs_of(subject, kept)[0].mean()) == pytest.approx(0.75, 1e-3)
    assert len(list((subject.references / "accepted").iterdir())) == 1


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"until": "2026-06-30"', '"until": "soon"', "until"),
        ('"until": "2026-06-30"', '"until": ""', "last day"),
        ('"because": "driver 512"', '"because": " "', "a reason"),
        ('"delegate"', '"delegte"', "delegte"),
    ],
)
def test_a_list_that_is_wrong_is_one_error(golden_dir, old: str, new: str, words: str) -> None:
    subject = subjects.load(golden_dir / tiny.NAME)
    image = np.zeros((1, tiny.SIZE_PX, tiny.SIZE_PX, 3), np.float32)
    path = accepted_outputs.store(subject, [(LET, [image])])
    tiny.edit(path, old, new)

    with pytest.raises(ConfigError, match=words):
        accepted_outputs.load(subject)


def test_a_name_of_an_image_cannot_lead_out_of_its_folder(golden_dir) -> None:
    subject = subjects.load(golden_dir / tiny.NAME)
    one = dataclasses.replace(LET, image_sha256="../../../etc/passwd")

    with pytest.raises(ConfigError, match="is no hash"):
        accepted_outputs.outputs_of(subject, one)


def test_an_output_that_is_not_finite_is_not_accepted(golden_dir) -> None:
    subject = subjects.load(golden_dir / tiny.NAME)
    image = np.full((1, tiny.SIZE_PX, tiny.SIZE_PX, 3), np.nan, np.float32)

    with pytest.raises(BlessedDataError, match="not finite"):
        accepted_outputs.store(subject, [(LET, [image])])
    assert accepted_outputs.load(subject) == ()
