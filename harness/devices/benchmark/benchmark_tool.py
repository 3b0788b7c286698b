"""Speak the benchmark tool's language: its flags, and the results it prints and writes.

Pure functions over text and bytes. The tool is TensorFlow Lite's or LiteRT's
`benchmark_model`; builds since 2019 are understood, and what a build can do is read from its
own `--help`, because old builds only mention flags that they do not know and go on.

Source: google-ai-edge/LiteRT, tflite/tools/benchmark and litert/tools; logs of older builds.
"""

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from harness.devices.benchmark import delegate_flags, litert_tools
from harness.errors import ConfigError, DeviceError
from harness.profiles import GPU_FP32

_COUNT_MAX = 1e9
_NUMBER = r"[-+]?(?:\d[\d.]*(?:[eE][-+]?\d+)?|nan|inf)"


@dataclass(frozen=True, kw_only=True)
class Preset:
    """How the tool is run.

    Attributes:
        name: As it is recorded with every number.
        runs: Timed inferences of one run of the tool.
        warmup_runs: Inferences before them, at least 1 where times are read.
        min_secs: The timed part goes on for at least this many seconds.
        warmup_min_secs: The warm-up goes on for at least this many seconds.
        threads: CPU threads, for ops that stay on the CPU.
        allow_fp16: Let float32 models be computed in float16.
        pinned: Pin the tool to the phone's fastest CPU clusters with `taskset`.
    """

    name: str
    runs: int
    warmup_runs: int = 1
    min_secs: float = 0.0
    warmup_min_secs: float = 0.0
    threads: int = 4
    allow_fp16: bool = True
    pinned: bool = True

    def on(self, delegate: str, *, float16_weights: bool) -> "Preset":
        """Return how a model is run through a delegate.

        On the CPU only an fp16 export is computed in fp16, through `gpu-fp32` none is.
        """
        half = delegate != GPU_FP32 and (delegate != "cpu" or float16_weights)
        return replace(self, allow_fp16=self.allow_fp16 and half)


MAX_SECS = 150.0
"""Time after which the tool makes no further inference: its own default of --max_secs."""
STANDARD = Preset(name="standard", runs=50, warmup_runs=3)
PAPER = Preset(name="paper", runs=10)
"""The settings of the paper: num_runs=10 num_threads=4 allow_fp16, pinned with taskset."""


@dataclass(frozen=True, kw_only=True)
class Timings:
    """What one run of the tool said about time, in milliseconds.

    `median_ms` and `p95_ms` are None where the build prints no percentiles.
    """

    init_ms: float
    first_ms: float
    mean_ms: float
    stddev_ms: float
    min_ms: float
    max_ms: float
    runs: int
    median_ms: float | None = None
    p95_ms: float | None = None

    def check(self) -> None:
        """Refuse numbers that no run can have; single-precision rounding is allowed for.

        Raises:
            DeviceError: a time is negative, not finite, or out of order.
        """
        slack = 1 + 1e-5
        percentiles = [v for v in (self.median_ms, self.p95_ms) if v is not None]
        ordered = [self.min_ms, *percentiles, self.max_ms]
        sane = (
            all(math.isfinite(v) and v > 0 for v in (*ordered, self.mean_ms, self.first_ms))
            and math.isfinite(self.init_ms)
            and self.init_ms >= 0
            and self.stddev_ms >= 0
            and self.runs > 0
            and all(low <= high * slack for low, high in itertools.pairwise(ordered))
            and self.min_ms <= self.mean_ms * slack
            and self.mean_ms <= self.max_ms * slack
        )
        if not sane:
            raise DeviceError(
                "the benchmark tool's timings make no sense (negative, not finite or out of "
                f"order); the phone's clock may have jumped: {self}"
            )


def known_flags(help_text: str) -> frozenset[str]:
    """Return the names of the flags that a build lists in its `--help`."""
    return frozenset(re.findall(r"^\s*--([A-Za-z][\w-]*)=", help_text, re.MULTILINE))


