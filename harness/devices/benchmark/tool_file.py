"""Find the user's benchmark tool and check that a phone can run it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.errors import ConfigError, StackMissing
from harness.evidence import sha256_of

VARIABLE = "HARNESS_BENCHMARK_TOOL"
_WHERE = (
    "fetch a prebuilt `benchmark_model` for your phone's ABI (LiteRT: "
    "storage.googleapis.com/litert/binaries/latest/android_arm64/benchmark_model; TensorFlow "
    "Lite: the performance measurement guide lists nightly android_aarch64 builds) and name it "
    f"with the ini key `benchmark_tool` or ${VARIABLE}"
)
_MACHINES = {0xB7: "arm64-v8a", 0x28: "armeabi-v7a", 0x3E: "x86_64", 0x03: "x86"}
"""ABI by e_machine. Source: ELF specification, Android NDK ABI names."""


@dataclass(frozen=True, kw_only=True)
class ToolFile:
    """A benchmark tool: its bytes, their hash, and the ABI, '' for a script."""

    path: Path
    data: bytes
    sha256: str
    abi: str

    def check(self, abis: tuple[str, ...]) -> None:
        """Refuse a phone that cannot run it.

        Raises:
            ConfigError: the phone has none of its ABI.
        """
        if self.abi and self.abi not in abis:
            raise ConfigError(
                f"{self.path}: built for {self.abi}, the phone runs {', '.join(abis)}; {_WHERE}"
            )


def find(named: str = "", environ: Mapping[str, str] = os.environ) -> Path:
    """Return the tool that the ini key names, else the one that the environment names.

    Raises:
        StackMissing: neither does, or there is no such file.
    """
    text = named or environ.get(VARIABLE, "")
    if not text:
        raise StackMissing(f"no benchmark tool is named; {_WHERE}")
    path = Path(text).expanduser()
    if not path.is_file():
        raise StackMissing(f"{path}: no such benchmark tool; {_WHERE}")
    return path


def load(path: Path) -> ToolFile:
    """Read a tool.

    Raises:
        ConfigError: the file is no program for Android.
    """
    data = path.read_bytes()
    abi = ""
    if data[:4] == b"\x7fELF" and len(data) > 20:
        machine = int.from_bytes(data[18:20], "little" if data[5] == 1 else "big")
        abi = _MACHINES.get(machine, f"machine {machine:#x}")
    elif data[:2] != b"#!":
        raise ConfigError(f"{path}: not a program (no ELF header); {_WHERE}")
    return ToolFile(path=path, data=data, sha256=sha256_of(data), abi=abi)
