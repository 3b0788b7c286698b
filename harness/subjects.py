"""Read golden/<subject>/subject.toml: a model, its exported variants, its limits and budgets."""

import enum
import fnmatch
import functools
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from harness import files, schema
from harness.errors import BlessedDataError, ConfigError
from harness.graph import Graph
from harness.images import UNIT_RANGE, Size
from harness.model import Model
from harness.roles import InputSpec, OutputSpec, Role
from harness.text import meant

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
class OwnLimit:
    """A limit of a measure that the team wrote itself: one of its two ends.

    Attributes:
        at_least: Least value.
        at_most: Largest value.
        unit: Such as `dB`, or ''.
    """

    at_least: float | None = None
    at_most: float | None = None
    unit: str = ""

    def __post_init__(self) -> None:
        """Refuse a limit with no end, or with two."""
        if (self.at_least is None) is (self.at_most is None):
            raise ValueError("give one of at_least and at_most")


@dataclass(frozen=True, kw_only=True)
class OutputLimits:
    """How far one output may drift from its FP32 golden.

    An image has the limits of its variant where these are absent; a tensor is judged by those
    that are here.

    Attributes:
        name: The output's.
        psnr_db: Of an image, least PSNR.
        worst_tile_psnr_db: Of an image, least PSNR of the worst 32 x 32 tile.
        relative_l2: Largest relative L2 distance (ratio).
        cosine_similarity: Of a tensor, least cosine similarity (-1..1).
        top1_agreement: Of a tensor, least share of positions whose largest class is the same.
        iou: Of a tensor, least intersection over union of the class maps (0..1).
        first_relative_l2: Of a subject without an FP32 variant, largest relative L2 distance from
            its first outputs.
    """

    name: str
    psnr_db: float | None = None
    worst_tile_psnr_db: float | None = None
    relative_l2: float | None = None
    cosine_similarity: float | None = None
    top1_agreement: float | None = None
    iou: float | None = None
    first_relative_l2: float | None = None


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How far a variant may drift. A limit that is absent rules INCONCLUSIVE, never PASS.

    Attributes:
        source: Why these limits: what was measured, when, with which margin.
        psnr_db: Least PSNR against the FP32 golden.
        relative_l2: Largest relative L2 distance from the FP32 golden (ratio).
        worst_tile_psnr_db: Least PSNR of the worst 32 x 32 tile against the FP32 golden.
        quality_drop_db: Most PSNR that may be lost against the sharp target.
        ssim: Least structural similarity (0..1); this and those below are asked for only where
            they are set.
        ms_ssim: Least structural similarity over five scales (0..1).
        delta_e_2000: Largest mean colour difference, CIEDE2000.
        shift_px: Farthest that the whole image may be moved.
        lpips: Largest perceptual distance.
        own: Limits of the team's own measures, by name.
        drift_db: Of a clip, most PSNR that its last frame may have less than its first.
        seam_db: Of a photograph in tiles, most PSNR that its seams may have less than the rest.
        first_relative_l2: Of a subject without an FP32 variant, largest relative L2 distance from
            its first outputs, those that its first variant made when they were blessed.
        outputs: Limits of single outputs, where the subject describes several.
    """

    source: str
    psnr_db: float | None = None
    relative_l2: float | None = None
    worst_tile_psnr_db: float | None = None
    quality_drop_db: float | None = None
    ssim: float | None = None
    ms_ssim: float | None = None
    delta_e_2000: float | None = None
    shift_px: float | None = None
    lpips: float | None = None
    own: Mapping[str, OwnLimit] = field(default_factory=dict)
    drift_db: float | None = None
    seam_db: float | None = None
    first_relative_l2: float | None = None
    outputs: tuple[OutputLimits, ...] = ()

    def of(self, output: str) -> OutputLimits:
        """Return the limits of one output; none of its own where nothing is said of it."""
        for one in self.outputs:
            if one.name == output:
                return one
        return OutputLimits(name=output)


@dataclass(frozen=True, kw_only=True)
class LimitsOn:
    """Limits that take the place of a variant's own on some delegates.

    Attributes:
        delegates: Delegates; patterns allowed.
        limits: The limits there, such as fp16 ones on an NPU that runs FP32 models in fp16.
    """

    delegates: tuple[str, ...]
    limits: Limits


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

    def on(self, delegate: str) -> Self:
        """Return the variant with the limits that count on a delegate."""
        for other in self.limits_on:
            if _any_match(delegate, other.delegates):
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
    data = files.read(path, at_most_bytes=files.MODEL_BYTES_MAX, error=BlessedDataError)
    return Model(name=str(path), data=data, inputs=inputs)


_AS_FILED = {Precision.INT8_QAT: Precision.INT8_PTQ}
"""How a precision looks in a file, where that is not its own: training leaves no trace there."""


def precision_of(graph: Graph) -> Precision:
    """Tell the arithmetic of a model from its weights and activations.

    Weights of 8 bits beside activations of 32 are `int8_dynamic`, whatever the file is called.
    """
    dtypes = {tensor.dtype for op in graph.ops for tensor in graph.runtime_inputs(op)}
    if "int16" in dtypes:
        return Precision.INT16_PTQ
    if dtypes & {"int8", "uint8"}:
        return Precision.INT8_PTQ
    weights = [tensor for tensor in graph.tensors if tensor.constant is not None]
    if any(t.dtype in ("int8", "int4") and t.quantization is not None for t in weights):
        return Precision.INT8_DYNAMIC
    return Precision.FP16 if any(t.dtype == "float16" for t in weights) else Precision.FP32


@dataclass(frozen=True, kw_only=True)
class Where:
    """Variants on devices through delegates.

    Attributes:
        devices: Profile names; patterns allowed.
        delegates: Delegates; patterns allowed.
        variants: Variant names; patterns allowed.
    """

    devices: tuple[str, ...]
    delegates: tuple[str, ...]
    variants: tuple[str, ...]

    def covers(self, device: str, delegate: str, variant: str) -> bool:
        """Return whether this entry speaks of the triple."""
        return (
            _any_match(device, self.devices)
            and _any_match(delegate, self.delegates)
            and _any_match(variant, self.variants)
        )


@dataclass(frozen=True, kw_only=True)
class Shipping(Where):
    """Variants that ship to devices, or are withheld from them, and why.

    Attributes:
        because: The reason, for a person.
    """

    because: str


@dataclass(frozen=True, kw_only=True)
class Budget(Where):
    """What variants may cost on devices through delegates at one resolution.

    Attributes:
        resolution: Such as `1280x720`.
        source: Who set it and why.
        latency_ms: Most milliseconds of the median inference.
        p95_ms: Most milliseconds of the 95th percentile.
        cpu_ops_allowed: Most ops that may fall back to the CPU.
        partitions_max: Most partitions, those on the CPU included.
        cpu_time_share: Most of the latency that may be spent on the CPU (0..1).
        peak_memory_mib: Most memory at the peak of an inference.
        weights_mib: Most memory of all constants.
        file_size_mib: Largest exported file.
        first_inference_ms: Most milliseconds of loading, preparing and the first inference.
    """

    resolution: str
    source: str
    latency_ms: float | None = None
    p95_ms: float | None = None
    cpu_ops_allowed: int = 0
    partitions_max: int = 1
    cpu_time_share: float | None = None
    peak_memory_mib: float | None = None
    weights_mib: float | None = None
    file_size_mib: float | None = None
    first_inference_ms: float | None = None

    def sets(self, keys: Collection[str]) -> bool:
        """Return whether this sets a limit for any of some keys.

        Raises:
            ConfigError: a budget has no such key.
        """
        known = vars(self)
        for key in keys:
            if key not in known:
                raise ConfigError(f"a budget has no key {key!r}; known: {', '.join(known)}")
        return any(known[key] is not None for key in keys)


@dataclass(frozen=True, kw_only=True)
class Tiling:
    """How a photograph is cut into tiles for the model, as phones do.

    Attributes:
        resolution: Of a tile, such as `512x512`.
        overlap_px: What neighbours share.
    """

    resolution: str
    overlap_px: int = 0

    def __post_init__(self) -> None:
        """Refuse an overlap of half a tile or more.

        Raises:
            ValueError: so, or it is negative.
        """
        size = Size.parse(self.resolution)
        if not 0 <= 2 * self.overlap_px < min(size.width_px, size.height_px):
            raise ValueError(f"overlap_px is less than half of a tile of {self.resolution}")

    @property
    def size(self) -> Size:
        """Return the resolution of a tile."""
        return Size.parse(self.resolution)


@dataclass(frozen=True, kw_only=True)
class ScalingBudget:
    """How latency may grow with resolution.

    Attributes:
        resolutions: Such as `256x256`; with fewer than two there is no growth to ask about.
        exponent: Largest growth exponent; 1 is linear in pixels.
        cliff_ratio: Largest ratio of ms per megapixel between neighbouring resolutions.
        source: Who set it and why.
    """

    resolutions: tuple[str, ...]
    exponent: float
    cliff_ratio: float
    source: str

    @property
    def sizes(self) -> tuple[Size, ...]:
        """Return the resolutions in order of pixels."""
        return tuple(sorted((Size.parse(r) for r in self.resolutions), key=lambda s: s.megapixels))


@dataclass(frozen=True, kw_only=True)
class ChangeAllowance:
    """How much worse a change may make what repeats before its gate fails; it is told all the same.

    Attributes:
        file_size_share: Of the exported file; a new exporter rewrites its metadata.
        cost_share: Of the estimated latency, the MACs and the instructions.
        source: Who set it and why.

    Source: choices. 2 % is the margin within which the test of measured pairs rules nothing
    slower; 1 % of a file is more than metadata and padding, and less than a layer.
    """

    file_size_share: float = 0.01
    cost_share: float = 0.02
    source: str = ""

    def __post_init__(self) -> None:
        """Refuse a share that is negative, or that allows anything.

        Raises:
            ValueError: it is.
        """
        for name in ("file_size_share", "cost_share"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} is a share, 0 to 1")


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
    change: ChangeAllowance = ChangeAllowance()
    frames: Path = Path("frames")
    frame_names: tuple[str, ...] = ()
    references: Path = Path("references")
    folder: Path = Path()

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
    for text in subject.scaling.resolutions if subject.scaling else ():
        _resolution(text, f"{path}: scaling.resolutions")
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
    if subject.inputs and subject.tiles is not None:
        raise ConfigError(f"{path}: [tiles] is for one RGB image in; describe no [[inputs]]")
    if subject.inputs and not any(spec.role is Role.IMAGE for spec in subject.inputs):
        raise ConfigError(f"{path}: no [[inputs]] is an image; the harness tests images")


def _about(budget: Budget) -> tuple[object, ...]:
    """Return what a budget speaks of, whatever the order of its patterns."""
    patterns = (budget.devices, budget.delegates, budget.variants)
    return (*(frozenset(names) for names in patterns), budget.resolution)


def _resolution(text: str, where: str) -> None:
    """Refuse a text that is no resolution, saying where it stands."""
    try:
        Size.parse(text)
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
    chosen = [folder for folder in folders if fnmatch.fnmatchcase(folder.name, name_pattern)]
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


def wanted(variant: str, pattern: str) -> tuple[bool, bool]:
    """Say whether `--subject=SUBJECT[.VARIANT]` asks for a variant, and whether by its name.

    Returns:
        Whether it is asked for, and whether the pattern spells its name out.
    """
    _, dot, variant_pattern = pattern.partition(".")
    if not dot:
        return True, False
    return fnmatch.fnmatchcase(variant, variant_pattern), variant == variant_pattern


def _any_match(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
