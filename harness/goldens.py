"""Read and write goldens: a frame, the FP32 output a person blessed, and the sharp target.

The FP32 output is stored in 16 bits, so that a repository stays small: clipped to the range that
the subject states, in equal steps from its own darkest to its own brightest value. That alone
limits the PSNR of a perfect output to about 107 dB, and to more where a frame is dark.
"""

import io
import json
import math
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness import files, images, schema
from harness.errors import BlessedDataError
from harness.images import Pixels, Size
from harness.subjects import SUBJECT_FILE, Subject

_LEVELS = 65535
_DAMAGE = (
    OSError, ValueError, LookupError, EOFError, TypeError, AttributeError, RuntimeError,
    MemoryError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What NumPy and zipfile raise on a damaged .npz."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Golden:
    """One golden.

    Attributes:
        name: Name of the frame.
        frame: What the model is given, float32 [1, H, W, 3] in [0, 1].
        fp32_output: What the FP32 variant made of it when it was blessed.
        target: The sharp truth in the output's range, or None where there is none.
        size: Resolution of the frame.
        output_range: The output's values for black and white.
    """

    name: str
    frame: Pixels
    fp32_output: Pixels
    target: Pixels | None
    size: Size
    output_range: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class BlessedFrame:
    """A frame and its sharp target as a person accepted them, by the hashes of their pixels.

    Attributes:
        name: Name of the frame.
        frame_sha256: Of the frame.
        target_sha256: Of the sharp target; '' where there is none.
    """

    name: str
    frame_sha256: str
    target_sha256: str


@dataclass(frozen=True, kw_only=True)
class _List:
    frames: tuple[BlessedFrame, ...] = ()


def _list_path(subject: Subject) -> Path:
    return subject.references / "frames.json"


def blessed(subject: Subject) -> dict[str, BlessedFrame]:
    """Return what was blessed, by name of the frame; nothing where nothing has been yet.

    Raises:
        ConfigError: the list is wrong.
    """
    path = _list_path(subject)
    frames = schema.load_json(_List, path).frames if path.exists() else ()
    return {frame.name: frame for frame in frames}


def changes(subject: Subject) -> tuple[str, ...]:
    """Say how today's frames and targets differ from the blessed ones, one line each.

    Raises:
        ConfigError: the list of blessed frames is wrong.
        BlessedDataError: an image cannot be read.
    """
    accepted = blessed(subject)
    today = {name: _hashed(subject, name) for name in names(subject)}
    lines = [f"frame {name} is missing" for name in accepted if name not in today]
    for name, frame in today.items():
        if name not in accepted:
            lines.append(f"frame {name} is not blessed")
        elif frame.frame_sha256 != accepted[name].frame_sha256:
            lines.append(f"frame {name} has changed")
        elif frame.target_sha256 != accepted[name].target_sha256:
            lines.append(f"the sharp target of frame {name} {_what(frame, accepted[name])}")
    return tuple(lines)


def _what(now: BlessedFrame, then: BlessedFrame) -> str:
    if not now.target_sha256:
        return "is missing"
    return "has changed" if then.target_sha256 else "is not blessed"


def store_list(subject: Subject) -> Path:
    """Write which frames and targets are blessed; drop the references of those that are not.

    Only `harness bless` and `init` call this, after `store` for each frame.
    """
    frames = tuple(_hashed(subject, name) for name in names(subject))
    for path in subject.references.glob("*.npz"):
        if path.stem not in {frame.name for frame in frames}:
            path.unlink()
    text = json.dumps(schema.dump(_List(frames=frames)), indent=1)
    path = _list_path(subject)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n", encoding="utf-8")
    return path


def _hashed(subject: Subject, name: str) -> BlessedFrame:
    frame, target = _read(subject, name)
    return BlessedFrame(
        name=name,
        frame_sha256=images.sha256_of_pixels(frame),
        target_sha256="" if target is None else images.sha256_of_pixels(target),
    )


def expected(subject: Subject) -> tuple[str, ...]:
    """Return the names of a subject's frames, and of those that were blessed and are gone.

    Raises:
        ConfigError: the list of blessed frames is wrong.
    """
    references = {path.stem for path in subject.references.glob("*.npz")}
    return tuple(sorted({*names(subject), *blessed(subject), *references}))


def names(subject: Subject) -> tuple[str, ...]:
    """Return the names of a subject's frames, without reading them."""
    if subject.frame_names:
        return subject.frame_names
    suffix = ".blurred.png"
    return tuple(
        sorted(path.name.removesuffix(suffix) for path in subject.frames.glob(f"*{suffix}"))
    )


def size_of(subject: Subject, name: str) -> Size:
    """Return the resolution of a frame, from its blessed output where the frame is gone.

    Raises:
        BlessedDataError: neither can be read.
    """
    frame = subject.frames / f"{name}.blurred.png"
    if frame.exists() or not (subject.references / f"{name}.npz").exists():
        return images.size_of(frame)
    output = _read_reference(subject, name).output
    return Size(
        width_px=output.shape[2] // subject.scale, height_px=output.shape[1] // subject.scale
    )


def load_frame(subject: Subject, name: str) -> tuple[Pixels, Pixels | None]:
    """Read a frame, and its sharp target in the output's range, which may be missing.

    Raises:
        BlessedDataError: the frame is missing, or an image cannot be read.
    """
    frame, target = _read(subject, name)
    if target is None or subject.output_range == images.UNIT_RANGE:
        return frame, target
    low, high = subject.output_range
    return frame, target * (high - low) + low


def _read(subject: Subject, name: str) -> tuple[Pixels, Pixels | None]:
    """Return a frame and its sharp target as the images hold them, in [0, 1]."""
    frame = images.load(subject.frames / f"{name}.blurred.png")
    sharp = subject.frames / f"{name}.sharp.png"
    return frame, images.load(sharp) if sharp.exists() else None


def load(subject: Subject, name: str) -> Golden:
    """Read one golden.

    Raises:
        BlessedDataError: a part is missing or damaged, or was made from another model or frame.
    """
    remedy = _remedy(subject)
    path = subject.references / f"{name}.npz"
    accepted = blessed(subject).get(name)
    if name not in names(subject):
        raise BlessedDataError(
            f"{subject.frames}: frame {name} was blessed and is gone; put it back, or {remedy}"
        )
    frame, target = load_frame(subject, name)
    stored = _read_reference(subject, name)
    if stored.frame_sha256 != images.sha256_of_pixels(frame):
        raise BlessedDataError(f"{path}: stale, the frame has changed since; {remedy}")
    if accepted is None:
        raise BlessedDataError(f"{_list_path(subject)}: does not list frame {name}; {remedy}")
    today = _hashed(subject, name)
    if today.target_sha256 != accepted.target_sha256:
        what = _what(today, accepted)
        raise BlessedDataError(f"{subject.frames}: the sharp target of {name} {what}; {remedy}")
    if stored.model_sha256 != subject.reference.sha256:
        raise BlessedDataError(f"{path}: stale, made by another FP32 model; {remedy}")
    return Golden(
        name=name,
        frame=frame,
        fp32_output=stored.output,
        target=target,
        size=Size.of(frame),
        output_range=subject.output_range,
    )


def _remedy(subject: Subject) -> str:
    return f"run `harness bless {subject.name}` and commit what it writes"


@dataclass(frozen=True, kw_only=True, eq=False)
class _Reference:
    """A blessed output, and the hashes of the frame and the model that it was made from."""

    output: Pixels
    frame_sha256: str
    model_sha256: str


def _read_reference(subject: Subject, name: str) -> _Reference:
    """Read a blessed output as it is stored.

    Raises:
        BlessedDataError: it is missing or damaged.
    """
    path, remedy = subject.references / f"{name}.npz", _remedy(subject)
    if not path.exists():
        raise BlessedDataError(f"{path}: the FP32 reference is missing; {remedy}")
    data = files.read(path, at_most_bytes=files.IMAGE_BYTES_MAX, error=BlessedDataError)
    try:
        _refuse_bomb(data)
        with np.load(io.BytesIO(data), allow_pickle=False) as stored:
            levels = stored["output"]
            darkest, brightest = _span(stored)
            frame_sha256 = str(stored["frame_sha256"])
            model_sha256 = str(stored["model_sha256"])
    except _DAMAGE as error:
        raise BlessedDataError(f"{path}: damaged reference ({error}); {remedy}") from None
    if levels.dtype != np.uint16 or levels.ndim != 4:
        raise BlessedDataError(f"{path}: damaged reference ({levels.dtype}); {remedy}")
    output = _unpacked(levels, darkest, brightest)
    output.flags.writeable = False
    return _Reference(
        output=output,
        frame_sha256=frame_sha256,
        model_sha256=model_sha256,
    )


def blessed_output(subject: Subject, name: str) -> Pixels | None:
    """Return the FP32 output that was blessed for a frame, even if the model has changed since.

    It is for showing a difference; what is judged by comes from `load`. None if there is none
    that can be read.
    """
    try:
        return _read_reference(subject, name).output
    except BlessedDataError:
        return None


def _span(stored: Mapping[str, NDArray[Any]]) -> tuple[float, float]:
    """Return the values of the lowest and the highest level; older files hold [0, 1]."""
    if "span" not in stored:
        return images.UNIT_RANGE
    darkest, brightest = (float(value) for value in stored["span"])
    if not -math.inf < darkest <= brightest < math.inf:
        raise ValueError(f"span {darkest} to {brightest}")
    return darkest, brightest


def _unpacked(levels: NDArray[np.uint16], darkest: float, brightest: float) -> Pixels:
    step = (brightest - darkest) / _LEVELS
    return (levels.astype(np.float64) * step + darkest).astype(np.float32)


def store(subject: Subject, name: str, *, frame: Pixels, fp32_output: Pixels) -> Path:
    """Write the blessed FP32 output of a frame; only `harness bless` and `init` call this.

    Raises:
        BlessedDataError: the output is not finite, or not in the range that the subject states.
    """
    refuse_unusable(subject, name, fp32_output)
    clipped = np.clip(fp32_output, *subject.output_range, dtype=np.float64)
    darkest, brightest = float(clipped.min()), float(clipped.max())
    levels = np.round((clipped - darkest) * (_LEVELS / ((brightest - darkest) or 1.0)))
    path = subject.references / f"{name}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        np.savez_compressed(
            file,
            output=levels.astype(np.uint16),
            span=np.array([darkest, brightest]),
            frame_sha256=np.array(images.sha256_of_pixels(frame)),
            model_sha256=np.array(subject.reference.sha256),
        )
    return path


