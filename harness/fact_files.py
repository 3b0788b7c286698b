"""Facts on disk: a line of a run for each, and beside it the images that cannot be had again."""

import io
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from harness import files, schema
from harness.errors import ConfigError, HarnessError
from harness.evidence import Provenance
from harness.images import Output
from harness.latency import Estimate, Instructions, Latency
from harness.memory import Memory
from harness.placement import Placement
from harness.requests import Answer, Fact, Request
from harness.results import FOLDER, Taken

_KINDS: Mapping[str, type[Answer]] = {
    kind.__name__: kind for kind in (Latency, Estimate, Placement, Memory, Instructions)
}


def line(fact: Fact) -> Taken:
    """Return a fact as a line of a run; an image's pixels are not in it."""
    request, answer, error = fact.request, fact.answer, fact.error
    if isinstance(answer, Output):
        fields = {"provenance": schema.dump(answer.provenance), "outputs": list(answer.values)}
    else:
        fields = schema.dump(answer) if answer is not None else {}
    return Taken(
        device=request.target.profile.name,
        delegate=request.target.delegate,
        subject=request.subject,
        variant=request.variant,
        resolution=str(request.size),
        request=request.key,
        verb=request.verb.value,
        file_sha256=request.model.sha256,
        kind=type(answer).__name__ if answer is not None else "",
        answer=fields,
        error=str(error) if error is not None else "",
        error_kind=type(error).__name__ if error is not None else "",
    )


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
    if taken.kind in _KINDS:
        answer = schema.parse(_KINDS[taken.kind], taken.answer, where=where)
        return Fact(request=request, answer=answer)
    if taken.kind == Output.__name__:
        return _read_images(taken, request, root)
    return Fact(request=request) if not taken.kind else None


def _read_images(taken: Taken, request: Request, root: Path) -> Fact | None:
    names = schema.parse(tuple[str, ...], taken.answer.get("outputs"), where="outputs")
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
    made = schema.parse(Provenance, taken.answer.get("provenance"), where=taken.request[:12])
    return Fact(request=request, answer=Output(values=values, provenance=made)) if values else None


def _image_path(root: Path, key: str, position: int) -> Path:
    return root / FOLDER / "images" / f"{key}.{position}.npy"
