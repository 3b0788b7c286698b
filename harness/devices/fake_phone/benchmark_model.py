"""Be the benchmark tool on a fake phone: run the model with LiteRT here, speak as the tool does.

The inference is real; which nodes a delegate takes, and what the NNAPI driver logs, follow the
switches of the phone's folder. Four builds are imitated, from 2020 to LiteRT 2.
"""

import os
import random
import resource
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from harness.devices.benchmark import benchmark_result
from harness.devices.benchmark.benchmark_tool import Timings
from harness.devices.fake_phone import faults, power, traces, wrong_ops
from harness.devices.fake_phone.faults import Fault
from harness.devices.fake_phone.folder import ENVIRONMENT, Folder, Switches
from harness.evidence import sha256_of
from harness.graph import parse
from harness.statistics import percentile

LITERT_2 = "litert2"
_BASE = (
    "num_runs=50", "min_secs=1", "max_secs=150", "num_threads=-1", "warmup_runs=1",
    "warmup_min_secs=0.5", "graph=", "input_layer=", "input_layer_shape=",
    "input_layer_value_files=", "allow_fp16=false", "enable_op_profiling=false", "use_nnapi=false",
    "nnapi_accelerator_name=", "disable_nnapi_cpu=true", "nnapi_allow_fp16=false", "use_gpu=false",
    "gpu_precision_loss_allowed=true", "use_xnnpack=false", "external_delegate_path=",
    "external_delegate_options=", "use_hexagon=false",
)  # fmt: skip
_SINCE_2022 = (
    "verbose=false", "output_filepath=", "xnnpack_force_fp16=false",
    "report_peak_memory_footprint=false",
)  # fmt: skip
_SINCE_2025 = (
    "result_file_path=", "export_model_runtime_info=false", "model_runtime_info_output_file=",
    "op_profiling_output_mode=stdout",
)  # fmt: skip
_LITERT_2 = (
    "num_runs=50", "min_secs=1", "max_secs=150", "num_threads=-1", "warmup_runs=1",
    "warmup_min_secs=0.5", "graph=", "signature_to_run_for=", "use_cpu=true", "use_gpu=false",
    "use_npu=false", "dispatch_library_path=", "compiler_plugin_library_path=",
    "compiler_cache_path=", "allow_fp16=true", "gpu_backend=", "gpu-precision=auto",
    "use_profiler=false", "result_file_path=", "model_runtime_info_output_file=",
    "require_full_delegation=false", "mediatek_nerun_pilot_version=",
)  # fmt: skip
FLAGS: Mapping[str, Sequence[str]] = {
    "2020": _BASE,
    "2022": _BASE + _SINCE_2022,
    "2025": _BASE + _SINCE_2022 + _SINCE_2025,
    LITERT_2: _LITERT_2,
}
_PROFILER_OVERHEAD = 1.1


@dataclass(frozen=True, kw_only=True)
class RunTimes:
    """Times in microseconds: loading, the warm-up's runs, the timed runs."""

    init_us: float
    warmup_us: Sequence[float]
    timed_us: Sequence[float]


