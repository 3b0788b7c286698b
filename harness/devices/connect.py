"""Choose who answers for a phone: the phone itself, or its software on this host."""

import enum
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from harness import ini
from harness.devices.device import Device
from harness.errors import ConfigError, DeviceError
from harness.profiles import Target

if TYPE_CHECKING:
    from harness.devices.benchmark.measuring import Measuring

_CONNECT_LIMIT_S = 0.3


class Origin(enum.Enum):
    """Where facts may come from (`--origin`)."""

    AUTO = "auto"
    """From a phone if one is attached, else emulated."""
    PHONE = "phone"
    """From a phone; without one, fail."""
    EMULATED = "emulated"
    """From this host only."""


_OTHERWISE = {
    Origin.AUTO: "or use --origin=emulated",
    Origin.PHONE: "or rehearse with `harness fake-phone`, which is taken by its --serial",
}
"""What to do without a phone: commands that only measure have no other origin."""


@dataclass(frozen=True, kw_only=True)
class PhoneSetup:
    """What a user sets for measuring on phones, as ini keys of the same names.

    Attributes:
        benchmark_tool: Path of the user's benchmark tool, or '' for the environment's.
        benchmark_preset: `standard` (50 runs), or `paper` for those of arXiv 2004.12599.
        external_delegates: Libraries on the phone for delegates that the tool does not have,
            each as `DELEGATE PATH [OPTIONS]`, such as
            `qnn /data/local/tmp/libQnnTFLiteDelegate.so backend_type:htp`.
        litert_tools: Folder of LiteRT 2's tools, with run_model and libraries, or ''.
        npu_libraries: Files and folders on this host with the dispatch and compiler plugin
            libraries of LiteRT 2, and those of the NPU's vendor.
    """

    benchmark_tool: str = ""
    benchmark_preset: str = "standard"
    external_delegates: tuple[str, ...] = ()
    litert_tools: str = ""
    npu_libraries: tuple[Path, ...] = ()

    @classmethod
    def of_project(cls) -> Self:
        """Return what the project's ini file sets."""
        said = ini.of_project()
        return cls(
            benchmark_tool=said.text("benchmark_tool"),
            benchmark_preset=said.text("benchmark_preset") or cls.benchmark_preset,
            external_delegates=said.lines("external_delegates"),
            litert_tools=said.text("litert_tools"),
            npu_libraries=said.paths("npu_libraries"),
        )

    def tool(self, delegate: str) -> Path:
        """Return the tool that measures through a delegate.

        Raises:
            StackMissing: none is named, or there is no such file.
        """
        from harness.devices.benchmark import tool_file

        return tool_file.find(self.benchmark_tool, litert=self.litert_tools, delegate=delegate)

    def measuring(self, delegate: str) -> "Measuring":
        """Return how a phone is measured through a delegate.

        Raises:
            ConfigError: the preset is unknown, or a delegate's line cannot be read.
        """
        from harness.devices.benchmark.benchmark_tool import PAPER, STANDARD
        from harness.devices.benchmark.delegate_flags import ExternalDelegate
        from harness.devices.benchmark.measuring import Measuring

        presets = {preset.name: preset for preset in (STANDARD, PAPER)}
        if self.benchmark_preset not in presets:
            raise ConfigError(
                f"no benchmark_preset {self.benchmark_preset!r}; known: {', '.join(presets)}"
            )
        external = None
        for line in self.external_delegates:
            words = line.split()
            if len(words) not in (2, 3):
                raise ConfigError(f"external_delegates {line!r}: write DELEGATE PATH [OPTIONS]")
            name, path, *options = words
            if name == delegate:
                external = ExternalDelegate(path=path, options="".join(options))
        return Measuring(
            preset=presets[self.benchmark_preset],
            external=external,
            npu_libraries=self.npu_libraries,
        )


def connect(
    target: Target,
    *,
    origin: Origin,
    serial: str = "",
    phone_setup: PhoneSetup = PhoneSetup(),
    parallel: bool = False,
    threads: int = 0,
) -> Device:
    """Return the device that answers for a target.

    Args:
        target: The phone and the delegate.
        origin: Where facts may come from; AUTO starts no adb server.
        serial: Adb serial of one phone, or '' for any that fits; a fake one only by its serial.
        phone_setup: How an attached phone is measured.
        parallel: Whether other processes of this run use the same phones.
        threads: Of this host's CPU kernels where they stand in, or 0 for one a core.

    Raises:
        DeviceError: a phone was demanded and none can be used.
        ConfigError: a phone would be timed by several processes at once.
        StackMissing: a phone is attached, but no benchmark tool is named.
    """
    from harness.devices.emulated import Emulated  # every stack: nothing that collecting needs

    if origin is Origin.EMULATED:
        return Emulated(target, threads=threads)
    from harness.devices import measured  # adbutils and protobuf: only where they are used
    from harness.devices.phone.adb import AdbServer

    server = AdbServer.from_environment()
    if origin is Origin.AUTO and not serial and not listens(server.host, server.port):
        return Emulated(target, threads=threads)
    found = measured.fitting(target.profile, serial=serial)
    if not found and origin is Origin.AUTO and not serial:
        return Emulated(target, threads=threads)
    if not found:
        raise _none_fits(target, origin, measured.unusable())
    if parallel:
        raise ConfigError(
            f"{target}: several processes would time one phone at once; leave out -n, or use "
            "--origin=emulated"
        )
    return measured.Phone(
        found[0],
        target.delegate,
        tool=phone_setup.tool(target.delegate),
        measuring=phone_setup.measuring(target.delegate),
    )


def _none_fits(target: Target, origin: Origin, unusable: Sequence[str]) -> DeviceError:
    """Return the error that no attached phone can be used."""
    others = ", ".join(unusable)
    return DeviceError(
        f"{target}: no attached phone fits the profile's match "
        f"{list(target.profile.match)}{f'; not usable: {others}' if others else ''}; "
        f"attach one, {_OTHERWISE[origin]}"
    )


def listens(host: str, port: int) -> bool:
    """Return whether an adb server is running, without starting one."""
    try:
        socket.create_connection((host, port), timeout=_CONNECT_LIMIT_S).close()
    except OSError:
        return False
    return True
