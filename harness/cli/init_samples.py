"""Take samples for a subject whose inputs are described out of a folder of images and arrays."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import images, png16
from harness.errors import ConfigError
from harness.images import Size
from harness.roles import Channels, InputSpec, OutputSpec, Role
from harness.samples import CLIP_FRAMES_MAX

IMAGES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
_ARRAYS = (".npy", ".npz")


@dataclass(frozen=True, kw_only=True)
class CutTensor:
    """What is to be cut out for one tensor.

    Attributes:
        spec: The tensor.
        size: Of its image, before a mosaic is packed.
    """

    spec: InputSpec | OutputSpec
    size: Size


@dataclass(frozen=True, kw_only=True)
class Samples:
    """Files to test with.

    Attributes:
        found: For each sample by name: the name of the new file, the file, and the size that is
            cut out of it, None for a file that is copied as it is.
        notes: What is to be said about their choice, one line each.
    """

    found: dict[str, tuple[tuple[str, Path, Size | None], ...]]
    notes: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Return their names."""
        return tuple(self.found)

    def write(self, folder: Path) -> None:
        """Write a folder for each sample."""
        for name, files in self.found.items():
            (folder / name).mkdir(parents=True)
            for new, source, size in files:
                if size is None:
                    shutil.copyfile(source, folder / name / new)
                else:
                    cut(source, size, folder / name / new, step_px=2)


def choose(
    folder: Path, places: Sequence[CutTensor], others: Sequence[InputSpec], most: int
) -> Samples:
    """Return the samples of a folder: each folder in it, or each image for a single image input.

    Args:
        folder: Of folders, or of images.
        places: The images of the model, inputs first.
        others: Inputs that are no images, of which a sample may have arrays.
        most: Most samples.

    Raises:
        ConfigError: there are none, or one lacks a file, or a file is too small.
    """
    if not folder.is_dir():
        raise ConfigError(f"--frames {folder}: no such folder")
    inputs = [place for place in places if isinstance(place.spec, InputSpec)]
    folders = sorted(path for path in folder.iterdir() if path.is_dir())
    if folders:
        found = {one.name: _of_folder(one, inputs, places, others) for one in folders[:most]}
    elif len(inputs) == 1 and any(one.role is Role.STATE for one in others):
        found = {folder.resolve().name: _of_folder(folder, inputs, places, others)}
    elif len(inputs) == 1:
        files = sorted(p for p in folder.iterdir() if p.suffix.lower() in (*IMAGES, *_ARRAYS))
        plain = [p for p in files if not p.stem.endswith(".sharp")]
        found = {
            p.stem.removesuffix(".blurred"): _of_file(p, inputs[0], places, files)
            for p in plain[:most]
        }
        folders = plain
    else:
        names = ", ".join(f"{place.spec.file_name}.png" for place in inputs)
        raise ConfigError(
            f"{folder}: holds no folders; a model with {len(inputs)} images takes a folder for "
            f"each sample, with {names} in it"
        )
    if not found:
        raise ConfigError(f"{folder}: holds no samples")
    notes = []
    if len(folders) > most:
        notes.append(f"the first {most} of {len(folders)} samples were taken; see --frames-max")
    return Samples(found=found, notes=tuple(notes))


def _of_folder(
    folder: Path,
    inputs: Sequence[CutTensor],
    places: Sequence[CutTensor],
    others: Sequence[InputSpec],
) -> tuple[tuple[str, Path, Size | None], ...]:
    """Return the files of one sample: by the tensors' names, or images in order of theirs."""
    files = sorted(p for p in folder.iterdir() if p.suffix.lower() in (*IMAGES, *_ARRAYS))
    taken: list[tuple[str, Path, Size | None]] = []
    named = {place.spec.name: _named(place.spec.file_name, files) for place in places}
    plain = [p for p in files if p.suffix.lower() in IMAGES and not p.stem.endswith(".sharp")]
    if len(inputs) == 1 and len(plain) > 1 and any(one.role is Role.STATE for one in others):
        return _of_clip(plain, inputs[0])
    if not any(named[place.spec.name] for place in inputs) and len(plain) == len(inputs):
        named |= {place.spec.name: [p] for place, p in zip(inputs, plain, strict=True)}
    for place in places:
        is_input = isinstance(place.spec, InputSpec)
        suffix = "" if is_input else ".sharp"
        found = named[place.spec.name] if is_input else _named(
            f"{place.spec.file_name}.sharp", files
        )  # fmt: skip
        if is_input and not found:
            raise ConfigError(
                f"{folder}: has no {place.spec.file_name}.png for input {place.spec.name!r:.80}"
            )
        for path in found:
            part = f".{path.stem.rpartition('.')[2]}" if ".plane" in path.name else ""
            taken.append(_taken(path, f"{place.spec.file_name}{suffix}{part}", place))
    for spec in others:
        taken += [
            (f"{spec.file_name}{path.suffix}", path, None)
            for path in _named(spec.file_name, files)
            if path.suffix in _ARRAYS
        ]
    return tuple(taken)


