"""Read golden/<subject>/subject.toml: a model, its exported variants, its limits and budgets."""

import enum
import fnmatch
import functools
import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from harness import files, schema, text
from harness.budgets import Budget, ChangeAllowance, ScalingBudget, Shipping, Tiling
from harness.errors import BlessedDataError, ConfigError
from harness.graph import Graph
from harness.images import UNIT_RANGE, Size
from harness.limits import Limits, LimitsOn
from harness.model import Model
from harness.roles import InputSpec, OutputSpec, Role
from harness.text import counted, meant

SUBJECT_FILE = "subject.toml"


class Precision(enum.StrEnum):
    """The arithmetic of a variant and how it was made."""

    FP32 = "fp32"
    FP16 = "fp16"
    INT8_PTQ = "int8_ptq"
    INT8_QAT = "int8_qat"
    INT8_DYNAMIC = "int8_dynamic"
    INT16_PTQ = "int16_ptq"


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One exported file.

    Attributes:
        name: Short name, such as `int8_ptq`.
        precision: Its arithmetic.
        path: The .tflite; relative to subject.toml in the file, absolute once loaded.
        sha256: Content hash that a person blessed.
        limits: How far it may drift.
        limits_on: Other limits on some delegates; the first that names one counts.
        inputs: The subject's, set when loaded.
    """

    name: str
    precision: Precision
    path: Path
    sha256: str
    limits: Limits
    limits_on: tuple[LimitsOn, ...] = ()
    inputs: tuple[InputSpec, ...] = ()

    def __repr__(self) -> str:
        """Return its name and the file's."""
        return text.repr_of(self, f"{self.name}: {self.path.name}")

    def on(self, delegate: str) -> Self:
        """Return the variant with the limits that count on a delegate."""
        for other in self.limits_on:
            if other.covers(delegate):
                return replace(self, limits=other.limits)
        return self

    def model(self) -> Model:
        """Return the exported file after checking it against the blessed hash and precision.

        Raises:
            BlessedDataError: the file is missing or is not the blessed one.
            ConfigError: its arithmetic is not the declared one.
            ModelError: it cannot be read as a model.
        """
        try:
            state = self.path.stat()
        except OSError as error:
            raise BlessedDataError(
                f"{self.path}: cannot be read ({error.strerror}); export the variant again"
            ) from None
        model = _read_model(self.path, state.st_mtime_ns, state.st_size, self.inputs)
        if model.sha256 != self.sha256:
            raise BlessedDataError(
                f"{self.path}: content changed since it was blessed (sha256 "
                f"{model.sha256[:12]}, blessed {self.sha256[:12]}); "
                "if the change is meant, run `harness bless` and commit what it writes"
            )
        found = precision_of(model.graph)
        if found is not _AS_FILED.get(self.precision, self.precision):
            raise ConfigError(
                f"{self.path}: is {found.value}, and subject.toml says precision = "
                f"{self.precision.value!r}; correct the one that is wrong"
            )
        return model


@functools.lru_cache(maxsize=64)
def _read_model(
    path: Path, _modified_ns: int, _size_bytes: int, inputs: tuple[InputSpec, ...]
) -> Model:
    """Read a file once for as long as it stays as it is, with what is derived from it."""
    data = files.read_model(path, error=BlessedDataError)
    return Model(name=str(path), data=data, inputs=inputs)


_AS_FILED = {Precision.INT8_QAT: Precision.INT8_PTQ}
"""How a precision looks in a file, where that is not its own: training leaves no trace there."""


_SMALL = ("int8", "int4", "uint4", "int2")


