"""Make a subject of your own model: subject.toml and goldens from a folder of images."""

import argparse
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from harness import blessed_outputs, goldens, images, ini, subjects
from harness.cli import (
    init_exports,
    init_frames,
    init_original,
    init_samples,
    role_guesses,
    shared,
    subject_toml,
)
from harness.cli.init_frames import Frames
from harness.cli.init_samples import Samples
from harness.cli.role_guesses import Described
from harness.devices import drift
from harness.devices.drift import Reference
from harness.errors import ConfigError, HarnessError, ModelError
from harness.images import Pixels, Size
from harness.inputs import Values
from harness.profiles import Target
from harness.roles import InputSpec, OutputSpec, Role
from harness.stacks import xnnpack
from harness.subjects import SUBJECT_FILE, Precision, Subject, Variant

_FRAMES_MAX = 8
_LEAST_DARK_SHARE = 0.05
"""Share of negative values in [-1, 1] at least; fewer are the overshoot of another range."""
_LEAST_OF_255 = 25.5
"""What outputs reach at least in [0, 255], which would hold any small number."""
_WITHOUT_FP32 = (
    "none of the models is FP32: each is held to the outputs that the first one makes now; what "
    "its arithmetic costs beside FP32 stays INCONCLUSIVE until you give the FP32 model too"
)
_STRIDES = (1, 2, 4, 8, 16, 32, 64)
"""Multiples that half a model's size is rounded to, until one is found that it takes."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `harness init`."""
    parser.add_argument(
        "models",
        type=Path,
        nargs="+",
        metavar="MODEL.tflite",
        help="the FP32 model and its other exports; the first FP32 one is their reference, or "
        "without one the first. An .onnx is converted first (extra `onnx`)",
    )
    parser.add_argument(
        "--original",
        type=Path,
        metavar="NET.onnx",
        help="the network that the FP32 model was converted from: says what the conversion cost",
    )
    parser.add_argument(
        "--frames",
        type=Path,
        required=True,
        metavar="DIR",
        help="images to test with; X.blurred.png beside X.sharp.png gives a target as well",
    )
    parser.add_argument(
        "--frames-max",
        type=int,
        default=_FRAMES_MAX,
        metavar="N",
        help=f"most images to take, in order of their names; default {_FRAMES_MAX}",
    )
    parser.add_argument("--name", help="name of the subject, default the first model's")
    parser.add_argument(
        "--size", metavar="WxH", help="resolution to test at, default the model's own"
    )
    parser.add_argument("--budget-ms", type=float, help="latency budget at the frames' size")
    parser.add_argument(
        "--output-range",
        type=float,
        nargs=2,
        metavar=("BLACK", "WHITE"),
        help="values of the model's output for black and white, default read from its outputs",
    )
    role_guesses.add_arguments(parser)
    shared.add_golden_dir(parser)
    shared.add_profile_dirs(parser)


def run(options: argparse.Namespace) -> int:
    """Write golden/<name>/ and say what to do next."""
    with tempfile.TemporaryDirectory(prefix="harness-onnx-") as work:
        converted = init_original.converted(options, Path(work))
        return _run(options, converted)


def _run(options: argparse.Namespace, models: Sequence[Path]) -> int:
    """Write golden/<name>/ of models that are all .tflite."""
    name = options.name or re.sub(r"[^A-Za-z0-9_]+", "_", options.models[0].stem)
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise ConfigError(f"--name {name!r}: use letters, digits, _ and - only, as --subject does")
    folder: Path = options.golden_dir / name
    if folder.exists():
        raise ConfigError(f"{folder}: exists already; choose another --name or remove it")
    exports = init_exports.read(models)
    first = next((one for one in exports if one.precision is Precision.FP32), exports[0])
    described = _described(first, exports, options)
    frames: Frames | Samples
    if described.is_plain:
        size, scale = init_exports.shape(first, options.size)
        for export in exports:
            init_exports.refuse_other_shape(export, first, size, scale, options.size)
        frames = init_frames.choose(options.frames, size, scale, options.frames_max)
        subject = Subject(name=name, task="restore", scale=scale, variants=exports, source="")
    else:
        subject = _described_subject(name, exports, described, options.size)
        size = subject.reference.model().asked(options.size).size
        for export in subject.variants:
            init_exports.refuse_other_inputs(export, subject.reference, size)
        frames = _samples(subject, options)
    subject = replace(subject, source=init_original.source(options, first))
    known = shared.load_profiles(options)
    targets = shared.every_target(known, ["all"])
    try:
        notes = _write(folder, subject, frames, size, targets, options)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)  # a subject is whole or not there
        raise
    guesses = () if described.is_plain else described.notes
    if not subject.has_fp32:
        notes.append(_WITHOUT_FP32)
    for note in (*guesses, *frames.notes, *notes):
        print(f"Note: {note}")
    print(f"Wrote {folder} with {len(exports)} variants and {len(frames.names)} frames of {size}.")
    print("Look through its subject.toml: limits were measured here, budgets are yours to set.")
    print(f"Next: {_next(options.golden_dir, name)}")
    return 0


