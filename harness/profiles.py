"""Read device_profiles/*.toml: one phone on paper, one file."""

import fnmatch
import functools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness import ini, schema, text
from harness.errors import ConfigError
from harness.evidence import sha256_of

SHIPPED = Path(__file__).parent.parent / "device_profiles"
INSTALLED = Path(__file__).parent / "device_profiles"

_ARM, _QUALCOMM, _SAMSUNG = 0x41, 0x51, 0x53

UARCHES = {
    "cortex-a35": (_ARM, 0xD04), "cortex-a53": (_ARM, 0xD03), "cortex-a57": (_ARM, 0xD07),
    "cortex-a72": (_ARM, 0xD08), "cortex-a73": (_ARM, 0xD09), "cortex-a55": (_ARM, 0xD05),
    "cortex-a75": (_ARM, 0xD0A), "cortex-a76": (_ARM, 0xD0B), "cortex-a77": (_ARM, 0xD0D),
    "cortex-a78": (_ARM, 0xD41), "cortex-a78c": (_ARM, 0xD4B), "cortex-x1": (_ARM, 0xD44),
    "cortex-x1c": (_ARM, 0xD4C), "cortex-a510": (_ARM, 0xD46), "cortex-a710": (_ARM, 0xD47),
    "cortex-x2": (_ARM, 0xD48), "cortex-a715": (_ARM, 0xD4D), "cortex-x3": (_ARM, 0xD4E),
    "cortex-a520": (_ARM, 0xD80), "cortex-a720": (_ARM, 0xD81), "cortex-x4": (_ARM, 0xD82),
    "cortex-a725": (_ARM, 0xD87), "cortex-x925": (_ARM, 0xD85),
    "kryo-385-gold": (_QUALCOMM, 0x802), "kryo-385-silver": (_QUALCOMM, 0x803),
    "kryo-485-gold": (_QUALCOMM, 0x804), "kryo-485-silver": (_QUALCOMM, 0x805),
    "oryon": (_QUALCOMM, 0x001),
    "exynos-m4": (_SAMSUNG, 0x003), "exynos-m5": (_SAMSUNG, 0x004),
}  # fmt: skip
"""Implementer and part number of each core. Source: MIDR_EL1 in Arm's technical reference
manuals; for the other makers, src/arm/uarch.c of pytorch/cpuinfo."""
GPU_FP32 = "gpu-fp32"
"""The GPU delegate told to compute float32 in float32, which it else does in fp16."""
ALIKE = {GPU_FP32: "gpu", "npu": "qnn"}
"""Delegates that reach what another one reaches, by another arithmetic or other software; a phone
has each whose other one it has, but only where it is named."""
ALL = "all"
"""Of `--device`: every phone."""
UNKNOWN_UARCH = "unknown"
"""Of a cluster whose cores are not in `UARCHES`: the phone's Arm kernels are not emulated."""


@dataclass(frozen=True, kw_only=True)
class CpuCluster:
    """One cluster of CPU cores.

    Attributes:
        cores: How many.
        uarch: Microarchitecture, such as `cortex-a76`: one of `UARCHES`, or `unknown`.
        taskset_mask: Hex mask of these cores for toybox `taskset`, without 0x; '' if unknown.
        max_mhz: Highest clock, or None if unknown.
        source: Where this is published.
    """

    cores: int
    uarch: str
    source: str
    taskset_mask: str = ""
    max_mhz: int | None = None


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """An op that a driver does not take, beyond what its delegate's rules refuse.

    Attributes:
        op: TFLite builtin name, such as `TRANSPOSE_CONV`.
        dtypes: Activation dtypes it is refused for; empty for all.
        reason: What the driver does, for a person.
        remedy: What is known to work instead, or ''.
        source: Where this is published.
    """

    op: str
    reason: str
    source: str
    dtypes: tuple[str, ...] = ()
    remedy: str = ""


@dataclass(frozen=True, kw_only=True)
class Accelerator:
    """One unit of the phone as one delegate reaches it.

    Attributes:
        name: The delegate's own name for it, such as `google-edgetpu`.
        delegate: nnapi, gpu, qnn or cpu.
        dtypes: Activation dtypes it takes; empty where unknown.
        soc_model: Name of the chip in the vendor's compiler, such as `SM8650`, or ''.
        pinned: Whether a phone is asked for this unit by name; else its delegate chooses, as it
            must where the name is a stand-in for several drivers or was not seen on this phone.
        refusals: Ops the driver does not take.
        source: Where this is published.
    """

    name: str
    delegate: str
    source: str
    dtypes: tuple[str, ...] = ()
    soc_model: str = ""
    pinned: bool = False
    refusals: tuple[Refusal, ...] = ()


