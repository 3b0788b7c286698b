"""Each gate rules inside, outside and without evidence or limit."""

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import gate, metrics
from harness.baselines import Baseline
from harness.budgets import Budget, ScalingBudget
from harness.evidence import Evidence, Provenance
from harness.fidelity import Fidelity
from harness.images import Output, Size
from harness.latency import Estimate, Latency
from harness.limits import Limits
from harness.memory import Memory
from harness.metrics import Metric
from harness.model import Model
from harness.placement import CPU, UNKNOWN, NodePlacement, Placement
from harness.scaling import Cliff, Point, Scaling
from harness.verdict import Lack, Outcome, Sense, Verdict

PASS, FAIL, OPEN = Outcome.PASS, Outcome.FAIL, Outcome.INCONCLUSIVE
MADE = Provenance(evidence=Evidence.PHONE, device="d", variant_sha256="")
ON_HOST = dataclasses.replace(MADE, evidence=Evidence.MODEL)
FLOOR = Metric(gate="g", name="m", sense=Sense.AT_LEAST, unit="dB")
CAP = dataclasses.replace(FLOOR, sense=Sense.AT_MOST)
EITHER = st.sampled_from([FLOOR, CAP])


def budget(**limits: float | None) -> Budget:
    return Budget(
        devices=("*",), delegates=("*",), variants=("*",), resolution="64x64", source="test",
        **limits,  # type: ignore[arg-type]
    )  # fmt: skip


def outcomes(verdicts: tuple[Verdict, ...]) -> dict[str, Outcome]:
    return {verdict.metric: verdict.outcome for verdict in verdicts}


@pytest.mark.parametrize(
    ("seen", "limit", "outcome"),
    [(0.0, 0.01, PASS), (0.02, 0.01, FAIL), (math.inf, 0.01, FAIL), (0.0, None, OPEN)],
)
def test_two_inferences_keep_the_limit_on_the_distance_from_the_golden(
    seen: float, limit: float | None, outcome: Outcome
) -> None:
    output = Output(values={}, provenance=MADE, repeat_relative_l2=seen)

    assert gate.repeated(output, MADE, at_most_ratio=limit).outcome is outcome


@pytest.mark.parametrize(
    ("taken", "limit", "outcome"), [(5.0, 6.0, PASS), (7.0, 6.0, FAIL), (None, 6.0, OPEN)]
)
def test_energy_keeps_its_budget_and_is_open_where_a_phone_does_not_say(
    taken: float | None, limit: float, outcome: Outcome
) -> None:
    fact = dataclasses.replace(
        TestLatencyMeasured.FACT,
        energy_mj=taken,
        provenance=dataclasses.replace(MADE, device_state={"energy": "the battery charges"}),
    )

    ruling = gate.energy(fact, budget(energy_mj=limit))

    assert ruling.outcome is outcome
    assert taken is not None or "the battery charges" in ruling.because


def test_an_estimate_says_nothing_of_energy() -> None:
    ruling = gate.energy(TestLatencyEstimated.FACT, budget(energy_mj=1.0))

    assert (ruling.outcome, ruling.lacks) == (OPEN, Lack.PHONE)


