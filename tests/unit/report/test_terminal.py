"""Tests of the summary's text."""

from collections.abc import Sequence
from dataclasses import replace

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
    Lack,
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
                test=f"test_{gate}.py::test", subject="deblur_unet", variant="int8_ptq",
                device="galaxy_s24", delegate="qnn", resolution="1280x720", verdict=verdict,
            )
        )  # fmt: skip
    return found


def _record(
    ms: float,
    *,
    variant: str = "fp32",
    device: str = "pixel4",
    resolution: str = "64x64",
    lacks: Lack | None = None,
    cause: str = "",
) -> Record:
    """Return a ruling on a latency of at most 20 ms; one that lacks something is undecided."""
    outcome = Outcome.PASS if ms <= 20.0 else Outcome.FAIL
    verdict = Verdict(
        gate=LATENCY, metric="latency_ms", observed=ms, limit=20.0, sense=Sense.AT_MOST,
        outcome=Outcome.INCONCLUSIVE if lacks else outcome, lacks=lacks, cause=cause,
        provenance=Provenance(evidence=Evidence.MODEL, device="d", variant_sha256="ab"),
    )  # fmt: skip
    return Record(
        test=f"test_latency.py::test[{device}-{variant}]", subject="net", variant=variant,
        device=device, delegate="nnapi", resolution=resolution, verdict=verdict,
    )  # fmt: skip


def _lines(
    records: Sequence[Record], width: int, *, detailed: bool = False, command: str = "pytest"
) -> list[str]:
    drawn = terminal.summary(
        records, {}, width=width, color=False, detailed=detailed, command=command.split()
    )
    return drawn.splitlines()


@pytest.mark.parametrize("detailed", [False, True])
@pytest.mark.parametrize("width", [80, 100, 140])
def test_no_word_is_cut_in_two_or_lost(width: int, detailed: bool) -> None:
    lines = _lines(_records(), width, detailed=detailed)

    assert all(len(line) <= width for line in lines)
    words = " ".join(lines).split()
    for word in (*Finding.RESIDENT_BUT_WRONG.value.split(), "int8_ptq", "1280x720", "73.9>=75"):
        assert word in words
    assert "".join(words).count("VENDOR+MODEL") + words.count("+MODEL") >= 2


def test_the_cell_of_a_failing_gate_says_so() -> None:
    assert any("FAIL 73.9>=75" in line for line in _lines(_records(), 140))
    assert any("FAIL HOST" in line for line in _lines(_records(), 140, detailed=True))


def test_the_verdict_and_the_sentence_that_matters_come_before_the_tables() -> None:
    first, second, *_ = _lines(_records(), 80)

    assert f"{first.strip()} {second.strip()}" == (
        "FAIL: deblur_unet.int8_ptq gives wrong numbers on galaxy_s24:qnn though every op is "
        "accelerated."
    )


def test_a_variant_has_one_line_and_that_of_its_worst_resolution() -> None:
    lines = _lines([_record(5.0), _record(19.0, resolution="32x32")], 80)

    assert [line.split() for line in lines if "fp32" in line][1:] == [
        ["PASS", "fp32", "32x32", "~19<=20"]
    ]


def test_a_line_says_on_how_many_resolutions_it_is_so() -> None:
    sizes = ("32x32", "64x64", "96x96")
    found = [_record(ms, resolution=at) for ms, at in zip((5.0, 21.0, 25.0), sizes, strict=True)]

    assert any(line.startswith("FAIL    fp32    96x96, 2 of 3") for line in _lines(found, 80))


def test_variants_and_phones_that_differ_in_nothing_share_a_line() -> None:
    found = [
        _record(5.0, variant=variant, device=device)
        for variant in ("fp32", "fp16")
        for device in ("pixel4", "reno3")
    ]

    lines = _lines(found, 140)

    assert sum("~5<=20" in line for line in lines) == 1
    row = next(line for line in lines if "~5<=20" in line)
    assert "fp32, fp16 pixel4:nnapi, reno3:nnapi" in row


def test_evidence_that_differs_stands_beside_each_value() -> None:
    other = _record(6.0, variant="fp16")
    made = Provenance(evidence=Evidence.PHONE, device="d", variant_sha256="ab")
    other = replace(other, verdict=replace(other.verdict, provenance=made))

    lines = _lines([_record(5.0), other], 140)

    assert any("~5<=20 MODEL" in line for line in lines)
    assert any("6<=20 PHONE" in line for line in lines)


def test_what_lacks_the_same_is_one_group_with_one_command() -> None:
    found = [
        _record(15.0, device=device, lacks=Lack.PHONE, cause=f"no figure of {device} is public")
        for device in ("pixel4", "reno3", "mate30pro")
    ]

    lines = _lines(found, 80, command="pytest --device=all --origin emulated -o golden_dir=mine")

    assert lines.count("INCONCLUSIVE: 3 rulings lack a phone") == 1
    assert any(line.strip() == "and 1 more reason" for line in lines)
    assert [line.strip() for line in lines if "pytest" in line] == [
        "pytest --device=pixel4:nnapi,reno3:nnapi,mate30pro:nnapi --origin=phone "
        "-o golden_dir=mine test_latency.py"
    ]


@pytest.mark.parametrize(
    ("lacks", "command"),
    [
        (Lack.STACK, "harness doctor"),
        (Lack.BASELINE, "harness bless net --golden-dir mine"),
        (Lack.FRAME, "harness bless net --golden-dir mine"),
        (Lack.TARGET, "harness bless net --golden-dir mine"),
        (
            Lack.STATE,
            "pytest --device=pixel4:nnapi --origin=auto -o golden_dir=mine test_latency.py",
        ),
        (
            Lack.PRECISION,
            "pytest --device=pixel4:nnapi --origin=auto -o golden_dir=mine test_latency.py",
        ),
    ],
)
def test_each_lack_has_the_command_that_adds_it(lacks: Lack, command: str) -> None:
    asked = "pytest --device=pixel4 --origin=auto -o golden_dir=mine"

    lines = _lines([_record(15.0, lacks=lacks)], 80, command=asked)

    assert f"    {command}" in lines


def test_a_limit_that_nobody_set_is_named_with_its_file() -> None:
    lines = _lines([_record(15.0, lacks=Lack.LIMIT)], 80)

    assert "  write limits for latency_ms into subject.toml of net" in lines


def test_a_name_with_a_blank_or_a_semicolon_is_quoted_in_a_command() -> None:
    found = replace(_record(15.0, lacks=Lack.BASELINE), subject="net; rm -rf")

    assert "    harness bless 'net; rm -rf'" in _lines([found], 80)


def test_a_note_is_said_once_however_many_end_with_it() -> None:
    found = []
    for note in ("kernels stand in", "kernels stand in; x86 emulates fp16"):
        one = _record(5.0)
        made = Provenance(evidence=Evidence.MODEL, device="d", variant_sha256="ab", note=note)
        found.append(replace(one, verdict=replace(one.verdict, provenance=made)))

    notes = [line for line in _lines(found, 80) if line.startswith("Note")]

    assert notes == ["Note: kernels stand in; x86 emulates fp16"]


def test_a_verdict_is_a_word_with_or_without_colour() -> None:
    drawn = terminal.summary([_record(25.0)], {}, width=80, color=True)

    assert "\x1b[31mFAIL" in drawn
    assert "FAIL" in terminal.summary([_record(25.0)], {}, width=80, color=False)
