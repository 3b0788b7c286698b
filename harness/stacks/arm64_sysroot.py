"""Build the small Arm system that arm64.py runs LiteRT in, from packages, into the cache.

Debian's (or Ubuntu's) arm64 packages bring Python and its libraries, pip brings LiteRT's arm64
wheels, and QEMU is the installed one or a private copy. The ordinary apt and pip settings of this
host decide where packages come from; apt's own state is not touched and no root is needed.
"""

import contextlib
import dataclasses
import fcntl
import importlib.metadata
import json
import re
import shutil
import sys
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import child, schema
from harness.errors import ConfigError, DeviceError, HarnessError, StackMissing
from harness.stacks.arm64_cpu import CpuDescription

COMMAND = "harness doctor --install arm64"
"""What a person types to build the sysroot."""
LAYOUT = 2
"""Version of the folder's layout; a folder of another version is built again."""
_DOWNLOAD_LIMIT_S = 900.0
_STEP_LIMIT_S = 180.0
_PACKAGES = ("python3-minimal", "libpython3-stdlib", "libstdc++6")
_PLUGIN_APIS = range(1, 9)
"""Versions of QEMU's plugin API to try. Source: qemu-plugin.h; 1 in QEMU 7.2, 5 in 10.1."""
_PLUGIN_SOURCE = Path(__file__).with_name("arm64_count.c")
_REPORTS = "import os\ntry: os.getpgid(0x5EED5EED)\nexcept OSError: pass"
_IMPORTS = (
    "import numpy, ai_edge_litert.interpreter, ai_edge_litert.compiled_model\n"
    "print(open('/proc/cpuinfo').read(), end='')"
)
_ANY_CPU = CpuDescription(uarch="cortex-a77", cores=3, max_mhz=None, fp16=True)


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a finished sysroot holds.

    Attributes:
        layout: `LAYOUT` of the harness that built it.
        litert: Version of ai-edge-litert, the same as the host's.
        wheels: Versions of the Python packages beside it.
        python: Version of Python, such as `3.11`.
        qemu: The emulator: an absolute path, or within the sysroot's folder for a private copy.
        qemu_version: As the emulator says.
        takes_cpu: Whether programs read the description of the CPU that the harness writes. Newer
            emulators may show their own, and then the kernels of a Cortex-A76 run.
        qemu_libraries: Folder of the private copy's libraries, within the sysroot's folder, or ''.
        counts: Whether instructions can be counted.
        counts_not_because: Why not, or ''.
    """

    layout: int
    litert: str
    wheels: Mapping[str, str]
    python: str
    qemu: str
    qemu_version: str
    takes_cpu: bool
    qemu_libraries: str = ""
    counts: bool = False
    counts_not_because: str = ""


def folder(cache_dir: Path) -> Path:
    """Return where the sysroot is, or would be."""
    return cache_dir / "arm64"


def installed(cache_dir: Path) -> Manifest | None:
    """Return what is installed and fits this harness and this host's LiteRT, or None."""
    try:
        manifest = schema.load_json(Manifest, folder(cache_dir) / "manifest.json")
    except ConfigError:
        return None
    fits = manifest.layout == LAYOUT and manifest.litert == _host_litert()
    return manifest if fits and (folder(cache_dir) / manifest.qemu).exists() else None


def install(cache_dir: Path) -> None:
    """Build the sysroot; does nothing where one that fits is there.

    Two processes may ask at once: the second one waits and finds the work done. Packages that
    were downloaded before an interruption are used again. A sysroot that cannot count
    instructions is built again once there is a C compiler.

    Raises:
        StackMissing: a program that it needs is not here.
        DeviceError: a step failed; the message names it.
    """
    target, partial = folder(cache_dir), cache_dir / "arm64.partial"
    with _lock(cache_dir / "arm64.lock"):
        present = installed(cache_dir)
        if present is not None and (present.counts or _compiler() is None):
            return
        for name in ("root", "site", "qemu"):
            _remove(partial / name)
        packages = download_packages(partial, "arm64", _PACKAGES, status=None)
        for package in packages:
            _extract(package, partial / "root")
        _merge_usr(partial / "root")
        python = _python_version(partial / "root")
        _install_wheels(partial, python, _glibc_minor(packages))
        manifest = _try_out(partial, python)
        for name in ("apt-arm64", "apt-host", "wheels"):
            _remove(partial / name)
        text = json.dumps(schema.dump(manifest), indent=2, sort_keys=True)
        (partial / "manifest.json").write_text(text + "\n", encoding="utf-8")
        _remove(target)
        partial.rename(target)


