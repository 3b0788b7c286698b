"""Run a model's inputs through a tool on a phone, and read the outputs that it writes.

TensorFlow Lite's benchmark tool reads and writes values itself. LiteRT 2's does not; the tool
`run_model` of the same release does, which is looked for beside it.

Source: LiteRT, litert/tools/run_model.cc: `--input_dir` holds NAME.raw for each input of the
signature, `--dump_output_folder` takes output_N.raw for each output, in float32.
"""

import math
import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from harness.devices.benchmark import benchmark_tool, litert_tools, outputs
from harness.devices.benchmark.bench import Bench
from harness.devices.benchmark.benchmark_tool import Preset
from harness.errors import ConfigError, DeviceError
from harness.graph import Graph
from harness.inputs import Inputs, Values
from harness.model import Model
from harness.stacks import feeding

_READS = ("float32", "int8", "int16")
"""Dtypes that run_model reads. Source: LiteRT, litert/tools/tensor_utils.h."""


@dataclass(frozen=True, kw_only=True)
class Made:
    """What a model made of its inputs twice.

    Attributes:
        values: Real values by name of the output, of an inference after one to warm up.
        repeat_relative_l2: How far the first inference after loading is from it, as a ratio.
    """

    values: Mapping[str, Values]
    repeat_relative_l2: float


def run(bench: Bench, model: Model, inputs: Inputs, preset: Preset) -> Made:
    """Run a model twice: once for its first inference, once for the one after it, which counts.

    Args:
        bench: The tool on the phone; it is entered.
        model: Of the size of the inputs.
        inputs: Real values.
        preset: With which threads and arithmetic.

    Raises:
        ModelError: the model does not take the inputs.
        ConfigError: no tool at hand writes what the model makes.
        DeviceError: the phone, the tool or the driver failed, or the outputs have a wrong size.
    """
    bench.enter()
    by_litert = litert_tools.is_litert_2(bench.flags)
    if not by_litert and "output_filepath" not in bench.flags:
        raise ConfigError(
            f"{bench.tool.path}: cannot write a model's output (no --output_filepath); fetch a "
            "newer build of TensorFlow Lite's benchmark_model, or LiteRT 2's tools"
        )
    once = _by_run_model if by_litert else _by_benchmark_model
    first = once(bench, model, inputs, preset, 1)
    values = once(bench, model, inputs, preset, 2)
    return Made(values=values, repeat_relative_l2=largest_distance(first, values))


def largest_distance(one: Mapping[str, Values], other: Mapping[str, Values]) -> float:
    """Return the largest relative L2 distance of outputs from others of the same names."""
    return max(_relative_l2(one[name], other[name]) for name in other)


def _relative_l2(one: Values, other: Values) -> float:
    """Return the L2 norm of a difference over that of the second; infinite where NaN differ."""
    if np.array_equal(one, other, equal_nan=True):
        return 0.0
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        return math.inf
    there = float(np.linalg.norm(other.astype(np.float64)))
    apart = float(np.linalg.norm(one.astype(np.float64) - other.astype(np.float64)))
    return apart / there if there else math.inf


def _by_benchmark_model(
    bench: Bench, model: Model, inputs: Inputs, preset: Preset, invocations: int
) -> Mapping[str, Values]:
    graph = model.graph
    fed = [
        (graph.tensors[i].name, graph.tensors[i].shape, path)
        for i, path in zip(graph.inputs, _put(bench, graph, inputs), strict=True)
    ]
    size_bytes = sum(graph.tensors[i].size_bytes for i in graph.outputs)
    done = bench.run_model(
        model.data,
        replace(preset, runs=1, warmup_runs=invocations - 1),
        [
            *benchmark_tool.input_flags(fed, flags=bench.flags),
            "--output_filepath={run}/output.bin",
        ],
        stage=f"running {model.name}",
        files={"output.bin": size_bytes + 1},
    )
    where = f"phone {bench.serial}: running {model.name}"
    return outputs.read(graph, done.files["output.bin"], where=where)


def _put(bench: Bench, graph: Graph, inputs: Inputs) -> Sequence[str]:
    stored = feeding.store(graph, inputs.of_graph(graph))
    return [bench.put(values.tobytes(), "in.bin") for values in stored]


