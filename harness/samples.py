"""Read samples: what a model is given, a frame or a file for each of its inputs, and the truth.

A model of one image takes `<frame>.blurred.png`, beside which `<frame>.sharp.png` is the truth. One
whose inputs are described has a folder for each sample, with a file for each tensor:

    first.png                      8 or 16 bits, or a Bayer mosaic in grey for channels = "raw"
    first.plane0.png ...           one grey file a channel
    first.npy, first.npz           the tensor as the model takes it
    restored.sharp.png             what an output should be
    frame.0001.png ...             a clip, for a model that hands a state to the next frame
"""

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness import arrays, images, png16, roles
from harness.errors import BlessedDataError, ConfigError
from harness.evidence import sha256_of
from harness.images import Pixels, Size
from harness.inputs import Inputs, Values, matched
from harness.roles import CHANNEL_COUNTS, Channels, InputSpec, OutputSpec, Role
from harness.subjects import Subject

_SUFFIX = ".blurred.png"
_ARRAYS = (".npy", ".npz")
_GREY_MODES = ("1", "L", "I", "I;16", "I;16B", "I;16L")
_PLANES_MAX = 64
CLIP_FRAMES_MAX = 32
"""Most frames of a clip that are played."""
_FIXED = (Role.SCALAR, Role.MAP, Role.CONSTANT, Role.TENSOR)
"""Inputs that stay what they are from frame to frame."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """What a model is given, and what its outputs should be.

    Attributes:
        name: Its name.
        inputs: What the model is given.
        targets: The truth by name of the output, in its range; only for outputs that have one.
        size: Resolution of the first image.
        sha256: Content hash of what the model is given.
        target_sha256: Content hash of the truth; '' where there is none.
        later: Of a clip, the inputs of each further frame, without the states that it is handed.
    """

    name: str
    inputs: Inputs
    targets: Mapping[str, Values]
    size: Size
    sha256: str
    target_sha256: str
    later: tuple[Inputs, ...] = ()

    @property
    def frame(self) -> Pixels:
        """Return the only input."""
        return self.inputs.single

    @property
    def target(self) -> Values | None:
        """Return the truth of the first output that has one, or None."""
        return next(iter(self.targets.values()), None)


def names(subject: Subject) -> tuple[str, ...]:
    """Return the names of a subject's samples, without reading them."""
    if subject.frame_names:
        return subject.frame_names
    if subject.inputs:
        return tuple(sorted(path.name for path in subject.frames.glob("*/") if path.is_dir()))
    return tuple(
        sorted(path.name.removesuffix(_SUFFIX) for path in subject.frames.glob(f"*{_SUFFIX}"))
    )


def is_there(subject: Subject, name: str) -> bool:
    """Return whether a sample is there, without reading it."""
    return (subject.frames / (name if subject.inputs else f"{name}{_SUFFIX}")).exists()


def load(subject: Subject, name: str) -> Sample:
    """Read a sample.

    Raises:
        BlessedDataError: a file is missing or cannot be read, or does not fit the model.
        ModelError: the reference cannot be read, or does not take the sample's size.
    """
    return _load_folder(subject, name) if subject.inputs else _load_frame(subject, name)


def size_of(subject: Subject, name: str) -> Size:
    """Return the resolution of a sample; a single frame is not decoded for it.

    Raises:
        BlessedDataError: it cannot be read.
    """
    if subject.inputs:
        return _size(subject, _images(subject, name))
    return images.size_of(subject.frames / f"{name}{_SUFFIX}")


def _load_frame(subject: Subject, name: str) -> Sample:
    frame = images.load(subject.frames / f"{name}{_SUFFIX}")
    sharp = subject.frames / f"{name}.sharp.png"
    target = images.load(sharp) if sharp.exists() else None
    targets = {}
    if target is not None:
        low, high = subject.output_range
        plain = subject.output_range == images.UNIT_RANGE
        targets[""] = target if plain else target * (high - low) + low
    return Sample(
        name=name,
        inputs=Inputs.of(frame),
        targets=targets,
        size=Size.of(frame),
        sha256=images.sha256_of_pixels(frame),
        target_sha256="" if target is None else images.sha256_of_pixels(target),
    )


