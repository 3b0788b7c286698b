"""Read and write the benchmark tool's result file, a BenchmarkResult protobuf.

Source: LiteRT, tflite/tools/benchmark/proto/benchmark_result.proto (field numbers).
"""

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from harness.devices import protos
from harness.devices.benchmark.benchmark_tool import Timings
from harness.errors import DeviceError


def parse(data: bytes) -> Timings:
    """Read the tool's result file (`--result_file_path`), a BenchmarkResult protobuf.

    Raises:
        DeviceError: it is empty, damaged, or holds numbers that make no sense.
    """
    result = protos.BenchmarkResult()
    try:
        result.ParseFromString(data)
    except DecodeError as error:
        raise DeviceError(f"the benchmark tool's result file is damaged ({error})") from None
    latency = result.latency_metrics
    needed = ("init_ms", "first_inference_ms", "avg_ms", "stddev_ms", "min_ms", "max_ms")
    missing = [name for name in needed if not latency.HasField(name)]
    if missing or not result.misc_metrics.HasField("num_runs"):
        raise DeviceError(
            f"the benchmark tool's result file is cut off: no {', '.join(missing or ['num_runs'])}"
        )
    timings = Timings(
        init_ms=latency.init_ms,
        first_ms=latency.first_inference_ms,
        mean_ms=latency.avg_ms,
        stddev_ms=latency.stddev_ms,
        min_ms=latency.min_ms,
        max_ms=latency.max_ms,
        runs=result.misc_metrics.num_runs,
        median_ms=latency.median_ms if latency.HasField("median_ms") else None,
        p95_ms=latency.p95_ms if latency.HasField("p95_ms") else None,
    )
    timings.check()
    return timings


def write(timings: Timings, *, name: str = "") -> bytes:
    """Return the result file that a build would write; for the fake phone and tests."""
    result = protos.BenchmarkResult(name=name)
    latency = result.latency_metrics
    latency.init_ms, latency.first_inference_ms = timings.init_ms, timings.first_ms
    latency.avg_ms, latency.stddev_ms = timings.mean_ms, timings.stddev_ms
    latency.min_ms, latency.max_ms = timings.min_ms, timings.max_ms
    if timings.median_ms is not None and timings.p95_ms is not None:
        latency.median_ms, latency.p95_ms = timings.median_ms, timings.p95_ms
    result.misc_metrics.num_runs = timings.runs
    data: bytes = result.SerializeToString()
    return data
