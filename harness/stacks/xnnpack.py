"""Run LiteRT's CPU kernels (XNNPACK and the built-in ones) of this host in a child process."""

import functools
import importlib.metadata
from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from harness import cache, placement
from harness.errors import ModelError
from harness.evidence import Evidence, Provenance, now_utc
from harness.images import Pixels
from harness.model import Model
from harness.placement import CPU, NodePlacement, Placement
from harness.stacks import feeding
from harness.stacks.feeding import Values
from harness.text import brief
from harness.worker import ONE_A_CORE, Worker

RUN_LIMIT_S = 120.0
"""Longest inference that is waited for; 16x8 kernels take about 3 s for 5 GMAC."""
_MEMORY_MIB = 12_288
_CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV")
_UNKNOWN_WEIGHTS = ("int2", "uint4", "bfloat16", "float8_e4m3fn", "float8_e5m2")
"""Source: ai-edge-litert 2.3.0 runs CONV_2D with int2 weights and returns 1e31."""


@functools.cache
def versions() -> dict[str, str]:
    """Return the versions of the software that this stack runs."""
    return {"ai-edge-litert": importlib.metadata.version("ai-edge-litert")}


def run(model: Model, frame: Pixels, *, fp16: bool = False) -> Pixels:
    """Run a model of the frame's size on the CPU kernels.

    Args:
        model: Of the frame's size.
        frame: float32 [1, H, W, 3] in [0, 1].
        fp16: Force fp16 arithmetic. On x86 it is emulated with fp32 accumulation, which is
            about 10 dB closer to fp32 than a phone.

    Returns:
        float32 [1, H, W, 3], unclipped.

    Raises:
        ModelError: LiteRT refuses the model.
        DeviceError: the kernels crashed, hung or ran out of memory.
    """
    return execute(model, [frame], fp16=fp16)[0]


def execute(
    model: Model, inputs: Sequence[Values], *, fp16: bool = False, threads: int = 0
) -> tuple[Values, ...]:
    """Run real values through a model with any number of inputs; return every output.

    Args:
        model: Of the inputs' size.
        inputs: One for each of the model's, in its order.
        fp16: Force fp16 arithmetic, as for `run`.
        threads: Threads to run with, or 0 for one a core; they change no bit of the output.

    Raises:
        ModelError: LiteRT refuses the model, or the values do not fit it.
        DeviceError: the kernels crashed, hung or ran out of memory.
    """
    stored = feeding.store(model.graph, inputs)
    return feeding.read(model.graph, execute_stored(model, stored, fp16=fp16, threads=threads))


def execute_stored(
    model: Model, stored: Sequence[NDArray[Any]], *, fp16: bool = False, threads: int = 0
) -> list[NDArray[Any]]:
    """Run values through a model as it stores them; return what its outputs store.

    Raises:
        ModelError: LiteRT refuses the model.
        DeviceError: the kernels crashed, hung or ran out of memory.
    """
    _refuse_wrong_weights(model)
    made: list[NDArray[Any]] = worker().call(
        "execute", model.data, list(stored), fp16, threads, timeout_s=RUN_LIMIT_S
    )
    return made


def place(model: Model) -> Placement:
    """Say which ops XNNPACK takes, by letting it take them; the others run on built-in kernels.

    Raises:
        ModelError: LiteRT refuses the model.
        DeviceError: LiteRT crashed or hung.
    """
    _refuse_wrong_weights(model)
    key = cache.key_of(__name__, model.sha256, versions())
    taken: tuple[bool, ...] = cache.remember(
        "placement",
        key,
        lambda: worker().call("delegated", model.data, timeout_s=RUN_LIMIT_S),
        kind=tuple[bool, ...],
    )
    graph = model.graph
    return Placement(
        nodes=tuple(
            NodePlacement(index=op.index, op=op.name, unit=placement.XNNPACK)
            if inside
            else NodePlacement(
                index=op.index,
                op=op.name,
                unit=CPU,
                reason="XNNPACK has no kernel for it in "
                f"{graph.runtime_dtype(op) or 'constants only'}; "
                "LiteRT's built-in kernel runs it",
            )
            for op, inside in zip(graph.ops, taken, strict=True)
        ),
        partitions=len(placement.partition(graph, taken)),
        provenance=Provenance(
            evidence=Evidence.HOST,
            device="XNNPACK on this host",
            variant_sha256=model.sha256,
            file_sha256=model.file_sha256,
            runtime=versions(),
            time_utc=now_utc(),
        ),
    )


def _refuse_wrong_weights(model: Model) -> None:
    """Refuse convolutions of weights that LiteRT takes for others, and computes garbage with."""
    graph = model.graph
    for op in graph.ops:
        if op.name not in _CONVOLUTIONS or len(op.inputs) < 2 or op.inputs[1] < 0:
            continue
        weights = graph.tensors[op.inputs[1]]
        if weights.dtype in _UNKNOWN_WEIGHTS:
            raise ModelError(
                f"{model.name}: op #{op.index} {op.name} has weights {brief(weights.name)!r} in "
                f"{weights.dtype}, which LiteRT's kernel takes for another type; export them as "
                "float32, float16, int8 or int4"
            )


@functools.cache
def worker() -> Worker:
    """Return this process's LiteRT worker, which starts with its first call."""
    return Worker(
        "harness.stacks.xnnpack_worker",
        stage="LiteRT CPU kernels",
        log=cache.root() / "logs" / "litert.log",
        memory_mib=_MEMORY_MIB,
        processes=ONE_A_CORE,
    )