def _next(golden_dir: Path, name: str) -> str:
    """Return the command that tests the new subject, as it must be typed in this folder."""
    words = ["pytest", "--device=pixel4"]
    if golden_dir.resolve() != ini.golden_dir().resolve():
        words += ["-o", f"golden_dir={golden_dir.resolve()}"]
    if len(list(golden_dir.glob(f"*/{SUBJECT_FILE}"))) > 1:
        words.append(f"--subject={name}")
    return shlex.join(words)


def _described(
    first: Variant, exports: Sequence[Variant], options: argparse.Namespace
) -> Described:
    """Return what the model's inputs and outputs are; ask a person at a terminal what is not clear.

    Raises:
        ConfigError: something is not clear, and nobody is there to ask.
    """
    inputs = [role_guesses.parse_input(given) for given in options.input]
    outputs = [role_guesses.parse_output(given) for given in options.output]
    stored = [export.model().graph for export in exports if export is not first]
    graph = first.model().asked(options.size).graph
    found = role_guesses.describe(graph, stored, inputs, outputs)
    while found.unknown:
        name, question = next(iter(found.unknown.items()))
        if not sys.stdin.isatty():
            raise ConfigError(
                f"{first.path}: {question}; say it with --input {role_guesses.SYNTAX}"
            )
        print(f"{question}.")
        inputs.append(role_guesses.parse_input(f"{name}={input('ROLE[,KEY=VALUE...]: ').strip()}"))
        found = role_guesses.describe(graph, stored, inputs, outputs)
    return found


def _described_subject(
    name: str, exports: Sequence[Variant], described: Described, asked: str | None
) -> Subject:
    """Return a subject whose inputs and outputs are described, its scale that of its first image.

    Raises:
        ConfigError, ModelError: the descriptions do not fit the model.
    """
    variants = tuple(replace(export, inputs=described.inputs) for export in exports)
    subject = Subject(
        name=name,
        task="restore",
        variants=variants,
        inputs=described.inputs,
        outputs=described.outputs,
        source="",
    )
    subjects.check_described(subject)
    model = subject.reference.model().asked(asked)
    graph = model.graph
    shapes = [graph.tensors[i].shape for i in graph.outputs]
    shown = init_samples.places(described.outputs, shapes)
    scale = shown[0].size.height_px // model.size.height_px if shown else 1
    return replace(subject, scale=max(scale, 1))


def _samples(subject: Subject, options: argparse.Namespace) -> Samples:
    graph = subject.reference.model().asked(options.size).graph
    specs: tuple[InputSpec | OutputSpec, ...] = (*subject.inputs, *subject.outputs)
    shapes = [graph.tensors[i].shape for i in (*graph.inputs, *graph.outputs)]
    others = [spec for spec in subject.inputs if spec.role is not Role.IMAGE]
    found = init_samples.places(specs, shapes)
    return init_samples.choose(options.frames, found, others, options.frames_max)


def _write(
    folder: Path,
    subject: Subject,
    frames: Frames | Samples,
    size: Size,
    targets: Sequence[Target],
    options: argparse.Namespace,
) -> list[str]:
    """Write the whole folder, and return what is to be said about it."""
    frames.write(folder / "frames")
    (folder / "references").mkdir()
    source = subject.reference.path
    copies = []
    for variant in subject.variants:
        copy = folder / f"{variant.name}.tflite"
        copy.write_bytes(variant.model().data)
        copies.append(replace(variant, path=copy))
    subject = replace(
        subject,
        variants=tuple(copies),
        folder=folder,
        frames=folder / "frames",
        references=folder / "references",
    )
    made = {name: _reference(subject, name, source) for name in frames.names}
    subject, notes = _with_ranges(subject, [one.outputs for one in made.values()], options)
    for one in made.values():
        blessed_outputs.store(subject, one.sample, one.outputs, one.last)
    goldens.store_list(subject)
    measured = []
    for variant in subject.variants:
        allowed = drift.allow(subject, variant, targets)
        measured.append(replace(variant, limits=allowed.limits, limits_on=allowed.limits_on))
        notes += allowed.doubts
    subject = replace(subject, variants=tuple(measured))
    sizes = _sizes(subject, size)
    if len(sizes) < 2:
        notes.append("the model takes no other size, so how it scales is not asked")
    text = subject_toml.write(subject, sizes=sizes, budget_ms=options.budget_ms)
    (folder / SUBJECT_FILE).write_text(text, encoding="utf-8")
    subjects.load(folder)
    return notes


