"""Models with random faults: whatever reads one ends in its result or in a HarnessError.

HARNESS_FUZZ_MUTANTS says how many, HARNESS_FUZZ_SEED which; `make fuzz` runs 10,000 new ones. A
failure names its mutant: run that one alone with HARNESS_FUZZ_ONLY=NUMBER and the same seed.
"""

import faulthandler
import io
import os
import resource
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from harness import cutting, graph, profiles, resizing
from harness.advice.rewrites import REWRITES
from harness.cli import inspect, role_guesses
from harness.errors import HarnessError, ModelError
from harness.estimate.model import estimate
from harness.inputs import Inputs
from harness.model import Model
from harness.placement import Placement
from harness.profiles import Target
from harness.stacks import gpu_rules, nnapi, xnnpack
from tests import exotic, kinds, models
from tests.adversarial.mutants import mutant

pytestmark = pytest.mark.slow

_COUNT = int(os.environ.get("HARNESS_FUZZ_MUTANTS", "50"))
_SEED = int(os.environ.get("HARNESS_FUZZ_SEED", "12"))
_ONLY = os.environ.get("HARNESS_FUZZ_ONLY")
_HANG_S = 120
_GROWTH_KIB = 2**20
"""One mutant's reading may take 1 GiB."""
_RUN_EVERY = 5
"""LiteRT runs some of the mutants only: each may cost a new worker."""

_KINDS = (
    kinds.burst(size_px=16), kinds.nchw(size_px=16), kinds.raw(size_px=16, dtype="int8"),
    kinds.luma(size_px=16), kinds.two_outputs(size_px=16), kinds.video(size_px=16),
    kinds.exposure(size_px=16), kinds.classifier(size_px=16),
    *(build() for build in (*kinds.QUANTIZED.values(), *exotic.ALL.values())),
)  # fmt: skip
"""After `_SEEDS` in a number of their own, so that the seeds of old mutants stay theirs."""
_SEEDS = (
    models.unet(), models.unet(dtype="int8"), models.unet(dtype="int16"),
    models.unet(fp16_weights=True), models.unet(upsampling="TRANSPOSE_CONV"),
    models.unet(upsampling="RESIZE_NEAREST_NEIGHBOR", half_pixel_centers=True),
    models.conv_net(dtype="int8"),
    *(models.op_model(op, shape=(1, 16, 16, 4)) for op in (
        "DEPTHWISE_CONV_2D", "DEPTH_TO_SPACE", "SPACE_TO_DEPTH", "PADV2", "AVERAGE_POOL_2D",
        "MEAN", "TRANSPOSE", "RESHAPE", "CONCATENATION", "FULLY_CONNECTED", "STRIDED_SLICE",
        "SLICE", "BATCH_MATMUL", "PACK", "TILE", "ARG_MAX", "QUANTIZE",
    )),
)  # fmt: skip


def _targets() -> tuple[tuple[Target, Callable[[Model, Target], Placement]], ...]:
    pixel4 = profiles.load_all([profiles.shipped_folder()])["pixel4"]
    return (
        (Target(profile=pixel4, delegate="nnapi"), nnapi.place),
        (Target(profile=pixel4, delegate="gpu"), gpu_rules.place),
    )


def _stages(model: Model) -> Iterator[Callable[[], object]]:
    """Yield what the harness does with a model in its own process."""
    console, parsed = Console(file=io.StringIO(), width=100), model.graph
    yield lambda: (parsed.macs, parsed.weight_bytes, parsed.peak_activation_bytes)
    yield lambda: console.print(inspect._headline(inspect.Path("m.tflite"), parsed))
    yield lambda: console.print(inspect._ops(parsed))
    yield lambda: inspect._as_json(parsed, {}, {}, {})
    for width, height in ((16, 16), (24, 32), (17, 9), (4096, 4096)):
        yield lambda w=width, h=height: model.at(f"{w}x{h}").graph.macs
    for target, place in _targets():
        yield lambda t=target, p=place: estimate(model, p(model, t), t)
    yield lambda: cutting.show(model.data, parsed.ops[0].outputs)
    read = [tensor.index for tensor in parsed.runtime_inputs(parsed.ops[0])]
    yield lambda: cutting.cut(model.data, ops=[0], inputs=read, outputs=parsed.ops[0].outputs)
    for rewrite in REWRITES.values():
        yield lambda r=rewrite: r(model)


def _read(model: bytes) -> int:
    """Do everything with a model; return how many stages gave a result."""
    whole = models.model(model)
    try:
        stages = list(_stages(whole))
    except ModelError:
        return 0
    done = 1
    for stage in stages:
        try:
            stage()
        except HarnessError:
            continue
        done += 1
    return done


def _run(model: bytes) -> None:
    """Run a model in the worker process, as a fidelity gate would."""
    try:
        parsed = graph.parse(model)
        _, height, width, _ = resizing.image_shape(parsed)
        if width * height < 2**16:
            frame = np.full((1, height, width, 3), 0.5, np.float32)
            xnnpack.run(models.model(model), frame)
    except HarnessError:
        pass


@pytest.mark.parametrize(("seed", "number"), [(30381, 919), (30381, 6195), (30381, 9222)])
def test_a_mutant_that_once_got_through_does_not_again(seed: int, number: int) -> None:
    _read(mutant(_SEEDS[number % len(_SEEDS)], np.random.default_rng([seed, number])))


@pytest.mark.parametrize("kind", range(len(_KINDS)))
def test_only_a_harness_error_comes_out_of_a_damaged_model_of_another_kind(kind: int) -> None:
    for number in range(max(1, _COUNT // len(_KINDS))):
        data = mutant(_KINDS[kind], np.random.default_rng([_SEED, kind, number]))
        _read(data)
        _describe(data)


def _describe(data: bytes) -> None:
    """Guess what a model's inputs and outputs are, and feed them, as `harness init` does."""
    try:
        whole = models.model(data)
        found = role_guesses.describe(whole.graph, [], [], [])
        described = replace(whole, inputs=found.inputs)
        small = described.at(described.asked(None).size).graph
        given = Inputs({
            name: np.zeros(small.tensors[i].shape, np.float32)
            for name, i in zip(small.input_names, small.inputs, strict=True)
            if small.tensors[i].elements < 2**16
        })  # fmt: skip
        given.of_graph(small)
    except HarnessError:
        pass


def test_only_a_harness_error_comes_out_of_a_damaged_model() -> None:
    read = 0
    for number in range(_COUNT) if _ONLY is None else [int(_ONLY)]:
        random = np.random.default_rng([_SEED, number])
        model = mutant(_SEEDS[number % len(_SEEDS)], random)
        before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        faulthandler.dump_traceback_later(_HANG_S, exit=True)
        try:
            read += _read(model) > 0
            if number % _RUN_EVERY == 0:
                _run(model)
        except Exception as error:
            error.add_note(f"mutant {number} of seed {_SEED}")
            raise
        finally:
            faulthandler.cancel_dump_traceback_later()
        grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib
        assert grown_kib < _GROWTH_KIB, f"mutant {number} of seed {_SEED} took {grown_kib} KiB"
    print(f"{_COUNT} mutants of seed {_SEED}; {read} could be read")
    assert read or _COUNT < 20 or _ONLY


@pytest.mark.parametrize("number", range(len(_SEEDS)))
def test_what_the_mutants_are_made_of_is_sound(number: int) -> None:
    assert _read(_SEEDS[number]) > 5
