"""Tests of what the page says first."""

import shlex
from dataclasses import replace

from harness.evidence import Evidence
from harness.placement import NodePlacement
from harness.report.page import story
from harness.report.page.gains import gains
from harness.report.page.merging import merge
from harness.report.page.placements import placements
from harness.report.page.timings import timings
from harness.results import Record
from harness.verdict import FALLBACK, FIDELITY, LATENCY, Outcome
from tests.unit.report.pages import cells_of, estimate, placement, record, run


def _says(*records: Record) -> str:
    return story.headline(cells_of(run(*records)))


def test_the_headline_counts_the_phones_on_which_a_variant_leaves_the_accelerator() -> None:
    phones = ("a", "b", "c", "d", "e", "f", "g")
    records = [
        record(FALLBACK, Outcome.FAIL if name in "abc" else Outcome.PASS, device=name)
        for name in phones
    ]

    assert _says(*records) == "unet.int8_ptq leaves the accelerator on 3 of 7 phones"


def test_a_fallback_names_the_accelerator_where_it_is_known() -> None:
    def says(delegate: str, *units: str) -> str:
        failed = replace(record(FALLBACK, Outcome.FAIL), delegate=delegate)
        nodes = [NodePlacement(index=at, op="ADD", unit=unit) for at, unit in enumerate(units)]
        fact = replace(placement("pixel4", "int8_ptq", "256x256", nodes), delegate=delegate)
        return story.headline(cells_of(run(failed)), story.units(placements([fact])))

    assert says("qnn", "htp", "cpu") == "unet.int8_ptq leaves the NPU on pixel4:qnn"
    assert says("gpu-fp32", "cpu") == "unet.int8_ptq leaves the GPU on pixel4:gpu-fp32"
    assert says("nnapi", "dsp0", "cpu").startswith("unet.int8_ptq leaves the driver dsp0 on")
    assert says("nnapi", "a", "b", "cpu").startswith("unet.int8_ptq leaves the accelerator on")


def test_wrong_numbers_are_said_before_a_fallback() -> None:
    wrong = record(FIDELITY, Outcome.FAIL, variant="int8_qat")
    fallback = record(FALLBACK, Outcome.FAIL)

    assert _says(fallback, wrong) == "unet.int8_qat gives wrong numbers on pixel4:nnapi"


def test_wrong_numbers_with_every_op_accelerated_are_said_first() -> None:
    wrong = record(FIDELITY, Outcome.FAIL, variant="fp16")
    resident = [record(FALLBACK, Outcome.PASS), record(FIDELITY, Outcome.FAIL)]

    assert _says(wrong, *resident) == (
        "unet.int8_ptq gives wrong numbers on pixel4:nnapi though every op is accelerated"
    )


def test_several_variants_are_counted() -> None:
    records = [record(LATENCY, Outcome.FAIL, variant=f"v{n}") for n in range(3)]
    kept = record(LATENCY, Outcome.PASS, variant="v3")

    assert _says(*records) == "All 3 variants of unet are over budget on pixel4:nnapi"
    assert _says(*records, kept) == "3 of 4 variants of unet are over budget on pixel4:nnapi"


def test_nothing_that_is_undecided_is_called_kept() -> None:
    unsure = record(LATENCY, Outcome.INCONCLUSIVE)
    kept = record(LATENCY, Outcome.PASS, variant="fp32")

    assert _says(kept, unsure).startswith("Nothing fails; 1 of 2 cells undecided")
    assert _says(kept) == "unet.fp32 keeps every limit on pixel4:nnapi"
    assert _says() == "Nothing was tested"


def test_a_planned_test_that_never_ran_counts_as_inconclusive() -> None:
    merged = merge([run(record(LATENCY, Outcome.PASS), planned=["test_x.py::test_lost[p]"])])

    assert list(merged.outcomes().values()) == [Outcome.PASS, Outcome.INCONCLUSIVE]


def test_what_a_host_knows_is_never_called_measured() -> None:
    host = record(LATENCY, Outcome.PASS, evidence=Evidence.MODEL)
    phone = record(LATENCY, Outcome.PASS, evidence=Evidence.PHONE)
    fake = record(LATENCY, Outcome.PASS, evidence=Evidence.FAKE)

    assert "No phone was attached" in story.strength([host])
    assert story.strength([phone]) == "All of it was measured on phones."
    assert story.strength([phone, host]).startswith("Some of it")
    assert "rehearsal" in story.strength([phone, fake])


def test_the_command_keeps_what_changes_the_finding_and_quotes_the_rest() -> None:
    words = (
        "pytest", "-q", "--device=pixel4,reno3", "--origin", "emulated", "-o", "golden_dir=my dir",
        "--harness-serial=R5", "--subject=unet", "--resume", "test_latency.py",
    )  # fmt: skip
    hostile = "test_a.py::test_it[pixel4:nnapi-x.$(reboot);'y']"
    one = run(record(LATENCY, Outcome.FAIL), command=words)

    line = story.command(hostile, "pixel4:nnapi", one.run)

    assert shlex.split(line) == [
        "pytest", "--device=pixel4:nnapi", "--origin", "emulated", "-o", "golden_dir=my dir",
        "--harness-serial=R5", hostile,
    ]  # fmt: skip


def test_a_cause_that_holds_on_several_phones_is_said_once() -> None:
    records = [record(FALLBACK, Outcome.FAIL, device=d, cause="refused") for d in "ab"]

    (failure,) = story.failures(merge([run(*records)]), {})

    (reason,) = failure.reasons
    assert reason.places == ("a:nnapi 256x256", "b:nnapi 256x256")


def test_a_command_that_repeats_a_test_keeps_the_lab_and_what_the_change_is_judged_against() -> (
    None
):
    typed = ("pytest", "--device=pixel4", "--harness-against", "HEAD", "--lab=adb:h:1", "-q")

    assert list(story.kept(typed)) == ["--harness-against", "HEAD", "--lab=adb:h:1"]


def _gained(shares: dict[str, float], *, gate: str = FALLBACK) -> str:
    """Return the gain that the failure of op 1 of 3 tells."""
    ruled = record(gate, Outcome.FAIL)
    ruled = replace(ruled, verdict=replace(ruled.verdict, remedy="CONV_2D is accepted here"))
    nodes = [
        NodePlacement(index=i, op="X", unit=unit) for i, unit in enumerate(("dsp", "cpu", "dsp"))
    ]
    facts = [
        estimate("pixel4", "int8_ptq", "256x256", 10.0, shares),
        placement("pixel4", "int8_ptq", "256x256", nodes),
    ]
    merged = merge([run(ruled, facts=facts)])
    found = gains(timings(merged.facts), placements(merged.facts))
    (failure,) = story.failures(merged, found)
    return failure.reasons[0].gain


def test_a_remedy_for_a_fallback_says_what_it_can_gain_at_most() -> None:
    shares = {"X #0": 0.3, "X #1": 0.4, "X #2": 0.2, "crossings between partitions": 0.1}

    assert _gained(shares).startswith("Estimated gain: at most 5 of the estimated 10 ms (50%)")


def test_no_gain_is_told_where_ops_have_no_known_time_or_the_remedy_is_for_another_gate() -> None:
    assert _gained({}) == ""
    assert _gained({"X #1": 0.4}, gate=LATENCY) == ""
