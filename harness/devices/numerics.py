"""Choose which software on this host stands in for a phone's arithmetic."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from harness.evidence import Evidence
from harness.graph import Graph
from harness.inputs import Values
from harness.model import Model
from harness.profiles import Target
from harness.stacks import arm64, arm64_cpu, mldrift, qnn, xnnpack

_ARM64_LIMIT_S = 30.0
"""Longest emulated Arm run that a gate waits for; longer ones use the host's own kernels."""
_GPU_LIMIT_GMACS = 6.0
"""Largest model that software Vulkan runs in about 10 s. Source: measured, 4.7 GMAC in 5 to 7 s."""
_X86_FP16 = "x86 emulates fp16 with fp32 accumulation: about 10 dB closer to fp32 than a phone"


@dataclass(frozen=True, kw_only=True)
class Numerics:
    """What stands in for a phone's arithmetic, with the function that runs it.

    Attributes:
        name: For a person.
        evidence: How strong a stand-in it is.
        run: Takes a model and the real values of its inputs in order; returns its outputs'.
        versions: Versions of the software that runs.
        seconds: About how long an inference takes, where that is long; 0 where it is not known.
        note: What to know when reading the numbers, and what would make them stronger.
    """

    name: str
    evidence: Evidence
    run: Callable[[Model, Sequence[Values]], tuple[Values, ...]]
    versions: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    note: str = ""


def choose(target: Target, graph: Graph, *, in_fp16: bool = False, threads: int = 0) -> Numerics:
    """Return the strongest stand-in that is installed and quick enough for a gate.

    Args:
        target: Phone and delegate.
        graph: What is to run.
        in_fp16: Let CPU kernels compute float32 in fp16, as most accelerators do.
        threads: Of this host's own CPU kernels, or 0 for one a core.
    """
    if target.stack == "qnn":
        if qnn.missing() is None:
            return _qnn(target)
        return _cpu(target, graph, qnn.missing, in_fp16, threads)
    if target.stack == "gpu":
        if mldrift.missing() is None and graph.macs <= _GPU_LIMIT_GMACS * 1e9:
            return _mldrift(target)
        return _cpu(target, graph, mldrift.missing, in_fp16, threads)
    return _cpu(target, graph, None, in_fp16, threads)


def can_count(graph: Graph, target: Target) -> bool:
    """Return whether the instructions of an inference can be counted in a gate's time."""
    return _can_run_arm(target) and arm64.cost_s(graph) <= _ARM64_LIMIT_S


def _can_run_arm(target: Target) -> bool:
    """Return whether the Arm kernels are installed and the phone's CPU is described."""
    return arm64.missing() is None and arm64_cpu.is_known(target.profile.cpu)


def _qnn(target: Target) -> Numerics:
    return Numerics(
        name="Qualcomm's HTP simulator",
        evidence=Evidence.VENDOR,
        run=lambda model, inputs: qnn.execute(model, target, inputs),
        versions=qnn.versions(),
    )


def _mldrift(target: Target) -> Numerics:
    return Numerics(
        name="LiteRT's GPU accelerator on software Vulkan",
        evidence=Evidence.VENDOR,
        run=lambda model, inputs: mldrift.execute(model, target, inputs),
        versions=mldrift.versions(),
        note=mldrift.NOTE,
    )


def _cpu(
    target: Target,
    graph: Graph,
    wanted: Callable[[], str | None] | None,
    in_fp16: bool,
    threads: int,
) -> Numerics:
    """Return CPU kernels: the Arm ones for fp16, where x86 is too optimistic, else x86."""
    fp16 = in_fp16 or graph.has_float16_weights
    arm = fp16 and _can_run_arm(target) and arm64.cost_s(graph, fp16=True) <= _ARM64_LIMIT_S
    stronger = wanted() if wanted else None
    notes = [f"{target.delegate} arithmetic is not at hand here, CPU kernels stand in"]
    if target.stack == "cpu":
        notes = []
    if stronger:
        notes.append(stronger)
    if arm:
        return Numerics(
            name="XNNPACK's Arm fp16 kernels under QEMU",
            evidence=Evidence.HOST,
            run=lambda model, inputs: arm64.execute(model, target, inputs, fp16=True),
            versions=arm64.versions(),
            seconds=arm64.cost_s(graph, fp16=True),
            note="; ".join(notes),
        )
    if fp16:
        notes.append(_X86_FP16)
        if (missing := arm64.missing()) is not None:
            notes.append(missing)
    return Numerics(
        name="XNNPACK in fp16" if fp16 else "XNNPACK",
        evidence=Evidence.HOST,
        run=functools.partial(xnnpack.execute, fp16=fp16, threads=threads),
        versions=xnnpack.versions(),
        note="; ".join(notes),
    )
