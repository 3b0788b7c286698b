"""Facts on disk: beside the lines of a run, the images that cannot be had again."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from harness import files
from harness.errors import ConfigError, HarnessError
from harness.fact_lines import Taken, answer_of, output_names
from harness.images import Output
from harness.requests import Fact, Request
from harness.results import FOLDER


def keep_image(fact: Fact, root: Path) -> Fact:
    """Write the image that a phone made below a folder of runs; return it as a map of that file.

    Other facts come back as they are: what repeats is in the cache.

    Raises:
        HarnessError: it cannot be written.
    """
    answer = fact.answer
    if not isinstance(answer, Output) or answer.provenance.evidence.repeats:
        return fact
    mapped = {}
    for position, (name, values) in enumerate(answer.values.items()):
        path = _image_path(root, fact.request.key, position)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, values, allow_pickle=False)
            mapped[name] = np.load(path, mmap_mode="r", allow_pickle=False)
        except OSError as error:
            raise HarnessError(f"{path}: cannot be written ({error.strerror})") from None
    return replace(fact, answer=replace(answer, values=mapped))


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
    names = output_names(taken, where="outputs")
    values: dict[str, Any] = {}
    for position, name in enumerate(names):
        path = _image_path(root, request.key, position)
        if not path.exists():
            return None
        data = files.read(path, at_most_bytes=files.IMAGE_BYTES_MAX, error=ConfigError)
        try:
            values[name] = np.load(io.BytesIO(data), allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None
    answer = answer_of(taken, where=taken.request[:12], values=values)
    return Fact(request=request, answer=answer) if values else None


def images(taken: Taken, root: Path) -> list[Path]:
    """Return the images that lie below a folder of runs for a fact, in the order of outputs."""
    if taken.kind != Output.__name__ or taken.error:
        return []
    count = len(output_names(taken, where="outputs"))
    paths = [_image_path(root, taken.request, position) for position in range(count)]
    return [path for path in paths if path.is_file()]


def _image_path(root: Path, key: str, position: int) -> Path:
    return root / FOLDER / "images" / f"{key}.{position}.npy"