def _load_folder(subject: Subject, name: str) -> Sample:
    found = _images(subject, name)
    size = _size(subject, found)
    graph = subject.reference.model().at(size).graph
    order = matched([spec.name for spec in subject.inputs], graph.input_names)
    shapes = [graph.tensors[graph.inputs[position]].shape for position in order]
    values = {}
    for spec, shape in zip(subject.inputs, shapes, strict=True):
        if spec.role is Role.IMAGE:
            values[spec.name] = spec.encode(found[spec.name])
        else:
            values[spec.name] = _other(subject, name, spec, shape)
    inputs = Inputs(values)
    inputs.of_graph(graph)  # what does not fit is said here, by name
    later = tuple(_later(subject, name, values))
    targets = dict(_targets(subject, name))
    hashes = [f"{key}\n{images.sha256_of_pixels(target)}" for key, target in targets.items()]
    return Sample(
        name=name,
        inputs=inputs,
        targets=targets,
        size=size,
        sha256=sha256_of("".join(one.sha256 for one in (inputs, *later)).encode())
        if later
        else inputs.sha256,
        later=later,
        target_sha256=sha256_of("\n".join(hashes).encode()) if hashes else "",
    )


def _images(subject: Subject, name: str) -> dict[str, Pixels]:
    """Return the images of a sample by name of the input, in [0, 1]."""
    folder = subject.frames / name
    if not folder.is_dir():
        raise BlessedDataError(f"{folder}: no such sample; it is a folder with a file per input")
    suffix = _number(1) if _is_clip(subject, folder) else ""
    return {
        spec.name: read_image(folder, spec, suffix=suffix)
        for spec in subject.inputs
        if spec.role is Role.IMAGE
    }


def _number(frame: int) -> str:
    """Return what stands behind a tensor's name in the file of one frame of a clip."""
    return f".{frame:04d}"


def _is_clip(subject: Subject, folder: Path) -> bool:
    images_of = [spec for spec in subject.inputs if spec.role is Role.IMAGE]
    return any(folder.glob(f"{images_of[0].file_name}{_number(1)}.*")) if images_of else False


def _later(subject: Subject, name: str, first: Mapping[str, Values]) -> Iterator[Inputs]:
    """Yield the inputs of each further frame of a clip; what is no image stays what it is."""
    folder = subject.frames / name
    shown = [spec for spec in subject.inputs if spec.role is Role.IMAGE]
    for number in range(2, CLIP_FRAMES_MAX + 1):
        if not any(folder.glob(f"{shown[0].file_name}{_number(number)}.*")):
            return
        values = {
            spec.name: spec.encode(read_image(folder, spec, suffix=_number(number)))
            for spec in shown
        }
        for spec in shown:
            if values[spec.name].shape != first[spec.name].shape:
                raise BlessedDataError(f"{folder}: frame {number} has another size than the first")
        others = {spec.name: first[spec.name] for spec in subject.inputs if spec.role in _FIXED}
        yield Inputs(values | others)


def _size(subject: Subject, found: Mapping[str, Pixels]) -> Size:
    if not found:
        raise ConfigError(f"{subject.folder}: describes no [[inputs]] of role 'image'")
    return Size.of(next(iter(found.values())))


