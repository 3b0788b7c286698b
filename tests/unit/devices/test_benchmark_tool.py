"""Read every build's wording of the benchmark tool, and refuse what is not a result."""

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.devices.benchmark import benchmark_result, benchmark_tool, delegate_flags
from harness.devices.benchmark.benchmark_tool import Preset, Timings
from harness.devices.benchmark.delegate_flags import ExternalDelegate
from harness.errors import ConfigError, DeviceError

BUILD_2020 = """STARTING!
Min num runs: [50]
Graph: [m.tflite]
Loaded model m.tflite
Initialized session in 38.467ms.
Running benchmark for at least 1 iterations and at least 0.5 seconds
count=6 first=90001 curr=83000 min=82000 max=90001 avg=83235 std=2500

Running benchmark for at least 50 iterations and at least 1 seconds
count=50 first=79000 curr=80100 min=78000 max=82000 avg=79761 std=900

Average inference timings in us: Warmup: 83235, Init: 38467, Inference: 79761
Peak memory footprint (MB): init=6.4 overall=64.8
"""

BUILD_2022 = """INFO: STARTING!
INFO: Initialized session in 592.232ms.
INFO: count=1 curr=633430

INFO: count=50 first=605745 curr=618849 min=568228 max=722188 avg=602943 std=27690

INFO: Inference timings in us: Init: 592232, First inference: 633430, Warmup (avg): 633430, \
Inference (avg): 602943
INFO: Memory footprint delta from the start of the tool (MB): init=133.086 overall=149.531
"""

BUILD_2025 = """INFO: STARTING!
INFO: count=1 curr=905463 p5=905463 median=905463 p95=905463
INFO: count=50 first=900416 curr=898333 min=898007 max=906121 avg=899641 std=1549 p5=898333 \
median=899281 p95=904305
INFO: Inference timings in us: Init: 614333, First inference: 905463, Warmup (avg): 905463, \
Inference (avg): 899641
"""

LITERT_2 = """INFO: count=50 first=14000 curr=14500 min=14000 max=15000 avg=14575 std=100 p5=14100 \
median=14570 p95=14900
INFO: [benchmark_litert_model.cc:90] ========== BENCHMARK RESULTS ==========
INFO: [benchmark_litert_model.cc:91] Model initialization: 5.68 ms
INFO: [benchmark_litert_model.cc:92] Warmup (first):       18.53 ms
INFO: [benchmark_litert_model.cc:93] Warmup (avg):         14.46 ms (3 runs)
INFO: [benchmark_litert_model.cc:94] Inference (avg):      14.58 ms (50 runs)
"""


def test_a_build_of_2020_gives_no_percentiles_and_its_first_inference_from_the_warmup():
    timings = benchmark_tool.parse_timings(BUILD_2020)

    assert timings == Timings(
        init_ms=38.467, first_ms=90.001, mean_ms=79.761, stddev_ms=0.9, min_ms=78.0,
        max_ms=82.0, runs=50,
    )  # fmt: skip


def test_a_single_warmup_run_prints_no_statistics_and_is_understood():
    timings = benchmark_tool.parse_timings(BUILD_2022)

    assert (timings.first_ms, timings.mean_ms, timings.median_ms) == (633.43, 602.943, None)


def test_a_build_of_2025_gives_median_and_95th_percentile():
    timings = benchmark_tool.parse_timings(BUILD_2025)

    assert (timings.median_ms, timings.p95_ms, timings.runs) == (899.281, 904.305, 50)


def test_the_litert_2_tool_is_read_from_its_results_block():
    timings = benchmark_tool.parse_timings(LITERT_2)

    assert (timings.init_ms, timings.first_ms, timings.median_ms) == (5.68, 18.53, 14.57)


def test_equal_runs_are_printed_short_and_are_understood():
    output = (
        "count=3 curr=120(all same)\n"
        "Inference timings in us: Init: 100, First inference: 120, Warmup (avg): 120, "
        "Inference (avg): 120\n"
    )

    timings = benchmark_tool.parse_timings(output)

    assert (timings.runs, timings.mean_ms, timings.min_ms, timings.median_ms) == (3, 0.12, 0.12, 0.12)  # fmt: skip  # noqa: E501


