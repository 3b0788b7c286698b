"""Say what the harness makes of models that a well-known package bundles.

    python -m tests.real_models FOLDER

fetches the package by its name with pip into FOLDER, and prints the table of
docs/guides/other-kinds-of-models.md. The models are not part of this repository.
"""

import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from harness import model as models
from harness import profiles
from harness.devices.emulated import Emulated
from harness.errors import HarnessError
from harness.model import Model
from harness.profiles import Target
from harness.stacks import xnnpack

PACKAGE = "mediapipe==0.10.14"


def fetch(folder: Path) -> Path:
    """Download the package, without what it depends on; return its wheel."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", PACKAGE]
    subprocess.run([*command, "--dest", folder], check=True)
    return next(folder.glob(f"{PACKAGE.replace('==', '-')}-*.whl"))


def bundled(wheel: Path, folder: Path) -> Iterator[Path]:
    """Unpack the models of a wheel, and yield their paths."""
    with zipfile.ZipFile(wheel) as archive:
        for name in sorted(n for n in archive.namelist() if n.endswith(".tflite")):
            path = folder / Path(name).name
            path.write_bytes(archive.read(name))
            yield path


def row(path: Path) -> list[str]:
    """Return what inspect, place, run and estimate say of a model; never a traceback."""
    known = profiles.load_all([profiles.shipped_folder()])["pixel4"]
    nnapi, gpu = (Target(profile=known, delegate=name) for name in ("nnapi", "gpu"))
    try:
        model = models.load(path)
    except HarnessError as error:
        return [path.name, _short(error, path), "", "", "", ""]
    graph = model.graph
    return [
        path.name,
        f"{len(graph.ops)} ops, {len(graph.inputs)} in, {len(graph.outputs)} out",
        _said(lambda: _cpu_ops(model, nnapi), path),
        _said(lambda: _cpu_ops(model, gpu), path),
        _said(lambda: _run(model), path),
        _said(lambda: f"{Emulated(nnapi).time(model).estimate_ms:.3g} ms", path),
    ]


def _cpu_ops(model: Model, target: Target) -> str:
    placement = Emulated(target).place(model)
    return f"{placement.cpu_ops} on CPU, {placement.partitions} parts"


def _run(model: Model) -> str:
    graph = model.graph
    given = [np.full(graph.tensors[i].shape, 0.5, np.float32) for i in graph.inputs]
    made = xnnpack.execute(model, given)
    return "runs" if all(np.isfinite(one).all() for one in made) else "not finite"


def _said(ask: Callable[[], str], path: Path) -> str:
    try:
        return ask()
    except HarnessError as error:
        return _short(error, path)


def _short(error: HarnessError, path: Path) -> str:
    return str(error).replace(f"{path}: ", "").replace("|", "/")[:260]


def main(folder: Path) -> None:
    """Print the table."""
    print("| model | inspect | NNAPI (Pixel 4) | GPU | run | estimate |")
    print("|---|---|---|---|---|---|")
    for path in bundled(fetch(folder), folder):
        print(f"| {' | '.join(row(path))} |", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
