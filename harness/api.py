"""What `import harness` offers: models, phones, plans and verdicts in a few lines of Python."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness import cases, ini, judging, subjects
from harness import model as models
from harness import profiles as phones
from harness.cases import Plan
from harness.devices import connect as connecting
from harness.devices.connect import Origin, PhoneSetup
from harness.devices.device import Device
from harness.devices.emulated import Emulated
from harness.errors import ConfigError, DeviceError, ModelError
from harness.judging import Trial
from harness.lab import Facts, Lab, choose
from harness.latency import Estimate
from harness.measures import Measured
from harness.model import Model
from harness.placement import Placement
from harness.profiles import Target
from harness.results import Record
from harness.subjects import SUBJECT_FILE, Subject

OriginName = Literal["emulated", "auto", "phone"]
"""Where facts come from: this host, a phone if one is attached, or a phone only."""
_WHYS = (ConfigError, DeviceError, ModelError)
"""What keeps one phone from answering, while others may."""


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """A model on some phones: where its ops run, and how long that is estimated to take.

    Attributes:
        model: The model at the size that was asked about.
        placements: Placement by phone and delegate, such as `pixel4:nnapi`, or why there is none.
        estimates: Estimated latency likewise.
    """

    model: Model
    placements: Mapping[str, Placement | str]
    estimates: Mapping[str, Estimate | str]


def load(path: str | Path) -> Model:
    """Read a .tflite file.

    Args:
        path: The file.

    Raises:
        ModelError: it is missing, too large or cannot be read as a model.
    """
    return models.load(Path(path))


def connect(
    name: str,
    *,
    origin: OriginName = "emulated",
    serial: str = "",
    profiles: Sequence[str | Path] = (),
) -> Device:
    """Return a phone that can place, time and run models; close it, or use it in a `with`.

    Args:
        name: A profile, such as `pixel4`, or profile and delegate, such as `pixel4:gpu`.
        origin: `emulated` for its software on this host, `phone` for one that is attached, `auto`
            for an attached one if there is any.
        serial: The adb serial of one phone, or '' for any that fits the profile.
        profiles: More folders of device profiles, beside those that ship and the ini key
            `profile_dirs`.

    Raises:
        ConfigError: the name, the origin or a profile is wrong.
        DeviceError: a phone was asked for and none can be used.
        StackMissing: a phone is attached, but no benchmark tool is named.
    """
    targets = _targets([name], profiles)
    if len(targets) != 1:
        raise ConfigError(f"{name!r} names {len(targets)} phones; connect one at a time")
    return connecting.connect(
        targets[0], origin=_origin(origin), serial=serial, phone_setup=PhoneSetup.of_project()
    )


def plan(
    golden: str | Path | Subject,
    devices: str | Sequence[str],
    *,
    subject: str = "*",
    profiles: Sequence[str | Path] = (),
) -> Plan:
    """Return what would be judged, and what does not ship and why.

    Args:
        golden: A folder of subjects, the folder of one subject, or a Subject.
        devices: Phones as `--device` has them: `pixel4`, `pixel4:gpu`, a list, or `all`.
        subject: `SUBJECT[.VARIANT]` with wildcards, such as `*.int8_ptq`; a variant that is
            spelled out is judged even where it does not ship.
        profiles: More folders of device profiles.

    Raises:
        ConfigError: a name, a folder or a file is wrong.
    """
    names = [devices] if isinstance(devices, str) else devices
    if isinstance(golden, Subject):
        found: Sequence[Subject] = (golden,)
    elif (Path(golden) / SUBJECT_FILE).is_file():
        found = (subjects.load(Path(golden)),)
    else:
        found = subjects.load_all(Path(golden), subject)
    return cases.plan(found, _targets(names, profiles), subject)


def judge(
    golden: str | Path | Subject,
    devices: str | Sequence[str],
    *,
    subject: str = "*",
    origin: OriginName = "emulated",
    serial: str = "",
    lab: str | Sequence[str] = (),
    jobs: int | None = None,
    profiles: Sequence[str | Path] = (),
    measures: Mapping[str, Measured] | None = None,
) -> Iterator[Record]:
    """Yield the verdicts of the shipped gates, those of `pytest --device`, each with its names.

    Facts are asked for side by side while verdicts are given. What keeps a gate from ruling is an
    INCONCLUSIVE verdict that says so. Nothing is written but the cache.

    Args:
        golden: A folder of subjects, the folder of one subject, or a Subject.
        devices: Phones as `--device` has them: `pixel4`, `pixel4:gpu`, a list, or `all`.
        subject: `SUBJECT[.VARIANT]` with wildcards; a variant that is spelled out is judged even
            where it does not ship.
        origin: Where facts come from, as for `connect`.
        serial: The adb serial of one phone, or ''.
        lab: The lab to ask, as `--lab` has it, or several of one kind; none for this host, where
            the ini key `labs` is not read.
        jobs: Cores that emulated phones are asked on, as many at one time; default all.
        profiles: More folders of device profiles.
        measures: Measures of your own by name, for `limits.own` of subject.toml.

    Raises:
        ConfigError: a name, a folder or a file is wrong, or nothing that is asked for ships.
        DeviceError: an attached phone could not be given back as it was.
    """
    planned = plan(golden, devices, subject=subject, profiles=profiles)
    if not planned.cases:
        reasons = dict.fromkeys(one.because for one in planned.withheld)
        why = "; ".join(reasons) or f"no variant fits {subject!r}"
        raise ConfigError(f"{golden} on {devices}: nothing to judge: {why}")
    names = [lab] if isinstance(lab, str) else lab
    asked = choose(
        names,
        origin=Origin.PHONE if names else _origin(origin),
        serial=serial,
        phone_setup=PhoneSetup.of_project(),
        jobs=jobs or os.cpu_count() or 1,
        consent=ini.of_project().lines("lab_consent"),
    )
    return _judged(judging.trials(planned.cases), asked, measures)


def _judged(
    trials: Sequence[Trial], lab: Lab, own: Mapping[str, Measured] | None
) -> Iterator[Record]:
    try:
        lab.open()
        yield from judging.judge(trials, Facts(lab), own=own)
    finally:
        if troubles := lab.close():
            raise DeviceError(f"not released: {'; '.join(troubles)}")


def inspect(
    model: Model | str | Path,
    devices: str | Sequence[str] = "all",
    *,
    profiles: Sequence[str | Path] = (),
) -> Inspection:
    """Return where the ops of a model would run on phones, and how long that would take.

    Args:
        model: A model, or the path of a .tflite.
        devices: Phones as `--device` has them; `all` means every delegate of every phone.
        profiles: More folders of device profiles.

    Raises:
        ModelError: the file cannot be read as a model.
        ConfigError: a name or a profile is wrong.
    """
    asked = model if isinstance(model, Model) else load(model)
    names = [devices] if isinstance(devices, str) else devices
    placements: dict[str, Placement | str] = {}
    estimates: dict[str, Estimate | str] = {}
    for target in _targets(names, profiles, every_delegate=True):
        device = Emulated(target)
        try:
            placements[str(target)] = device.place(asked)
        except _WHYS as error:
            placements[str(target)] = str(error)
        try:
            estimates[str(target)] = device.time(asked)
        except _WHYS as error:
            estimates[str(target)] = str(error)
    return Inspection(model=asked, placements=placements, estimates=estimates)


def _targets(
    names: Sequence[str], folders: Sequence[str | Path], *, every_delegate: bool = False
) -> tuple[Target, ...]:
    known = phones.of_project([Path(folder) for folder in folders])
    return phones.select(known, phones.every_delegate(names) if every_delegate else names)


def _origin(name: str) -> Origin:
    known = {origin.value: origin for origin in Origin}
    if name not in known:
        raise ConfigError(f"no origin {name!r}; known: {', '.join(known)}")
    return known[name]
