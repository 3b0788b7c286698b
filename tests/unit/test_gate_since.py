"""Rule on a number against what an earlier run found of it."""

import dataclasses

import pytest

from harness import gate, metrics
from harness.earlier import Earlier, Number
from harness.evidence import Evidence, Provenance
from harness.verdict import Change, Lack, Outcome, Verdict

PHONE = Provenance(evidence=Evidence.PHONE, device="phone 1", variant_sha256="")
MODEL = dataclasses.replace(PHONE, evidence=Evidence.MODEL, device="profile a")


def measured(low: float | None, high: float | None, made: Provenance = PHONE) -> Verdict:
    """Return the ruling on 10 ms (9.9 to 10.1) then, and an interval now."""
    was = Number(value=10.0, low=9.9, high=10.1, provenance=PHONE)
    now = 10.0 if low is None or high is None else (low + high) / 2
    return gate.since(metrics.CHANGED_LATENCY_MS, now, was, made, run="run r", low=low, high=high)


@pytest.mark.parametrize(
    ("low", "high", "change", "outcome"),
    [
        (9.9, 10.1, Change.EQUAL, Outcome.PASS),
        (10.2, 10.6, Change.EQUAL, Outcome.PASS),
        (10.5, 11.5, Change.UNDECIDED, Outcome.INCONCLUSIVE),
        (11.5, 12.0, Change.WORSE, Outcome.FAIL),
        (8.0, 8.5, Change.BETTER, Outcome.PASS),
        (5.0, 20.0, Change.UNDECIDED, Outcome.INCONCLUSIVE),
        (None, None, Change.UNDECIDED, Outcome.INCONCLUSIVE),
    ],
)
def test_a_phones_latency_differs_where_all_of_its_ratio_lies_beyond_a_nights_margin(
    low: float | None, high: float | None, change: Change, outcome: Outcome
) -> None:
    ruled = measured(low, high)

    assert (ruled.change, ruled.outcome) == (change, outcome)
    assert "not A B B A" in ruled.cause


def test_another_phone_or_kind_of_evidence_is_not_compared() -> None:
    other = dataclasses.replace(PHONE, device="phone 2")

    assert measured(30.0, 31.0, other).change is Change.UNDECIDED
    assert "another phone" in measured(30.0, 31.0, other).cause
    estimated = measured(30.0, 31.0, MODEL)
    assert (estimated.change, estimated.lacks) == (Change.UNDECIDED, Lack.PHONE)


def test_what_the_run_lacks_is_undecided() -> None:
    ruled = gate.since(metrics.CHANGED_CPU_OPS, 0, None, MODEL, run="run r")

    assert (ruled.change, ruled.outcome) == (Change.UNDECIDED, Outcome.INCONCLUSIVE)
    assert "run r holds no cpu_ops" in ruled.cause


def test_what_repeats_is_exact_and_told_with_what_differs() -> None:
    was = Number(value=10.0, provenance=MODEL)
    made = dataclasses.replace(MODEL, device="profile b", runtime={"litert": "2"})

    ruled = gate.since(metrics.CHANGED_LATENCY_MS, 10.01, was, made, run="run r")

    assert (ruled.change, ruled.outcome) == (Change.WORSE, Outcome.FAIL)
    assert "device profile a -> profile b; litert unknown -> 2" in ruled.cause


def test_a_count_of_a_phone_is_exact() -> None:
    was = Number(value=0.0, provenance=PHONE)

    assert gate.since(metrics.CHANGED_CPU_OPS, 1, was, PHONE, run="r").change is Change.WORSE


def test_a_number_on_evidence_of_the_same_kind_goes_before_another() -> None:
    both = (Number(value=1.0, provenance=MODEL), Number(value=2.0, provenance=PHONE))
    found = Earlier(
        run="r", reference_sha256="", numbers={("m", "64x64", ""): both}, placements={},
        image=lambda size, inputs: None,
    )  # fmt: skip

    assert found.number("m", "64x64", Evidence.PHONE) == both[1]
    assert found.number("m", "64x64", Evidence.HOST) == both[0]
    assert found.number("m", "32x32", Evidence.PHONE) is None