def main(arguments: Sequence[str]) -> int:
    """Run the tool; return its exit code."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    folder = Folder(Path(os.environ[ENVIRONMENT]))
    switches = folder.switches()
    if arguments[:1] == [LITERT_2]:  # one of LiteRT 2's tools, whatever the build of the other
        switches, arguments = replace(switches, tool_build=LITERT_2), arguments[1:]
    prefix = "" if switches.tool_build == "2020" else "INFO: "
    known = dict(flag.split("=", 1) for flag in FLAGS[switches.tool_build])
    if faults.take(folder, Fault.TOOL_WRONG_ABI):
        print("/system/bin/sh: benchmark_model: not executable: 64-bit ELF file", file=sys.stderr)
        return 126
    if "--help" in arguments:
        lines = "".join(f"\t--{name}={value}\t\n" for name, value in known.items())
        print(f"usage: benchmark_model <flags>\nFlags:\n{lines}", file=sys.stderr)
        return 1
    print(f"{prefix}STARTING!")
    (folder.state / "last_command").write_text(" ".join(arguments))
    given = dict(argument.removeprefix("--").split("=", 1) for argument in arguments)
    strange = [f"--{name}" for name in given if name not in known]
    if strange:
        print(f"{prefix}Unconsumed cmdline flags: {' '.join(strange)}")
    flags = known | {name: value for name, value in given.items() if name in known}
    print(f"{prefix}Log parameter values verbosely: [0]\n{prefix}Graph: [{flags['graph']}]")
    return _benchmark(folder, switches, flags, prefix)


def _benchmark(folder: Folder, switches: Switches, flags: dict[str, str], prefix: str) -> int:
    if breaks(folder):
        return 1
    model = Path(flags["graph"]).read_bytes()
    graph = parse(model)
    print(f"{prefix}Loaded model {flags['graph']}")
    sys.stdout.flush()
    if not traces.delegate(folder, switches, flags, graph, prefix):
        print("Benchmarking failed.", file=sys.stderr)
        return 1
    samples, output = _infer(folder, switches, flags, model)
    busy_s = sum((*samples.warmup_us, *samples.timed_us)) / 1e6
    power.draw(folder.to_host("/sys"), switches.busy_ma, busy_s)
    inferences = len(samples.warmup_us) + len(samples.timed_us)
    power.count(folder.state, inferences, switches.inference_mj)
    if faults.take(folder, Fault.OUTPUT_WRONG_SIZE):
        output = output[: len(output) // 2]
    if flags.get("output_filepath"):
        Path(flags["output_filepath"]).write_bytes(output)
    cut_off = faults.take(folder, Fault.TOOL_IS_CUT_OFF)
    _report(switches, flags, samples, prefix, model_bytes=len(model), cut_off=cut_off)
    if flags.get("enable_op_profiling") == "true":
        mean_ms = float(np.mean(samples.timed_us)) / 1e3
        print(traces.profile(switches, flags, graph, mean_ms=mean_ms, prefix=prefix))
    return 0


def breaks(folder: Folder) -> bool:
    """Do what is planted; return whether the tool fails."""
    if faults.take(folder, Fault.TOOL_ABORTS):
        print("F libc : Fatal signal 6 (SIGABRT) in vendor driver", file=sys.stderr, flush=True)
        os.abort()
    if faults.take(folder, Fault.TOOL_HANGS):
        sys.stdout.flush()
        time.sleep(3600)
    if faults.take(folder, Fault.TOOL_PRINTS_GARBAGE):
        sys.stdout.buffer.write(bytes(random.choices(range(256), k=4000)))
        sys.stdout.flush()
        os._exit(0)
    while faults.present(folder, Fault.TOOL_PRINTS_FOR_EVER):
        sys.stdout.write("VERBOSE: still compiling\n" * 10_000)
    if faults.take(folder, Fault.DELEGATE_FAILS):
        print(
            "ERROR: NN API returned error ANEURALNETWORKS_BAD_DATA at line 1068 while adding "
            "operation.\nERROR: Restored original execution plan after delegate application "
            "failure.\nFailed to apply NNAPI delegate.\nBenchmarking failed.",
            file=sys.stderr,
        )
        return True
    return False


def _infer(
    folder: Folder, switches: Switches, flags: dict[str, str], model: bytes
) -> tuple[RunTimes, bytes]:
    """Load and run the model; return the times and the last outputs' bytes."""
    start_ns = time.perf_counter_ns()
    threads = max(1, min(2, int(flags["num_threads"])))
    interpreter = Interpreter(model_content=model, num_threads=threads)
    interpreter.allocate_tensors()
    init_us = (time.perf_counter_ns() - start_ns) / 1e3
    for details, path in zip(*_fed(flags, interpreter.get_input_details()), strict=True):
        interpreter.set_tensor(details["index"], _input(path, details))
    warmup, runs = int(flags["warmup_runs"]), int(flags["num_runs"])
    if faults.take(folder, Fault.TOOL_STOPS_EARLY):
        runs = 1
    wanted = _switched_us(switches, model)
    if wanted is None:
        times = [_invoke_us(interpreter) for _ in range(warmup + runs)]
    else:
        _invoke_us(interpreter)
        level = wanted * (1 + random.gauss(0, switches.noise_share))
        times = [level * (1 + random.gauss(0, 0.001)) for _ in range(warmup + runs)]
    if faults.take(folder, Fault.CLOCK_JUMPS):
        (folder.state / "clock_offset_s").write_text("-3600")
        times[-1] -= 3.6e9
    outputs = [
        wrong_ops.made(
            switches,
            parse(model),
            made(switches, interpreter.get_tensor(one["index"]), warmup + runs),
            accelerated=traces.asked(flags)[0] not in ("", "XNNPACK"),
            fp16="false" not in (flags.get("gpu_precision_loss_allowed"), flags["allow_fp16"]),
        )
        for one in interpreter.get_output_details()
    ]
    samples = RunTimes(init_us=init_us, warmup_us=times[:warmup], timed_us=times[warmup:])
    return samples, b"".join(output.tobytes() for output in outputs)


def made(switches: Switches, values: NDArray[Any], inferences: int) -> NDArray[Any]:
    """Return what the phone makes of the right values in so many inferences after loading."""
    if inferences > 1 and switches.later_error:
        return (values + switches.later_error).astype(values.dtype)
    return values


def _fed(
    flags: dict[str, str], details: Sequence[Mapping[str, Any]]
) -> tuple[Sequence[Mapping[str, Any]], Sequence[str]]:
    """Return the inputs, and the file that each is read from, '' for random values."""
    given = flags.get("input_layer_value_files", "")
    if not given:
        return details, [""] * len(details)
    paths = [file.rpartition(":")[2] for file in given.split(",")]
    if len(paths) != len(details):
        print(f"ERROR: {len(paths)} files for {len(details)} inputs.", file=sys.stderr, flush=True)
        os.abort()
    return details, paths