def _by_run_model(
    bench: Bench, model: Model, inputs: Inputs, preset: Preset, invocations: int
) -> Mapping[str, Values]:
    graph = model.graph
    _check_dtypes(bench, model)
    names = [graph.signature.get(i) or graph.tensors[i].name for i in graph.inputs]
    order = _signature_order(graph)
    files = {
        f"out/output_{position}.raw": graph.tensors[i].size_bytes + 1
        for position, i in enumerate(order)
    }
    stage = f"running {model.name}"
    flags = [
        f"--graph={bench.put(model.data, 'model.tflite')}",
        *litert_tools.accelerator_flags(bench.delegate, allow_fp16=preset.allow_fp16),
        *bench.npu_flags(model.data, suffix="dir"),
        "--input_dir={run}/in",
        "--dump_output_folder={run}/out",
        f"--iterations={invocations}",
    ]
    copies = {
        f"in/{_file_name(model, name)}.raw": path
        for name, path in zip(names, _put(bench, graph, inputs), strict=True)
    }
    program = _run_model(bench)
    with bench.naming_libraries(model.data):
        done = bench.run(flags, stage=stage, files=files, program=program, copies=copies)
    parts = {i: done.files[name] for i, name in zip(order, files, strict=True)}
    for i, data in parts.items():
        if len(data) != graph.tensors[i].size_bytes:
            raise DeviceError(
                f"phone {bench.serial}: {stage}: the output {graph.tensors[i].name!r:.60} has "
                f"{len(data)} bytes, {graph.tensors[i].size_bytes} are expected for float32 "
                f"{list(graph.tensors[i].shape)}"
            )
    stored = [
        np.frombuffer(parts[i], np.float32).reshape(graph.tensors[i].shape) for i in graph.outputs
    ]
    return dict(zip(graph.output_names, feeding.read(graph, stored), strict=True))


def _run_model(bench: Bench) -> str:
    """Return the path of run_model on the phone.

    Raises:
        ConfigError: it does not lie beside the benchmark tool, or is none for this phone.
    """
    found = bench.tool.beside(litert_tools.RUN_MODEL)
    if found is None:
        raise ConfigError(
            f"{bench.tool.path}: LiteRT 2's benchmark_model cannot write a model's output; put "
            f"{litert_tools.RUN_MODEL} of the same release beside it"
        )
    found.check(bench.identity.abis)
    return bench.put(found.data, litert_tools.RUN_MODEL, mode=0o755)


def _check_dtypes(bench: Bench, model: Model) -> None:
    """Refuse a model that run_model cannot feed or whose outputs it cannot write."""
    tensors = model.graph.tensors
    fed = {tensors[i].dtype for i in model.graph.inputs} - set(_READS)
    made = {tensors[i].dtype for i in model.graph.outputs} - {"float32"}
    if fed or made:
        does = f"reads no {', '.join(sorted(fed))} inputs" if fed else "writes float32 outputs only"
        has = "" if fed else f", and {model.name} makes {', '.join(sorted(made))}"
        raise ConfigError(
            f"{bench.tool.path.parent / litert_tools.RUN_MODEL}: {does}{has}; for its pixels name "
            "TensorFlow Lite's benchmark_model as `benchmark_tool`, or export it with float32 "
            "inputs and outputs"
        )


def _file_name(model: Model, name: str) -> str:
    """Return the name of an input as that of a file below a folder."""
    safe = not re.search(r"[\0-\x1f]", name) and posixpath.normpath(name) == name
    if not safe or name.startswith(("/", "..")) or len(name) > 200:
        raise ConfigError(
            f"{model.name}: run_model reads an input from a file of its name, and {name!r:.60} "
            "is none; rename the input when you export"
        )
    return name


def _signature_order(graph: Graph) -> tuple[int, ...]:
    """Return the outputs as run_model numbers them: in the signature's order where there is one."""
    named = tuple(i for i in graph.signature if i in graph.outputs)
    return named if sorted(named) == sorted(graph.outputs) else graph.outputs
