"""Rule on a variant against what it was: how numbers, ops and pixels are compared."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import fidelity, gate, metrics, placement
from harness.evidence import Evidence, Provenance
from harness.fidelity import Fidelity
from harness.placement import CPU, NodePlacement, Placement
from harness.verdict import Change, Lack, Outcome

MADE = Provenance(evidence=Evidence.RULES, device="d", variant_sha256="")


def placed(*nodes: tuple[str, str]) -> tuple[NodePlacement, ...]:
    return tuple(
        NodePlacement(index=i, op=op, unit=unit, reason="refused" if unit == CPU else "")
        for i, (op, unit) in enumerate(nodes)
    )


def match(psnr_db: float) -> Fidelity:
    return Fidelity(
        psnr_db=psnr_db, relative_l2=0.0, worst_tile_psnr_db=psnr_db, worst_tile_px=(0, 0),
        max_error=0.0, out_of_range_share=0.0, non_finite_values=0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("now", "allowed", "change", "outcome"),
    [
        (100.0, 0.0, Change.EQUAL, Outcome.PASS),
        (100.5, 1.0, Change.WORSE, Outcome.PASS),
        (101.0, 1.0, Change.WORSE, Outcome.PASS),
        (101.5, 1.0, Change.WORSE, Outcome.FAIL),
        (100.5, 0.0, Change.WORSE, Outcome.FAIL),
        (99.5, 1.0, Change.BETTER, Outcome.PASS),
    ],
)
def test_what_is_worse_and_allowed_is_called_worse_and_passes(
    now: float, allowed: float, change: Change, outcome: Outcome
) -> None:
    ruled = gate.against(metrics.CHANGED_FILE_SIZE_MIB, now, 100.0, MADE, allowed=allowed)

    assert (ruled.change, ruled.outcome) == (change, outcome)
    assert ("100 before" in ruled.cause) is (change is not Change.EQUAL)


def test_ops_that_moved_are_named_and_kept_as_data() -> None:
    before = placed(("CONV_2D", "npu"), ("PRELU", "npu"), ("ADD", CPU))
    now = placed(("CONV_2D", "npu"), ("PRELU", CPU), ("ADD", CPU))

    cpu_ops, _ = gate.placement_against(
        *(Placement(nodes=nodes, partitions=1, provenance=MADE) for nodes in (now, before))
    )

    (moved,) = cpu_ops.moved
    assert (moved.index, moved.op, moved.was, moved.now) == (1, "PRELU", "npu", CPU)
    assert "1 op moved: #1 PRELU npu -> cpu (refused)" in cpu_ops.because


def test_the_ops_of_two_files_are_matched_by_their_order() -> None:
    before = placed(("CONV_2D", "npu"), ("PRELU", "npu"), ("CONV_2D", "npu"), ("ADD", "npu"))
    now = placed(
        ("CONV_2D", "npu"), ("PAD", CPU), ("PAD", CPU), ("CONV_2D", CPU), ("ADD", "npu")
    )  # fmt: skip

    assert [str(one) for one in placement.moved(before, now)] == ["#3 CONV_2D npu -> cpu (refused)"]


def test_many_moves_are_counted() -> None:
    moves = placement.moved(placed(*[("ADD", "npu")] * 9), placed(*[("ADD", CPU)] * 9))

    said = placement.describe_moves(moves)
    assert said.startswith("9 ops moved: #0 ADD npu -> cpu")
    assert said.endswith("; and 5 more")
    assert "#4" not in said


UNITS = st.lists(st.tuples(st.sampled_from(["A", "B", "C"]), st.sampled_from(["npu", CPU])))


@given(before=UNITS, now=UNITS)
def test_only_ops_of_one_name_move_each_once_and_in_order(
    before: list[tuple[str, str]], now: list[tuple[str, str]]
) -> None:
    moves = placement.moved(placed(*before), placed(*now))

    indices = [move.index for move in moves]
    assert indices == sorted(set(indices))
    assert all(now[move.index] == (move.op, move.now) for move in moves)
    assert not placement.moved(placed(*now), placed(*now))


@pytest.mark.parametrize(
    ("now_db", "before_db", "between_db", "closer", "apart"),
    [
        (30.0, 30.0, 120.0, Change.EQUAL, Change.EQUAL),
        (30.0, 30.0, 40.0, Change.EQUAL, Change.EQUAL),
        (29.0, 30.0, 40.0, Change.WORSE, Change.WORSE),
        (31.0, 30.0, 40.0, Change.BETTER, Change.BETTER),
        (29.98, 30.0, 60.0, Change.WORSE, Change.EQUAL),
    ],
)
def test_new_pixels_are_beside_the_old_ones_what_their_distance_from_the_truth_says(
    now_db: float, before_db: float, between_db: float, closer: Change, apart: Change
) -> None:
    ruled = gate.pixels_against(
        match(now_db), match(before_db), match(between_db), MADE, to_target=True
    )

    assert [one.change for one in ruled] == [closer, apart]
    assert [one.metric for one in ruled] == ["quality_db", "pixels_db"]
    assert ruled[1].observed == between_db


@pytest.mark.parametrize(
    ("now_db", "before_db", "closer"),
    [
        (106.0, 108.0, Change.EQUAL),
        (108.0, 106.0, Change.EQUAL),
        (90.0, 108.0, Change.WORSE),
        (79.0, 80.0, Change.WORSE),
        (49.9, 50.0, Change.WORSE),
        (80.2, 80.0, Change.EQUAL),
    ],
)
def test_errors_that_differ_by_less_than_a_reference_in_16_bits_tells_are_equal(
    now_db: float, before_db: float, closer: Change
) -> None:
    rounding = fidelity.rounding_rms(np.array([0.0, 1.0], np.float32), (0.0, 1.0))

    ruled = gate.pixels_against(
        match(now_db), match(before_db), match(60.0), MADE, to_target=False, rounding_rms=rounding
    )

    assert ruled[0].change is closer


def test_without_a_truth_different_pixels_are_undecided_and_like_ones_equal() -> None:
    apart, alike = (gate.pixels_unranked(match(db), MADE) for db in (40.0, 60.0))

    assert (apart.change, apart.outcome, apart.lacks) == (
        Change.UNDECIDED, Outcome.INCONCLUSIVE, Lack.TARGET,
    )  # fmt: skip
    assert (alike.change, alike.outcome) == (Change.EQUAL, Outcome.PASS)
