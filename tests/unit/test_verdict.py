"""Tests of joining rulings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import verdict
from harness.evidence import Evidence, Provenance
from harness.verdict import (
    ENERGY,
    FALLBACK,
    FIDELITY,
    FILE_SIZE,
    FIRST_INFERENCE,
    LATENCY,
    MEMORY,
    REGRESSION,
    SCALING,
    Finding,
    Lack,
    Outcome,
    Sense,
    Verdict,
)

PASS, FAIL, OPEN = Outcome.PASS, Outcome.FAIL, Outcome.INCONCLUSIVE


def ruling(
    gate_name: str,
    outcome: Outcome = PASS,
    kind: Evidence | None = Evidence.HOST,
    lacks: Lack | None = None,
) -> Verdict:
    made = Provenance(evidence=kind, device="d", variant_sha256="") if kind else None
    return Verdict(
        gate=gate_name,
        metric="m",
        sense=Sense.AT_MOST,
        outcome=outcome,
        provenance=made,
        lacks=lacks,
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
            [ruling(LATENCY), ruling(FALLBACK), ruling(FIDELITY)],
            Finding.RIGHT,
        ),
        ([ruling(LATENCY), ruling(FALLBACK)], Finding.PARTIAL),
        ([ruling(LATENCY, FAIL), ruling(FALLBACK)], Finding.SLOW),
        ([ruling(SCALING, FAIL), ruling(FALLBACK)], Finding.SLOW),
        ([ruling(LATENCY, FAIL), ruling(FALLBACK, FAIL)], Finding.FALLBACK),
        ([ruling(FIDELITY, FAIL)], Finding.WRONG),
        ([ruling(FIDELITY, FAIL), ruling(FALLBACK, FAIL)], Finding.WRONG),
        ([ruling(FIDELITY, FAIL), ruling(FALLBACK, OPEN)], Finding.WRONG),
        ([ruling(FIDELITY, FAIL), ruling(FALLBACK)], Finding.RESIDENT_BUT_WRONG),
        ([ruling(FIRST_INFERENCE, FAIL), ruling(MEMORY, FAIL)], Finding.SLOW),
        ([ruling(MEMORY, FAIL), ruling(REGRESSION, FAIL)], Finding.LARGE),
        ([ruling(FILE_SIZE, FAIL)], Finding.LARGE),
        ([ruling(ENERGY, FAIL), ruling(MEMORY, FAIL)], Finding.COSTLY),
        ([ruling(REGRESSION, FAIL)], Finding.REGRESSED),
        ([ruling(LATENCY, OPEN), ruling(FALLBACK)], Finding.NEEDS_FACT),
    ],
)
def test_the_class_of_a_joined_verdict_names_the_gravest_cause(
    rulings: list[Verdict], finding: Finding
) -> None:
    _, found, _ = verdict.join(rulings)

    assert found is finding


@pytest.mark.parametrize(
    ("lacks", "finding"),
    [
        ([Lack.FACT, Lack.PHONE], Finding.NEEDS_FACT),
        ([Lack.LIMIT, Lack.PHONE], Finding.NEEDS_PHONE),
        ([Lack.STATE], Finding.NEEDS_MEASURING),
        ([Lack.PRECISION, Lack.BASELINE], Finding.NEEDS_MEASURING),
        ([Lack.TARGET, Lack.STACK], Finding.NEEDS_STACK),
        ([Lack.TARGET], Finding.NEEDS_IMAGE),
        ([Lack.FRAME, Lack.LIMIT], Finding.NEEDS_IMAGE),
        ([Lack.LIMIT, Lack.BASELINE], Finding.NEEDS_BLESSING),
    ],
)
def test_what_is_needed_is_what_the_rulings_lack(lacks: list[Lack], finding: Finding) -> None:
    rulings = [ruling(FIDELITY, OPEN, lacks=lack) for lack in lacks]

    assert verdict.join([ruling(LATENCY), *rulings])[1] is finding


@pytest.mark.parametrize("lack", Lack)
def test_every_lack_is_a_need_of_its_own_words(lack: Lack) -> None:
    _, finding, _ = verdict.join([ruling(LATENCY, OPEN, lacks=lack)])

    assert finding.value.startswith("needs ")


@pytest.mark.parametrize("outcome", [PASS, FAIL])
def test_only_an_inconclusive_ruling_lacks_something(outcome: Outcome) -> None:
    with pytest.raises(ValueError, match="lacks limit"):
        ruling(LATENCY, outcome, lacks=Lack.LIMIT)


def test_a_joined_verdict_rests_on_its_weakest_evidence() -> None:
    rulings = [
        ruling(LATENCY, PASS, Evidence.PHONE),
        ruling(FALLBACK, PASS, Evidence.RULES),
    ]

    _, _, ground = verdict.join(rulings)

    assert ground is Evidence.RULES


def test_without_any_evidence_there_is_no_ground_and_no_pass() -> None:
    outcome, _, ground = verdict.join([ruling(LATENCY, OPEN, None)])

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
            observed=4.0,
            limit=0.0,
            cause="PRELU is refused",
            remedy="use RELU",
        )
    )

    assert line == "FAIL cpu_fallback: cpu_ops 4, at most 0: PRELU is refused; use RELU [RULES]"


@pytest.mark.parametrize(
    ("observed", "low", "high", "limit", "said"),
    [
        (41.9996, None, None, 42.0, "m 41.9996, at least 42"),
        (42.0, None, None, 42.0, "m 42, at least 42"),
        (40.0, None, None, 42.0, "m 40, at least 42"),
        (43.0, 41.9996, 44.0, 42.0, "m 43 (41.9996 to 44) straddles 42"),
        (41.99999999999999, None, None, 42.0, "m 41.99999999999999, at least 42"),
    ],
)
def test_a_value_beside_its_limit_never_reads_as_equal_to_it(
    observed: float, low: float | None, high: float | None, limit: float, said: str
) -> None:
    found = Verdict(
        gate="g", metric="m", sense=Sense.AT_LEAST, outcome=FAIL, observed=observed, low=low,
        high=high, limit=limit,
    )  # fmt: skip

    assert found.compared == said
