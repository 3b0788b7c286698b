"""Choose the libraries by which LiteRT 2 reaches the NPU of a phone's chip.

A dispatch library runs what was compiled. A compiler plugin compiles on the phone (JIT); a model
that was compiled before (AOT) needs none. The vendor's own libraries lie beside them.

Source: LiteRT, litert/vendors: qualcomm/supported_soc.csv, dispatch and compiler of each vendor;
litert-cli 0.2.1, npu_utils.py; ai-edge-litert 2.3.0, aot/vendors/*/target.py.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.devices.traces.dispatch import DISPATCH_OP
from harness.errors import ConfigError

_LIBRARY_BYTES_MAX = 512 * 2**20
_HTP_VERSIONS = {
    66: "SDM865 SM8250 SM8150 SM7250 SM7225 SM7125 SM6350 SM6225 SM6150 SM6125 SM4350 SM6375",
    65: "SM7150 SDM845",
    68: "SM8350 SM7350 SM7325 SM7315",
    69: "SM8475 SM8450 SM7475 SM7450 SM7425",
    73: "SM8635 SM8550 SM7675 SM7550 SM7435 SM6450",
    75: "SM8650",
    79: "SM8750",
    81: "SM8850",
}
"""Version of Qualcomm's HTP by chips of phones. Source: LiteRT, qualcomm/supported_soc.csv."""
_HTP = {soc: version for version, socs in _HTP_VERSIONS.items() for soc in socs.split()}
_NEURON_9 = ("MT6993",)
"""Chips of NeuroPilot 9; others have 8. Source: ai-edge-litert 2.3.0, mediatek/target.py."""
_PHONE_FOLDERS = (
    "/vendor/lib64", "/system/lib64", "/system_ext/lib64", "/odm/lib64", "/vendor/lib/rfsa/adsp",
    "/vendor/dsp/cdsp",
)  # fmt: skip
"""Where a phone has libraries of its own."""


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What a chip's NPU needs.

    Attributes:
        soc: The chip as its vendor has it, such as `SM8650`.
        dispatch: Libraries to run with.
        compiler: Further ones to compile on the phone; empty where that cannot be done.
        flags: Further flags of both tools.
    """

    soc: str
    dispatch: tuple[str, ...]
    compiler: tuple[str, ...]
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Npu:
    """The libraries at hand for the NPU of one phone.

    Attributes:
        needs: What its chip needs.
        files: Paths on this host by name, of those that it needs.
        of_phone: Names of those that the phone has itself.
    """

    needs: Needs
    files: Mapping[str, Path] = field(default_factory=dict)
    of_phone: tuple[str, ...] = ()

    def missing(self, model: bytes) -> str:
        """Return which libraries a model's run lacks, a sentence for a person, or ''."""
        jit = not is_compiled(model)
        if jit and not self.needs.compiler:
            return (
                f"LiteRT compiles nothing on a {self.needs.soc}: export the model compiled for it "
                "(`litert compile`, AOT)"
            )
        wanted = (*self.needs.dispatch, *(self.needs.compiler if jit else ()))
        lacking = [name for name in wanted if name not in self.files and name not in self.of_phone]
        if not lacking:
            return ""
        return (
            f"{', '.join(lacking)} for the NPU of {self.needs.soc} "
            f"{'is' if len(lacking) == 1 else 'are'} neither among `npu_libraries` nor on the phone"
        )

    def flags(self, model: bytes, folder: str, *, suffix: str) -> tuple[str, ...]:
        """Return the flags that name the libraries to a tool.

        Args:
            model: The .tflite.
            folder: Where they lie on the phone.
            suffix: `path` for benchmark_model, `dir` for run_model.
        """
        named = [f"--dispatch_library_{suffix}={folder}"]
        if not is_compiled(model):
            named.append(f"--compiler_plugin_library_{suffix}={folder}")
        return (*named, *self.needs.flags)


