"""Calibration finds planted constants, and says how wrong it is on what it never saw."""

import math
import tomllib
from dataclasses import replace

import numpy as np
import pytest

from harness import schema
from harness.errors import ConfigError
from harness.estimate import calibrate, fit, interval, kernels, model, roofline
from harness.estimate.calibrate import STARTS, TimedNetwork
from harness.estimate.reference.draft import Draft
from harness.estimate.reference.phone_nets import kernel_nets
from harness.estimate.roofline import Rates
from harness.graph import Graph
from harness.profiles import EstimateConstants
from tests.unit.estimate import phones

TRUTH = Rates(
    **{**phones.RATES, "dense_gmacs_per_s": 90.0, "dispatch_us": 20.0, "off_chip_gb_per_s": 10.0}
)


def nets() -> list[tuple[str, Graph]]:
    found = []
    for side, channels, depth in ((32, 64, 20), (64, 32, 4), (128, 128, 3), (256, 16, 6)):
        for kind in ("conv", "depthwise"):
            draft = Draft()
            x = draft.input(side, side, channels)
            for _ in range(depth):
                x = draft.conv(x, channels) if kind == "conv" else draft.depthwise(x)
            found.append((f"{kind}-{side}", draft.finish(x)))
    return found


def samples() -> list[TimedNetwork]:
    """Time each net with the true constants."""
    truth = phones.constants("nnapi", "float", **vars(TRUTH))
    return [
        TimedNetwork(
            name=name,
            family=name,
            graph=graph,
            placement=phones.place(graph),
            measured_ms=model.break_down(
                graph, phones.place(graph), phones.target("nnapi", truth)
            ).total_ms,
        )
        for name, graph in nets()
    ]


def test_planted_constants_are_found_and_held_out_nets_are_predicted() -> None:
    start = replace(TRUTH, dense_gmacs_per_s=50.0, depthwise_gmacs_per_s=30.0, dispatch_us=40.0)

    found = calibrate.calibrate(
        samples(), delegate="nnapi", precision="float", start=start, source="planted"
    )

    assert found.constants.values["dense_gmacs_per_s"] == pytest.approx(90.0, rel=0.05)
    assert found.score.median_error < 0.05
    assert found.score.median_error < found.macs_only.median_error
    assert found.constants.rows == 8


def test_what_only_some_networks_ask_for_is_found_and_so_are_the_padded_channels() -> None:
    truth = replace(
        TRUTH, transpose_conv_ratio=5.0, reference_gops_per_s=0.2, channel_multiple=16.0
    )
    target = phones.target("cpu", phones.constants("cpu", "int8", **vars(truth)))
    rows = []
    for net in kernel_nets("int8"):
        placement = phones.place(net.graph, unit="cpu")
        ms = model.break_down(net.graph, placement, target).total_ms
        rows.append(
            TimedNetwork(name=net.name, family=net.family, graph=net.graph, placement=placement,
                   measured_ms=ms)
        )  # fmt: skip
    start = replace(truth, transpose_conv_ratio=2.0, reference_gops_per_s=None)

    found = calibrate.calibrate(
        rows, delegate="cpu", precision="int8", start=start, source="planted",
        channel_multiples=calibrate.CHANNEL_MULTIPLES,
    )  # fmt: skip

    assert found.constants.values["channel_multiple"] == 16.0
    assert found.constants.values["transpose_conv_ratio"] == pytest.approx(5.0, rel=0.05)
    assert found.constants.values["reference_gops_per_s"] == pytest.approx(0.2, rel=0.05)
    assert found.score.median_error < 0.05


def test_one_broken_row_does_not_move_the_constants_far() -> None:
    rows = samples()
    rows[0] = replace(rows[0], measured_ms=rows[0].measured_ms * 10.0)

    found = calibrate.calibrate(
        rows, delegate="nnapi", precision="float", start=TRUTH, source="planted"
    )

    assert found.constants.values["dense_gmacs_per_s"] == pytest.approx(90.0, rel=0.15)


def test_calibration_from_one_family_is_refused() -> None:
    rows = [replace(row, family="one") for row in samples()]

    with pytest.raises(ConfigError, match="two families"):
        calibrate.calibrate(
            rows, delegate="cpu", precision="float", start=STARTS["cpu", "float"], source="planted"
        )


