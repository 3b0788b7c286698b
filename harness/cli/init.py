"""Make a subject of your own model: subject.toml and goldens from a folder of images."""

import argparse
import re
import shlex
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from harness import goldens, graph, images, ini, resizing, subjects
from harness.cli import shared, subject_toml
from harness.devices import drift
from harness.errors import ConfigError, HarnessError, ModelError
from harness.evidence import sha256_of
from harness.images import Pixels, Size
from harness.profiles import Target
from harness.stacks import xnnpack
from harness.subjects import SUBJECT_FILE, Limits, Precision, Subject, Variant

_IMAGES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
_FRAMES_MAX = 8
_LEAST_DARK_SHARE = 0.05
"""Share of negative values in [-1, 1] at least; fewer are the overshoot of another range."""
_LEAST_OF_255 = 25.5
"""What outputs reach at least in [0, 255], which would hold any small number."""
_STRIDES = (1, 2, 4, 8, 16, 32, 64)
"""Multiples that half a model's size is rounded to, until one is found that it takes."""


@dataclass(frozen=True, kw_only=True)
class _Frames:
    """Images to test with, and what is to be said about their choice.

    Attributes:
        pairs: Blurred and, where there is one, sharp image by name.
        notes: What was left out, one line each.
    """

    pairs: dict[str, tuple[Path, Path | None]]
    notes: tuple[str, ...]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `harness init`."""
    parser.add_argument(
        "models",
        type=Path,
        nargs="+",
        metavar="MODEL.tflite",
        help="the FP32 model and its other exports; the first FP32 one is their reference",
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
    parser.add_argument("--budget-ms", type=float, help="latency budget at the frames' size")
    parser.add_argument(
        "--output-range",
        type=float,
        nargs=2,
        metavar=("BLACK", "WHITE"),
        help="values of the model's output for black and white, default read from its outputs",
    )
    shared.add_golden_dir(parser)
    shared.add_profile_dirs(parser)


def run(options: argparse.Namespace) -> int:
    """Write golden/<name>/ and say what to do next."""
    name = options.name or re.sub(r"[^A-Za-z0-9_]+", "_", options.models[0].stem)
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise ConfigError(f"--name {name!r}: use letters, digits, _ and - only, as --subject does")
    folder: Path = options.golden_dir / name
    if folder.exists():
        raise ConfigError(f"{folder}: exists already; choose another --name or remove it")
    exports = _read_models(options.models)
    first = next(export for export in exports if export.precision is Precision.FP32)
    size, scale = _shape(first)
    for export in exports:
        _refuse_other_shape(export, first, size, scale)
    frames = _choose_frames(options.frames, size, scale, options.frames_max)
    known = shared.load_profiles(options)
    targets = shared.every_target(known, ["all"])
    try:
        notes = _write(
            folder,
            Subject(name=name, task="restore", scale=scale, variants=exports, source=""),
            frames,
            size,
            targets,
            options,
        )
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)  # a subject is whole or not there
        raise
    for note in (*frames.notes, *notes):
        print(f"Note: {note}")
    print(f"Wrote {folder} with {len(exports)} variants and {len(frames.pairs)} frames of {size}.")
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


def _read_models(paths: Sequence[Path]) -> tuple[Variant, ...]:
    """Return the files as variants, named by precision, or by file where two have the same."""
    found = [(path, graph.read(path), precision_of(path)) for path in paths]
    count = Counter(precision for _, _, precision in found)
    if not count[Precision.FP32]:
        raise ConfigError(
            "none of the models is FP32; the others are compared with that one"
            + (" (weights of 8 bits make int8_dynamic)" if count[Precision.INT8_DYNAMIC] else "")
        )
    exports: dict[str, Variant] = {}
    for path, data, precision in found:
        name = precision.value
        if count[precision] > 1:
            name = re.sub(r"[^A-Za-z0-9_]+", "_", path.stem)
        if name in exports:
            raise ConfigError(f"{path}: a second file named {name}; give each a name of its own")
        exports[name] = Variant(
            name=name,
            precision=precision,
            path=path,
            sha256=sha256_of(data),
            limits=Limits(source="not measured yet"),
        )
    return tuple(exports.values())


def precision_of(path: Path) -> Precision:
    """Tell the arithmetic of a model file; training for 8 bits shows in its name only.

    Raises:
        ModelError: it cannot be read as a model.
    """
    found = subjects.precision_of(graph.load(path))
    if found is Precision.INT8_PTQ and "qat" in path.name.lower():
        return Precision.INT8_QAT
    return found


def _shape(export: Variant) -> tuple[Size, int]:
    """Return the input's size, and the output's edge over the input's.

    Raises:
        ModelError: the model does not make an RGB image of an RGB image.
    """
    parsed = export.model().graph
    try:
        given = resizing.image_shape(parsed)
    except ModelError as error:
        raise ModelError(f"{export.path}: {error}") from None
    made = parsed.tensors[parsed.outputs[0]].shape
    wanted = "frames are RGB, [1, height, width, 3]"
    for what, shape in (("takes", given), ("gives", made)):
        if len(shape) == 4 and shape[1] == 3 != shape[3]:
            raise ModelError(
                f"{export.path}: {what} {list(shape)}, channels first; {wanted}: export it "
                "with channels last"
            )
    if given[3] != 3 or given[0] != 1:
        raise ModelError(f"{export.path}: takes {given[3]} channels, {list(given)}; {wanted}")
    if min(given[1:3]) == 1:
        raise ModelError(
            f"{export.path}: takes {list(given)}, as files of dynamic size say; export it with "
            "a fixed input size"
        )
    scale = made[1] // given[1] if len(made) == 4 else 0
    if scale < 1 or made != (1, scale * given[1], scale * given[2], 3):
        raise ModelError(
            f"{export.path}: gives {list(made)} for {list(given)}; the harness judges images: "
            "RGB of the input's size or a whole multiple, [1, height, width, 3]"
        )
    return Size(width_px=given[2], height_px=given[1]), scale


def _refuse_other_shape(export: Variant, first: Variant, size: Size, scale: int) -> None:
    """Refuse a file that is no export of the FP32 model, by its shapes."""
    own_size, own_scale = _shape(export)
    if own_scale != scale:
        raise ModelError(
            f"{export.path}: enlarges {own_scale} times and {first.path} {scale} times; give "
            "exports of one model"
        )
    if own_size != size:
        try:
            export.model().at(size)
        except ModelError as error:
            raise ModelError(
                f"{export.path}: takes {own_size}, {first.path} {size}, and {error}"
            ) from None


def _choose_frames(folder: Path, size: Size, scale: int, most: int) -> _Frames:
    """Return (frame, target or None) by name: pairs if there are any, else all images."""
    if not folder.is_dir():
        raise ConfigError(f"--frames {folder}: no such folder")
    if most < 1:
        raise ConfigError(f"--frames-max {most}: take one at least")
    found = sorted(p for p in folder.glob("*") if p.suffix.lower() in _IMAGES)
    if not found:
        raise ConfigError(f"{folder}: holds no images ({', '.join(_IMAGES)})")
    notes = []
    pairs: dict[str, tuple[Path, Path | None]] = {}
    for path in found:
        stem, dot, kind = path.stem.rpartition(".")
        if dot and kind == "blurred":
            sharp = [p for p in found if p.stem == f"{stem}.sharp"]
            pairs[stem] = (path, sharp[0] if sharp else None)
    used = {path for pair in pairs.values() for path in pair}
    if pairs and (alone := [path.name for path in found if path not in used]):
        notes.append(
            f"{len(alone)} images of {folder} are no X.blurred with or without X.sharp and "
            f"were left out: {', '.join(alone[:3])}{' ...' if len(alone) > 3 else ''}"
        )
    chosen = pairs or {path.stem: (path, None) for path in found}
    if len(chosen) > most:
        notes.append(f"the first {most} of {len(chosen)} images were taken; see --frames-max")
    taken = dict(list(chosen.items())[:most])
    for frame, target in taken.values():
        seen = images.size_of(frame)
        if seen.width_px < size.width_px or seen.height_px < size.height_px:
            raise ConfigError(f"{frame}: is {seen}, smaller than the model's input {size}")
        if target is not None and images.size_of(target) != _times(seen, scale):
            raise ConfigError(
                f"{target}: is {images.size_of(target)}; beside a frame of {seen}, a model that "
                f"enlarges {scale} times wants {_times(seen, scale)}"
            )
    return _Frames(pairs=taken, notes=tuple(notes))


def _times(size: Size, scale: int) -> Size:
    return Size(width_px=size.width_px * scale, height_px=size.height_px * scale)


def _write(
    folder: Path,
    subject: Subject,
    frames: _Frames,
    size: Size,
    targets: Sequence[Target],
    options: argparse.Namespace,
) -> list[str]:
    """Write the whole folder, and return what is to be said about it."""
    (folder / "frames").mkdir(parents=True)
    (folder / "references").mkdir()
    copies = []
    for variant in subject.variants:
        copy = folder / f"{variant.name}.tflite"
        copy.write_bytes(variant.model().data)
        copies.append(replace(variant, path=copy))
    for frame, (blurred, sharp) in frames.pairs.items():
        corner = _crop(blurred, size, folder / "frames" / f"{frame}.blurred.png")
        if sharp is not None:
            _crop(
                sharp,
                _times(size, subject.scale),
                folder / "frames" / f"{frame}.sharp.png",
                corner=(corner[0] * subject.scale, corner[1] * subject.scale),
            )
    subject = replace(
        subject,
        variants=tuple(copies),
        folder=folder,
        frames=folder / "frames",
        references=folder / "references",
    )
    outputs = {frame: _reference(subject, frame) for frame in frames.pairs}
    chosen, notes = _output_range([output for _, output in outputs.values()], options.output_range)
    subject = replace(subject, output_range=chosen)
    for frame, (pixels, output) in outputs.items():
        goldens.store(subject, frame, frame=pixels, fp32_output=output)
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


def _reference(subject: Subject, frame: str) -> tuple[Pixels, Pixels]:
    try:
        return drift.reference(subject, frame)
    except ModelError as error:
        raise ModelError(f"{subject.reference.path.name}: {error}") from None


def _crop(
    source: Path, size: Size, to: Path, *, corner: tuple[int, int] | None = None
) -> tuple[int, int]:
    """Cut out a part of an image, its middle by default, and return its left and top edge.

    It is never scaled, so that its sharpness stays what it is.
    """
    with images.opened(source) as image:
        left, top = corner or (
            (image.width - size.width_px) // 2,
            (image.height - size.height_px) // 2,
        )
        box = (left, top, left + size.width_px, top + size.height_px)
        images.to_rgb(image).crop(box).save(to)
    return left, top


def _output_range(
    outputs: Sequence[Pixels], stated: Sequence[float] | None
) -> tuple[tuple[float, float], list[str]]:
    """Return the values for black and white, and a note where they had to be guessed."""
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