def is_compiled(model: bytes) -> bool:
    """Return whether a .tflite was compiled for an NPU when it was exported (AOT)."""
    return DISPATCH_OP.encode() in model


def needs(soc_model: str) -> Needs:
    """Return what the NPU of a chip needs, by what `ro.soc.model` says.

    Raises:
        ConfigError: LiteRT reaches no NPU of such a chip.
    """
    if found := re.match(r"(?:SDM|SM)\d{3,4}", soc_model):
        version = _HTP.get(found[0])
        if version is not None:
            return _qualcomm(found[0], version)
    if found := re.match(r"MT\d{4}", soc_model):
        return _mediatek(found[0])
    if found := re.match(r"Tensor[ _]?G([3-9])\b", soc_model):
        return Needs(
            soc=f"Tensor_G{found[1]}",
            dispatch=("libLiteRtDispatch_GoogleTensor.so",),
            compiler=(),
        )
    raise ConfigError(
        f"LiteRT reaches no NPU of this phone's chip that is known here (ro.soc.model "
        f"{soc_model!r:.60}); it knows those of Qualcomm, MediaTek and Google Tensor from G3 on"
    )


def _qualcomm(soc: str, version: int) -> Needs:
    qnn = ("System", "Htp", f"HtpV{version}Stub", f"HtpV{version}Skel")
    return Needs(
        soc=soc,
        dispatch=("libLiteRtDispatch_Qualcomm.so", *(f"libQnn{name}.so" for name in qnn)),
        compiler=(
            "libLiteRtCompilerPlugin_Qualcomm.so", "libQnnHtpPrepare.so", "libQnnIr.so",
            "libQnnSaver.so",
        ),
    )  # fmt: skip


def _mediatek(soc: str) -> Needs:
    nine = soc in _NEURON_9
    return Needs(
        soc=soc,
        dispatch=(
            "libLiteRtDispatch_MediaTek.so",
            "libneuronusdk_adapter.so" if nine else "libneuronusdk_adapter.mtk.so",
        ),
        compiler=("libLiteRtCompilerPlugin_MediaTek.so",),
        flags=(f"--mediatek_nerun_pilot_version=version{9 if nine else 8}",),
    )


def index(paths: Sequence[Path]) -> dict[str, Path]:
    """Return libraries by name from files and folders; a later one replaces its namesakes.

    Raises:
        ConfigError: a path is neither a file nor a folder.
    """
    found: dict[str, Path] = {}
    for path in paths:
        if path.is_dir():
            found |= {one.name: one for one in sorted(path.glob("lib*.so")) if one.is_file()}
        elif path.is_file():
            found[path.name] = path
        else:
            raise ConfigError(f"{path}: no such library or folder (ini `npu_libraries`)")
    return found


def choose(wanted: Needs, at_hand: Mapping[str, Path], on_phone: Iterable[str]) -> Npu:
    """Return those of the libraries at hand that a chip needs, and those that its phone has."""
    names = (*wanted.dispatch, *wanted.compiler)
    return Npu(
        needs=wanted,
        files={name: at_hand[name] for name in names if name in at_hand},
        of_phone=tuple(name for name in names if name in set(on_phone)),
    )


def look_command(wanted: Needs) -> str:
    """Return shell that prints the names of those libraries that the phone has itself."""
    names = " ".join((*wanted.dispatch, *wanted.compiler))
    return (
        f"for n in {names}; do for d in {' '.join(_PHONE_FOLDERS)}; do "
        "if [ -e $d/$n ]; then echo $n; break; fi; done; done; true"
    )


def read(files: Mapping[str, Path]) -> dict[str, bytes]:
    """Read libraries.

    Raises:
        ConfigError: one is too large to be one.
    """
    for path in files.values():
        if path.stat().st_size > _LIBRARY_BYTES_MAX:
            raise ConfigError(f"{path}: too large for a library (ini `npu_libraries`)")
    return {name: path.read_bytes() for name, path in files.items()}