def precision_of(graph: Graph) -> Precision:
    """Tell the arithmetic of a model from its weights and activations.

    Weights of 8 bits or fewer beside activations of 32 are `int8_dynamic`, whatever the file is
    called.
    """
    dtypes = {tensor.dtype for op in graph.ops for tensor in graph.runtime_inputs(op)}
    if "int16" in dtypes:
        return Precision.INT16_PTQ
    if dtypes & {"int8", "uint8"}:
        return Precision.INT8_PTQ
    weights = [tensor for tensor in graph.tensors if tensor.constant is not None]
    if any(t.dtype in _SMALL and t.quantization is not None for t in weights):
        return Precision.INT8_DYNAMIC
    return Precision.FP16 if any(t.dtype == "float16" for t in weights) else Precision.FP32


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A restoration model and all that a person has set for it.

    Attributes:
        name: Short name; the folder's name.
        task: What it restores, such as `deblur`.
        scale: Output edge over input edge.
        output_range: The output's values for black and white, such as [-1, 1] or [0, 255].
        variants: The exported files; the first fp32 one is the reference of the others, or where
            there is none, the first.
        inputs: What the model takes, where that is not one RGB image in [0, 1].
        outputs: What it gives, where its inputs are described.
        ships: Where variants ship.
        withheld: Where variants do not ship, and why.
        budgets: What they may cost.
        scaling: How latency may grow, or None for a model of one fixed size.
        tiles: How photographs are cut into tiles, or None for a model that takes them whole.
        change: How much worse a change may make it before the gate of change fails.
        frames: Folder of <frame>.blurred.png and <frame>.sharp.png; where inputs are described,
            of a folder for each sample.
        frame_names: The frames of that folder to use; empty for all.
        references: Folder of <frame>.npz, the blessed FP32 outputs.
        source: Where the model and its numbers come from.
        folder: Folder of subject.toml, set when loaded.
    """

    name: str
    task: str
    variants: tuple[Variant, ...]
    source: str
    scale: int = 1
    output_range: tuple[float, float] = UNIT_RANGE
    inputs: tuple[InputSpec, ...] = ()
    outputs: tuple[OutputSpec, ...] = ()
    ships: tuple[Shipping, ...] = ()
    withheld: tuple[Shipping, ...] = ()
    budgets: tuple[Budget, ...] = ()
    scaling: ScalingBudget | None = None
    tiles: Tiling | None = None
    change: ChangeAllowance = field(default_factory=ChangeAllowance)
    frames: Path = Path("frames")
    frame_names: tuple[str, ...] = ()
    references: Path = Path("references")
    folder: Path = Path()

    def __repr__(self) -> str:
        """Return its name and how many variants it has."""
        return text.repr_of(self, f"{self.name}: {counted(len(self.variants), 'variant')}")

    @property
    def reference(self) -> Variant:
        """Return what the others are compared with: the first FP32 variant, else the first."""
        return next((v for v in self.variants if v.precision is Precision.FP32), self.variants[0])

    @property
    def has_fp32(self) -> bool:
        """Return whether it has an FP32 variant; else nobody can say what quantization costs."""
        return self.reference.precision is Precision.FP32

    @property
    def output_specs(self) -> tuple[OutputSpec, ...]:
        """Return what its outputs are, those that nobody described included."""
        return self.outputs or (OutputSpec(name="", range=self.output_range),)

    @property
    def judged_specs(self) -> tuple[OutputSpec, ...]:
        """Return the outputs that are judged: all but fed-back states."""
        return tuple(spec for spec in self.output_specs if spec.role is not Role.STATE)

    def run_size(self, size: Size) -> Size:
        """Return the resolution at which the model runs for a photograph of another: a tile's."""
        if self.tiles is None:
            return size
        tile = self.tiles.size
        larger = size.width_px > tile.width_px or size.height_px > tile.height_px
        return tile if larger else size

    @property
    def image_range(self) -> tuple[float, float]:
        """Return the values for black and white of its first output that is an image."""
        shown = [spec.range for spec in self.output_specs if spec.role is Role.IMAGE]
        return shown[0] if shown else UNIT_RANGE

    def withheld_because(self, device: str, delegate: str, variant: str) -> str | None:
        """Return why a variant does not ship to a device, or None if it does."""
        for entry in self.withheld:
            if entry.covers(device, delegate, variant):
                return entry.because
        if any(entry.covers(device, delegate, variant) for entry in self.ships):
            return None
        return "no [[ships]] entry of its subject.toml names this device and delegate"

    def budgets_of(self, device: str, delegate: str, variant: str) -> tuple[Budget, ...]:
        """Return the budgets that speak of the triple, one per resolution, the first one wins."""
        found: dict[str, Budget] = {}
        for budget in self.budgets:
            if budget.covers(device, delegate, variant):
                found.setdefault(budget.resolution, budget)
        return tuple(sorted(found.values(), key=lambda b: Size.parse(b.resolution).megapixels))


def load(folder: Path) -> Subject:
    """Read golden/<subject>/subject.toml.

    Raises:
        ConfigError: it is missing, wrong, or not named after its folder.
    """
    path = folder / SUBJECT_FILE
    subject = schema.load_toml(Subject, path)
    if subject.name != folder.name:
        raise ConfigError(f"{path}: says name = {subject.name!r}; name it {folder.name!r}")
    if not subject.variants:
        raise ConfigError(f"{path}: has no [[variants]]")
    names = [variant.name for variant in subject.variants]
    if len(set(names)) < len(names):
        raise ConfigError(f"{path}: two variants have the same name")
    for number, budget in enumerate(subject.budgets):
        where = f"{path}: budgets[{number}]"
        _resolution(budget.resolution, where)
        for earlier, other in enumerate(subject.budgets[:number]):
            if _about(other) == _about(budget):
                raise ConfigError(
                    f"{where} is about the same devices, delegates, variants and resolution "
                    f"({budget.resolution}) as budgets[{earlier}]; keep one"
                )
    for resolution in subject.scaling.resolutions if subject.scaling else ():
        _resolution(resolution, f"{path}: scaling.resolutions")
    low, high = subject.output_range
    if not -math.inf < low < high < math.inf:
        raise ConfigError(f"{path}: output_range is [black, white], such as [0.0, 1.0]")
    check_described(subject)
    return _with_folder(subject, folder.resolve())


