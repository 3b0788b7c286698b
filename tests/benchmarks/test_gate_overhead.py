"""What the harness costs beside the inferences it judges; ratios stand in `extra_info`.

The aims: a gate run at 256x256 takes at most 1.25 times the sum of its inferences and 2 s more;
a second run of unchanged work at most 3 s; collecting at most 1 s. Nothing here fails on time.
"""

import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness import fidelity, graph, samples, subjects
from harness.images import Pixels
from harness.stacks import xnnpack
from tests import models, tiny

_SIZE_PX = 256
_FRAMES = ("a", "b", "c", "d")
_CHANNELS = 48


@pytest.fixture(scope="module")
def heavy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project with a net of some GMAC in two variants, on four frames of 256x256."""
    root = tmp_path_factory.mktemp("heavy")
    for stem, dtype in (("fp32", "float32"), ("int8", "int8")):
        model = models.unet(size_px=_SIZE_PX, channels=_CHANNELS, dtype=dtype)
        (root / f"{stem}.tflite").write_bytes(model)
    photographs = tiny.photographs(root / "photographs", _FRAMES, _SIZE_PX)
    code = tiny.command(
        "init", root / "fp32.tflite", root / "int8.tflite", "--frames", photographs,
        "--name", "heavy", "--golden-dir", root / "golden",
    )  # fmt: skip
    assert code == 0
    # The int8 net has made-up scales: it keeps 14 dB, below the floor that init writes.
    tiny.edit(root / "golden" / "heavy" / "subject.toml", "psnr_db = 25", "psnr_db = 10")
    assert tiny.command(
        "bless", "heavy", "--device=pixel4", "--yes", "--golden-dir", root / "golden"
    ) == 0  # fmt: skip
    (root / "pytest.ini").write_text("[pytest]\n")
    return root


@pytest.fixture
def fresh_cache(tmp_path: Path) -> Path:
    """Return a cache folder that nobody has used."""
    return tmp_path / "cache"


def _children_cpu_s() -> float:
    """Return the processor time of all children so far, which a busy machine does not stretch."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _pytest(root: Path, cache: Path, *arguments: str) -> float:
    """Run pytest as a user does, with this package's dependencies only; return seconds."""
    environment = os.environ | {
        "HARNESS_CACHE": str(cache),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    begin = time.perf_counter_ns()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "harness.plugin", *arguments],
        cwd=root, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    seconds = (time.perf_counter_ns() - begin) / 1e9
    assert done.returncode in (0, 5), done.stdout + done.stderr
    return seconds


def _seconds(work: Callable[[], object], rounds: int = 5) -> float:
    """Return the median seconds of a piece of work that is compared with the benchmarked one."""
    samples = []
    for _ in range(rounds):
        begin = time.perf_counter_ns()
        work()
        samples.append((time.perf_counter_ns() - begin) / 1e9)
    return float(np.median(samples))


def test_a_gate_run_beside_the_sum_of_its_inferences(
    benchmark: Any, heavy: Path, tmp_path: Path
) -> None:
    caches: Iterator[Path] = iter(tmp_path / f"cache{number}" for number in range(100))
    inferences_s = _sum_of_inferences_s(heavy)

    benchmark.pedantic(
        lambda: _pytest(heavy, next(caches), "--device=pixel4"), rounds=3, warmup_rounds=1
    )

    seconds = benchmark.stats.stats.median
    benchmark.extra_info["sum_of_inferences_s"] = round(inferences_s, 3)
    benchmark.extra_info["over_inferences_ratio"] = round(seconds / inferences_s, 3)
    benchmark.extra_info["over_aim_ratio"] = round(seconds / (1.25 * inferences_s + 2.0), 3)


def _sum_of_inferences_s(root: Path) -> float:
    subject = subjects.load(root / "golden" / "heavy")
    total = 0.0
    for variant in subject.variants:
        model = variant.model()
        for name in samples.names(subject):
            frame = samples.load(subject, name).frame
            xnnpack.run(model, frame)  # load and prepare
            total += _seconds(lambda m=model, f=frame: xnnpack.run(m, f), rounds=3)
    return total


def test_a_second_run_of_unchanged_work(benchmark: Any, heavy: Path, fresh_cache: Path) -> None:
    first_s = _pytest(heavy, fresh_cache, "--device=pixel4")

    begin_s = _children_cpu_s()
    benchmark.pedantic(lambda: _pytest(heavy, fresh_cache, "--device=pixel4"), rounds=5)

    seconds = benchmark.stats.stats.median
    benchmark.extra_info["cpu_s"] = round((_children_cpu_s() - begin_s) / 5, 3)
    benchmark.extra_info["over_first_run_ratio"] = round(seconds / first_s, 3)
    benchmark.extra_info["over_aim_ratio"] = round(seconds / 3.0, 3)


