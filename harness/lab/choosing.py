"""Choose which lab answers the requests of a run: this host, or the one that `--lab` names."""

from collections.abc import Collection, Sequence

from harness.devices.connect import Origin, PhoneSetup
from harness.errors import ConfigError
from harness.lab.lab import Lab
from harness.lab.local import LocalLab

KINDS = {
    "adb": "adb:HOST:PORT",
    "aihub": "aihub",
    "devicerun": "devicerun:PROJECT/DEVICE",
    "farm": "farm:tls://HOST:PORT",
    "stf": "stf:URL",
}
"""How `--lab` names each kind of lab."""


def choose(
    names: Sequence[str],
    *,
    origin: Origin,
    serial: str = "",
    phone_setup: PhoneSetup,
    parallel: bool = False,
    jobs: int = 1,
    consent: Collection[str] = (),
    resume: bool = False,
) -> Lab:
    """Return the lab that answers a run; it is not opened yet.

    Args:
        names: Values of `--lab`, each `NAME[:ARG]`; several only of one kind. None for this host.
        origin: Where this host's facts may come from.
        serial: The adb serial of one phone of this host, or ''.
        phone_setup: How a phone is measured.
        parallel: Whether other processes of this run ask the same phones.
        jobs: Emulated requests that this host answers at one time.
        consent: Kinds of labs that the user lets have models and frames; `all` is every kind.
        resume: Whether jobs that an earlier run left in a lab are taken over.

    Raises:
        ConfigError: no such lab, or one that goes with nothing else that is asked for.
    """
    if not names:
        return LocalLab(
            origin=origin, serial=serial, phone_setup=phone_setup, parallel=parallel, jobs=jobs
        )
    kinds = {name.partition(":")[0] for name in names}
    if len(kinds) > 1:
        raise ConfigError(f"--lab {', '.join(names)}: name labs of one kind in a run")
    if kinds == {"farm"} and not (serial or parallel):
        from harness.farm.lab import FarmLab

        return FarmLab(_only(names), origin=origin)
    if origin is Origin.EMULATED:
        raise ConfigError(f"--lab={names[0]} measures on phones; leave out --origin=emulated")
    if serial:
        raise ConfigError(f"--lab={names[0]} finds its phones; leave out --serial")
    if parallel:
        raise ConfigError(f"--lab={names[0]}: one process asks a lab; leave out -n")
    return _of_phones(kinds.pop(), names, phone_setup=phone_setup, consent=consent, resume=resume)


def _of_phones(
    kind: str,
    names: Sequence[str],
    *,
    phone_setup: PhoneSetup,
    consent: Collection[str],
    resume: bool,
) -> Lab:
    """Return a lab of phones elsewhere; the packages that it needs are loaded here, not before."""
    match kind:
        case "adb":
            from harness.lab.adb import AdbLab

            arguments = [name.partition(":")[2] for name in names]
            return AdbLab(arguments, phone_setup=phone_setup)
        case "devicerun":
            from harness.lab.devicerun import DeviceRunLab

            return DeviceRunLab(_only(names), phone_setup=phone_setup)
        case "stf":
            from harness.lab.stf import StfLab

            return StfLab(_only(names), phone_setup=phone_setup)
        case "aihub":
            from harness.lab.aihub import AihubLab

            if _only(names):
                raise ConfigError(f"--lab={names[0]}: write --lab=aihub; --device names the phone")
            return AihubLab(consent=bool({"aihub", "all"} & set(consent)), resume=resume)
        case _:
            raise ConfigError(f"no lab {names[0]!r}; known: {', '.join(KINDS.values())}")


def _only(names: Sequence[str]) -> str:
    """Return the argument of the one lab of its kind."""
    if len(names) > 1:
        raise ConfigError(f"--lab {', '.join(names)}: name one such lab in a run")
    return names[0].partition(":")[2]
