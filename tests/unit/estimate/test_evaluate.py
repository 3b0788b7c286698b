"""The table of errors is honest: no row is judged by an interval that saw its family."""

from pathlib import Path

import pytest

from harness.estimate import evaluate, figures
from harness.estimate.reference.catalogue import REFERENCES


def test_a_family_that_is_off_does_not_widen_its_own_interval() -> None:
    families = ["a", "a", "a", "b", "b", "b", "c", "c", "c", "off"]
    predicted = [1.0, 1.02, 0.98, 1.01, 0.99, 1.03, 0.97, 1.0, 1.0, 5.0]

    held = evaluate.hold_out(families, predicted, [1.0] * 10)

    assert held is not None
    assert held.covered == pytest.approx(0.9)
    assert held.confidently_wrong == 1


def test_a_second_opinion_that_differs_widens_the_interval_of_its_row() -> None:
    families = ["a", "a", "a", "b", "b", "b", "c", "c", "c", "off"]
    predicted = [1.0, 1.02, 0.98, 1.01, 0.99, 1.03, 0.97, 1.0, 1.0, 5.0]
    second = [1.0] * 10

    held = evaluate.hold_out(families, predicted, [1.0] * 10, second)

    assert held is not None
    assert (held.low_ms[-1], held.covered, held.confidently_wrong) == (1.0, 1.0, 0)


def test_a_new_family_is_held_to_how_far_other_families_were_off() -> None:
    # Nine families of one row, of which one is off, and a tenth of thirty rows that are not.
    families = [*"abcdefghi", *["known"] * 30, "new"]
    predicted = [*[1.1] * 8, 1.4, *[1.01] * 30, 1.3]

    held = evaluate.hold_out(families, predicted, [1.0] * 40)

    assert held is not None
    assert held.high_ms[-1] == pytest.approx(1.3 * 1.4)


def test_too_few_rows_have_no_coverage() -> None:
    assert evaluate.hold_out(["a", "b"], [1.0, 1.0], [1.0, 1.0]) is None


def test_the_table_scores_the_roofline_beside_a_line_in_macs(tmp_path: Path) -> None:
    names = [
        "mobilenet_v1", "mobilenet_v2", "mobilenet_v3_large", "squeezenet1_0", "squeezenet1_1",
        "googlenet", "resnet18", "resnet50", "regnet", "shufflenet_v2",
    ]  # fmt: skip
    rows = [
        f"{name},int8,board,{1.0 + REFERENCES[name].graph('float').macs / 1e8:.3f},GPU,9"
        for name in names
    ]
    path = tmp_path / "figures.csv"
    header = "model,precision,device,latency_ms,primary_unit,layers_gpu"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")

    lines = list(evaluate.table(figures.read(path)))

    assert [line.split("|")[3].strip() for line in lines[2:]] == [
        "plain roofline", "MACs and a floor",
    ]  # fmt: skip
    assert "| 10 | 100% | 100% | 0." in lines[3]  # the rows are a line in MACs
