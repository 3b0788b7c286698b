"""Place and run models on LiteRT's GPU accelerator (ML Drift), on a software Vulkan driver."""

import functools
import importlib.metadata
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness import cache, cutting, placement
from harness.errors import DeviceError, ModelError, StackMissing
from harness.evidence import Evidence, Provenance, now_utc, sha256_of
from harness.graph import Graph
from harness.images import Pixels
from harness.model import Model
from harness.placement import CPU, NodePlacement, Placement
from harness.profiles import Target
from harness.stacks import feeding, known_failures
from harness.stacks.feeding import Values
from harness.text import brief
from harness.worker import ONE_A_CORE, Worker

GPU = "gpu"
"""Unit of a node that runs on the GPU."""
NOTE = (
    "LiteRT's GPU accelerator (ML Drift, WebGPU) on a software Vulkan driver, which computes in "
    "fp32; a phone's GPU computes in fp16 unless told otherwise, and TFLite's older GPU delegate "
    "takes fewer ops"
)

_INSTALL = "apt-get install chromium"
_ICD_NAME = "vk_swiftshader_icd.json"
_ICD_FOLDERS = (
    "/usr/lib/chromium", "/usr/lib/chromium-browser", "/usr/lib64/chromium-browser",
    "/opt/google/chrome", "/opt/chromium.org/chromium", "/usr/share/vulkan/icd.d",
)  # fmt: skip
_LOADER = "libvulkan.so.1"
_LOADER_FOLDERS = ("/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/local/lib", "/usr/lib")
_COMPILE_LIMIT_S = 120.0
_RUN_LIMIT_S = 540.0
_MEMORY_MIB = 24 * 1024
_ON_GPU = re.compile(r"^(\d+|No) operations will run on the GPU", re.MULTILINE)
_DIED = "it dies compiling it:"
_HEADING = "Following operations are not supported by GPU delegate:"


def missing() -> str | None:
    """Return None if the GPU accelerator can be used here, or one line with what adds it."""
    try:
        importlib.metadata.version("ai-edge-litert")
    except importlib.metadata.PackageNotFoundError:
        return "LiteRT's GPU accelerator needs ai-edge-litert: pip install ai-edge-litert"
    icd = _icd()
    if icd is None:
        return (
            "LiteRT's GPU accelerator needs a software Vulkan driver (SwiftShader): "
            f"{_INSTALL}, or name its {_ICD_NAME} in VK_ICD_FILENAMES"
        )
    if _loader_folder(icd) is None:
        return f"LiteRT's GPU accelerator needs {_LOADER}: apt-get install libvulkan1"
    return None


def versions() -> dict[str, str]:
    """Return the versions of the software that takes part, by name.

    Raises:
        StackMissing: LiteRT or a software Vulkan driver is not installed.
    """
    return {
        "ai-edge-litert": importlib.metadata.version("ai-edge-litert"),
        "vulkan-driver": _driver(_installed_icd()),
    }


def place(model: Model, target: Target) -> Placement:
    """Say which ops LiteRT's GPU accelerator takes, and why others stay on the CPU.

    The accelerator's rules are the same for every phone; `target` names the one asked about.

    Args:
        model: At the size it is to run.
        target: The phone, for the record.

    Raises:
        StackMissing: no software Vulkan driver is installed.
        ModelError: the accelerator cannot compile the model, or its weights are sparse.
        DeviceError: the accelerator or the driver crashed or hung.
    """
    graph = model.graph
    _refuse_sparse(model)
    key = cache.key_of(__name__, "model", model.sha256, versions())
    found = cache.remember("placement", key, lambda: _reasons(model.data, graph), kind=_Reasons)
    if found.died:
        raise DeviceError(found.died)
    reasons = found.refused
    on_gpu = frozenset(op.index for op in graph.ops if op.index not in reasons)
    nodes, failures = known_failures.mark(
        [
            NodePlacement(
                index=op.index,
                op=op.name,
                unit=CPU if op.index in reasons else GPU,
                reason=reasons.get(op.index, ""),
            )
            for op in graph.ops
        ],
        graph,
    )
    return Placement(
        nodes=nodes,
        partitions=len(_partitions(graph, on_gpu)),
        provenance=Provenance(
            evidence=Evidence.VENDOR,
            device=f"{target}, ML Drift on this host",
            variant_sha256=model.sha256,
            file_sha256=model.file_sha256,
            runtime=versions(),
            time_utc=now_utc(),
            note=f"{NOTE}; {failures}" if failures else NOTE,
        ),
    )


def run(model: Model, target: Target, frame: Pixels) -> Pixels:
    """Run one frame on the GPU accelerator; ops that it refuses run on the CPU kernels.

    Args:
        model: With one image input and one image output.
        target: The phone, for the record.
        frame: Float32 [1, H, W, C]; quantized for the model where it takes integers.

    Returns:
        The first output, float32, dequantized; see `NOTE` for how to read it.

    Raises:
        StackMissing: no software Vulkan driver is installed.
        ModelError: the model does not take the frame, or cannot be run.
        DeviceError: the accelerator or the driver crashed or gave no answer.
    """
    return execute(model, target, [frame])[0]


