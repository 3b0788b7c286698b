"""Find the op at which a variant's pixels go wrong."""

import argparse
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness import culprit, images, resizing, samples, subjects
from harness import model as models
from harness.cli import shared
from harness.culprit import Run, Search
from harness.errors import ConfigError
from harness.evidence import Evidence
from harness.images import Pixels
from harness.model import Model
from harness.profiles import Target
from harness.stacks import mldrift, qnn, xnnpack
from harness.stacks.feeding import Values
from harness.subjects import SUBJECT_FILE

_SEED = 1
_CPU_KERNELS = "LiteRT's CPU kernels (XNNPACK) on this host"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `harness bisect`."""
    parser.add_argument("model", type=Path, metavar="MODEL.tflite")
    parser.add_argument(
        "--device", required=True, metavar="NAME[:DELEGATE]", help="whose arithmetic is in question"
    )
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
    parser.add_argument(
        "--tolerance-db",
        type=float,
        default=culprit.TOLERANCE_DB,
        metavar="DB",
        help="least signal to error of an inner tensor, default %(default)g (an error of 18 %%)",
    )
    shared.add_profile_dirs(parser)


def run(options: argparse.Namespace) -> int:
    """Print the error along the graph; ends with 1 if an op leaves the tolerance."""
    target = shared.one_target(shared.load_profiles(options), options.device)
    found = searched(
        options.model,
        target,
        reference=options.model if options.against == "cpu" else options.reference,
        frame=options.frame,
        tolerance_db=options.tolerance_db,
    )
    how = found.arithmetic
    print(f"{options.model.name}: {how.name} [{how.evidence.value}]")
    print(f"reference, {found.reference.name}: {_CPU_KERNELS}")
    print("\n".join(culprit.lines(found.search)))
    return 1 if found.search.culprit else 0


@dataclass(frozen=True, kw_only=True)
class Arithmetic:
    """What stands in for a phone's arithmetic.

    Attributes:
        name: For a person.
        evidence: How strong a stand-in it is.
        run: Runs models by it.
    """

    name: str
    evidence: Evidence
    run: Run


@dataclass(frozen=True, kw_only=True)
class Searched:
    """The error along a graph, and what it is held against.

    Attributes:
        search: The error of each op.
        arithmetic: What stood in for the phone's.
        reference: The file that says what is right.
    """

    search: Search
    arithmetic: Arithmetic
    reference: Path


def searched(
    path: Path,
    target: Target,
    *,
    reference: Path | None = None,
    frame: Path | None = None,
    tolerance_db: float = culprit.TOLERANCE_DB,
) -> Searched:
    """Follow the error of a model along its graph by the strongest arithmetic of this host.

    Args:
        path: The model.
        target: Whose arithmetic is in question.
        reference: What is right, on the CPU kernels of this host; None for the FP32 variant of
            the model's subject. The model itself compares two arithmetics.
        frame: An image; None for the first frame of its subject, else noise.
        tolerance_db: Least signal to error of an inner tensor.

    Raises:
        ConfigError: there is no reference, or a comparison would prove nothing.
        ModelError: the two models have no ops in common, or one does not take the frame.
        DeviceError: what runs them failed.
    """
    model = models.load(path)
    right = reference or _fp32_of(path)
    other = model if right == path else models.load(right)
    arithmetic = _arithmetic(target)
    if arithmetic.run is xnnpack.execute and model == other:
        raise ConfigError(_same(target, against_cpu=right == path))
    search = culprit.search(
        model,
        other,
        _frame(path, frame, model),
        run=arithmetic.run,
        run_reference=xnnpack.execute,
        tolerance_db=tolerance_db,
    )
    return Searched(search=search, arithmetic=arithmetic, reference=right)


def _arithmetic(target: Target) -> Arithmetic:
    """Return what stands in for the phone's arithmetic."""
    if target.delegate == "qnn":
        return Arithmetic(
            name=f"Qualcomm's HTP simulator for {target}",
            evidence=Evidence.VENDOR,
            run=functools.partial(_on, qnn.execute, target),
        )
    if target.delegate == "gpu":
        return Arithmetic(
            name=f"LiteRT's GPU accelerator on software Vulkan for {target}",
            evidence=Evidence.VENDOR,
            run=functools.partial(_on, mldrift.execute, target),
        )
    stands_in = "" if target.delegate == "cpu" else f"; {target.delegate}'s own is not at hand"
    return Arithmetic(
        name=f"{_CPU_KERNELS} for {target}{stands_in}",
        evidence=Evidence.HOST,
        run=xnnpack.execute,
    )


def _on(
    execute: Callable[[Model, Target, Sequence[Values]], Sequence[Values]],
    target: Target,
    model: Model,
    inputs: Sequence[Values],
) -> Sequence[Values]:
    return execute(model, target, inputs)


def _same(target: Target, *, against_cpu: bool) -> str:
    """Return why a comparison would prove nothing, and what to ask for instead."""
    what = "--against=cpu" if against_cpu else "the FP32 export against itself"
    instead = "against FP32 (--against=fp32)" if against_cpu else "a variant with its FP32 export"
    return (
        f"{target}: no arithmetic of {target.delegate} but {_CPU_KERNELS} is at hand, so {what} "
        f"would compare them with themselves; compare {instead}, or name a phone's qnn or gpu"
    )


def _subject_of(model: Path) -> subjects.Subject:
    folder = model.resolve().parent
    if not (folder / SUBJECT_FILE).exists():
        raise ConfigError(
            f"{model}: has no {SUBJECT_FILE} beside it; name the FP32 export with --reference, "
            "or compare with --against=cpu"
        )
    return subjects.load(folder)


def _fp32_of(model: Path) -> Path:
    """Return the FP32 file of a model's subject.

    Raises:
        ConfigError: the model has no subject, or that has no FP32 variant.
    """
    subject = _subject_of(model)
    if not subject.has_fp32:
        raise ConfigError(
            f"{subject.folder.name} has no FP32 variant to compare with; name one with "
            "--reference FP32.tflite, or compare with this file on the CPU by --against cpu"
        )
    return subject.reference.path


def _frame(path: Path, frame: Path | None, model: Model) -> Pixels:
    """Return the frame to compare on, of the model's own size."""
    shape = resizing.image_shape(model.graph)
    if frame is not None:
        return _cut(images.load(frame), shape, str(frame))
    if (path.resolve().parent / SUBJECT_FILE).exists():
        subject = _subject_of(path)
        for name in samples.names(subject):
            return _cut(samples.load(subject, name).frame, shape, name)
    return np.random.default_rng(_SEED).random(shape).astype(np.float32)


def _cut(frame: Pixels, shape: tuple[int, ...], name: str) -> Pixels:
    _, height_px, width_px, channels = shape
    if frame.shape[3] != channels:
        order = " (channels first: export it channels last)" if shape[1] == frame.shape[3] else ""
        raise ConfigError(
            f"{name}: has {frame.shape[3]} channels, the model takes {list(shape)}{order}; "
            "without --frame and subject noise of that shape is compared"
        )
    if frame.shape[1] < height_px or frame.shape[2] < width_px:
        raise ConfigError(f"{name}: is smaller than the model's input {width_px}x{height_px}")
    return np.ascontiguousarray(frame[:, :height_px, :width_px])
