"""Read and write blessed FP32 outputs: one .npz beside the goldens for each frame.

An image is stored in 16 bits, so that a repository stays small: clipped to the range that the
subject states, in equal steps from its own darkest to its own brightest value. That alone limits
the PSNR of a perfect output to about 107 dB, and to more where a frame is dark.
"""

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness import arrays, files, images
from harness.errors import BlessedDataError
from harness.inputs import Values
from harness.roles import OutputSpec, Role
from harness.samples import Sample
from harness.subjects import SUBJECT_FILE, Subject

_LEVELS = 65535
_LAST = "_last"
"""What is added to the names of arrays that are of a clip's last frame."""


def remedy(subject: Subject) -> str:
    """Say how blessed outputs are made anew."""
    return f"run `harness bless {subject.name}` and commit what it writes"


@dataclass(frozen=True, kw_only=True, eq=False)
class BlessedOutputs:
    """Blessed outputs, and the hashes of the inputs and the model that they were made from."""

    outputs: tuple[Values, ...]
    last: tuple[Values, ...]
    frame_sha256: str
    model_sha256: str


def _keys(subject: Subject) -> list[tuple[OutputSpec, str]]:
    """Return what is added to the names of an output's arrays in a reference, for each."""
    specs = subject.judged_specs
    return [(spec, str(k) if subject.inputs else "") for k, spec in enumerate(specs)]


def read(subject: Subject, name: str) -> BlessedOutputs:
    """Read blessed outputs as they are stored.

    Raises:
        BlessedDataError: they are missing or damaged.
    """
    path, how = subject.references / f"{name}.npz", remedy(subject)
    if not path.exists():
        raise BlessedDataError(f"{path}: the FP32 reference is missing; {how}")
    data = files.read(path, at_most_bytes=files.IMAGE_BYTES_MAX, error=BlessedDataError)
    try:
        stored = arrays.members(data)
        return BlessedOutputs(
            outputs=tuple(_unpacked(stored, spec, key) for spec, key in _keys(subject)),
            last=tuple(
                _unpacked(stored, spec, f"{key}{_LAST}")
                for spec, key in _keys(subject)
                if f"output{key}{_LAST}" in stored
            ),
            frame_sha256=str(stored["frame_sha256"]),
            model_sha256=str(stored["model_sha256"]),
        )
    except arrays.DAMAGE as error:
        raise BlessedDataError(f"{path}: damaged reference ({error}); {how}") from None


def known(subject: Subject, name: str) -> tuple[Values, ...] | None:
    """Return the FP32 outputs that were blessed for a frame, even if the model has changed since.

    They are for showing a difference; what is judged by comes from `goldens.load`. None if there
    are none that can be read.
    """
    try:
        return read(subject, name).outputs
    except BlessedDataError:
        return None


def _span(stored: Mapping[str, NDArray[Any]], key: str) -> tuple[float, float]:
    """Return the values of the lowest and the highest level; older files hold [0, 1]."""
    if f"span{key}" not in stored:
        return images.UNIT_RANGE
    darkest, brightest = (float(value) for value in stored[f"span{key}"])
    if not -math.inf < darkest <= brightest < math.inf:
        raise ValueError(f"span {darkest} to {brightest}")
    return darkest, brightest


def _packed(spec: OutputSpec, key: str, values: Values) -> dict[str, NDArray[Any]]:
    """Return an output as arrays of a file: an image in 16 bits, another tensor as it is."""
    if spec.role is not Role.IMAGE:
        return {f"output{key}": values}
    clipped = np.clip(values, *spec.range, dtype=np.float64)
    darkest, brightest = float(clipped.min()), float(clipped.max())
    levels = np.round((clipped - darkest) * (_LEVELS / ((brightest - darkest) or 1.0)))
    return {
        f"output{key}": levels.astype(np.uint16),
        f"span{key}": np.array([darkest, brightest]),
    }


def _unpacked(stored: Mapping[str, NDArray[Any]], spec: OutputSpec, key: str) -> Values:
    """Return what `_packed` made arrays of; read-only."""
    levels = stored[f"output{key}"]
    if spec.role is not Role.IMAGE:
        output = levels.astype(np.float32)
    elif levels.dtype != np.uint16 or levels.ndim != 4:
        raise ValueError(f"{levels.dtype} of {levels.ndim} axes")
    else:
        darkest, brightest = _span(stored, key)
        step = (brightest - darkest) / _LEVELS
        output = (levels.astype(np.float64) * step + darkest).astype(np.float32)
    output.flags.writeable = False
    return output


