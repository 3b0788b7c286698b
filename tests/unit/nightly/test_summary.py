"""Tests of what is said of a night."""

import dataclasses

from harness.cases import Withheld
from harness.evidence import Evidence
from harness.nightly import summary
from harness.nightly.summary import Summary
from harness.verdict import FALLBACK, LATENCY, Outcome
from tests.unit.report import pages


def test_what_was_planned_and_left_no_record_is_said() -> None:
    run = pages.run(pages.record(FALLBACK, Outcome.PASS), planned=["test_lost"], ended=False)

    said = "\n".join(summary.left_out(run))

    assert "1 of 2 planned tests left no record, the first is test_lost" in said
    assert "cut short" in said


def test_a_target_that_no_phone_measured_is_said_with_what_stands_in() -> None:
    run = pages.run(
        pages.record(LATENCY, Outcome.PASS, evidence=Evidence.PHONE),
        pages.record(FALLBACK, Outcome.PASS, evidence=Evidence.RULES),
        pages.record(LATENCY, Outcome.PASS, device="reno3", evidence=Evidence.MODEL),
        pages.record(FALLBACK, Outcome.PASS, device="reno3", evidence=Evidence.RULES),
    )

    (said,) = summary.left_out(run)

    assert "reno3:nnapi (RULES, MODEL)" in said
    assert "pixel4" not in said


def test_what_does_not_ship_is_said_with_its_reason() -> None:
    why = "too large"
    withheld = [Withheld(target=f"p{n}:gpu", variant="net.fp32", because=why) for n in range(9)]
    run = pages.run(pages.record(LATENCY, Outcome.PASS, evidence=Evidence.PHONE), withheld=withheld)

    (said,) = summary.left_out(run)

    assert said.startswith("not tested, too large: net.fp32 on p0:gpu, ")
    assert said.endswith("and 3 more")


def test_lines_of_others_are_printable_and_short() -> None:
    told = Summary(outcome="FAIL", sentence="a\n\x1b[31m" + "x" * 9000, host="h")

    assert told.headline.isprintable()
    assert len(told.headline) < 500


def test_which_shard_of_a_plan_it_was_is_said() -> None:
    run = pages.run(pages.record(LATENCY, Outcome.PASS, evidence=Evidence.PHONE))
    (plan,) = run.plans
    run = dataclasses.replace(run, plans=(dataclasses.replace(plan, shard="2/4", whole="a"),))

    assert summary.left_out(run) == (
        "this is shard 2/4 of a plan: the others are runs of their own",
    )