def execute(model: Model, target: Target, inputs: Sequence[Values]) -> tuple[Values, ...]:
    """Run real values as `run` runs a frame; any number of inputs, every output returned."""
    graph = model.graph
    made = [graph.tensors[i] for i in graph.outputs]
    accelerated = any(node.unit == GPU for node in place(model, target).nodes)
    if accelerated:
        _refuse_int16_buffers(model)
    stored = _worker(_installed_icd()).call(
        "run",
        model.data,
        feeding.store(graph, inputs),
        [(tensor.dtype, tensor.shape) for tensor in made],
        accelerated,
        timeout_s=_RUN_LIMIT_S,
    )
    return feeding.read(graph, stored)


def _refuse_sparse(model: Model) -> None:
    """Refuse sparse weights: the accelerator's count of what it takes of them is not its own."""
    for op in model.graph.ops:
        if op.name == "DENSIFY":
            raise ModelError(
                f"{model.name}: op #{op.index} DENSIFY unpacks sparse weights, which GPU delegates "
                "do not take; export the model with dense weights for a GPU, or ship this file to "
                "cpu, where XNNPACK has kernels for sparse weights"
            )


def _refuse_int16_buffers(model: Model) -> None:
    """Refuse inputs and outputs of 16 bits, for which LiteRT's buffers have no dtype."""
    graph = model.graph
    for index in (*graph.inputs, *graph.outputs):
        if graph.tensors[index].dtype == "int16":
            raise ModelError(
                f"{model.name}: tensor {brief(graph.tensors[index].name)!r} is int16, which "
                "LiteRT's GPU buffers do not hold; export inputs and outputs as float32, int8 or "
                "uint8 for a GPU"
            )


@dataclass(frozen=True, kw_only=True)
class _Reasons:
    """Why each op that stays on the CPU does, by op index; or how the accelerator died."""

    refused: Mapping[int, str] = field(default_factory=dict)
    died: str = ""


def _reasons(model: bytes, graph: Graph) -> _Reasons:
    """Let the accelerator compile a model and explain what it leaves to the CPU."""
    worker = _worker(_installed_icd())
    try:
        accelerated, text = worker.call("compile", model, timeout_s=_COMPILE_LIMIT_S)
    except DeviceError:
        died = _first_death(worker, model, graph)
        if died is None:
            raise
        return _Reasons(died=f"LiteRT's GPU accelerator dies compiling this model: {died}")
    if accelerated:
        return _Reasons()
    refused = refused_ops(text)
    reasons: dict[int, str] = {}
    for op in graph.ops:
        if op.name in refused:
            reason = _refusal(worker, model, graph, op.index)
            if reason:
                reasons[op.index] = reason
    taken = _largest_partition(graph, frozenset(range(len(graph.ops))) - reasons.keys())
    counted = ops_on_gpu(text)
    if counted != len(taken):
        raise DeviceError(
            f"LiteRT's GPU accelerator says that {counted} ops run on the GPU, and its refusals "
            f"({', '.join(sorted(refused)) or 'none'}) lead to {len(taken)}"
        )
    left = (
        f"LiteRT's GPU accelerator could run it, but takes only one partition, the largest "
        f"({len(taken)} ops), and other ops cut this one off from it"
    )
    unpacking = _unpacking(graph)
    for op in graph.ops:
        if op.index in unpacking:
            if any(reader.index not in taken for reader in graph.readers[op.outputs[0]]):
                reasons[op.index] = "it unpacks the weights of an op that stays on the CPU"
        elif op.index not in taken:
            reasons.setdefault(op.index, left)
    return _Reasons(refused=reasons)


def _first_death(worker: Worker, model: bytes, graph: Graph) -> str | None:
    """Return the first op that kills the accelerator when it stands alone, or None."""
    for op in graph.ops:
        if _probe(worker, model, graph, op.index)[0].startswith(_DIED):
            dtype = graph.runtime_dtype(op) or "constants"
            return f"{op.name} #{op.index} in {dtype}, alone, kills it"
    return None


def _refusal(worker: Worker, model: bytes, graph: Graph, index: int) -> str:
    """Return why the accelerator refuses one op when it stands alone, or ''."""
    op = graph.ops[index]
    text, names = _probe(worker, model, graph, index)
    reason = text if text.startswith(_DIED) else refused_ops(text).get(op.name, "")
    if not reason:
        return ""
    for i, name in names.items():
        reason = re.sub(rf"\b{name}\b", repr(graph.tensors[i].name), reason)
    writes = ", ".join(repr(graph.tensors[i].name) for i in op.outputs)
    return f"LiteRT's GPU accelerator refuses it: {reason} (writes {writes})"


