"""Read and write goldens: a frame, the FP32 output a person blessed, and the sharp target."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import blessed_outputs, roles, samples, schema
from harness.errors import BlessedDataError
from harness.images import Pixels, Size
from harness.inputs import Inputs, Values
from harness.roles import InputSpec, OutputSpec, Role
from harness.subjects import Subject


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
    output = blessed_outputs.read(subject, name).outputs[0]
    return Size(
        width_px=output.shape[2] // subject.scale, height_px=output.shape[1] // subject.scale
    )


def load(subject: Subject, name: str) -> Golden:
    """Read one golden.

    Raises:
        BlessedDataError: a part is missing or damaged, or was made from another model or frame.
    """
    remedy = blessed_outputs.remedy(subject)
    path = subject.references / f"{name}.npz"
    accepted = blessed(subject).get(name)
    if name not in samples.names(subject):
        raise BlessedDataError(
            f"{subject.frames}: frame {name} was blessed and is gone; put it back, or {remedy}"
        )
    sample = samples.load(subject, name)
    stored = blessed_outputs.read(subject, name)
    if stored.frame_sha256 != sample.sha256:
        raise BlessedDataError(f"{path}: stale, the frame has changed since; {remedy}")
    if accepted is None:
        raise BlessedDataError(f"{_list_path(subject)}: does not list frame {name}; {remedy}")
    if sample.target_sha256 != accepted.target_sha256:
        what = _what(_hashed(subject, name), accepted)
        raise BlessedDataError(f"{subject.frames}: the sharp target of {name} {what}; {remedy}")
    if subject.has_fp32 and stored.model_sha256 != subject.reference.sha256:
        raise BlessedDataError(f"{path}: stale, made by another FP32 model; {remedy}")
    specs = subject.judged_specs
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