@dataclass(frozen=True, kw_only=True)
class EstimateConstants:
    """The fitted constants of one latency model of one delegate and precision.

    Attributes:
        delegate: nnapi, gpu, qnn or cpu.
        precision: float or int8, the arithmetic that the constants were fitted to.
        values: Constants by name, units in the names.
        rows: How many published or measured figures they rest on.
        error_share: Median absolute relative error on held-out rows (0..1).
        interval_ratio: Estimate times and divided by this is the 90 % interval.
        source: The figures they were fitted to.
        fitted_gmacs_max: GMACs of the largest network among them; beyond it the interval widens.
        rows_of: Device of the published rows that `values` were fitted to, as they name it; empty
            where they come from elsewhere.
        roofline: For an NPU that the vendor's estimator answers for: a plain roofline fitted to the
            same rows, its constants by name; a second opinion.
        roofline_interval_ratio: 90 % interval of that roofline alone.
        agreement_ratio: Factor within which the two opinions keep on nine of ten held-out rows.
    """

    delegate: str
    precision: str
    values: Mapping[str, float]
    rows: int
    error_share: float
    interval_ratio: float
    source: str
    fitted_gmacs_max: float | None = None
    rows_of: str = ""
    roofline: Mapping[str, float] | None = None
    roofline_interval_ratio: float | None = None
    agreement_ratio: float | None = None


@dataclass(frozen=True, kw_only=True)
class Profile:
    """All that is known of one phone. What is unknown is absent and named in `unknown`.

    Attributes:
        name: Short name, as on the command line; the file's stem.
        title: Full name for reports.
        match: Patterns of ro.product.model that mean this phone.
        soc: Name of the chip.
        cpu: Clusters, slowest first.
        android_api_level: API level the profile describes.
        default_delegate: The delegate meant by `--device=NAME` alone.
        accelerators: What each delegate reaches.
        driver_feature_level: Highest NNAPI feature level of the vendor's drivers, or None.
        ram_mib: Main memory in MiB, or None.
        estimates: Constants of the latency models.
        unknown: What is not publicly known, one line each.
        source: Where the general facts are published.
    """

    name: str
    title: str
    match: tuple[str, ...]
    soc: str
    cpu: tuple[CpuCluster, ...]
    android_api_level: int
    default_delegate: str
    accelerators: tuple[Accelerator, ...]
    source: str
    driver_feature_level: int | None = None
    ram_mib: int | None = None
    estimates: tuple[EstimateConstants, ...] = field(default=())
    unknown: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Return name, title, chip and delegates."""
        title, soc = text.brief(self.title), text.brief(self.soc, 30)
        about = f"{text.brief(self.name, 30)}: {title}, {soc}, {', '.join(self.delegates)}"
        return text.repr_of(self, about)

    @property
    def delegates(self) -> tuple[str, ...]:
        """Return the delegates this phone has, its default one first."""
        named = dict.fromkeys(a.delegate for a in self.accelerators)
        return (self.default_delegate, *(d for d in named if d != self.default_delegate))

    def accelerators_of(self, delegate: str) -> tuple[Accelerator, ...]:
        """Return the units that a delegate reaches, be it by those of one that is alike."""
        own = tuple(a for a in self.accelerators if a.delegate == delegate)
        if own or delegate not in ALIKE:
            return own
        return self.accelerators_of(ALIKE[delegate])

    def matches(self, model: str) -> bool:
        """Return whether a phone whose ro.product.model is `model` is this one."""
        return any(fnmatch.fnmatchcase(model, pattern) for pattern in self.match)


@dataclass(frozen=True, kw_only=True)
class Target:
    """A phone and a delegate, as `--device=pixel4:nnapi` does."""

    profile: Profile
    delegate: str

    def __repr__(self) -> str:
        """Return its name."""
        return text.repr_of(self, str(self))

    @property
    def stack(self) -> str:
        """Return the delegate whose software on this host stands in: for `gpu-fp32` the GPU's."""
        own = self.delegate in self.profile.delegates
        return self.delegate if own else ALIKE.get(self.delegate, self.delegate)

    @functools.cached_property
    def sha256(self) -> str:
        """Return a hash of the delegate and of every field of the profile."""
        return sha256_of(json.dumps(schema.dump(self), sort_keys=True).encode())

    def __str__(self) -> str:
        """Return `pixel4:nnapi`."""
        return f"{self.profile.name}:{self.delegate}"


def shipped_folder() -> Path:
    """Return the folder of the profiles that ship with the package or its checkout."""
    return INSTALLED if INSTALLED.is_dir() else SHIPPED