def lacking(flags: frozenset[str]) -> list[str]:
    """Return what a build cannot do, one sentence for each, best fetched newer."""
    needs = {
        "graph": "is no benchmark_model: it lists no --graph",
        "model_runtime_info_output_file": "writes no runtime info: placement rests on its op "
        "profile, which cannot tell two delegates apart",
        "enable_op_profiling": "has no op profile: no share of time on the CPU",
        "result_file_path": "writes no result file: timings are read from its text, which in "
        "older builds has no percentiles, so that each timing takes 20 runs",
    }
    if not litert_tools.is_litert_2(flags):  # whose run_model makes the pixels
        needs |= {
            "output_filepath": "cannot write a model's output (--output_filepath): no fidelity",
            "input_layer_value_files": "cannot read a frame (--input_layer_value_files): no "
            "fidelity",
        }
    return [sentence for flag, sentence in needs.items() if flag not in flags]


def unconsumed_flags(output: str) -> tuple[str, ...]:
    """Return the flags that a build says it did not understand."""
    found = re.findall(r"Unconsumed cmdline flags: *(.*)$", output, re.MULTILINE)
    return tuple(flag for line in found for flag in line.split())


def run_flags(preset: Preset, *, flags: frozenset[str] | None = None) -> tuple[str, ...]:
    """Return the flags that say how often to run, leaving out what the build does not know."""
    wanted = {
        "num_runs": preset.runs,
        "warmup_runs": preset.warmup_runs,
        "min_secs": f"{preset.min_secs:g}",
        "warmup_min_secs": f"{preset.warmup_min_secs:g}",
        "num_threads": preset.threads,
        "enable_op_profiling": "false",
        "verbose": "false",
        # Said either way: TensorFlow Lite's tool takes false where it is left out, LiteRT's true.
        "allow_fp16": delegate_flags.boolean(preset.allow_fp16),
    }
    return tuple(
        f"--{name}={value}" for name, value in wanted.items() if flags is None or name in flags
    )


def input_flags(
    fed: Sequence[tuple[str, tuple[int, ...], str]], *, flags: frozenset[str] | None = None
) -> tuple[str, ...]:
    """Return the flags that feed a file of raw bytes to each of the model's inputs.

    A name with characters that the tool's syntax uses is replaced: the tool only warns of a
    name that differs, and takes inputs in the model's order.

    Args:
        fed: Name, shape and the path of the file on the phone, in the model's order.
        flags: Flags that the tool knows, or None where that was not asked.

    Raises:
        ConfigError: the build cannot read inputs from a file.
    """
    if flags is not None and "input_layer_value_files" not in flags:
        raise ConfigError(
            "this benchmark tool cannot read a frame from a file (no --input_layer_value_files); "
            "fetch a newer build of TensorFlow Lite's benchmark_model"
        )
    names = [
        name if re.fullmatch(r"[\w./-]+", name) else f"input{position}"
        for position, (name, _, _) in enumerate(fed)
    ]
    shapes = (",".join(str(size) for size in shape) for _, shape, _ in fed)
    files = (
        f"{name}:{path.replace(':', '::')}" for name, (*_, path) in zip(names, fed, strict=True)
    )
    return (
        f"--input_layer={','.join(names)}",
        f"--input_layer_shape={':'.join(shapes)}",
        f"--input_layer_value_files={','.join(files)}",
    )