def check_described(subject: Subject) -> None:
    """Refuse descriptions of inputs and outputs that do not fit each other.

    Raises:
        ConfigError: so.
    """
    path = f"{subject.name}/{SUBJECT_FILE}"
    if bool(subject.inputs) is not bool(subject.outputs):
        raise ConfigError(f"{path}: describe both [[inputs]] and [[outputs]], or neither")
    if subject.inputs and subject.output_range != UNIT_RANGE:
        raise ConfigError(f"{path}: where [[outputs]] are described, each has its own `range`")
    for what, specs in (("inputs", subject.inputs), ("outputs", subject.outputs)):
        for key in ("name", "file_name"):
            found = [getattr(spec, key) for spec in specs]
            if len(set(found)) < len(found):
                raise ConfigError(f"{path}: two [[{what}]] have the same {key.replace('_', ' ')}")
    states = {spec.name for spec in subject.outputs if spec.role is Role.STATE}
    for spec in subject.inputs:
        if spec.role is Role.STATE and spec.of not in states:
            raise ConfigError(
                f"{path}: input {spec.name!r} is fed back from {spec.of!r}, which is no "
                "[[outputs]] of role 'state'"
            )
    for output in subject.outputs if subject.tiles is not None else ():
        if output.role is not Role.IMAGE:
            raise ConfigError(
                f"{path}: [tiles] puts images together, and output {output.name!r} is a "
                f"{output.role.value}; a plane of values may be an image with channels = 'luma' or "
                "'planes', else leave [tiles] out"
            )
    if subject.inputs and not any(spec.role is Role.IMAGE for spec in subject.inputs):
        raise ConfigError(f"{path}: no [[inputs]] is an image; the harness tests images")


def _about(budget: Budget) -> tuple[object, ...]:
    """Return what a budget speaks of, whatever the order of its patterns."""
    patterns = (budget.devices, budget.delegates, budget.variants)
    return (*(frozenset(names) for names in patterns), budget.resolution)


def _resolution(given: str, where: str) -> None:
    """Refuse a text that is no resolution, saying where it stands."""
    try:
        Size.parse(given)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def _with_folder(subject: Subject, folder: Path) -> Subject:
    return replace(
        subject,
        folder=folder,
        frames=(folder / subject.frames).resolve(),
        references=(folder / subject.references).resolve(),
        variants=tuple(
            replace(v, path=(folder / v.path).resolve(), inputs=subject.inputs)
            for v in subject.variants
        ),
    )


def load_all(golden_dir: Path, pattern: str = "*") -> tuple[Subject, ...]:
    """Read every subject of a golden folder whose name fits; see `wanted` for the pattern.

    Raises:
        ConfigError: the folder is missing, a subject is wrong, or none fits.
    """
    if not golden_dir.is_dir():
        raise ConfigError(
            f"{golden_dir}: no such folder of subjects; make one with `harness init MODEL.tflite` "
            "or name it with the ini key `golden_dir`"
        )
    folders = sorted(path.parent for path in golden_dir.glob(f"*/{SUBJECT_FILE}"))
    if not folders:
        raise ConfigError(
            f"{golden_dir}: holds no <subject>/{SUBJECT_FILE}; make one with "
            "`harness init MODEL.tflite`"
        )
    name_pattern = pattern.split(".", 1)[0]
    chosen = [folder for folder in folders if fits(folder.name, pattern)]
    if not chosen:
        known = ", ".join(folder.name for folder in folders)
        close = meant(name_pattern, (folder.name for folder in folders))
        raise ConfigError(f"no subject fits --subject={pattern}; known: {known}{close}")
    found = tuple(load(folder) for folder in chosen)
    names = [variant.name for subject in found for variant in subject.variants]
    if not any(wanted(name, pattern)[0] for name in names):
        known = ", ".join(dict.fromkeys(names))
        close = meant(pattern.partition(".")[2], names)
        raise ConfigError(f"no variant fits --subject={pattern}; known: {known}{close}")
    return found


def fits(name: str, pattern: str) -> bool:
    """Return whether `--subject=SUBJECT[.VARIANT]` asks for a subject."""
    return fnmatch.fnmatchcase(name, pattern.split(".", 1)[0])


def wanted(variant: str, pattern: str) -> tuple[bool, bool]:
    """Say whether `--subject=SUBJECT[.VARIANT]` asks for a variant, and whether by its name.

    Returns:
        Whether it is asked for, and whether the pattern spells its name out.
    """
    _, dot, variant_pattern = pattern.partition(".")
    if not dot:
        return True, False
    return fnmatch.fnmatchcase(variant, variant_pattern), variant == variant_pattern