def _reference(subject: Subject, name: str, source: Path) -> Reference:
    """Return a sample and what the reference makes of it; what fails names the person's file."""
    try:
        return drift.reference(subject, name)
    except ModelError as error:
        said = str(error).removeprefix(f"{subject.reference.path}: ")
        raise ModelError(f"{source}: {said}") from None


def _with_ranges(
    subject: Subject, made: Sequence[tuple[Values, ...]], options: argparse.Namespace
) -> tuple[Subject, list[str]]:
    """Return the subject with the ranges of its images, and notes where those were guessed."""
    if not subject.outputs:
        stored = _stored_range(subject, 0)
        chosen, notes = _output_range([one for (one,) in made], options.output_range, stored)
        return replace(subject, output_range=chosen), notes
    specs, notes = list(subject.outputs), []
    for position, judged in enumerate(subject.judged_specs):
        if judged.role is Role.IMAGE and judged.range == images.UNIT_RANGE:
            outputs = [outputs[position] for outputs in made]
            stored = _stored_range(subject, specs.index(judged))
            chosen, said = _output_range(outputs, options.output_range, stored)
            specs[specs.index(judged)] = replace(judged, range=chosen)
            notes += said
    return replace(subject, outputs=tuple(specs)), notes


def _stored_range(subject: Subject, position: int) -> tuple[float, float] | None:
    """Return the range that an output of the first quantized export is made for, if it is known."""
    for variant in subject.variants:
        graph = variant.model().graph
        known = role_guesses.known_range(graph.tensors[graph.outputs[position]])
        if known is not None:
            return known
    return None


def _output_range(
    outputs: Sequence[Pixels],
    stated: Sequence[float] | None,
    stored: tuple[float, float] | None = None,
) -> tuple[tuple[float, float], list[str]]:
    """Return the values for black and white, and a note where they had to be guessed.

    Args:
        outputs: What the reference makes.
        stated: What a person says.
        stored: What a quantized export is made for; it counts where the outputs lie in it.
    """
    if stated is not None:
        low, high = stated
        if not low < high:
            raise ConfigError(f"--output-range {low:g} {high:g}: black comes before white")
        return (low, high), []
    least = min(float(output.min()) for output in outputs)
    most = max(float(output.max()) for output in outputs)
    dark = float(np.mean([np.mean(output < -images.OVERSHOOT_SHARE) for output in outputs]))
    spare = images.OUT_OF_RANGE_SHARE_MAX / 2  # the other half is for the other variants
    for known, filled in (
        (stored or images.UNIT_RANGE, True),
        (images.UNIT_RANGE, True),
        ((-1.0, 1.0), dark >= _LEAST_DARK_SHARE),
        ((0.0, 255.0), most >= _LEAST_OF_255),
    ):
        if filled and all(images.out_of_range_share(o, known) <= spare for o in outputs):
            return known, []
    if not (abs(least) < float("inf") and abs(most) < float("inf")):
        return images.UNIT_RANGE, []  # storing the golden refuses what is not finite
    own = (min(0.0, float(f"{least:.2g}")), max(1.0, float(f"{most:.2g}")))
    return own, [
        f"outputs lie between {least:.4g} and {most:.4g}, which is neither [0, 1] nor [-1, 1] "
        f"nor [0, 255]; output_range = [{own[0]:g}, {own[1]:g}] is a guess, see --output-range"
    ]


def _sizes(subject: Subject, size: Size) -> tuple[Size, ...]:
    """Return a smaller size that every variant takes, if there is one, and the model's own."""
    for stride in _STRIDES:
        smaller = Size(
            width_px=-(-size.width_px // (2 * stride)) * stride,
            height_px=-(-size.height_px // (2 * stride)) * stride,
        )
        if smaller.megapixels < size.megapixels and all(
            _takes(variant, smaller) for variant in subject.variants
        ):
            return smaller, size
    return (size,)


def _takes(variant: Variant, size: Size) -> bool:
    try:
        xnnpack.place(variant.model().at(size))
    except HarnessError:
        return False
    return True
