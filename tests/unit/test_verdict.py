"""Tests of joining rulings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import gate, verdict
from harness.evidence import Evidence, Provenance
from harness.verdict import Finding, Outcome, Sense, Verdict

PASS, FAIL, OPEN = Outcome.PASS, Outcome.FAIL, Outcome.INCONCLUSIVE


def ruling(
    gate_name: str, outcome: Outcome = PASS, kind: Evidence | None = Evidence.HOST
) -> Verdict:
    made = Provenance(evidence=kind, device="d", variant_sha256="") if kind else None
    return Verdict(
        gate=gate_name, metric="m", sense=Sense.AT_MOST, outcome=outcome, provenance=made
    )


@pytest.mark.parametrize(
    ("outcomes", "joined"),
    [
        ([], OPEN),
        ([PASS], PASS),
        ([PASS, OPEN], OPEN),
        ([PASS, FAIL], FAIL),
        ([OPEN, FAIL], FAIL),
        ([FAIL, PASS, OPEN], FAIL),
        ([PASS, PASS], PASS),
    ],
)
def test_fail_outweighs_inconclusive_outweighs_pass_and_nothing_is_inconclusive(
    outcomes: list[Outcome], joined: Outcome
) -> None:
    assert verdict.worst(outcomes) is joined


@given(before=st.lists(st.sampled_from(Outcome)), more=st.sampled_from(Outcome))
def test_one_more_ruling_never_improves_a_joined_one(before: list[Outcome], more: Outcome) -> None:
    joined = verdict.worst([*before, more])

    if before and verdict.worst(before) is not PASS:
        assert joined is not PASS
    if FAIL in before:
        assert joined is FAIL


@pytest.mark.parametrize(
    ("rulings", "finding"),
    [
        (
            [ruling(gate.LATENCY), ruling(gate.FALLBACK), ruling(gate.FIDELITY)],
            Finding.RIGHT,
        ),
        ([ruling(gate.LATENCY), ruling(gate.FALLBACK)], Finding.PARTIAL),
        ([ruling(gate.LATENCY, FAIL), ruling(gate.FALLBACK)], Finding.SLOW),
        ([ruling(gate.SCALING, FAIL), ruling(gate.FALLBACK)], Finding.SLOW),
        ([ruling(gate.LATENCY, FAIL), ruling(gate.FALLBACK, FAIL)], Finding.FALLBACK),
        ([ruling(gate.FIDELITY, FAIL)], Finding.WRONG),
        ([ruling(gate.FIDELITY, FAIL), ruling(gate.FALLBACK, FAIL)], Finding.WRONG),
        ([ruling(gate.FIDELITY, FAIL), ruling(gate.FALLBACK, OPEN)], Finding.WRONG),
        ([ruling(gate.FIDELITY, FAIL), ruling(gate.FALLBACK)], Finding.RESIDENT_BUT_WRONG),
        ([ruling(gate.REGRESSION, FAIL)], Finding.REGRESSED),
        ([ruling(gate.LATENCY, OPEN), ruling(gate.FALLBACK)], Finding.NEEDS_PHONE),
    ],
)
def test_the_class_of_a_joined_verdict_names_the_gravest_cause(
    rulings: list[Verdict], finding: Finding
) -> None:
    _, found, _ = verdict.join(rulings)

    assert found is finding


def test_a_joined_verdict_rests_on_its_weakest_evidence() -> None:
    rulings = [
        ruling(gate.LATENCY, PASS, Evidence.PHONE),
        ruling(gate.FALLBACK, PASS, Evidence.RULES),
    ]

    _, _, ground = verdict.join(rulings)

    assert ground is Evidence.RULES


def test_without_any_evidence_there_is_no_ground_and_no_pass() -> None:
    outcome, _, ground = verdict.join([ruling(gate.LATENCY, OPEN, None)])

    assert outcome is OPEN
    assert ground is None


def test_a_line_names_outcome_gate_cause_and_evidence() -> None:
    made = Provenance(evidence=Evidence.RULES, device="d", variant_sha256="")
    line = str(
        Verdict(
            gate="cpu_fallback",
            metric="cpu_ops",
            sense=Sense.AT_MOST,
            outcome=FAIL,
            provenance=made,
            because="4 of 61 ops on CPU",
        )
    )

    assert line == "FAIL cpu_fallback: 4 of 61 ops on CPU [RULES]"