class TestRule:
    @pytest.mark.parametrize(
        ("observed", "metric", "outcome"),
        [
            (9.9, CAP, PASS), (10.0, CAP, PASS), (10.1, CAP, FAIL),
            (9.9, FLOOR, FAIL), (10.0, FLOOR, PASS), (10.1, FLOOR, PASS),
        ],
    )  # fmt: skip
    def test_a_value_on_its_limit_is_inside(
        self, observed: float, metric: Metric, outcome: Outcome
    ) -> None:
        assert gate.rule(metric, observed, 10.0, MADE).outcome is outcome

    @pytest.mark.parametrize(
        ("low", "high", "metric", "outcome"),
        [
            (8.0, 10.0, CAP, PASS), (8.0, 10.1, CAP, OPEN), (10.0, 12.0, CAP, OPEN),
            (10.1, 12.0, CAP, FAIL), (10.0, 12.0, FLOOR, PASS), (9.9, 12.0, FLOOR, OPEN),
            (8.0, 10.0, FLOOR, OPEN), (8.0, 9.9, FLOOR, FAIL),
        ],
    )  # fmt: skip
    def test_only_an_interval_that_lies_wholly_on_one_side_decides(
        self, low: float, high: float, metric: Metric, outcome: Outcome
    ) -> None:
        ruling = gate.rule(metric, (low + high) / 2, 10.0, MADE, low=low, high=high)

        assert ruling.outcome is outcome
        assert ("straddles 10 dB" in ruling.because) is (outcome is OPEN)

    @pytest.mark.parametrize(("made", "lacks"), [(MADE, Lack.PRECISION), (ON_HOST, Lack.PHONE)])
    def test_an_interval_that_straddles_lacks_precision_on_a_phone_and_a_phone_elsewhere(
        self, made: Provenance, lacks: Lack
    ) -> None:
        assert gate.rule(CAP, 10.0, 10.0, made, low=9.0, high=11.0).lacks is lacks

    @given(observed=st.floats(), metric=EITHER)
    def test_without_a_limit_nothing_passes(self, observed: float, metric: Metric) -> None:
        ruling = gate.rule(metric, observed, None, MADE, cause="cold")

        assert ruling.outcome is OPEN
        assert ruling.lacks is Lack.LIMIT
        assert "sets no limit" in ruling.because

    @given(limit=st.floats(), metric=EITHER)
    def test_a_value_that_is_not_a_number_never_passes(self, limit: float, metric: Metric) -> None:
        assert gate.rule(metric, math.nan, limit, MADE).outcome is not PASS

    @given(observed=st.floats(), metric=EITHER)
    def test_a_limit_that_is_not_a_number_is_never_kept(
        self, observed: float, metric: Metric
    ) -> None:
        assert gate.rule(metric, observed, math.nan, MADE).outcome is not PASS

    def test_the_line_names_value_limit_unit_cause_and_remedy(self) -> None:
        broken = gate.rule(CAP, 12.0, 10.0, MADE, cause="cold", remedy="warm it")
        kept = gate.rule(CAP, 8.0, 10.0, MADE, cause="cold", remedy="warm it")

        assert str(broken) == "FAIL g: m 12 dB, at most 10 dB: cold; warm it [PHONE]"
        assert str(kept) == "PASS g: m 8 dB, at most 10 dB [PHONE]"

    def test_a_ruling_of_nothing_has_neither_value_nor_evidence(self) -> None:
        ruling = gate.inconclusive(CAP, Lack.PHONE, "no meter", remedy="attach one")

        assert (ruling.outcome, ruling.observed, ruling.evidence) == (OPEN, None, None)
        assert str(ruling) == "INCONCLUSIVE g: no meter; attach one"


class TestLatencyMeasured:
    FACT = Latency(
        median_ms=10.0, p95_ms=12.0, mean_ms=10.5, stddev_ms=1.0, min_ms=9.0, first_ms=20.0,
        init_ms=30.0, runs=50, provenance=MADE,
    )  # fmt: skip

    @pytest.mark.parametrize(
        ("limits", "expected"),
        [
            ({"latency_ms": 10.0}, {"latency_ms": PASS}),
            ({"latency_ms": 9.0}, {"latency_ms": FAIL}),
            ({"latency_ms": 11.0, "p95_ms": 12.0}, {"latency_ms": PASS, "p95_ms": PASS}),
            ({"latency_ms": 11.0, "p95_ms": 11.0}, {"latency_ms": PASS, "p95_ms": FAIL}),
            ({"p95_ms": 13.0}, {"latency_ms": OPEN, "p95_ms": PASS}),
            ({}, {"latency_ms": OPEN}),
        ],
    )
    def test_the_median_and_the_95th_percentile_are_judged(
        self, limits: dict[str, float], expected: dict[str, Outcome]
    ) -> None:
        assert outcomes(gate.latency(self.FACT, budget(**limits))) == expected

    def test_without_a_budget_it_is_inconclusive(self) -> None:
        assert outcomes(gate.latency(self.FACT, None)) == {"latency_ms": OPEN}