def refuse_unusable(subject: Subject, name: str, fp32_output: Pixels) -> None:
    """Refuse an FP32 output that can be no reference.

    Raises:
        BlessedDataError: the output holds NaN or infinite values, or is cut off by the range
            that the subject states.
    """
    bad = int(fp32_output.size - np.count_nonzero(np.isfinite(fp32_output)))
    if bad:
        raise BlessedDataError(
            f"{subject.name}: the FP32 output of frame {name} is not finite ({bad} values); "
            "no variant can be compared with it, export the FP32 model again"
        )
    outside = images.out_of_range_share(fp32_output, subject.output_range)
    if outside > images.OUT_OF_RANGE_SHARE_MAX:
        low, high = subject.output_range
        raise BlessedDataError(
            f"{subject.name}: {outside:.1%} of the FP32 output of frame {name} lies outside "
            f"[{low:g}, {high:g}] ({fp32_output.min():.4g} to {fp32_output.max():.4g}); state the "
            f"model's range as output_range in {subject.folder / SUBJECT_FILE}"
        )


def _refuse_bomb(data: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        size_bytes = sum(entry.file_size for entry in archive.infolist())
    if size_bytes > files.IMAGE_BYTES_MAX:
        raise ValueError(f"{size_bytes / 2**20:.0f} MiB when unpacked")
