"""Read and write goldens: a frame, the FP32 output a person blessed, and the sharp target.

The FP32 output is stored in 16 bits, so that a repository stays small: clipped to the range that
the subject states, in equal steps from its own darkest to its own brightest value. That alone
limits the PSNR of a perfect output to about 107 dB, and to more where a frame is dark.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness import arrays, files, images, roles, samples, schema
from harness.errors import BlessedDataError
from harness.images import Pixels, Size
from harness.inputs import Inputs, Values
from harness.roles import InputSpec, OutputSpec, Role
from harness.samples import Sample
from harness.subjects import SUBJECT_FILE, Subject

_LEVELS = 65535
_LAST = "_last"
"""What is added to the names of arrays that are of a clip's last frame."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Expected:
    """What one output should be, as `roles.decoded` gives it.

    Attributes:
        spec: The output.
        fp32: What the FP32 variant made when it was blessed; where a subject has none, what its
            first variant made the first time.
        target: The sharp truth, in the output's range, or None where there is none.
    """

    spec: OutputSpec
    fp32: Values
    target: Values | None

    @property
    def output_range(self) -> tuple[float, float]:
        """Return the output's values for black and white."""
        return self.spec.range


@dataclass(frozen=True, kw_only=True, eq=False)
class Golden:
    """One golden.

    Attributes:
        name: Name of the frame.
        inputs: What the model is given.
        expected: What each output should be; fed-back states are left out.
        size: Resolution of the frame.
        specs: Every output of the model, in the order of subject.toml.
        input_specs: Every input likewise; none where nobody described them.
        later: Of a clip, the inputs of each further frame, without the states that it is handed.
        last: Of a clip, what FP32 made of its last frame: each output that is judged.
        of_fp32: Whether an FP32 variant made the outputs.
    """

    name: str
    inputs: Inputs
    expected: tuple[Expected, ...]
    size: Size
    specs: tuple[OutputSpec, ...]
    input_specs: tuple[InputSpec, ...] = ()
    later: tuple[Inputs, ...] = ()
    last: tuple[Values, ...] = ()
    of_fp32: bool = True

    @property
    def frame(self) -> Pixels:
        """Return the only input, float32 [1, H, W, 3] in [0, 1]."""
        return self.inputs.single

    @property
    def fp32_output(self) -> Pixels:
        """Return what the FP32 variant made of the frame when it was blessed: its first output."""
        return self.expected[0].fp32

    @property
    def target(self) -> Pixels | None:
        """Return the sharp truth in the output's range, or None where there is none."""
        return self.expected[0].target

    @property
    def output_range(self) -> tuple[float, float]:
        """Return the first output's values for black and white."""
        return self.expected[0].output_range

    def paired(self, values: Mapping[str, Values]) -> tuple[tuple[Values, Expected], ...]:
        """Return each output that a device made, by the model's name, beside what it should be.

        Raises:
            ModelError: the outputs are not those that the subject describes.
        """
        made = judged(self.specs, values)
        return tuple(zip(made, self.expected, strict=True))


def judged(specs: Sequence[OutputSpec], values: Mapping[str, Values]) -> tuple[Values, ...]:
    """Return the outputs that are judged, as images and tensors: all but fed-back states.

    Raises:
        ModelError: the outputs are not those that are described.
    """
    pairs = zip(specs, roles.decoded(values, specs), strict=True)
    return tuple(made for spec, made in pairs if spec.role is not Role.STATE)


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
    today = {name: _hashed(subject, name) for name in samples.names(subject)}
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
    frames = tuple(_hashed(subject, name) for name in samples.names(subject))
    for path in subject.references.glob("*.npz"):
        if path.stem not in {frame.name for frame in frames}:
            path.unlink()
    text = json.dumps(schema.dump(_List(frames=frames)), indent=1)
    path = _list_path(subject)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n", encoding="utf-8")
    return path


def _hashed(subject: Subject, name: str) -> BlessedFrame:
    sample = samples.load(subject, name)
    return BlessedFrame(name=name, frame_sha256=sample.sha256, target_sha256=sample.target_sha256)


def expected(subject: Subject) -> tuple[str, ...]:
    """Return the names of a subject's frames, and of those that were blessed and are gone.

    Raises:
        ConfigError: the list of blessed frames is wrong.
    """
    references = {path.stem for path in subject.references.glob("*.npz")}
    return tuple(sorted({*samples.names(subject), *blessed(subject), *references}))


def size_of(subject: Subject, name: str) -> Size:
    """Return the resolution of a frame, from its blessed output where the frame is gone.

    Raises:
        BlessedDataError: neither can be read.
    """
    known = (subject.references / f"{name}.npz").exists()
    if subject.inputs or samples.is_there(subject, name) or not known:
        return samples.size_of(subject, name)
    output = _read_reference(subject, name).outputs[0]
    return Size(
        width_px=output.shape[2] // subject.scale, height_px=output.shape[1] // subject.scale
    )