def parse_timings(output: str) -> Timings:
    """Read the timings that any build prints, standard output and error together.

    Raises:
        DeviceError: there is no result, it is cut off, or it is not numbers that make sense.
    """
    counts = [_parse_count(line) for line in re.findall(r"^(?:INFO: )?(count=.*)$", output, re.M)]
    counts = [count for count in counts if count.get("count", 0) > 0]
    ends = _end_of_run(output)
    if ends is None:
        raise DeviceError(f"the benchmark tool printed no result: {_tail(output)}")
    if not counts:
        raise DeviceError(f"the benchmark tool printed no run statistics: {_tail(output)}")
    timed = counts[-1]
    init_ms, first_ms, mean_ms = ends
    if first_ms is None:
        first_ms = counts[0]["first"] / 1e3
    timings = Timings(
        init_ms=init_ms,
        first_ms=first_ms,
        mean_ms=timed["avg"] / 1e3,
        stddev_ms=timed["std"] / 1e3,
        min_ms=timed["min"] / 1e3,
        max_ms=timed["max"] / 1e3,
        runs=int(min(timed["count"], _COUNT_MAX)),
        median_ms=_ms(timed.get("median")),
        p95_ms=_ms(timed.get("p95")),
    )
    timings.check()
    if not math.isclose(timings.mean_ms, mean_ms, rel_tol=0.02, abs_tol=0.02):
        raise DeviceError(
            f"the benchmark tool contradicts itself: average {mean_ms:g} ms in its summary, "
            f"{timings.mean_ms:g} ms in its statistics; its output is damaged"
        )
    return timings


def parse_peak_mib(output: str) -> float | None:
    """Return the peak memory of the tool's process, or None where a build does not print it.

    Its "MB" are KiB over 1024. Source: google-ai-edge/LiteRT,
    tflite/profiling/memory_usage_monitor.h.

    Raises:
        DeviceError: the number makes no sense.
    """
    found = re.search(
        rf"Overall peak memory footprint \(MB\) via periodic monitoring: ({_NUMBER})", output
    )
    if found is None:
        return None
    try:
        peak_mib = float(found[1])
    except ValueError:
        peak_mib = math.nan
    if not 0.0 < peak_mib < math.inf:
        raise DeviceError(f"the benchmark tool's peak memory makes no sense: {found[0]!r:.200}")
    return peak_mib


def _parse_count(line: str) -> Mapping[str, float]:
    """Read `count=5 first=1 curr=2 min=1 max=2 avg=1.5 std=0 ...` in any build's wording."""
    values = {
        key: float(number)
        for key, number in re.findall(rf"\b([a-z]\w*)=({_NUMBER})(?=\s|\(|$)", line)
        if number.count(".") < 2
    }
    if "avg" not in values and "curr" in values:  # all runs the same, or only one
        same = values["curr"]
        values |= {"first": same, "min": same, "max": same, "avg": same, "std": 0.0}
        values.setdefault("median", same)
        values.setdefault("p95", same)
    needed = {"count", "first", "min", "max", "avg", "std"}
    if values.get("count", 0) > 0 and not needed <= set(values):
        raise DeviceError(f"the benchmark tool's statistics are cut off: {line[:120]!r}")
    return values


def _end_of_run(output: str) -> tuple[float, float | None, float] | None:
    """Return init, first and mean milliseconds from the summary that ends a run."""
    new = re.search(
        rf"Inference timings in us: Init: ({_NUMBER}), First inference: ({_NUMBER}), "
        rf"Warmup \(avg\): {_NUMBER}, Inference \(avg\): ({_NUMBER})\s*$",
        output,
        re.MULTILINE,
    )
    if new is not None:
        return float(new[1]) / 1e3, float(new[2]) / 1e3, float(new[3]) / 1e3
    old = re.search(
        rf"Average inference timings in us: Warmup: {_NUMBER}, Init: ({_NUMBER}), "
        rf"(?:Inference|no stats): ({_NUMBER})\s*$",
        output,
        re.MULTILINE,
    )
    if old is not None:
        return float(old[1]) / 1e3, None, float(old[2]) / 1e3
    init = re.search(rf"Model initialization: *({_NUMBER}) ms", output)
    first = re.search(rf"Warmup \(first\): *({_NUMBER}) ms", output)
    mean = re.search(rf"Inference \(avg\): *({_NUMBER}) ms", output)
    if init and mean:
        return float(init[1]), float(first[1]) if first else None, float(mean[1])
    return None


def _ms(microseconds: float | None) -> float | None:
    return None if microseconds is None else microseconds / 1e3


def _tail(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return repr(lines[-1][-200:]) if lines else "it printed nothing"
