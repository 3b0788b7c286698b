"""Tests of the page's matrix: which rulings a cell joins, and what is not known."""

from harness.report.page.cells import Class
from harness.report.page.merging import merge
from harness.verdict import FALLBACK, FIDELITY, LATENCY, Finding, Outcome
from tests.unit.report.pages import cells_of, record, run


def test_a_ruling_on_all_resolutions_joins_each_cell_of_its_variant() -> None:
    slow = record("scaling", Outcome.FAIL, resolution="")
    small = record(LATENCY, Outcome.PASS)
    large = record(LATENCY, Outcome.PASS, resolution="1280x720")

    found = cells_of(run(large, small, slow))

    assert [(cell.about.resolution, cell.kind) for cell in found] == [
        ("256x256", Class.SLOW),
        ("1280x720", Class.SLOW),
    ]


def test_a_planned_test_that_never_ran_makes_its_cell_inconclusive() -> None:
    passed = [record(gate, Outcome.PASS) for gate in (LATENCY, FALLBACK, FIDELITY)]
    lost = "test_scaling.py::test_it[pixel4:nnapi-unet.int8_ptq]"

    whole, (cut,) = cells_of(run(*passed)), cells_of(run(*passed, planned=[lost]))

    assert whole[0].kind is Class.RIGHT
    assert cut.outcome is Outcome.INCONCLUSIVE
    assert cut.kind is Class.UNRECORDED
    assert cut.unrecorded == (lost,)


def test_a_variant_of_which_nothing_is_known_has_a_cell() -> None:
    lost = "test_latency.py::test_it[reno3:nnapi-unet.fp32-1280x720]"

    (cell,) = cells_of(run(planned=[lost], ended=False))

    assert (cell.name, cell.target, cell.about.resolution) == (
        "unet.fp32",
        "reno3:nnapi",
        "1280x720",
    )
    assert cell.outcome is Outcome.INCONCLUSIVE


def test_a_failure_outweighs_what_did_not_run() -> None:
    lost = "test_scaling.py::test_it[pixel4:nnapi-unet.int8_ptq]"

    (cell,) = cells_of(run(record(FALLBACK, Outcome.FAIL), planned=[lost]))

    assert (cell.kind, cell.outcome) == (Class.FALLBACK, Outcome.FAIL)


def test_of_two_rulings_on_a_test_the_newer_counts_in_any_order_of_files() -> None:
    old = run(record(LATENCY, Outcome.FAIL), time_utc="2026-01-01T00:00:00+00:00")
    new = run(record(LATENCY, Outcome.PASS), time_utc="2026-01-02T00:00:00+00:00")

    for order in ([old, new], [new, old]):
        assert [r.verdict.outcome for r in merge(order).records] == [Outcome.PASS]


def test_each_finding_has_a_class() -> None:
    assert [Class[finding.name].words for finding in Finding] == [f.value for f in Finding]


def test_each_class_has_a_letter_of_its_own() -> None:
    assert len({kind.letter for kind in Class}) == len(Class)
