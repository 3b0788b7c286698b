"""Facts on disk: beside the lines of a run, the images that cannot be had again."""

import io
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from harness import files
from harness.errors import ConfigError, HarnessError
from harness.fact_lines import Taken, answer_of, output_hashes, output_names
from harness.fidelity import COPY_STEPS
from harness.images import Output, sha256_of_pixels
from harness.inputs import Values
from harness.requests import Fact, Request
from harness.results import FOLDER

_IMAGE_AXES = 4
_ENDS = ((np.min, np.inf), (np.max, -np.inf))


def keep_image(fact: Fact, root: Path) -> Fact:
    """Write the image that a phone made below a folder of runs; return it as a map of that file.

    Other facts come back as they are. What repeats is in the cache; of an image that does, a copy
    in 16 bits is written, for reports to show. Files are named by content: an image that is there
    is not written again, and no run changes what another one wrote.

    Raises:
        HarnessError: it cannot be written.
    """
    answer = fact.answer
    if not isinstance(answer, Output):
        return fact
    if answer.provenance.evidence.repeats:
        for values in answer.values.values():
            path = _image_path(root, sha256_of_pixels(values)).with_suffix(".npz")
            if values.ndim == _IMAGE_AXES and not path.exists():
                _write(path, _shown(values))
        return fact
    mapped = {}
    for name, values in answer.values.items():
        path = _image_path(root, sha256_of_pixels(values))
        if not path.exists():
            file = io.BytesIO()
            np.save(file, values, allow_pickle=False)
            _write(path, file.getbuffer())
        mapped[name] = _mapped(path)
    return replace(fact, answer=replace(answer, values=mapped))


def shown_images(taken: Taken, root: Path) -> dict[str, Values] | None:
    """Return the outputs of a line by name as reports show them, or None where not all are stored.

    Those of a phone are exact; those of the host's software are stored in 16 bits.

    Raises:
        ConfigError: the line names no outputs, or a stored image is too large.
    """
    found: dict[str, Values] = {}
    for name, path in _image_paths(taken, root).items():
        values = _read_array(path) if path.exists() else _read_shown(path.with_suffix(".npz"))
        if values is None:
            return None
        found[name] = values
    return found


def _shown(values: Values) -> memoryview:
    """Return an image in 16 bits, in equal steps from its least to its greatest finite value."""
    finite = np.isfinite(values)
    low, high = (float(end(values, where=finite, initial=start)) for end, start in _ENDS)
    low, high = (low, high) if low <= high else (0.0, 0.0)
    known = values if finite.all() else np.nan_to_num(values, nan=low, posinf=high, neginf=low)
    levels = np.subtract(known, low, dtype=np.float64)
    levels *= COPY_STEPS / ((high - low) or 1.0)
    levels += 0.5
    stored = levels.astype(np.uint16)
    packed = io.BytesIO()
    np.savez(packed, levels=stored, span=np.array([low, high]))  # compressed it keeps 97 % of that
    return packed.getbuffer()


def _write(path: Path, data: memoryview) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_whole(path, data)
    except OSError as error:
        raise HarnessError(f"{path}: cannot be written ({error.strerror})") from None


def _mapped(path: Path) -> Values:
    try:
        mapped: Values = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        raise HarnessError(f"{path}: cannot be read ({error.strerror})") from None
    return mapped


def _read_shown(path: Path) -> Values | None:
    if not path.exists():
        return None
    data = files.read(path, at_most_bytes=files.IMAGE_BYTES_MAX, error=ConfigError)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > files.IMAGE_BYTES_MAX:
                return None
        with np.load(io.BytesIO(data), allow_pickle=False) as stored:
            low, high = (float(value) for value in stored["span"])
            levels = stored["levels"].astype(np.float32)
    except (OSError, ValueError, EOFError, LookupError, zipfile.BadZipFile, zlib.error):
        return None
    shown: Values = levels * np.float32((high - low) / COPY_STEPS) + np.float32(low)
    return shown


def _read_array(path: Path) -> Any:
    data = files.read(path, at_most_bytes=files.IMAGE_BYTES_MAX, error=ConfigError)
    try:
        return np.load(io.BytesIO(data), allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None


def read(taken: Taken, request: Request, root: Path) -> Fact | None:
    """Return the fact of a line that answers a request, or None where it has to be taken again.

    An error is no fact to keep, nor is an image that repeats: the cache has it.
    """
    if taken.request != request.key or taken.error:
        return None
    where = f"fact {taken.request[:12]}"
    if taken.kind == Output.__name__:
        return _read_images(taken, request, root)
    answer = answer_of(taken, where=where)
    return Fact(request=request, answer=answer) if answer or not taken.kind else None


def _read_images(taken: Taken, request: Request, root: Path) -> Fact | None:
    values: dict[str, Any] = {}
    for name, path in _image_paths(taken, root).items():
        if not path.exists():
            return None
        values[name] = _read_array(path)
        if values[name] is None:
            return None
    answer = answer_of(taken, where=taken.request[:12], values=values)
    return Fact(request=request, answer=answer) if values else None


def images(taken: Taken, root: Path) -> list[Path]:
    """Return the images that lie below a folder of runs for a fact, in the order of outputs.

    Copies for reports are among them.
    """
    if taken.kind != Output.__name__ or taken.error:
        return []
    paths = _image_paths(taken, root).values()
    kept = (file for path in paths for file in (path, path.with_suffix(".npz")))
    return [path for path in kept if path.is_file()]


def _image_paths(taken: Taken, root: Path) -> dict[str, Path]:
    """Return where the outputs of a line lie, by name.

    Raises:
        ConfigError: the line names no outputs.
    """
    names = output_names(taken, where="outputs")
    hashes = output_hashes(taken, where="outputs")
    if not hashes:  # written before files were named by content
        hashes = tuple(f"{taken.request}.{position}" for position in range(len(names)))
    return {name: _image_path(root, own) for name, own in zip(names, hashes, strict=True)}


def _image_path(root: Path, name: str) -> Path:
    return root / FOLDER / "images" / f"{name}.npy"