def _input(path: str, details: Mapping[str, Any]) -> NDArray[Any]:
    shape = tuple(int(size) for size in details["shape"])
    dtype = np.dtype(details["dtype"])
    if not path:
        low, high = (0, 1) if dtype.kind == "f" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        return np.random.default_rng(0).uniform(low, high, shape).astype(dtype)
    data = Path(path).read_bytes()
    if len(data) != int(np.prod(shape)) * dtype.itemsize:
        print(f"ERROR: The size of {path} is {len(data)} bytes.", file=sys.stderr, flush=True)
        os.abort()
    return np.frombuffer(data, dtype).reshape(shape)


def _invoke_us(interpreter: Interpreter) -> float:
    start_ns = time.perf_counter_ns()
    interpreter.invoke()
    return (time.perf_counter_ns() - start_ns) / 1e3


def _switched_us(switches: Switches, model: bytes) -> float | None:
    sha256 = sha256_of(model)
    found = [us for start, us in switches.latency_us.items() if sha256.startswith(start)]
    return found[-1] if found else None


def _report(
    switches: Switches,
    flags: dict[str, str],
    samples: RunTimes,
    prefix: str,
    *,
    model_bytes: int,
    cut_off: bool,
) -> None:
    """Print the results as the build does, and write its result file."""
    percentiles = switches.tool_build in ("2025", LITERT_2)
    init, warmup, timed = samples.init_us, samples.warmup_us, samples.timed_us
    lines = [
        f"The input model file size (MB): {model_bytes / 1e6:g}",
        f"Initialized session in {init / 1e3:g}ms.",
        f"Running benchmark for at least {len(warmup)} iterations",
        _count(warmup, percentiles) + "\n",
        f"Running benchmark for at least {len(timed)} iterations",
    ]
    if not cut_off:
        lines.append(_count(timed, percentiles) + "\n")
    summary = [] if cut_off else _summary(switches, flags, samples)
    apart = switches.tool_build == LITERT_2  # through LiteRT's own log
    print("\n".join(prefix + line for line in (lines if apart else lines + summary)))
    if apart:
        print("\n".join(prefix + line for line in summary), file=sys.stderr)
    if flags.get("result_file_path") and not cut_off:
        result = Timings(
            init_ms=init / 1e3,
            first_ms=warmup[0] / 1e3,
            mean_ms=float(np.mean(timed)) / 1e3,
            stddev_ms=float(np.std(timed)) / 1e3,
            min_ms=min(timed) / 1e3,
            max_ms=max(timed) / 1e3,
            runs=len(timed),
            median_ms=float(np.median(timed)) / 1e3,
            p95_ms=percentile(sorted(timed), 0.95) / 1e3,
        )
        Path(flags["result_file_path"]).write_bytes(benchmark_result.write(result))


def _summary(switches: Switches, flags: dict[str, str], samples: RunTimes) -> list[str]:
    init, timed = samples.init_us, samples.timed_us
    warmup = samples.warmup_us or (0.0,)
    mean = float(np.mean(timed))
    if switches.tool_build == "2020":
        average = float(np.mean(warmup))
        return [
            f"Average inference timings in us: Warmup: {average:g}, Init: {init:.0f}, "
            f"Inference: {mean:g}"
        ]
    if switches.tool_build == LITERT_2:
        return [
            "========== BENCHMARK RESULTS ==========",
            f"Model initialization: {init / 1e3:.2f} ms",
            f"Warmup (first):       {warmup[0] / 1e3:.2f} ms",
            f"Warmup (avg):         {float(np.mean(warmup)) / 1e3:.2f} ms ({len(warmup)} runs)",
            f"Inference (avg):      {mean / 1e3:.2f} ms ({len(timed)} runs)",
        ]
    peak = []
    if flags.get("report_peak_memory_footprint") == "true":
        used_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        peak = [f"Overall peak memory footprint (MB) via periodic monitoring: {used_mib:g}"]
    return [
        f"Inference timings in us: Init: {init:.0f}, First inference: {warmup[0]:.0f}, "
        f"Warmup (avg): {float(np.mean(warmup)):g}, Inference (avg): {mean:g}",
        "Memory footprint delta from the start of the tool (MB): init=5.1 overall=36.9",
        *peak,
    ]


def _count(times_us: Sequence[float], percentiles: bool) -> str:
    whole = [round(us) for us in times_us]
    if not whole:
        return "count=0"
    if len(whole) == 1:
        text = f"count=1 curr={whole[0]}"
    else:
        text = (
            f"count={len(whole)} first={whole[0]} curr={whole[-1]} min={min(whole)} "
            f"max={max(whole)} avg={float(np.mean(whole)):g} std={float(np.std(whole)):.0f}"
        )
    if percentiles:
        ordered = sorted(whole)
        low, middle, high = (round(percentile(ordered, share)) for share in (0.05, 0.5, 0.95))
        text += f" p5={low} median={middle} p95={high}"
    return text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