def load_all(folders: Sequence[Path]) -> dict[str, Profile]:
    """Read every profile of some folders; a later folder replaces profiles of the same name.

    Raises:
        ConfigError: a folder is missing, or a file is wrong or not named after its profile.
    """
    profiles: dict[str, Profile] = {}
    for folder in folders:
        if not folder.is_dir():
            raise ConfigError(f"{folder}: no such folder of device profiles (ini `profile_dirs`)")
        for path in sorted(folder.glob("*.toml")):
            profile = schema.load_toml(Profile, path)
            if profile.name != path.stem:
                raise ConfigError(f"{path}: says name = {profile.name!r}; name it {path.stem!r}")
            if not profile.accelerators_of(profile.default_delegate):
                raise ConfigError(
                    f"{path}: no accelerator has the default delegate {profile.default_delegate!r}"
                )
            for number, cluster in enumerate(profile.cpu):
                _check_cluster(cluster, where=f"{path}: cpu[{number}]")
            profiles[profile.name] = profile
    return profiles


def of_project(more: Sequence[Path] = ()) -> dict[str, Profile]:
    """Read the shipped profiles, those of the ini key `profile_dirs`, and those of more folders.

    Raises:
        ConfigError: a folder is missing, or a file is wrong or not named after its profile.
    """
    return load_all([shipped_folder(), *ini.of_project().paths("profile_dirs"), *more])


def every_delegate(names: Sequence[str]) -> Sequence[str]:
    """Return names with `all` meaning every delegate of every phone, not its default one alone."""
    parts = [part.strip() for name in names for part in name.split(",")]
    return ["*:*" if part == ALL else part for part in parts]


def _check_cluster(cluster: CpuCluster, *, where: str) -> None:
    """Refuse a cluster that names no core that is known, or a mask that is not of its cores."""
    if cluster.uarch not in (*UARCHES, UNKNOWN_UARCH):
        raise ConfigError(
            f"{where}: uarch: no core {cluster.uarch!r} is known; "
            f"known: {', '.join(sorted(UARCHES))}, and {UNKNOWN_UARCH!r}"
        )
    mask = cluster.taskset_mask
    if mask and not re.fullmatch(r"[0-9a-fA-F]{1,16}", mask):
        raise ConfigError(f"{where}: taskset_mask: {mask!r} is not a hex mask such as 'f0'")
    if mask and int(mask, 16).bit_count() != cluster.cores:
        raise ConfigError(
            f"{where}: taskset_mask: {mask!r} is of {int(mask, 16).bit_count()} cores, "
            f"and cores = {cluster.cores}"
        )


def select(profiles: Mapping[str, Profile], names: Sequence[str]) -> tuple[Target, ...]:
    """Resolve `--device` values: NAME, NAME:DELEGATE, comma lists, patterns, `all`.

    A pattern such as `galaxy_*`, `*:cpu` or `all:cpu` names every phone that fits and has the
    delegate; without a delegate it names each phone's default one.

    Raises:
        ConfigError: a name or delegate is unknown, a pattern fits none, or a list names none; the
            known are listed.
    """
    wishes = [part.strip() for name in names for part in name.split(",") if part.strip()]
    targets: dict[str, Target] = {}
    for wish in wishes:
        for target in _wished(profiles, wish):
            targets.setdefault(str(target), target)
    if names and not targets:
        raise ConfigError(f"no device is named; known: {', '.join(sorted(profiles))}")
    return tuple(targets.values())


def _wished(profiles: Mapping[str, Profile], wish: str) -> list[Target]:
    """Return the targets that one NAME[:DELEGATE] names."""
    name, _, delegate = wish.partition(":")
    pattern = "*" if name == ALL else name
    phones = [p for key, p in profiles.items() if fnmatch.fnmatchcase(key, pattern)]
    if not phones:
        known = ", ".join(sorted(profiles))
        raise ConfigError(f"no device profile {name!r}; known: {known}{text.meant(name, profiles)}")
    found = [
        Target(profile=phone, delegate=one)
        for phone in phones
        for one in (*phone.delegates, *_alike(phone, delegate))
        if (fnmatch.fnmatchcase(one, delegate) if delegate else one == phone.default_delegate)
    ]
    if not found:
        of = phones[0].name if len(phones) == 1 else f"no phone of {name!r}"
        has = "has no" if len(phones) == 1 else "has the"
        delegates = dict.fromkeys(
            d for phone in phones for d in (*phone.delegates, *_alike(phone, *ALIKE))
        )
        raise ConfigError(
            f"{of} {has} delegate {delegate!r}; "
            f"known: {', '.join(delegates)}{text.meant(delegate, delegates)}"
        )
    return found


def _alike(phone: Profile, *delegates: str) -> list[str]:
    """Return those of some delegates that a phone has by another one that is alike."""
    return [
        name
        for name in delegates
        if name not in phone.delegates and ALIKE.get(name) in phone.delegates
    ]
