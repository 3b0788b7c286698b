"""Run LiteRT's Arm kernels on this host, in QEMU, in a sysroot of packages.

What runs is the phone's code path: LiteRT built for arm64, with the XNNPACK micro-kernels that the
profile's fastest cores select. fp32 and int8 are bit-true for those kernels, fp16 is computed in
fp16 as a phone does, and executed instructions can be counted.

It is slow: a first call in a process costs about 3 s, int8 runs about 100 times, fp32 400 times
and fp16 1,200 times slower than on this host. Frames of 64 to 128 px are what it is for; `cost_s`
estimates.
"""

import functools
import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from harness import cache, child
from harness.errors import DeviceError, StackMissing
from harness.graph import Graph
from harness.images import Pixels
from harness.model import Model
from harness.profiles import Target
from harness.stacks import arm64_cpu, arm64_sysroot, arm64_worker, feeding
from harness.stacks.arm64_cpu import CpuDescription
from harness.stacks.arm64_sysroot import Manifest
from harness.stacks.feeding import Values
from harness.worker import ONE_A_CORE, Worker

_STAGE = "Arm kernels under QEMU"
_MEMORY_MIB = 12_288
_START_S = 3.0
_PER_MAC_S = {"float32": 1.0e-8, "int8": 1.2e-9, "int16": 3.4e-9}
_PER_MAC_FP16_S = 3.5e-8
"""Seconds per multiply-accumulate. Source: runs of a convolution chain at 64 and 128 px and of a
UNet at 64 px on two busy x86 cores: fp32 0.8e-8 to 1.1e-8, fp16 2.6e-8 to 4.3e-8, int8 1.0e-9 to
1.4e-9, int16 3.3e-9 to 3.5e-9."""
_LIMIT_RATIO = 20.0
"""Time allowed over the estimate: other machines, busy cores, ops that have no MACs."""
_LIMIT_FLOOR_S = 120.0
_INFERENCES = 2
"""Inferences counted after one to warm up. The first has some 2,500 instructions of Python's own
warming up; from the second on they differ by less than 30 of 27 million."""


def missing() -> str | None:
    """Return None if the stack can run here, or one line with the command that adds it."""
    if arm64_sysroot.installed(cache.root()) is None:
        return f"the Arm kernels are not installed here; run `{arm64_sysroot.COMMAND}`"
    return None


def versions() -> dict[str, str]:
    """Return the versions of the software that this stack runs.

    Raises:
        StackMissing: the sysroot is not installed.
    """
    manifest = _manifest()
    cpu = "as the profile says" if manifest.takes_cpu else "cortex-a76, as QEMU says"
    return {
        "ai-edge-litert-arm64": manifest.litert,
        "qemu": manifest.qemu_version,
        "emulated cpu": cpu,
    }


def cost_s(graph: Graph, *, fp16: bool = False) -> float:
    """Estimate the seconds that a first run of a model takes here; a guide, not a measurement."""
    heaviest = max(graph.ops, key=lambda op: op.macs)
    dtype = graph.tensors[heaviest.outputs[0]].dtype
    per_mac_s = _PER_MAC_S.get(dtype, _PER_MAC_S["float32"])
    if fp16 and dtype == "float32":
        per_mac_s = _PER_MAC_FP16_S
    return _START_S + graph.macs * per_mac_s


def run(model: Model, target: Target, frame: Pixels, *, fp16: bool = False) -> Pixels:
    """Run a model of the frame's size on a phone's CPU kernels.

    Args:
        model: Of the frame's size; float16 weights, float32 and quantized files all run.
        target: The phone, whose CPU is described to the kernels.
        frame: float32 [1, H, W, 3] in [0, 1].
        fp16: Let XNNPACK compute in fp16, as `allow_fp16` does on a phone.

    Returns:
        float32 [1, H, W, 3], unclipped.

    Raises:
        StackMissing: the sysroot is not installed.
        ConfigError: a CPU core of the profile is not known.
        ModelError: LiteRT refuses the model, or the frame has another size.
        DeviceError: the kernels or the emulator crashed, hung or ran out of memory, or the
            phone's CPU has no fp16 arithmetic.
    """
    return execute(model, target, [frame], fp16=fp16)[0]


def execute(
    model: Model, target: Target, inputs: Sequence[Values], *, fp16: bool = False
) -> tuple[Values, ...]:
    """Run real values as `run` runs a frame; any number of inputs, every output returned."""
    cpu = arm64_cpu.describe(target.profile.cpu)
    if fp16 and not cpu.fp16:
        raise DeviceError(
            f"{target}: a CPU core of this phone has no fp16 arithmetic; run the model in fp32"
        )
    _manifest()
    graph = model.graph
    made = worker(cache.root(), cpu).call(
        "execute",
        model.data,
        feeding.store(graph, inputs),
        fp16,
        timeout_s=_LIMIT_FLOOR_S + _LIMIT_RATIO * cost_s(graph, fp16=fp16),
    )
    return feeding.read(graph, made)


