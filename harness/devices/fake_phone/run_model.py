"""Be LiteRT 2's run_model on a fake phone: read inputs from a folder, write outputs to one.

Source: LiteRT, litert/tools/run_model.cc.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from harness.devices.fake_phone import benchmark_model, faults, wrong_ops
from harness.devices.fake_phone.faults import Fault
from harness.devices.fake_phone.folder import ENVIRONMENT, LIBRARIES, Folder
from harness.graph import Graph, parse

_FLAGS = {
    "graph": "", "accelerator": "cpu", "iterations": "1", "signature_index": "0", "input_dir": "",
    "dump_output_folder": "", "gpu_precision": "default", "print_tensors": "false",
    "dispatch_library_dir": "", "compiler_plugin_library_dir": "", "compiler_cache_dir": "",
    "mediatek_nerun_pilot_version": "",
}  # fmt: skip
_READS = (np.float32, np.int8, np.int16)


def main(arguments: Sequence[str]) -> int:
    """Run the tool; return its exit code."""
    folder = Folder(Path(os.environ[ENVIRONMENT]))
    if not _has(LIBRARIES[0]):
        print(
            f'CANNOT LINK EXECUTABLE "run_model": library "{LIBRARIES[0]}" not found',
            file=sys.stderr,
        )
        return 1
    given = dict(argument.removeprefix("--").split("=", 1) for argument in arguments)
    strange = [name for name in given if name not in _FLAGS]
    if strange:
        print(f"ERROR: Unknown command line flag '{strange[0]}'", file=sys.stderr)
        return 1
    (folder.state / "last_command").write_text(" ".join(arguments))
    flags = _FLAGS | given
    if benchmark_model.breaks(folder):
        return 1
    return _run(folder, flags)


def _has(library: str) -> bool:
    folders = os.environ.get("LD_LIBRARY_PATH", "").split(":")
    return any((Path(folder) / library).exists() for folder in folders if folder)


def _run(folder: Folder, flags: dict[str, str]) -> int:
    data = Path(flags["graph"]).read_bytes()
    graph = parse(data)
    interpreter = Interpreter(model_content=data)
    interpreter.allocate_tensors()
    for i, details in zip(graph.inputs, interpreter.get_input_details(), strict=True):
        name = graph.signature.get(i) or graph.tensors[i].name
        path = Path(flags["input_dir"]) / f"{name}.raw"
        if details["dtype"] not in _READS or not path.exists():
            print(f"ERROR: Failed to open input file: {path}", file=sys.stderr)
            return 1
        shape = tuple(int(size) for size in details["shape"])
        values = np.frombuffer(path.read_bytes(), details["dtype"])
        interpreter.set_tensor(details["index"], values.reshape(shape))
    for _ in range(int(flags["iterations"])):
        interpreter.invoke()
    where = Path(flags["dump_output_folder"])
    where.mkdir(parents=True, exist_ok=True)
    made = {
        i: wrong_ops.made(
            folder.switches(),
            graph,
            benchmark_model.made(
                folder.switches(),
                interpreter.get_tensor(details["index"]),
                int(flags["iterations"]),
            ),
            accelerated=flags["accelerator"] != "cpu",
            fp16=flags["gpu_precision"] != "fp32",
        )
        for i, details in zip(graph.outputs, interpreter.get_output_details(), strict=True)
    }
    for position, i in enumerate(_order(graph)):
        _write(folder, where / f"output_{position}.raw", made[i])
    return 0


def _order(graph: Graph) -> list[int]:
    """Return the outputs in the order of the signature, which need not be the graph's."""
    return [i for i in graph.signature if i in graph.outputs] or list(graph.outputs)


def _write(folder: Folder, path: Path, values: Any) -> None:
    data = values.astype(np.float32).tobytes()
    if faults.take(folder, Fault.OUTPUT_WRONG_SIZE):
        data = data[: len(data) // 2]
    path.write_bytes(data)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
