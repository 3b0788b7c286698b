"""Describe a phone's CPU the way Linux does, for the libraries that pick kernels by it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import ConfigError
from harness.profiles import UARCHES, CpuCluster

_ARMV80 = "fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid"
_ARMV82 = (
    "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop "
    "asimddp"
)
_WITHOUT_FP16 = frozenset({"cortex-a35", "cortex-a53", "cortex-a57", "cortex-a72", "cortex-a73"})
"""Cores of Armv8.0-A: neither fp16 arithmetic nor dot products. Source: as above."""


@dataclass(frozen=True, kw_only=True)
class CpuDescription:
    """What an emulated phone says of its CPU.

    Every core is described as one of the fastest cluster. XNNPACK picks its kernels by the core
    that a thread is on, and under QEMU that is the number of the *host's* core: with both
    clusters described, a model ran the kernels of one or the other by chance (15 % apart in
    instructions). Phones are timed on their fastest cluster, so its kernels are the ones to run.

    Attributes:
        uarch: Core of the fastest cluster, such as `cortex-a76`.
        cores: Cores of all clusters together.
        max_mhz: Highest clock of the fastest cluster, or None if unknown.
        fp16: Whether every core has fp16 arithmetic and dot products (Armv8.2-A).
    """

    uarch: str
    cores: int
    max_mhz: int | None
    fp16: bool

    @property
    def emulator_cpu(self) -> str:
        """Return QEMU's name of a CPU with these features.

        Never `max`: with QEMU 7.2 its SVE kernels gave wrong int8 results (153 steps off).
        """
        return "cortex-a76" if self.fp16 else "cortex-a72"

    @property
    def proc_cpuinfo(self) -> str:
        """Return the text of /proc/cpuinfo."""
        implementer, part = UARCHES[self.uarch]
        return "".join(
            f"processor\t: {core}\n"
            "BogoMIPS\t: 38.40\n"
            f"Features\t: {_ARMV82 if self.fp16 else _ARMV80}\n"
            f"CPU implementer\t: 0x{implementer:02x}\n"
            "CPU architecture: 8\n"
            "CPU variant\t: 0x1\n"
            f"CPU part\t: 0x{part:03x}\n"
            "CPU revision\t: 0\n\n"
            for core in range(self.cores)
        )

    @property
    def sys_files(self) -> dict[str, str]:
        """Return the text of each file below /sys/devices/system/cpu that cpuinfo reads."""
        every = f"0-{self.cores - 1}" if self.cores > 1 else "0"
        files = {
            "kernel_max": str(self.cores - 1),
            "possible": every,
            "present": every,
            "online": every,
        }
        for core in range(self.cores):
            files[f"cpu{core}/topology/physical_package_id"] = "0"
            files[f"cpu{core}/topology/core_siblings_list"] = every
            if self.max_mhz is not None:
                files[f"cpu{core}/cpufreq/cpuinfo_max_freq"] = str(self.max_mhz * 1000)
        return {name: text + "\n" for name, text in files.items()}

    def write(self, root: Path) -> None:
        """Write /proc and /sys below `root`."""
        files = {f"sys/devices/system/cpu/{name}": text for name, text in self.sys_files.items()}
        for name, text in (files | {"proc/cpuinfo": self.proc_cpuinfo}).items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="ascii")


def is_known(clusters: Sequence[CpuCluster]) -> bool:
    """Return whether `describe` knows the cores of every cluster, and there is one."""
    return bool(clusters) and all(cluster.uarch in UARCHES for cluster in clusters)


def describe(clusters: Sequence[CpuCluster]) -> CpuDescription:
    """Describe the CPU of a profile, whose clusters come slowest first.

    Raises:
        ConfigError: the profile has no clusters, or one of a core that is not known here.
    """
    if not clusters:
        raise ConfigError("the profile names no CPU clusters; add `[[cpu]]` to emulate its CPU")
    unknown = sorted({c.uarch for c in clusters if c.uarch not in UARCHES})
    if unknown:
        known = ", ".join(sorted(UARCHES))
        raise ConfigError(f"no description of the CPU core {', '.join(unknown)}; known: {known}")
    return CpuDescription(
        uarch=clusters[-1].uarch,
        cores=sum(cluster.cores for cluster in clusters),
        max_mhz=clusters[-1].max_mhz,
        fp16=all(cluster.uarch not in _WITHOUT_FP16 for cluster in clusters),
    )