def test_collecting_the_gates(benchmark: Any, heavy: Path, fresh_cache: Path) -> None:
    def bare() -> float:
        return _pytest(heavy, fresh_cache, "--collect-only")

    def collect() -> float:
        return _pytest(heavy, fresh_cache, "--collect-only", "--device=pixel4")

    bare_s = _seconds(bare)
    collect()  # compiles what was never imported

    begin_s = _children_cpu_s()
    benchmark.pedantic(collect, rounds=5)

    seconds = benchmark.stats.stats.median
    benchmark.extra_info["cpu_s"] = round((_children_cpu_s() - begin_s) / 5, 3)
    benchmark.extra_info["over_bare_pytest_ratio"] = round(seconds / bare_s, 3)
    benchmark.extra_info["over_aim_ratio"] = round(seconds / 1.0, 3)


def test_comparing_at_1280x720(benchmark: Any) -> None:
    random = np.random.default_rng(0)
    reference: Pixels = random.random((1, 720, 1280, 3), np.float32)
    pixels: Pixels = random.random(reference.shape, np.float32)

    match = benchmark(fidelity.compare, pixels, reference)

    plain_s = _seconds(lambda: np.square(pixels.astype(np.float64) - reference).mean())
    benchmark.extra_info["over_plain_mean_squared_error_ratio"] = round(
        benchmark.stats.stats.median / plain_s, 3
    )
    assert match.non_finite_values == 0


def test_reading_a_model(benchmark: Any, heavy: Path) -> None:
    data = (heavy / "fp32.tflite").read_bytes()

    parsed = benchmark(graph.parse, data)

    frame = np.zeros((1, _SIZE_PX, _SIZE_PX, 3), np.float32)
    xnnpack.run(models.model(data), frame)
    inference_s = _seconds(lambda: xnnpack.run(models.model(data), frame))
    benchmark.extra_info["over_one_inference_ratio"] = round(
        benchmark.stats.stats.median / inference_s, 4
    )
    assert parsed.macs > 1e9


def test_resizing_a_model(benchmark: Any, heavy: Path) -> None:
    data = (heavy / "fp32.tflite").read_bytes()

    def resize() -> bytes:
        return models.resized(data, width_px=1280, height_px=720)

    resized = benchmark(resize)

    parse_s = _seconds(lambda: graph.parse(data))
    benchmark.extra_info["over_one_parse_ratio"] = round(benchmark.stats.stats.median / parse_s, 3)
    assert len(resized) > 0.9 * len(data)


def test_an_inference_through_the_worker(benchmark: Any, heavy: Path) -> None:
    """The cost of the process border, beside the same kernels run in this process."""
    from ai_edge_litert.interpreter import Interpreter

    data = (heavy / "fp32.tflite").read_bytes()
    frame = np.random.default_rng(0).random((1, _SIZE_PX, _SIZE_PX, 3), np.float32)

    benchmark.pedantic(lambda: xnnpack.run(models.model(data), frame), rounds=10, warmup_rounds=2)

    xnnpack.worker().close()  # its threads would compete
    interpreter: Any = Interpreter(model_content=data, num_threads=min(4, os.cpu_count() or 1))
    interpreter.allocate_tensors()

    def inside() -> None:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], frame)
        interpreter.invoke()
        interpreter.get_tensor(interpreter.get_output_details()[0]["index"])

    inside()
    benchmark.extra_info["over_same_process_ratio"] = round(
        benchmark.stats.stats.median / _seconds(inside, rounds=10), 3
    )


def test_a_cache_hit(benchmark: Any, heavy: Path) -> None:
    """Of one 720p output, beside reading the same bytes from a file."""
    from harness import cache

    pixels = np.random.default_rng(0).random((1, 720, 1280, 3), np.float32)
    cache.remember("bench", "720p", lambda: pixels, kind=np.ndarray)
    copy = heavy / "copy"
    (entry,) = (cache.root() / "bench").glob("*/*")
    shutil.copy(entry, copy)

    benchmark(cache.remember, "bench", "720p", lambda: pixels, kind=np.ndarray)

    benchmark.extra_info["over_reading_a_file_ratio"] = round(
        benchmark.stats.stats.median / _seconds(copy.read_bytes), 3
    )
