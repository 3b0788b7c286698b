"""Say what this host can run, what is missing, and the command that adds it."""

import argparse
import importlib.util
from collections.abc import Callable, Iterable, Iterator

from rich.table import Table

from harness import cache, extras
from harness.cli import doctor_gpu, doctor_tools, shared
from harness.devices.benchmark.fetching import LITERT_VERSION
from harness.devices.connect import PhoneSetup
from harness.errors import ConfigError, StackMissing
from harness.lab import aihub_venv
from harness.stacks import arm64, arm64_sysroot, mldrift, qnn, xnnpack


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `harness doctor`."""
    parser.add_argument(
        "--install",
        choices=("arm64", "aihub"),
        help="build a stack that no package brings as it is",
    )
    parser.add_argument(
        "--fetch-tools",
        nargs="?",
        const=LITERT_VERSION,
        metavar="VERSION",
        help="fetch the public builds of TensorFlow Lite's and LiteRT 2's tools into ./tools, by "
        f"version (default {LITERT_VERSION}) and hash",
    )
    parser.add_argument(
        "--serial", default="", help="also run the benchmark tool on this phone and check its flags"
    )
    parser.add_argument(
        "--gpu",
        action="store_true",
        help="with --serial: run graphs that drivers are known to compute wrongly, and compare "
        "the phone's GPU and NPU with its CPU",
    )
    shared.add_profile_dirs(parser)


def run(options: argparse.Namespace) -> int:
    """Print what can be done here and what lacks, after installing what is asked for.

    Raises:
        ConfigError: a phone's GPU is to be checked, and none is named.
    """
    if options.gpu:
        if not options.serial:
            raise ConfigError("--gpu checks a phone: name it with --serial")
        return doctor_gpu.run(options)
    if options.fetch_tools:
        return doctor_tools.run(options)
    if options.install == "arm64":
        arm64_sysroot.install(cache.root())
    elif options.install == "aihub":
        aihub_venv.install()
    console = shared.console()
    console.print(listed(_abilities()))
    if options.serial:
        lacking = _examine(options)
        for line in lacking or ["the benchmark tool can do all that the harness asks of it"]:
            console.print(f"{options.serial}: {line}")
    return 0


def listed(abilities: Iterable[tuple[str, str, str]]) -> Table:
    """Return a list of what this host has and lacks.

    Args:
        abilities: What can be done, with which versions or that it is missing, and what adds it
            or '' where nothing is missing.
    """
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for ability, state, remedy in abilities:
        style = "yellow" if remedy else ""
        table.add_row("lacks" if remedy else "has", f"{ability}: {state}", style=style)
        if remedy:
            table.add_row("", f"to add it: {remedy}")
    return table


def _examine(options: argparse.Namespace) -> list[str]:
    """Return what the benchmark tool cannot do on a phone.

    Raises:
        ConfigError: the phone fits no profile, or the tool is none for it.
        DeviceError: the phone or the tool failed.
    """
    from harness.devices import measured

    (found,) = measured.attached(shared.load_profiles(options), serial=options.serial)
    device = measured.Phone(found, "cpu", tool=PhoneSetup.of_project().tool("cpu"))
    try:
        return device.examine_tool()
    finally:
        device.close()


def _abilities() -> Iterator[tuple[str, str, str]]:
    """Yield what can be done, with which versions or that it is missing, and the remedy."""
    yield _stack("CPU kernels of this host (XNNPACK)", lambda: None, xnnpack.versions)
    yield _stack("Arm CPU kernels (QEMU)", arm64.missing, arm64.versions)
    yield _stack("GPU placement and pixels (ML Drift)", mldrift.missing, mldrift.versions)
    yield _stack("Snapdragon NPU (Qualcomm's compiler)", qnn.missing, qnn.versions)
    yield _benchmark_tool()
    further = importlib.util.find_spec("skimage") is not None
    remedy = "" if further else extras.install_command("measures")
    yield "SSIM, colour and shift", "scikit-image" if further else "missing", remedy
    yield _aihub()
    trainable = importlib.util.find_spec("tensorflow") is not None
    remedy = "" if trainable else extras.install_command("train")
    yield "training and export", "TensorFlow" if trainable else "missing", remedy


def _aihub() -> tuple[str, str, str]:
    """Describe the client that rents phones of Qualcomm AI Hub."""
    try:
        aihub_venv.python()
    except StackMissing:
        return "phones of Qualcomm AI Hub", "missing", aihub_venv.REMEDY
    return "phones of Qualcomm AI Hub", aihub_venv.PACKAGE.replace("==", " "), ""


def _benchmark_tool() -> tuple[str, str, str]:
    """Describe the tool that measures on attached phones."""
    from harness.devices.benchmark import tool_file

    try:
        tool = tool_file.load(PhoneSetup.of_project().tool(""))
    except (StackMissing, ConfigError) as error:
        return "phones over adb", "no benchmark tool", str(error)
    return "phones over adb", f"{tool.path.name} for {tool.abi or 'any ABI'}", ""


def _stack(
    ability: str, missing: Callable[[], str | None], versions: Callable[[], dict[str, str]]
) -> tuple[str, str, str]:
    remedy = missing()
    if remedy is not None:
        return ability, "missing", remedy
    try:
        found = ", ".join(f"{name} {version}" for name, version in versions().items())
    except StackMissing as error:
        return ability, "missing", str(error)
    return ability, found, ""