class TestLatencyEstimated:
    FACT = Estimate(
        estimate_ms=10.0, low_ms=8.0, high_ms=13.0, basis="four figures", provenance=ON_HOST,
        shares={"CONV_2D": 0.7, "ADD": 0.1, "PRELU": 0.15, "floor": 0.05}, cpu_share=0.25,
    )  # fmt: skip

    @pytest.mark.parametrize(
        ("limit_ms", "outcome"),
        [(13.0, PASS), (12.9, OPEN), (10.0, OPEN), (8.0, OPEN), (7.9, FAIL)],
    )
    def test_only_the_whole_interval_decides(self, limit_ms: float, outcome: Outcome) -> None:
        (ruling,) = gate.latency(self.FACT, budget(latency_ms=limit_ms))

        assert ruling.outcome is outcome
        assert (ruling.low, ruling.high) == (8.0, 13.0)

    @given(limit_ms=st.floats(0.0, 1e6))
    def test_an_estimate_that_is_only_relative_never_decides(self, limit_ms: float) -> None:
        relative = dataclasses.replace(self.FACT, absolute=False)

        (ruling,) = gate.latency(relative, budget(latency_ms=limit_ms))

        assert ruling.outcome is OPEN
        assert ruling.lacks is Lack.PHONE
        assert "relative only" in ruling.because

    def test_without_a_limit_it_is_inconclusive(self) -> None:
        assert outcomes(gate.latency(self.FACT, budget())) == {"latency_ms": OPEN}

    def test_a_breach_names_what_costs_most_and_the_share_of_the_cpu(self) -> None:
        (ruling,) = gate.latency(self.FACT, budget(latency_ms=1.0))

        assert "most of it CONV_2D 70%, PRELU 15%, ADD 10%; 25% of it on the CPU" in ruling.because


class TestResidency:
    def placed(self, *units: str, partitions: int = 1, share: float | None = None) -> Placement:
        return Placement(
            nodes=tuple(
                NodePlacement(
                    index=index, op="TRANSPOSE_CONV", unit=unit,
                    reason="refused by 'x'" if unit == CPU else "",
                    remedy="use RESIZE_BILINEAR" if unit == CPU else "",
                )
                for index, unit in enumerate(units)
            ),
            partitions=partitions, provenance=MADE, cpu_time_share=share,
        )  # fmt: skip

    def test_all_on_the_accelerator_passes(self) -> None:
        rulings = gate.residency(self.placed("npu", "npu"), budget())

        assert outcomes(rulings) == {"cpu_ops": PASS, "partitions": PASS}

    def test_one_op_too_many_on_the_cpu_fails_with_reason_and_remedy(self) -> None:
        rulings = gate.residency(self.placed("npu", CPU, "npu", partitions=3), budget())

        assert outcomes(rulings) == {"cpu_ops": FAIL, "partitions": FAIL}
        assert "1 of 3 ops on CPU (TRANSPOSE_CONV #1: refused by 'x'); use RESIZE" in (
            rulings[0].because
        )

    def test_a_budget_may_allow_some(self) -> None:
        allowed = budget(cpu_ops_allowed=1, partitions_max=3)

        rulings = gate.residency(self.placed("npu", CPU, partitions=3), allowed)

        assert outcomes(rulings) == {"cpu_ops": PASS, "partitions": PASS}

    def test_a_placement_that_is_known_in_part_proves_nothing(self) -> None:
        rulings = gate.residency(self.placed("npu", UNKNOWN), budget())

        assert outcomes(rulings) == {"cpu_ops": OPEN}
        assert "only 1 of 2 ops" in rulings[0].because

    def test_without_a_budget_it_is_inconclusive(self) -> None:
        rulings = gate.residency(self.placed("npu"), None)

        assert outcomes(rulings) == {"cpu_ops": OPEN, "partitions": OPEN}

    @pytest.mark.parametrize(("share", "outcome"), [(0.1, PASS), (0.3, FAIL), (None, OPEN)])
    def test_the_cpus_share_of_the_time_is_judged_where_it_has_a_limit(
        self, share: float | None, outcome: Outcome
    ) -> None:
        rulings = gate.residency(self.placed("npu", share=share), budget(cpu_time_share=0.2))

        assert outcomes(rulings)["cpu_time_share"] is outcome

    def test_many_ops_are_shortened(self) -> None:
        text = gate.describe_fallbacks(self.placed(*[CPU] * 9))

        assert "TRANSPOSE_CONV #0 #1 #2 #3 #4 #5 and 3 more: refused by 'x'" in text