def test_held_out_predictions_never_see_their_own_group() -> None:
    seen: list[tuple[tuple[int, ...], tuple[int, ...]]] = []

    def record(train: object, test: object) -> object:
        seen.append((tuple(train), tuple(test)))  # type: ignore[arg-type]
        return np.zeros(len(test))  # type: ignore[arg-type]

    fit.held_out(["a", "b", "a"], record)  # type: ignore[arg-type]

    assert seen == [((1,), (0, 2)), ((0, 2), (1,))]


def test_a_score_counts_rows_within_their_tolerance() -> None:
    found = fit.score(np.array([1.0, 1.09, 1.2, 2.0]), [1.0, 1.0, 1.0, 1.0])

    assert (found.within_10, found.within_25) == (0.5, 0.75)
    assert found.median_error == pytest.approx(0.145)


def test_equal_predictions_share_their_rank() -> None:
    found = fit.score(np.array([1.0, 1.0, 2.0]), [1.0, 2.0, 3.0])

    assert found.spearman == pytest.approx(np.sqrt(3.0) / 2.0)


def test_a_constant_prediction_has_no_rank_correlation() -> None:
    assert np.isnan(fit.score(np.ones(3), [1.0, 2.0, 3.0]).spearman)


def test_the_interval_covers_nine_of_ten_held_out_rows() -> None:
    generator = np.random.default_rng(0)
    measured = np.ones(200)
    predicted = np.exp(generator.normal(0.0, 0.2, 200))

    ratio = interval.ratio(predicted.tolist(), measured.tolist())

    assert interval.coverage(predicted.tolist(), measured.tolist(), ratio) == pytest.approx(
        0.9, abs=0.02
    )


def test_a_family_of_many_rows_counts_as_much_in_the_interval_as_one_of_few() -> None:
    families = [*["known"] * 90, *(f"{number}" for number in range(9))]
    off = [1.01] * 90 + [1.0 + number / 10.0 for number in range(1, 10)]

    ratio = interval.ratio(off, [1.0] * 99, families)

    assert interval.ratio(off, [1.0] * 99) == pytest.approx(1.01)
    # Ten families and one unseen: nine tenths of eleven is the largest.
    assert ratio == pytest.approx(1.9)


def test_of_ever_more_families_nine_tenths_lie_in_the_interval() -> None:
    families = [f"{number}" for number in range(99)]
    off = [1.0 + number / 100.0 for number in range(1, 100)]

    assert interval.ratio(off, [1.0] * 99, families) == pytest.approx(1.9)


def test_with_too_few_families_the_largest_residual_is_the_interval() -> None:
    off = [*[1.01] * 19, 1.5]

    ratio = interval.ratio(off, [1.0] * 20, ["one"] * 19 + ["other"])

    assert ratio == pytest.approx(1.5)


def test_few_rows_widen_the_interval() -> None:
    assert interval.ratio([1.1] * 3, [1.0] * 3) > interval.ratio([1.1] * 9, [1.0] * 9)
    assert interval.ratio([1.1] * 9, [1.0] * 9) > 1.1
    assert not math.isinf(interval.ratio([1.1] * 2, [1.0] * 2))


def test_many_kernels_at_once_cost_what_they_cost_one_by_one() -> None:
    for _, graph in nets():
        placed = phones.place(graph)
        found = model.break_down(graph, placed, phones.target())
        fused = kernels.fuse(graph, placed)
        rates = Rates(**phones.RATES)
        resident = np.full(len(fused), graph.weight_bytes <= rates.on_chip_mib * 2**20)

        demands = roofline.stack([roofline.demand(graph, kernel, rates) for kernel in fused])
        at_once = roofline.costs_ms(demands, rates, weights_resident=resident)

        assert at_once.sum() + rates.floor_ms == pytest.approx(found.total_ms)


def test_constants_survive_the_way_into_a_profile() -> None:
    constants = phones.constants("nnapi", "float")

    read = schema.parse(
        EstimateConstants,
        tomllib.loads(calibrate.to_toml(constants))["estimates"][0],
        where="test",
    )

    assert read == constants


def test_the_interval_widens_beyond_the_largest_fitted_network() -> None:
    inside, tenfold = (
        interval.widen(1.3, macs=macs, fitted_gmacs_max=10.0)
        for macs in (10_000_000_000, 100_000_000_000)
    )

    assert inside == 1.3
    assert tenfold == pytest.approx(1.3**2)
