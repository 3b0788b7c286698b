"""Find the op at which a variant's pixels go wrong."""

import argparse
import functools
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from harness import culprit, goldens, graph, images, resizing, subjects
from harness.cli import shared
from harness.culprit import Run
from harness.errors import ConfigError
from harness.graph import Graph
from harness.images import Pixels
from harness.profiles import Target
from harness.stacks import mldrift, qnn, xnnpack
from harness.stacks.feeding import Values
from harness.subjects import SUBJECT_FILE

_SEED = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `harness bisect`."""
    parser.add_argument("model", type=Path, metavar="MODEL.tflite")
    parser.add_argument("--device", required=True, metavar="NAME[:DELEGATE]")
    parser.add_argument(
        "--against",
        choices=("fp32", "cpu"),
        default="fp32",
        help="fp32: the FP32 export on the CPU kernels; cpu: this very file on the CPU kernels",
    )
    parser.add_argument(
        "--reference", type=Path, metavar="FP32.tflite", help="default: its subject's FP32 variant"
    )
    parser.add_argument("--frame", type=Path, metavar="IMAGE", help="default: its subject's first")
    parser.add_argument("--tolerance-db", type=float, default=culprit.TOLERANCE_DB)
    shared.add_profile_dirs(parser)


def run(options: argparse.Namespace) -> int:
    """Print the error along the graph; ends with 1 if an op leaves the tolerance."""
    (target,) = shared.every_target(shared.load_profiles(options), [options.device])
    graph.load(options.model)
    model = options.model.read_bytes()
    reference = model
    if options.against == "fp32":
        path = options.reference or _subject_of(options.model).reference.path
        graph.load(path)
        reference = path.read_bytes()
    found = culprit.search(
        model,
        reference,
        _frame(options, model),
        run=_runner(target),
        run_reference=xnnpack.execute,
        tolerance_db=options.tolerance_db,
    )
    print("\n".join(culprit.lines(found)))
    return 1 if found.culprit else 0


def _runner(target: Target) -> Run:
    """Return what stands in for the phone's arithmetic."""
    if target.delegate == "qnn":
        return functools.partial(_on, qnn.execute, target)
    if target.delegate == "gpu":
        return functools.partial(_on, mldrift.execute, target)
    return xnnpack.execute


def _on(
    execute: Callable[[bytes, Graph, Target, Sequence[Values]], Sequence[Values]],
    target: Target,
    model: bytes,
    parsed: Graph,
    inputs: Sequence[Values],
) -> Sequence[Values]:
    return execute(model, parsed, target, inputs)


def _subject_of(model: Path) -> subjects.Subject:
    folder = model.resolve().parent
    if not (folder / SUBJECT_FILE).exists():
        raise ConfigError(
            f"{model}: has no {SUBJECT_FILE} beside it; name the FP32 export with --reference, "
            "or compare with --against=cpu"
        )
    return subjects.load(folder)


def _frame(options: argparse.Namespace, model: bytes) -> Pixels:
    """Return the frame to compare on, of the model's own size."""
    _, height_px, width_px, channels = resizing.image_shape(graph.parse(model))
    if options.frame is not None:
        return _cut(images.load(options.frame), height_px, width_px, str(options.frame))
    if (options.model.resolve().parent / SUBJECT_FILE).exists():
        subject = _subject_of(options.model)
        for name in goldens.names(subject):
            frame, _ = goldens.load_frame(subject, name)
            return _cut(frame, height_px, width_px, name)
    noise = np.random.default_rng(_SEED).random((1, height_px, width_px, channels))
    return noise.astype(np.float32)


def _cut(frame: Pixels, height_px: int, width_px: int, name: str) -> Pixels:
    if frame.shape[1] < height_px or frame.shape[2] < width_px:
        raise ConfigError(f"{name}: is smaller than the model's input {width_px}x{height_px}")
    return np.ascontiguousarray(frame[:, :height_px, :width_px])