def download_packages(
    work: Path, architecture: str, names: tuple[str, ...], *, status: Path | None
) -> list[Path]:
    """Download packages of an architecture with what they depend on; leaves apt's state alone.

    Args:
        work: Folder for apt's private state.
        architecture: In dpkg's words, or `host` for this machine's.
        names: Packages.
        status: dpkg's list of what is installed and need not be downloaded; None for nothing.

    Raises:
        StackMissing: apt-get is not here.
        DeviceError: apt-get failed.
    """
    home = work / f"apt-{architecture}"
    for sub in ("state/lists/partial", "cache/archives/partial", "log"):
        (home / sub).mkdir(parents=True, exist_ok=True)
    nothing = home / "status"
    nothing.touch()
    lines = [
        f'Dir::State "{home / "state"}";', f'Dir::State::status "{status or nothing}";',
        f'Dir::Cache "{home / "cache"}";', f'Dir::Log "{home / "log"}";',
        'Debug::NoLocking "1";', 'APT::Sandbox::User "root";', 'Acquire::Languages "none";',
    ]  # fmt: skip
    if architecture != "host":
        lines += [f'APT::Architecture "{architecture}";',
                  f'APT::Architectures {{ "{architecture}"; }};']  # fmt: skip
    (home / "apt.conf").write_text("\n".join(lines) + "\n", encoding="utf-8")
    env = {"APT_CONFIG": str(home / "apt.conf"), "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    get = ["apt-get", "-q", "-y"]
    _step(f"read the list of {architecture} packages", [*get, "update"], env=env,
          limit_s=_DOWNLOAD_LIMIT_S)  # fmt: skip
    _step(
        f"download {architecture} packages ({', '.join(names)})",
        [*get, "install", "--download-only", "--no-install-recommends", *names],
        env=env,
        limit_s=_DOWNLOAD_LIMIT_S,
    )
    return sorted((home / "cache" / "archives").glob("*.deb"))


def guest_command(
    manifest: Manifest,
    base: Path,
    root: Path,
    cpu: str,
    *,
    site: Path | None = None,
    options: tuple[str, ...] = (),
) -> list[str]:
    """Return the command line that starts the sysroot's Python in the emulator.

    Args:
        manifest: What is installed.
        base: Folder of the sysroot.
        root: Root of the emulated file system.
        cpu: QEMU's name of the CPU.
        site: Folder of the guest's packages; the sysroot's own unless named.
        options: Further options of QEMU.
    """
    hidden = ("LD_LIBRARY_PATH", "LD_PRELOAD", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONWARNINGS")
    return [
        str(base / manifest.qemu), "-L", str(root), "-cpu", cpu, *options,
        *(part for name in hidden for part in ("-U", name)),
        "-E", f"PYTHONPATH={site or base / 'site'}", "-E", "PYTHONHASHSEED=0",
        "-E", "OPENBLAS_NUM_THREADS=1",
        str(root / "usr" / "bin" / f"python{manifest.python}"), "-P",
    ]  # fmt: skip


def host_environment(manifest: Manifest, base: Path) -> dict[str, str]:
    """Return what the emulator itself needs in its environment."""
    libraries = manifest.qemu_libraries
    return {"LD_LIBRARY_PATH": str(base / libraries)} if libraries else {}


def _try_out(partial: Path, python: str) -> Manifest:
    """Find an emulator, try the sysroot in it, compile the plugin; return the manifest."""
    qemu, libraries = _find_qemu(partial)
    wheels = [wheel.name.split("-") for wheel in (partial / "wheels").glob("*.whl")]
    manifest = Manifest(
        layout=LAYOUT,
        litert=_host_litert(),
        wheels={name.replace("_", "-"): version for name, version, *_ in wheels},
        python=python,
        qemu=qemu,
        qemu_version="",
        takes_cpu=False,
        qemu_libraries=libraries,
    )
    env = host_environment(manifest, partial)
    said = _step("ask QEMU for its version", [partial / qemu, "--version"], env=env)
    version = re.search(r"version (\S+)", said)
    _ANY_CPU.write(partial / "root")
    python_here = guest_command(manifest, partial, partial / "root", _ANY_CPU.emulator_cpu)
    env |= {"PYTHONDONTWRITEBYTECODE": ""}  # so that later starts are faster
    shown = _step("import LiteRT in the emulator", [*python_here, "-c", _IMPORTS], env=env)
    trouble = _compile_plugin(partial, manifest)
    return dataclasses.replace(
        manifest,
        qemu_version=version[1] if version else "unknown",
        takes_cpu=shown == _ANY_CPU.proc_cpuinfo,
        counts=not trouble,
        counts_not_because=trouble,
    )


def _find_qemu(partial: Path) -> tuple[str, str]:
    """Return an emulator, with plugins if there is one, and its private libraries or ''."""
    names = ("qemu-aarch64", "qemu-aarch64-static")
    system = [found for found in map(shutil.which, names) if found]
    for path in system:
        if "-plugin" in _step("ask QEMU for its options", [path, "--help"]):
            return path, ""
    try:
        status = Path("/var/lib/dpkg/status")
        packages = download_packages(partial, "host", ("qemu-user",), status=status)
        for package in packages:
            _extract(package, partial / "qemu")
    except HarnessError:
        if system:
            return system[0], ""  # runs models; cannot count instructions
        raise
    libraries = [p.relative_to(partial) for p in (partial / "qemu/usr/lib").glob("*-linux-gnu")]
    return "qemu/usr/bin/qemu-aarch64", str(libraries[0]) if libraries else ""


def _compile_plugin(partial: Path, manifest: Manifest) -> str:
    """Compile the plugin for the API version that QEMU takes; return why not, or ''."""
    compiler = _compiler()
    if compiler is None:
        return "there was no C compiler; install gcc"
    library, report = partial / "count.so", partial / "report"
    options = ("-plugin", f"{library},report={report}")
    probe = guest_command(manifest, partial, partial / "root", "cortex-a76", options=options)
    said = ""
    for version in _PLUGIN_APIS:
        _step(
            "compile the plugin that counts instructions",
            [compiler, "-shared", "-fPIC", "-O2", f"-DAPI_VERSION={version}", "-o", library,
             _PLUGIN_SOURCE],
        )  # fmt: skip
        report.unlink(missing_ok=True)
        done = child.run(
            [*probe, "-S", "-c", _REPORTS], stage="arm64 sysroot: try the plugin",
            timeout_s=_STEP_LIMIT_S, env=host_environment(manifest, partial),
        )  # fmt: skip
        if done.exit_code == 0 and report.exists() and report.read_text().strip().isdigit():
            report.unlink()
            return ""
        said = done.stderr.strip()
    return f"QEMU {manifest.qemu} takes no plugin: {said[-200:]}"


def _compiler() -> str | None:
    return shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


def _install_wheels(partial: Path, python: str, glibc_minor: int) -> None:
    """Download LiteRT and what it needs for arm64 and lay it out in site/."""
    wheels, site = partial / "wheels", partial / "site"
    platforms = [f"manylinux_2_{minor}_aarch64" for minor in range(17, glibc_minor + 1)]
    chosen = [part for p in (*platforms, "manylinux2014_aarch64") for part in ("--platform", p)]
    abis = ("cp" + python.replace(".", ""), "abi3", "none")
    # One set only: a version left from an earlier, interrupted build must not be mixed in.
    _remove(wheels)
    _step(
        f"download ai-edge-litert {_host_litert()} for arm64 and Python {python}",
        [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
         "--only-binary=:all:", "--implementation", "cp", "--python-version", python,
         *(part for abi in abis for part in ("--abi", abi)), *chosen,
         "--dest", wheels, f"ai-edge-litert=={_host_litert()}"],
        limit_s=_DOWNLOAD_LIMIT_S,
    )  # fmt: skip
    for wheel in sorted(wheels.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(site)


def _extract(package: Path, root: Path) -> None:
    root.mkdir(parents=True, exist_ok=True)
    _step(f"unpack {package.name}", ["dpkg-deb", "-x", package, root])


def _merge_usr(root: Path) -> None:
    """Link /lib and /bin into /usr where the packages leave that to another package."""
    for name in ("lib", "bin"):
        if not (root / name).exists():
            (root / name).symlink_to(Path("usr") / name)


def _python_version(root: Path) -> str:
    found = [re.fullmatch(r"python(3\.\d+)", p.name) for p in (root / "usr/bin").glob("python3*")]
    versions = [match[1] for match in found if match]
    if len(versions) != 1:
        raise DeviceError(
            f"arm64 sysroot: expected one Python in {root / 'usr/bin'}, found {versions}"
        )
    return versions[0]


def _glibc_minor(packages: list[Path]) -> int:
    for package in packages:
        if match := re.match(r"libc6_2\.(\d+)", package.name):
            return int(match[1])
    raise DeviceError("arm64 sysroot: the downloaded packages have no libc6")


def _host_litert() -> str:
    return importlib.metadata.version("ai-edge-litert")


def _step(
    what: str,
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    limit_s: float = _STEP_LIMIT_S,
) -> str:
    """Run one step of the build and return what it printed."""
    stage = f"arm64 sysroot: {what}"
    try:
        done = child.run(command, stage=stage, timeout_s=limit_s, env=env)
    except StackMissing as error:
        raise StackMissing(
            f"{stage}: {error}; the sysroot is built with apt-get, dpkg-deb and pip, on Debian or "
            "Ubuntu"
        ) from None
    if done.exit_code != 0:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["it printed nothing"]
        said = " / ".join([line for line in lines if "rror" in line or line[:2] == "E:"] or lines)
        raise DeviceError(f"{stage}: failed (exit code {done.exit_code}): {said[-500:]}")
    return done.stdout


def _remove(path: Path) -> None:
    if path.exists():
        shutil.rmtree(path)


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Hold a lock that ends with this process."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