def test_scientific_notation_is_a_number():
    output = BUILD_2022.replace("avg=602943", "avg=6.02943e+05")

    assert benchmark_tool.parse_timings(output).mean_ms == pytest.approx(602.943)


def test_statistics_of_the_op_profile_are_not_taken_for_the_runs():
    output = (
        BUILD_2025 + "Timings (microseconds): count=50 first=1 curr=1 min=1 max=1 avg=1 std=0\n"
    )

    assert benchmark_tool.parse_timings(output).mean_ms == 899.641


@pytest.mark.parametrize("output", ["", "Segmentation fault\n", "count=", BUILD_2025[:120]])
def test_output_without_a_result_is_an_error(output: str):
    with pytest.raises(DeviceError, match=r"no result|cut off|no run statistics"):
        benchmark_tool.parse_timings(output)


@given(st.integers(0, len(BUILD_2025) - 3))
def test_output_cut_off_anywhere_is_an_error_and_never_another_number(length: int):
    with pytest.raises(DeviceError):
        benchmark_tool.parse_timings(BUILD_2025[:length])


@given(st.text())
def test_any_text_is_a_result_or_a_device_error(output: str):
    try:
        timings = benchmark_tool.parse_timings(output)
    except DeviceError:
        return
    assert timings.runs > 0


@given(st.text(alphabet="count=0123456789.eE+-naifmxvgstdr ( :,\n"))
def test_garbled_numbers_are_a_device_error(middle: str):
    output = f"count={middle}\nInference timings in us: Init: 1, First inference: {middle}"
    try:
        benchmark_tool.parse_timings(output)
    except DeviceError as error:
        assert str(error)  # noqa: PT017


def test_a_summary_that_contradicts_the_statistics_is_an_error():
    output = BUILD_2025.replace("Inference (avg): 899641", "Inference (avg): 99641")

    with pytest.raises(DeviceError, match="contradicts itself"):
        benchmark_tool.parse_timings(output)


@pytest.mark.parametrize(
    "change", [("min=898007", "min=-5"), ("avg=899641", "avg=nan"), ("p95=904305", "p95=1")]
)
def test_times_that_no_clock_can_show_are_an_error(change: tuple[str, str]):
    with pytest.raises(DeviceError, match=r"make no sense|cut off"):
        benchmark_tool.parse_timings(BUILD_2025.replace(*change))


TIMES = st.floats(0.01, 1e5, allow_nan=False)


@given(st.lists(TIMES, min_size=5, max_size=5), TIMES, st.integers(1, 10_000), st.booleans())
def test_the_result_file_gives_back_what_was_written(
    values: list[float], init_ms: float, runs: int, percentiles: bool
):
    low, mean, median, p95, high = sorted(values)
    written = Timings(
        init_ms=init_ms, first_ms=high, mean_ms=mean, stddev_ms=0.5, min_ms=low, max_ms=high,
        runs=runs, median_ms=median if percentiles else None,
        p95_ms=p95 if percentiles else None,
    )  # fmt: skip

    read = benchmark_result.parse(benchmark_result.write(written))

    assert read.runs == runs
    assert math.isclose(read.mean_ms, mean, rel_tol=1e-6)
    assert (read.median_ms is None) is not percentiles


@given(st.binary(max_size=200))
def test_a_damaged_result_file_is_a_device_error(data: bytes):
    try:
        benchmark_result.parse(data)
    except DeviceError as error:
        assert "benchmark tool" in str(error)  # noqa: PT017


def test_the_flags_of_a_build_are_read_from_its_help():
    usage = "usage: ./benchmark_model <flags>\nFlags:\n\t--num_runs=50\tint32\texpected\n\t--use_gpu=false\tbool\tuse gpu\n"  # noqa: E501

    assert benchmark_tool.known_flags(usage) == {"num_runs", "use_gpu"}


def test_flags_that_an_old_build_ignores_are_named():
    output = "STARTING!\nUnconsumed cmdline flags: --allow_fp16 --x=1\nLog parameter"

    assert benchmark_tool.unconsumed_flags(output) == ("--allow_fp16", "--x=1")