def read_image(folder: Path, spec: InputSpec | OutputSpec, *, suffix: str = "") -> Pixels:
    """Read the image of a tensor as its own channels, float32 [1, H, W, C] in [0, 1].

    Args:
        folder: Of the sample.
        spec: The tensor.
        suffix: What stands between the tensor's name and the file's kind, such as `.sharp`.

    Raises:
        BlessedDataError: the file is missing or cannot be read, or has other channels.
    """
    stem = f"{spec.file_name}{suffix}"
    for kind in _ARRAYS:
        if (folder / f"{stem}{kind}").exists():
            return _of_tensor(folder / f"{stem}{kind}", spec)
    if (folder / f"{stem}.plane0.png").exists():
        planes = sorted(
            folder.glob(f"{stem}.plane*.png"), key=lambda p: int(re.sub(r"\D", "", p.suffixes[-2]))
        )[:_PLANES_MAX]
        read = [_png(path) for path in planes]
        if any(one.shape != (*read[0].shape[:3], 1) for one in read):
            raise BlessedDataError(f"{folder / stem}.plane*.png: are not grey images of one size")
        return np.concatenate(read, axis=-1)
    path = folder / f"{stem}.png"
    if not path.exists():
        raise BlessedDataError(
            f"{path}: no such file; input {spec.name!r} takes {stem}.png, .npy, .npz, or "
            f"{stem}.plane0.png and so on"
        )
    try:
        return _of_file(_png(path), spec.channels)
    except ConfigError as error:
        raise BlessedDataError(f"{path}: {error}") from None


def _of_tensor(path: Path, spec: InputSpec | OutputSpec) -> Pixels:
    """Return what a file of the tensor's values shows, in [0, 1]."""
    values = arrays.load(path)
    if values.ndim != 4:
        raise BlessedDataError(
            f"{path}: has the shape {list(values.shape)}, and images have 4 axes"
        )
    low, high = spec.range
    shown: Pixels = ((spec.decode(values) - low) / (high - low)).astype(np.float32)
    return shown


def _of_file(pixels: Pixels, channels: Channels) -> Pixels:
    """Return the pixels of a PNG, grey or RGB, as a tensor's channels."""
    if pixels.shape[-1] == 3:
        return roles.of_rgb(pixels, channels)
    if channels is Channels.RAW:
        return roles.packed(pixels)
    if channels is Channels.LUMA or channels is Channels.PLANES:
        return pixels
    return roles.of_rgb(np.repeat(pixels, CHANNEL_COUNTS[channels], axis=-1), channels)


def _png(path: Path) -> Pixels:
    """Decode an image once for as long as its file stays as it is: [1, H, W, 1 or 3]."""
    try:
        state = path.stat()
    except OSError as error:
        raise BlessedDataError(f"{path}: cannot be read ({error.strerror})") from None
    return _decoded(path, state.st_mtime_ns, state.st_size)


@functools.lru_cache(maxsize=16)
def _decoded(path: Path, _modified_ns: int, _size_bytes: int) -> Pixels:
    with images.opened(path) as image:
        if image.mode in _GREY_MODES:
            stored = np.asarray(image, dtype=np.float32)[..., np.newaxis]
            white = {"1": 1, "L": 255}.get(image.mode, png16.WHITE)
        elif png16.holds(image):
            stored, white = png16.decode(image).astype(np.float32), png16.WHITE
        else:
            stored, white = np.asarray(images.to_rgb(image), dtype=np.float32), 255
    pixels = (stored / np.float32(white))[np.newaxis]
    pixels.flags.writeable = False
    return pixels


def _other(subject: Subject, name: str, spec: InputSpec, shape: tuple[int, ...]) -> Values:
    """Return the values of an input that is no image.

    Raises:
        BlessedDataError: it has no file, and no other values.
    """
    if spec.file is not None:
        return arrays.load(subject.folder / spec.file)
    folder = subject.frames / name
    for kind in _ARRAYS:
        path = folder / f"{spec.file_name}{kind}"
        if path.exists():
            return arrays.load(path)
    known = 0.0 if spec.role is Role.STATE else spec.value
    if known is None:
        raise BlessedDataError(
            f"{folder / spec.file_name}.npy: no such file; input {spec.name!r} of role "
            f"'{spec.role.value}' takes one in each sample"
            + ("" if spec.role is Role.TENSOR else ", or a `value` in subject.toml")
        )
    return np.full(shape, known, np.float32)


def _targets(subject: Subject, name: str) -> Iterator[tuple[str, Values]]:
    folder = subject.frames / name
    for spec in subject.outputs:
        if spec.role is Role.IMAGE and any(folder.glob(f"{spec.file_name}.sharp.*")):
            low, high = spec.range
            shown = read_image(folder, spec, suffix=".sharp")
            yield spec.name, (shown * np.float32(high - low) + np.float32(low))