def _of_clip(frames: Sequence[Path], place: CutTensor) -> tuple[tuple[str, Path, Size | None], ...]:
    """Return the frames of a clip, in order of their names."""
    return tuple(
        _taken(path, f"{place.spec.file_name}.{number:04d}", place)
        for number, path in enumerate(frames[:CLIP_FRAMES_MAX], start=1)
    )


def _of_file(
    path: Path, place: CutTensor, places: Sequence[CutTensor], files: Sequence[Path]
) -> tuple[tuple[str, Path, Size | None], ...]:
    taken = [_taken(path, place.spec.file_name, place)]
    made = [one for one in places if isinstance(one.spec, OutputSpec)]
    sharp = [p for p in files if p.stem == f"{path.stem.removesuffix('.blurred')}.sharp"]
    if sharp and made:
        taken.append(_taken(sharp[0], f"{made[0].spec.file_name}.sharp", made[0]))
    return tuple(taken)


def _named(stem: str, files: Sequence[Path]) -> list[Path]:
    return [p for p in files if p.stem == stem or p.stem.startswith(f"{stem}.plane")]


def _taken(path: Path, new: str, place: CutTensor) -> tuple[str, Path, Size | None]:
    if path.suffix.lower() in _ARRAYS:
        return f"{new}{path.suffix.lower()}", path, None
    size = place.size
    if place.spec.channels is Channels.RAW and ".plane" not in path.name:
        size = Size(width_px=2 * size.width_px, height_px=2 * size.height_px)
    seen = images.size_of(path)
    if seen.width_px < size.width_px or seen.height_px < size.height_px:
        raise ConfigError(f"{path}: is {seen}, smaller than the {size} that the model takes")
    return f"{new}.png", path, size


def cut(
    source: Path,
    size: Size,
    to: Path,
    *,
    corner: tuple[int, int] | None = None,
    step_px: int = 1,
) -> tuple[int, int]:
    """Cut out a part of an image, its middle by default, and return its left and top edge.

    These are multiples of `step_px`, so that the cells of a Bayer mosaic stay whole.

    It is never scaled, so that its sharpness stays what it is, and 16 bits stay 16 bits.
    """
    with images.opened(source) as image:
        left, top = corner or (
            (image.width - size.width_px) // 2 // step_px * step_px,
            (image.height - size.height_px) // 2 // step_px * step_px,
        )
        if png16.holds(image):
            shown = slice(top, top + size.height_px), slice(left, left + size.width_px)
            png16.write(to, png16.decode(image)[shown])
            return left, top
        box = (left, top, left + size.width_px, top + size.height_px)
        kept = image if image.mode in ("L", "I;16") else images.to_rgb(image)
        kept.crop(box).save(to)
    return left, top


def places(
    specs: Sequence[InputSpec | OutputSpec], shapes: Sequence[Sequence[int]]
) -> tuple[CutTensor, ...]:
    """Return what is to be cut out for each image, from the shapes of the model's tensors."""
    return tuple(
        CutTensor(spec=spec, size=Size(width_px=shape[axes.width], height_px=shape[axes.height]))
        for spec, shape in zip(specs, shapes, strict=True)
        if spec.role is Role.IMAGE and (axes := spec.axes) is not None
    )