def test_nnapi_is_asked_for_by_accelerator_without_its_cpu():
    flags = delegate_flags.ask_for("nnapi", accelerator="google-edgetpu", allow_fp16=True)

    assert flags == (
        "--use_nnapi=true", "--nnapi_allow_fp16=true",
        "--disable_nnapi_cpu=true", "--nnapi_accelerator_name=google-edgetpu",
    )  # fmt: skip


def test_a_flag_that_the_build_lacks_is_left_out_but_its_delegate_is_an_error():
    old = frozenset({"use_nnapi"})

    assert delegate_flags.ask_for("nnapi", accelerator="", allow_fp16=True, flags=old) == (
        "--use_nnapi=true",
    )
    with pytest.raises(ConfigError, match="--use_xnnpack"):
        delegate_flags.ask_for("cpu", accelerator="", allow_fp16=False, flags=old)


def test_an_external_delegate_is_loaded_by_path_and_options():
    flags = delegate_flags.ask_for(
        "qnn",
        accelerator="",
        allow_fp16=True,
        external=ExternalDelegate(path="/data/local/tmp/libQnn.so", options="backend_type:htp"),
    )

    assert flags == (
        "--external_delegate_path=/data/local/tmp/libQnn.so",
        "--external_delegate_options=backend_type:htp",
    )


def test_a_delegate_the_tool_does_not_know_needs_its_library():
    with pytest.raises(ConfigError, match="library"):
        delegate_flags.ask_for("qnn", accelerator="", allow_fp16=True)


def test_the_papers_preset_is_ten_runs_on_four_threads_in_fp16():
    flags = benchmark_tool.run_flags(benchmark_tool.PAPER)

    assert {"--num_runs=10", "--num_threads=4", "--allow_fp16=true"} <= set(flags)
    assert {"--enable_op_profiling=false", "--verbose=false"} <= set(flags)


def test_fp32_is_asked_for_by_name_since_litert_2_computes_in_fp16_unless_told_not_to():
    preset = dataclasses.replace(benchmark_tool.STANDARD, allow_fp16=False)

    assert "--allow_fp16=false" in benchmark_tool.run_flags(preset)


def test_exactly_the_asked_number_of_runs_is_asked_for():
    flags = benchmark_tool.run_flags(Preset(name="x", runs=7))

    assert {"--num_runs=7", "--min_secs=0", "--warmup_min_secs=0"} <= set(flags)


def test_an_input_name_with_the_tools_own_syntax_is_replaced():
    flags = benchmark_tool.input_flags(
        [("serving_default_x:0", (1, 8, 4, 3), "/data/a.bin"), ("noise", (1,), "/data/b.bin")]
    )

    assert flags == (
        "--input_layer=input0,noise",
        "--input_layer_shape=1,8,4,3:1",
        "--input_layer_value_files=input0:/data/a.bin,noise:/data/b.bin",
    )


def test_a_build_that_cannot_read_a_frame_is_an_error_that_says_so():
    with pytest.raises(ConfigError, match="cannot read a frame"):
        benchmark_tool.input_flags([("x", (1, 2), "/a")], flags=frozenset({"use_gpu"}))


@pytest.mark.parametrize(
    ("output", "peak_mib"),
    [
        ("INFO: Overall peak memory footprint (MB) via periodic monitoring: 41.2031\n", 41.2031),
        ("Memory footprint delta from the start of the tool (MB): init=5.1 overall=36.9\n", None),
        ("Peak memory footprint (MB): init=5.1 overall=36.9\n", None),
        ("", None),
    ],
)
def test_the_peak_of_memory_is_read_where_it_is_reported(
    output: str, peak_mib: float | None
) -> None:
    assert benchmark_tool.parse_peak_mib(output) == peak_mib


@pytest.mark.parametrize("number", ["nan", "inf", "0", "-3", "1.2.3"])
def test_a_peak_of_memory_that_makes_no_sense_is_an_error(number: str) -> None:
    line = f"Overall peak memory footprint (MB) via periodic monitoring: {number}"

    with pytest.raises(DeviceError, match="makes no sense"):
        benchmark_tool.parse_peak_mib(line)
