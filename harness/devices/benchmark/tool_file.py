"""Find the user's benchmark tool and check that a phone can run it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.errors import ConfigError, StackMissing
from harness.evidence import sha256_of

VARIABLE = "HARNESS_BENCHMARK_TOOL"
_WHERE = (
    "fetch a prebuilt `benchmark_model` for your phone's ABI (TensorFlow Lite: the performance "
    "measurement guide lists nightly android_aarch64 builds) and name it with the ini key "
    f"`benchmark_tool` or ${VARIABLE}; or LiteRT 2's with run_model beside it "
    "(storage.googleapis.com/litert/binaries/latest/android_arm64/), their folder as `litert_tools`"
)
_MACHINES = {0xB7: "arm64-v8a", 0x28: "armeabi-v7a", 0x3E: "x86_64", 0x03: "x86"}
"""ABI by e_machine. Source: ELF specification, Android NDK ABI names."""
_OF_NPUS = ("libLiteRtDispatch_", "libLiteRtCompilerPlugin_")


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

    def libraries(self) -> dict[str, bytes]:
        """Return LiteRT's own libraries that lie beside it, by name; those of NPUs are not."""
        return {
            path.name: path.read_bytes()
            for path in sorted(self.path.parent.glob("libLiteRt*.so"))
            if path.is_file() and not path.name.startswith(_OF_NPUS)
        }

    def beside(self, name: str) -> "ToolFile | None":
        """Return the tool of another name that lies beside it, or None.

        Raises:
            ConfigError: it is no program for Android.
        """
        path = self.path.parent / name
        return load(path) if path.is_file() else None


def find(
    named: str = "",
    environ: Mapping[str, str] = os.environ,
    *,
    litert: str = "",
    delegate: str = "",
) -> Path:
    """Return the tool that measures through a delegate.

    Args:
        named: The tool that the ini key names; else the environment's counts.
        environ: The environment.
        litert: Folder of LiteRT 2's tools, or ''. They measure through `npu`, and through every
            delegate where no other tool is named.
        delegate: The delegate, or '' for any.

    Raises:
        StackMissing: none is named, or there is no such file.
    """
    text = named or environ.get(VARIABLE, "")
    if litert and (delegate == "npu" or not text):
        text = str(Path(litert) / "benchmark_model")
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