def _probe(worker: Worker, model: bytes, graph: Graph, index: int) -> tuple[str, dict[int, str]]:
    """Compile one op alone; return what was printed, and the names its tensors had there."""
    op = graph.ops[index]
    inputs = [tensor.index for tensor in graph.runtime_inputs(op)]
    names = {i: f"t{place}" for place, i in enumerate([*inputs, *op.outputs])}
    part = cutting.cut(model, ops=[index], inputs=inputs, outputs=op.outputs, names=names)

    def ask() -> str:
        try:
            text: str = worker.call("probe", part, timeout_s=_COMPILE_LIMIT_S)
        except DeviceError as error:
            return f"{_DIED} {error}"
        return text

    key = cache.key_of(__name__, "op", sha256_of(part), versions())
    return cache.remember("placement", key, ask, kind=str), names


def refused_ops(text: str) -> dict[str, str]:
    """Return the reasons that the accelerator printed, by op name."""
    reasons: dict[str, str] = {}
    _, heading, rest = text.partition(_HEADING)
    for line in rest.splitlines()[1:] if heading else ():
        if _ON_GPU.match(line):
            break
        name, colon, reason = line.partition(": ")
        if colon:
            reasons.setdefault(name.strip(), reason.strip().rstrip("."))
    return reasons


def ops_on_gpu(text: str) -> int:
    """Return how many ops the accelerator said it takes.

    Raises:
        DeviceError: it did not say.
    """
    match = _ON_GPU.search(text)
    if match is None:
        raise DeviceError("LiteRT's GPU accelerator took a part of the model and did not say which")
    return 0 if match[1] == "No" else int(match[1])


def _unpacking(graph: Graph) -> frozenset[int]:
    """Return the DEQUANTIZE nodes that only unpack constant weights.

    The delegate folds such nodes into their readers and does not count them.
    Source: TensorFlow Lite, `FP16GraphPartitionHelper`.
    """
    return frozenset(
        op.index for op in graph.ops if op.name == "DEQUANTIZE" and graph.unpacks_constant(op)
    )


def _partitions(graph: Graph, on_gpu: frozenset[int]) -> tuple[tuple[int, ...], ...]:
    """Return the partitions, without the nodes that only unpack weights."""
    accelerated = [op.index in on_gpu for op in graph.ops]
    return placement.partition(graph, accelerated, idle=_unpacking(graph))


def _largest_partition(graph: Graph, supported: frozenset[int]) -> frozenset[int]:
    """Return the ops that the delegate takes: one partition, the first of the largest.

    Source: LiteRT GPU delegate, `max_delegated_partitions` = 1.
    """
    partitions = [ops for ops in _partitions(graph, supported) if ops[0] in supported]
    if not partitions:
        return frozenset()
    largest = max(partitions, key=len)
    return frozenset(largest)


def _icd() -> Path | None:
    """Return the manifest of a software Vulkan driver."""
    named = os.environ.get("VK_DRIVER_FILES") or os.environ.get("VK_ICD_FILENAMES")
    if named:
        path = Path(named.split(os.pathsep)[0])
        return path if path.is_file() else None
    found = (Path(folder) / _ICD_NAME for folder in _ICD_FOLDERS)
    return next((path for path in found if path.is_file()), None)


def _installed_icd() -> Path:
    line = missing()
    icd = _icd()
    if line is not None or icd is None:
        raise StackMissing(line or "no software Vulkan driver")
    return icd


def _loader_folder(icd: Path) -> Path | None:
    """Return the folder of the Vulkan loader; browsers ship one beside their driver."""
    searched = os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)
    folders = [icd.parent, *(Path(f) for f in searched if f), *(Path(f) for f in _LOADER_FOLDERS)]
    return next((folder for folder in folders if (folder / _LOADER).exists()), None)


@functools.cache
def _driver(icd: Path) -> str:
    """Return the name and content hash of the driver that a manifest names."""
    try:
        name = json.loads(icd.read_text(encoding="utf-8"))["ICD"]["library_path"]
        data = (icd.parent / name).read_bytes()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StackMissing(f"{icd}: names no Vulkan driver that can be read ({error})") from None
    return f"{Path(name).name} {sha256_of(data)[:12]}"


@functools.cache
def _worker(icd: Path) -> Worker:
    runtime = cache.root() / "run"
    runtime.mkdir(parents=True, exist_ok=True, mode=0o700)
    loader = _loader_folder(icd)
    searched = [str(loader)] if loader else []
    searched += [path for path in [os.environ.get("LD_LIBRARY_PATH")] if path]
    return Worker(
        "harness.stacks.mldrift_worker",
        stage="LiteRT's GPU accelerator",
        log=cache.root() / "logs" / "mldrift.log",
        memory_mib=_MEMORY_MIB,
        processes=ONE_A_CORE,
        env={
            "VK_ICD_FILENAMES": str(icd),
            "VK_DRIVER_FILES": str(icd),
            "XDG_RUNTIME_DIR": str(runtime),
            "LD_LIBRARY_PATH": os.pathsep.join(searched),
        },
    )