def load(subject: Subject, name: str) -> Golden:
    """Read one golden.

    Raises:
        BlessedDataError: a part is missing or damaged, or was made from another model or frame.
    """
    remedy = _remedy(subject)
    path = subject.references / f"{name}.npz"
    accepted = blessed(subject).get(name)
    if name not in samples.names(subject):
        raise BlessedDataError(
            f"{subject.frames}: frame {name} was blessed and is gone; put it back, or {remedy}"
        )
    sample = samples.load(subject, name)
    stored = _read_reference(subject, name)
    if stored.frame_sha256 != sample.sha256:
        raise BlessedDataError(f"{path}: stale, the frame has changed since; {remedy}")
    if accepted is None:
        raise BlessedDataError(f"{_list_path(subject)}: does not list frame {name}; {remedy}")
    if sample.target_sha256 != accepted.target_sha256:
        what = _what(_hashed(subject, name), accepted)
        raise BlessedDataError(f"{subject.frames}: the sharp target of {name} {what}; {remedy}")
    if subject.has_fp32 and stored.model_sha256 != subject.reference.sha256:
        raise BlessedDataError(f"{path}: stale, made by another FP32 model; {remedy}")
    specs = judged_specs(subject)
    if sample.later and len(stored.last) != len(specs):
        raise BlessedDataError(f"{path}: holds no output of the clip's last frame; {remedy}")
    if len(stored.outputs) != len(specs):
        raise BlessedDataError(f"{path}: was blessed for other outputs; {remedy}")
    return Golden(
        name=name,
        inputs=sample.inputs,
        expected=tuple(
            Expected(spec=spec, fp32=fp32, target=sample.targets.get(spec.name))
            for spec, fp32 in zip(specs, stored.outputs, strict=True)
        ),
        size=sample.size,
        specs=subject.output_specs,
        input_specs=subject.inputs,
        later=sample.later,
        last=stored.last,
        of_fp32=subject.has_fp32,
    )


def judged_specs(subject: Subject) -> tuple[OutputSpec, ...]:
    """Return the outputs that are judged: all but fed-back states."""
    return tuple(spec for spec in subject.output_specs if spec.role is not Role.STATE)


def _remedy(subject: Subject) -> str:
    return f"run `harness bless {subject.name}` and commit what it writes"


@dataclass(frozen=True, kw_only=True, eq=False)
class _Reference:
    """Blessed outputs, and the hashes of the inputs and the model that they were made from."""

    outputs: tuple[Values, ...]
    last: tuple[Values, ...]
    frame_sha256: str
    model_sha256: str


def _keys(subject: Subject) -> list[tuple[OutputSpec, str]]:
    """Return what is added to the names of an output's arrays in a reference, for each."""
    specs = judged_specs(subject)
    return [(spec, str(k) if subject.inputs else "") for k, spec in enumerate(specs)]


def _read_reference(subject: Subject, name: str) -> _Reference:
    """Read blessed outputs as they are stored.

    Raises:
        BlessedDataError: they are missing or damaged.
    """
    path, remedy = subject.references / f"{name}.npz", _remedy(subject)
    if not path.exists():
        raise BlessedDataError(f"{path}: the FP32 reference is missing; {remedy}")
    data = files.read(path, at_most_bytes=files.IMAGE_BYTES_MAX, error=BlessedDataError)
    try:
        stored = arrays.members(data)
        return _Reference(
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
        raise BlessedDataError(f"{path}: damaged reference ({error}); {remedy}") from None


def blessed_outputs(subject: Subject, name: str) -> tuple[Values, ...] | None:
    """Return the FP32 outputs that were blessed for a frame, even if the model has changed since.

    They are for showing a difference; what is judged by comes from `load`. None if there are none
    that can be read.
    """
    try:
        return _read_reference(subject, name).outputs
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


def store(
    subject: Subject, sample: Sample, outputs: Sequence[Values], last: Sequence[Values] = ()
) -> Path:
    """Write the blessed FP32 outputs of a sample; only `harness bless` and `init` call this.

    Args:
        subject: The model.
        sample: What it was given.
        outputs: What `judged` makes of what it gave.
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
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        np.savez_compressed(file, **stored)
    return path


def refuse_unusable(subject: Subject, name: str, outputs: Sequence[Values]) -> None:
    """Refuse FP32 outputs that can be no reference.

    Raises:
        BlessedDataError: an output holds NaN or infinite values, or an image is cut off by the
            range that the subject states.
    """
    for spec, output in zip(judged_specs(subject), outputs, strict=True):
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