def instructions(model: Model, target: Target) -> float:
    """Count the instructions that one inference executes on one thread of a phone's CPU.

    The emulator counts the thread that runs the model exactly, whatever else the host does, and
    the answer is remembered: a change of the count is a change of the model, of LiteRT or of the
    phone's description. It is a cost, not a time: caches
    and clocks are not in it.

    Args:
        model: It runs at the size it has, in its own precision.
        target: The phone, whose CPU is described to the kernels.

    Returns:
        Instructions per inference, Python's own subtracted.

    Raises:
        StackMissing: the sysroot is not installed, or it cannot count.
        ConfigError: a CPU core of the profile is not known.
        DeviceError: LiteRT refuses the model, or the emulator crashed or hung.
    """
    manifest = _manifest()
    if not manifest.counts:
        raise StackMissing(
            f"{_STAGE}: instructions cannot be counted: {manifest.counts_not_because}; "
            f"then run `{arm64_sysroot.COMMAND}`"
        )
    cpu = arm64_cpu.describe(target.profile.cpu)
    key = cache.key_of(__name__, model.sha256, cpu, versions())
    counted: float = cache.remember(
        "instructions", key, lambda: _count(model, manifest, cpu), kind=float
    )
    return counted


def _count(model: Model, manifest: Manifest, cpu: CpuDescription) -> float:
    base = arm64_sysroot.folder(cache.root())
    limit_s = _LIMIT_FLOOR_S + 2 * _LIMIT_RATIO * (1 + _INFERENCES) * cost_s(model.graph)
    environment = arm64_sysroot.host_environment(manifest, base)
    with tempfile.TemporaryDirectory(prefix="harness-arm64-") as folder:
        work = Path(folder)
        (work / "model.tflite").write_bytes(model.data)
        shutil.copy(arm64_worker.__file__, work / "worker.py")
        # The lengths of paths and variables move the stack and the heap, and with them some
        # counts; so the program sees the same short ones on every host.
        for name, path in {"root": _root(base, cpu), "site": base / "site"}.items():
            (work / name).symlink_to(path)
        python = arm64_sysroot.guest_command(
            manifest, base, Path("root"), cpu.emulator_cpu, site=Path("site"),
            options=("-plugin", f"{base / 'count.so'},report=report"),
        )  # fmt: skip
        done = child.run(
            ["env", "-i", *(f"{name}={value}" for name, value in environment.items()),
             *python, "worker.py", "count", "model.tflite", str(_INFERENCES)],
            stage=f"{_STAGE}, counting instructions",
            timeout_s=limit_s,
            memory_mib=_MEMORY_MIB,
            cwd=work,
        )  # fmt: skip
        report = work / "report"
        marks = [int(line) for line in report.read_text().split()] if report.exists() else []
    if done.exit_code != 0 or len(marks) != arm64_worker.EMPTY_MARKS + _INFERENCES:
        said = (done.stderr.strip().splitlines() or ["it printed nothing"])[-1]
        raise DeviceError(f"{_STAGE}, counting instructions: failed: {said[:300]}")
    last, nothing = arm64_worker.EMPTY_MARKS + _INFERENCES - 1, arm64_worker.EMPTY_MARKS - 1
    return float((marks[last] - marks[last - 1]) - (marks[nothing] - marks[nothing - 1]))


def _manifest() -> Manifest:
    manifest = arm64_sysroot.installed(cache.root())
    if manifest is None:
        raise StackMissing(f"{_STAGE}: {missing()}")
    return manifest


def _root(base: Path, cpu: CpuDescription) -> Path:
    """Return a root of the emulated file system in which the CPU is described."""
    root = base / "cpu" / cache.key_of(arm64_cpu.__name__, cpu)[:16]
    if root.exists():
        return root
    root.parent.mkdir(exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=root.parent, prefix="partial-"))
    for entry in (base / "root").iterdir():
        if entry.name not in ("proc", "sys"):
            (partial / entry.name).symlink_to(Path("..", "..", "root", entry.name))
    cpu.write(partial)
    try:
        partial.rename(root)
    except OSError:  # another process was first
        shutil.rmtree(partial)
    return root


@functools.cache
def worker(cache_dir: Path, cpu: CpuDescription) -> Worker:
    """Return this process's emulated CPU of one kind, which starts with its first call."""
    manifest, base = _manifest(), arm64_sysroot.folder(cache_dir)
    python = arm64_sysroot.guest_command(manifest, base, _root(base, cpu), cpu.emulator_cpu)
    return Worker(
        "harness.stacks.arm64_worker",
        stage=_STAGE,
        log=cache_dir / "logs" / "arm64.log",
        memory_mib=_MEMORY_MIB,
        processes=ONE_A_CORE,
        env={arm64_worker.COMMAND: json.dumps([*python, arm64_worker.__file__])}
        | arm64_sysroot.host_environment(manifest, base),
    )