class TestFidelity:
    MATCH = Fidelity(
        psnr_db=40.0, relative_l2=0.01, worst_tile_psnr_db=35.0, worst_tile_px=(64, 32),
        max_error=0.1, out_of_range_share=0.0, non_finite_values=0,
    )  # fmt: skip

    @pytest.mark.parametrize(
        ("limits", "metric", "outcome"),
        [
            ({"psnr_db": 40.0}, "psnr_db", PASS),
            ({"psnr_db": 40.1}, "psnr_db", FAIL),
            ({}, "psnr_db", OPEN),
            ({"relative_l2": 0.01}, "relative_l2", PASS),
            ({"relative_l2": 0.009}, "relative_l2", FAIL),
            ({}, "relative_l2", OPEN),
            ({"worst_tile_psnr_db": 35.0}, "worst_tile_psnr_db", PASS),
            ({"worst_tile_psnr_db": 35.1}, "worst_tile_psnr_db", FAIL),
            ({}, "worst_tile_psnr_db", OPEN),
        ],
    )
    def test_each_metric_has_its_own_limit(
        self, limits: dict[str, float], metric: str, outcome: Outcome
    ) -> None:
        rulings = gate.fidelity(self.MATCH, Limits(source="test", **limits), MADE)

        assert outcomes(rulings)[metric] is outcome

    @pytest.mark.parametrize(("count", "outcome"), [(0, PASS), (1, FAIL)])
    def test_one_value_that_is_not_finite_fails_whatever_the_limits(
        self, count: int, outcome: Outcome
    ) -> None:
        match = dataclasses.replace(self.MATCH, non_finite_values=count)

        rulings = gate.fidelity(match, Limits(source="test"), MADE)

        assert outcomes(rulings)["non_finite_values"] is outcome

    def test_what_is_dangerous_in_the_file_is_told_with_the_psnr(self) -> None:
        limits = Limits(source="test", psnr_db=45.0)

        told = gate.fidelity(self.MATCH, limits, MADE, hazard="the 8-bit output clips")
        plain = gate.fidelity(self.MATCH, limits, MADE)

        assert "largest error 0.1; the 8-bit output clips" in told[0].because
        assert "clips" not in plain[0].because

    def test_the_worst_tile_is_named_by_its_place(self) -> None:
        ruling = gate.worst_tile(self.MATCH, MADE, at_least_db=50.0)

        assert "the 32x32 tile at x 64, y 32" in ruling.because

    @pytest.mark.parametrize(("allowed_db", "outcome"), [(0.5, PASS), (0.4, FAIL), (None, OPEN)])
    def test_the_drop_against_the_target_is_what_fp32_has_more(
        self, allowed_db: float | None, outcome: Outcome
    ) -> None:
        fp32 = dataclasses.replace(self.MATCH, psnr_db=40.5)

        ruling = gate.quality_drop(self.MATCH, fp32, MADE, at_most_db=allowed_db)

        assert ruling.observed == 0.5
        assert ruling.outcome is outcome

    def test_a_variant_that_is_better_than_fp32_has_no_drop(self) -> None:
        worse = dataclasses.replace(self.MATCH, psnr_db=30.0)

        assert gate.quality_drop(self.MATCH, worse, MADE, at_most_db=0.0).outcome is PASS


class TestScaling:
    SIZES = (Size(width_px=256, height_px=256), Size(width_px=512, height_px=512))
    FACT = Scaling(
        points=(
            Point(size=SIZES[0], ms=1.0, partitions=1, cpu_ops=0),
            Point(size=SIZES[1], ms=5.0, partitions=1, cpu_ops=0),
        ),
        exponent=1.2, placement_changes=(), provenance=MADE,
        worst_step=Cliff(below=SIZES[0], above=SIZES[1], ratio=1.25, cause="spill"),
    )  # fmt: skip
    BUDGET = ScalingBudget(
        resolutions=("256x256", "512x512"), exponent=1.2, cliff_ratio=1.25, source="test"
    )

    def test_growth_on_its_limits_passes(self) -> None:
        assert outcomes(gate.scaling(self.FACT, self.BUDGET)) == {
            "scaling_exponent": PASS, "cliff_ratio": PASS, "placement_changes": PASS,
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("change", "metric", "words"),
        [
            ({"exponent": 1.21}, "scaling_exponent", "512x512 5.00x the ms for 4.00x the pixels"),
            (
                {"worst_step": dataclasses.replace(FACT.worst_step, ratio=1.3)},
                "cliff_ratio", "jumps at 256x256 -> 512x512: spill",
            ),
            ({"placement_changes": ("512x512: a -> b",)}, "placement_changes", "512x512: a -> b"),
        ],
    )  # fmt: skip
    def test_each_breach_fails_alone_and_says_where(
        self, change: dict[str, object], metric: str, words: str
    ) -> None:
        rulings = gate.scaling(dataclasses.replace(self.FACT, **change), self.BUDGET)  # type: ignore[arg-type]

        failed = [ruling for ruling in rulings if ruling.outcome is FAIL]
        assert [ruling.metric for ruling in failed] == [metric]
        assert words in failed[0].because

    def test_without_a_budget_growth_is_inconclusive(self) -> None:
        found = outcomes(gate.scaling(self.FACT, None))

        assert found["scaling_exponent"] is found["cliff_ratio"] is OPEN


