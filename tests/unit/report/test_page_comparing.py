"""Tests of two runs beside each other: what counts as worse, and the sentence about it."""

from harness.placement import NodePlacement
from harness.report.page import rendering, story
from harness.report.page.cells import Class
from harness.report.page.comparing import CellComparison, Turn, compare, stacks
from harness.results import Record, Results
from harness.verdict import FALLBACK, FIDELITY, LATENCY, Outcome
from tests.unit.report.pages import cells_of, placement, record, run

PASS, FAIL, UNSURE = Outcome.PASS, Outcome.FAIL, Outcome.INCONCLUSIVE


def _compare(was: Results, now: Results) -> CellComparison:
    return compare(cells_of(now), [was])


def _says(was: Results, now: Results) -> str:
    return story.change_headline(_compare(was, now), cells_of(now))


def _on(phones: str, outcome: Outcome) -> list[Record]:
    return [record(FALLBACK, outcome, device=name, cause="refused") for name in phones]


def test_the_sentence_counts_the_phones_on_which_something_newly_fails() -> None:
    was = run(*_on("abcdefg", PASS))
    now = run(*_on("abc", FAIL), *_on("defg", PASS))

    assert _says(was, now) == (
        "unet.int8_ptq leaves the accelerator on 3 of 7 phones since this change"
    )


def test_what_runs_where_it_should_is_not_said_to_do_so_since_the_change() -> None:
    kept = [record(FALLBACK, PASS), record(LATENCY, PASS)]
    was, now = run(*kept, record(FIDELITY, PASS)), run(*kept, record(FIDELITY, FAIL))

    assert _says(was, now) == (
        "unet.int8_ptq gives wrong numbers on pixel4:nnapi since this change "
        "though every op is accelerated"
    )


def test_what_failed_before_is_not_blamed_on_the_change() -> None:
    was = run(*_on("ab", FAIL), *_on("c", PASS))

    assert _says(was, was) == (
        "No verdict of 3 cells is another since this change; 2 cells failed before too"
    )
    assert _says(was, run(*_on("a", PASS), *_on("b", FAIL), *_on("c", PASS))) == (
        "Nothing is worse since this change; 1 cell of 3 better; 1 cell failed before too"
    )


def test_a_gate_that_newly_fails_is_named_though_the_cell_failed_already() -> None:
    wrong = record(FIDELITY, FAIL)
    was, now = run(wrong, record(LATENCY, PASS)), run(wrong, record(LATENCY, FAIL))

    (changed,) = _compare(was, now).news

    assert (changed.turn, changed.kind) == (Turn.WORSE, Class.SLOW)
    assert changed.gates == ((LATENCY, PASS, FAIL),)
    assert _says(was, now) == "unet.int8_ptq is over budget on pixel4:nnapi since this change"


def test_what_is_no_longer_decided_is_worse_and_is_not_called_a_failure() -> None:
    was, now = run(record(LATENCY, PASS)), run(record(LATENCY, UNSURE, cause="hot"))

    (changed,) = _compare(was, now).news

    assert (changed.turn, changed.kind, changed.cause) == (Turn.WORSE, None, "hot")
    assert "no longer decided" in _says(was, now)


def test_cells_that_only_one_run_tested_are_no_change_for_the_worse() -> None:
    was, now = run(*_on("ab", PASS)), run(*_on("bc", FAIL))

    turns = {one.cell.target: one.turn for one in _compare(was, now).changed}

    assert turns == {"a:nnapi": Turn.GONE, "b:nnapi": Turn.WORSE, "c:nnapi": Turn.NEW}
    assert _says(run(*_on("a", PASS)), run(*_on("b", FAIL))) == "No cell was tested in both runs"


def test_a_new_phone_that_fails_is_said_beside_what_did_not_change() -> None:
    was, now = run(*_on("a", PASS)), run(*_on("a", PASS), *_on("b", FAIL))

    assert _says(was, now) == (
        "No verdict of 1 cell is another since this change; 1 of 1 new cell failing"
    )


def test_changed_verdicts_stand_first_in_the_table_and_in_the_matrix() -> None:
    steady = [record(LATENCY, PASS, variant=name) for name in ("v0", "v1")]
    was = run(*steady, record(LATENCY, PASS, variant="v2"))
    now = run(*steady, record(LATENCY, FAIL, variant="v2", cause="slow kernel"))

    page = rendering.render([now], against=[was])

    matrix = page[page.index('class="matrix"') :]
    assert matrix.index("v2") < matrix.index("v0") < matrix.index("v1")
    table = page[page.index('class="changes"') : page.index('class="matrix"')]
    assert "slow kernel" in table
    assert "v0" not in table
    assert "<title>unet.v2 is over budget on pixel4:nnapi since this change" in page


def _placed(*units: str) -> Results:
    nodes = [NodePlacement(index=i, op="CONV_2D", unit=unit) for i, unit in enumerate(units)]
    return run(facts=[placement("a", "fp32", "256x256", nodes)])


def test_a_strip_stands_below_the_earlier_one_where_ops_moved() -> None:
    was, now = _placed("dsp", "dsp"), _placed("dsp", "cpu")
    moved, same = compare((), [was]), compare((), [now])
    (strip,) = same.strips

    (stack,), (still,) = stacks([strip], moved), stacks([strip], same)

    assert [said for said, _ in stack.strips] == ["before", "now"]
    assert [block.letter for block in stack.strips[0][1].blocks] == ["D", "D"]
    assert still.strips == (("as before", strip),)
    assert stacks([strip], None)[0].strips == (("", strip),)
