"""Tests of the summary's text."""

from collections.abc import Sequence

import pytest

from harness.evidence import Evidence, Provenance
from harness.report import terminal
from harness.results import Record
from harness.verdict import (
    FALLBACK,
    FIDELITY,
    LATENCY,
    REGRESSION,
    SCALING,
    Finding,
    Outcome,
    Sense,
    Verdict,
)

_LONG = (
    (LATENCY, "latency_ms", 104.1, 200.0, Sense.AT_MOST, Outcome.PASS, Evidence.VENDOR_MODEL),
    (FALLBACK, "cpu_ops", 0.0, 0.0, Sense.AT_MOST, Outcome.PASS, Evidence.VENDOR),
    (FIDELITY, "psnr_db", 73.91, 75.0, Sense.AT_LEAST, Outcome.FAIL, Evidence.HOST),
    (SCALING, "scaling_exponent", 0.98, 1.1, Sense.AT_MOST, Outcome.PASS, Evidence.MODEL),
    (REGRESSION, "latency_ms", 104.1, 105.0, Sense.AT_MOST, Outcome.PASS, Evidence.VENDOR_MODEL),
)


def _records() -> list[Record]:
    found = []
    for gate, metric, observed, limit, sense, outcome, evidence in _LONG:
        made = Provenance(evidence=evidence, device="d", variant_sha256="ab")
        verdict = Verdict(
            gate=gate, metric=metric, observed=observed, limit=limit, sense=sense,
            outcome=outcome, provenance=made,
        )  # fmt: skip
        found.append(
            Record(
                test=f"test_{gate}", subject="deblur_unet", variant="int8_ptq",
                device="galaxy_s24", delegate="qnn", resolution="1280x720", verdict=verdict,
            )
        )  # fmt: skip
    return found


def _lines(records: Sequence[Record], width: int) -> list[str]:
    return terminal.summary(records, {}, width=width, color=False).splitlines()


@pytest.mark.parametrize("width", [80, 100, 140])
def test_no_word_is_cut_in_two_or_lost(width: int) -> None:
    lines = _lines(_records(), width)

    assert all(len(line) <= width for line in lines)
    words = " ".join(lines).split()
    for word in (*Finding.RESIDENT_BUT_WRONG.value.split(), "int8_ptq", "1280x720", "73.9>=75"):
        assert word in words
    assert "".join(words).count("VENDOR+MODEL") + words.count("+MODEL") >= 2


def test_the_cell_of_a_failing_gate_says_so() -> None:
    assert any("FAIL HOST" in line for line in _lines(_records(), 140))


def test_the_sentence_that_matters_comes_before_the_tables() -> None:
    first, second, *_ = _lines(_records(), 80)

    assert f"{first.strip()} {second.strip()}" == (
        "deblur_unet.int8_ptq gives wrong numbers on galaxy_s24:qnn though every op is accelerated."
    )