class TestMemory:
    FACT = Memory(peak_activation_mib=30.0, weights_mib=2.0, provenance=ON_HOST)

    @pytest.mark.parametrize(
        ("limits", "expected"),
        [
            ({"peak_memory_mib": 32.0}, {"peak_memory_mib": PASS}),
            ({"peak_memory_mib": 31.9}, {"peak_memory_mib": FAIL}),
            ({"weights_mib": 2.0}, {"weights_mib": PASS}),
            ({"weights_mib": 1.9}, {"weights_mib": FAIL}),
            (
                {"peak_memory_mib": 1.0, "weights_mib": 9.0},
                {"peak_memory_mib": FAIL, "weights_mib": PASS},
            ),
            ({}, {}),
        ],
    )
    def test_peak_and_weights_are_judged_where_they_have_a_limit(
        self, limits: dict[str, float], expected: dict[str, Outcome]
    ) -> None:
        assert outcomes(gate.memory(self.FACT, budget(**limits))) == expected

    def test_what_the_tool_on_a_phone_reports_goes_before_the_graph(self) -> None:
        reported = dataclasses.replace(self.FACT, reported_peak_mib=50.0)

        (ruling,) = gate.memory(reported, budget(peak_memory_mib=40.0))

        assert (ruling.outcome, ruling.observed) == (FAIL, 50.0)
        assert "30 MiB of activations at one time and 2 MiB of weights" in ruling.because

    @pytest.mark.parametrize(("limit", "outcome"), [(1.0, PASS), (0.9, FAIL), (None, OPEN)])
    def test_the_file_is_judged_by_its_bytes(self, limit: float | None, outcome: Outcome) -> None:
        model = Model(name="m", data=bytes(2**20))

        ruling = gate.file_size(model, budget(file_size_mib=limit))

        assert (ruling.outcome, ruling.observed) == (outcome, 1.0)


class TestFirstInference:
    @pytest.mark.parametrize(("limit", "outcome"), [(50.0, PASS), (49.0, FAIL), (None, OPEN)])
    def test_loading_and_the_first_run_are_judged_together(
        self, limit: float | None, outcome: Outcome
    ) -> None:
        ruling = gate.first_inference(TestLatencyMeasured.FACT, budget(first_inference_ms=limit))

        assert (ruling.outcome, ruling.observed) == (outcome, 50.0)

    def test_an_estimate_says_nothing_of_it(self) -> None:
        ruling = gate.first_inference(TestLatencyEstimated.FACT, budget(first_inference_ms=1e6))

        assert (ruling.outcome, ruling.lacks) == (OPEN, Lack.PHONE)