def pack(subject: Subject, outputs: Sequence[Values]) -> bytes:
    """Return outputs as the bytes of a file, as `store` writes them, without what made them."""
    stored: dict[str, Any] = {}
    for (spec, key), values in zip(_keys(subject), outputs, strict=True):
        stored |= _packed(spec, key, values)
    file = io.BytesIO()
    np.savez_compressed(file, **stored)
    return file.getvalue()


def unpack(subject: Subject, data: bytes, path: Path) -> tuple[Values, ...]:
    """Return the outputs that `pack` made bytes of.

    Raises:
        BlessedDataError: they are damaged; the path says where.
    """
    try:
        stored = arrays.members(data)
        return tuple(_unpacked(stored, spec, key) for spec, key in _keys(subject))
    except arrays.DAMAGE as error:
        raise BlessedDataError(f"{path}: damaged ({error})") from None


def store(
    subject: Subject, sample: Sample, outputs: Sequence[Values], last: Sequence[Values] = ()
) -> Path:
    """Write the blessed FP32 outputs of a sample; only `harness bless` and `init` call this.

    A file that holds the same already, to the rounding of 16 bits, stays as it is.

    Args:
        subject: The model.
        sample: What it was given.
        outputs: What `goldens.judged` makes of what it gave.
        last: Of a clip, the same of its last frame.

    Raises:
        BlessedDataError: an output is not finite, or not in the range that the subject states.
    """
    refuse_unusable(subject, sample.name, outputs)
    stored: dict[str, Any] = {
        "frame_sha256": np.array(sample.sha256),
        "model_sha256": np.array(subject.reference.sha256),
    }
    for (spec, key), values in zip(_keys(subject), outputs, strict=True):
        stored |= _packed(spec, key, values)
    for (spec, key), values in zip(_keys(subject), last, strict=bool(last)):
        stored |= _packed(spec, f"{key}{_LAST}", values)
    path = subject.references / f"{sample.name}.npz"
    if _holds(subject, sample, outputs, last):
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        np.savez_compressed(file, **stored)
    return path


def _holds(
    subject: Subject, sample: Sample, outputs: Sequence[Values], last: Sequence[Values]
) -> bool:
    """Return whether a sample's file holds the same already."""
    try:
        found = read(subject, sample.name)
    except BlessedDataError:
        return False
    if (found.frame_sha256, found.model_sha256) != (sample.sha256, subject.reference.sha256):
        return False
    held, made = [*found.outputs, *found.last], [*outputs, *last]
    specs = subject.judged_specs * 2
    return len(held) == len(made) and all(map(_are_alike, specs, held, made))


def _are_alike(spec: OutputSpec, one: Values, other: Values) -> bool:
    """Return whether two values of an output are the same: an image's to a level, once rounded."""
    if one.shape != other.shape:
        return False
    if spec.role is not Role.IMAGE:
        return bool(np.array_equal(one, other))
    low, high = spec.range
    clipped = np.clip(other, low, high, dtype=np.float64)
    return bool(np.max(np.abs(one - clipped), initial=0.0) <= 1.5 * (high - low) / _LEVELS)


def refuse_unusable(subject: Subject, name: str, outputs: Sequence[Values]) -> None:
    """Refuse FP32 outputs that can be no reference.

    Raises:
        BlessedDataError: an output holds NaN or infinite values, or an image is cut off by the
            range that the subject states.
    """
    for spec, output in zip(subject.judged_specs, outputs, strict=True):
        _refuse_unusable(subject, name, spec, output)


def _refuse_unusable(subject: Subject, name: str, spec: OutputSpec, output: Values) -> None:
    of = f" {spec.name!r:.80}" if spec.name else ""
    kind = "FP32" if subject.has_fp32 else subject.reference.name
    bad = int(output.size - np.count_nonzero(np.isfinite(output)))
    if bad:
        raise BlessedDataError(
            f"{subject.name}: the {kind} output{of} of frame {name} is not finite ({bad} values); "
            f"no variant can be compared with it, export the {kind} model again"
        )
    if spec.role is not Role.IMAGE:
        return
    outside = images.out_of_range_share(output, spec.range)
    if outside > images.OUT_OF_RANGE_SHARE_MAX:
        low, high = spec.range
        key = "range under [[outputs]]" if spec.name else "output_range"
        raise BlessedDataError(
            f"{subject.name}: {outside:.1%} of the {kind} output{of} of frame {name} lies outside "
            f"[{low:g}, {high:g}] ({output.min():.4g} to {output.max():.4g}); state the "
            f"model's range as {key} in {subject.folder / SUBJECT_FILE}"
        )