class TestRegression:
    BASELINE = Baseline(
        variant="fp32", file_sha256="ab", fingerprint="d", device="d", delegate="nnapi",
        resolution="64x64",
        evidence=Evidence.PHONE, metric="latency_ms", value=10.0, spread=0.5, because="release 3",
    )  # fmt: skip

    @pytest.mark.parametrize(
        ("observed", "metric", "outcome"),
        [
            (10.5, metrics.BLESSED_LATENCY_MS, PASS), (10.6, metrics.BLESSED_LATENCY_MS, FAIL),
            (1.0, metrics.BLESSED_LATENCY_MS, PASS), (9.5, metrics.QUALITY_DB, PASS),
            (9.4, metrics.QUALITY_DB, FAIL), (99.0, metrics.QUALITY_DB, PASS),
        ],
    )  # fmt: skip
    def test_a_change_within_the_spread_passes_and_beyond_it_fails(
        self, observed: float, metric: Metric, outcome: Outcome
    ) -> None:
        ruling = gate.no_regression(metric, observed, self.BASELINE, MADE, file_sha256="ab")

        assert ruling.outcome is outcome

    @pytest.mark.parametrize(
        ("low", "high", "outcome"), [(10.2, 10.5, PASS), (10.4, 10.8, OPEN), (10.51, 10.8, FAIL)]
    )
    def test_a_measured_interval_that_straddles_what_is_allowed_decides_nothing(
        self, low: float, high: float, outcome: Outcome
    ) -> None:
        ruling = gate.no_regression(
            metrics.BLESSED_LATENCY_MS,
            (low + high) / 2,
            self.BASELINE,
            MADE,
            file_sha256="ab",
            low=low,
            high=high,
        )

        assert ruling.outcome is outcome
        assert (ruling.lacks is Lack.PRECISION) is (outcome is OPEN)

    @pytest.mark.parametrize(("file", "words"), [("ab", "the same file"), ("cd", "another file")])
    def test_a_breach_names_what_was_blessed_and_why(self, file: str, words: str) -> None:
        ruling = gate.no_regression(
            metrics.BLESSED_LATENCY_MS, 20.0, self.BASELINE, MADE, file_sha256=file
        )

        assert f"blessed 10 of {words} (release 3)" in ruling.because

    @pytest.mark.parametrize("observed", [5.0, 10.0, 20.0])
    @pytest.mark.parametrize("blessed_on", ["Pixel 4 (1) nnapi", None])
    def test_another_phone_of_the_profile_is_not_compared(
        self, observed: float, blessed_on: str | None
    ) -> None:
        baseline = dataclasses.replace(self.BASELINE, fingerprint=blessed_on)
        made = dataclasses.replace(MADE, device="Pixel 4 (2) nnapi")

        ruling = gate.no_regression(
            metrics.BLESSED_LATENCY_MS, observed, baseline, made, file_sha256="ab"
        )

        assert (ruling.outcome, ruling.lacks) == (OPEN, Lack.BASELINE)
        assert "measured on Pixel 4 (2) nnapi" in ruling.because
        assert (blessed_on or "not written down") in ruling.because

    def test_what_stands_in_for_a_phone_has_no_unit_and_is_compared(self) -> None:
        baseline = dataclasses.replace(self.BASELINE, fingerprint=None)

        ruling = gate.no_regression(
            metrics.BLESSED_LATENCY_MS, 20.0, baseline, ON_HOST, file_sha256="ab"
        )

        assert ruling.outcome is FAIL

    def test_without_a_baseline_it_is_inconclusive_and_names_bless(self) -> None:
        ruling = gate.no_regression(metrics.BLESSED_LATENCY_MS, 1.0, None, MADE, file_sha256="ab")

        assert ruling.outcome is OPEN
        assert ruling.lacks is Lack.BASELINE
        assert "`harness bless`" in ruling.because

    @pytest.mark.parametrize(
        ("phone", "observed", "outcome"),
        [("d", 10.4, PASS), ("d", 15.0, FAIL), ("e", 15.0, PASS), ("f", 1.0, OPEN)],
    )
    def test_each_phone_of_a_profile_has_a_baseline_of_its_own(
        self, phone: str, observed: float, outcome: Outcome
    ) -> None:
        both = (self.BASELINE, dataclasses.replace(self.BASELINE, fingerprint="e", value=20.0))

        ruling = self.ruled(observed, both, phone)

        assert ruling.outcome is outcome

    @pytest.mark.parametrize(
        ("today", "observed", "outcome"),
        [
            ("2026-06-30", 15.0, PASS),
            ("2026-07-01", 15.0, FAIL),
            ("2026-06-30", 16.0, FAIL),
            ("2026-06-30", 10.0, PASS),
        ],
    )
    def test_a_deviation_may_stay_up_to_its_last_day(
        self, today: str, observed: float, outcome: Outcome
    ) -> None:
        let = dataclasses.replace(self.BASELINE, value=15.0, until="2026-06-30", because="a bug")

        ruling = self.ruled(observed, (let, self.BASELINE), "d", today)

        assert ruling.outcome is outcome
        stays = outcome is PASS and observed > 11.0
        assert ruling.accepted == ("until 2026-06-30: a bug" if stays else "")
        assert ("15 could stay until 2026-06-30" in ruling.because) is (today > let.until)

    def ruled(
        self, observed: float, accepted: tuple[Baseline, ...], phone: str, today: str = "2026-01-01"
    ) -> Verdict:
        made = dataclasses.replace(MADE, device=phone)
        return gate.regression(
            metrics.BLESSED_LATENCY_MS, observed, accepted, made, file_sha256="ab", today=today
        )
