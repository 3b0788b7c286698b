"""Lay out a fake phone: its files, its properties and its little programs.

FOLDER/root/     what the phone shows as /data, /sys and parts of /proc
FOLDER/bin/      getprop, setprop, settings, dumpsys, logcat, taskset, cmd, input, date
FOLDER/state/    properties, settings, logs, planted faults and switches, for them and a person
FOLDER/benchmark_model      the tool to name as $HARNESS_BENCHMARK_TOOL
FOLDER/litert/   LiteRT 2's tools, benchmark_model to name and run_model, with their libraries
"""

import json
import re
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import harness
from harness import schema
from harness.devices.fake_phone import power

ENVIRONMENT = "HARNESS_FAKE_PHONE"
"""Name of the variable that tells the fake phone's programs where its folder is."""
MARK = "ro.harness.fake"
"""Property that only a fake phone has."""
LIBRARIES = ("libLiteRt.so", "libLiteRtClGlAccelerator.so")
"""What LiteRT 2's tools load. Source: LiteRT, litert/tools."""
_PATHS = re.compile(
    r"(?<![\w./-])/(?=(?:data|sys|vendor|proc/loadavg|proc/stat|proc/sys)(?![\w.-]))"
)


@dataclass(frozen=True, kw_only=True)
class Switches:
    """How the fake phone and its tool behave. The file is state/switches.json.

    Attributes:
        tool_build: 2020 (bare text), 2022 (no percentiles), 2025 (everything) or litert2.
        accelerators: What NNAPI finds, the first one preferred.
        refused_ops: TFLite ops that the accelerator's driver does not take.
        reference_ops: TFLite ops that NNAPI places on its CPU kernels, inside the delegate.
        silent_fallback: The delegate is created and then takes nothing.
        latency_us: Microseconds of an inference by model (hex digits its SHA-256 begins with;
            '' is any), in place of the real ones; then the model runs once, for its output.
        noise_share: Spread of such latencies between runs of the tool (0..1).
        inference_mj: What one inference takes, which its power rails count; 0 for no rails.
        busy_ma: Battery current while the tool runs, 0 for one that cannot be read.
        wrong_ops: TFLite ops that an accelerator computes wrongly; `OP:fp16` only in fp16.
        later_error: What each output is off by in every inference but the first after loading.
        npu_error: What LiteRT says of the NPU before it goes on without, or ''.
        sentinel: What the sentinel workload counts in a second; a slow phone counts less.
    """

    tool_build: str = "2025"
    accelerators: tuple[str, ...] = ("google-edgetpu", "nnapi-reference")
    refused_ops: tuple[str, ...] = ()
    reference_ops: tuple[str, ...] = ()
    silent_fallback: bool = False
    latency_us: Mapping[str, float] = field(default_factory=dict)
    noise_share: float = 0.01
    inference_mj: float = 0.0
    busy_ma: float = 0.0
    wrong_ops: tuple[str, ...] = ()
    later_error: float = 0.0
    npu_error: str = ""
    sentinel: int = 1_000_000


class Folder:
    """The folder of one fake phone."""

    def __init__(self, path: Path) -> None:
        """Name a folder that `create` made."""
        self.path = path.resolve()
        self.root = self.path / "root"
        self.state = self.path / "state"
        self.tool = self.path / "benchmark_model"
        self.litert_tool = self.path / "litert/benchmark_model"

    def environment(self) -> dict[str, str]:
        """Return the environment of the phone's programs."""
        return {
            ENVIRONMENT: str(self.path),
            "PATH": f"{self.path / 'bin'}:/usr/bin:/bin",
            "PYTHONPATH": str(Path(harness.__file__).parent.parent),
        }

    def to_host(self, text: str) -> str:
        """Return a path or command with the phone's paths turned into this computer's."""
        return _PATHS.sub(f"{self.root}/", text)

    def to_phone(self, output: bytes) -> bytes:
        """Return output with this computer's paths turned back into the phone's."""
        return output.replace(f"{self.root}/".encode(), b"/")

    def getprop(self, name: str) -> str:
        """Return a property, '' if it is not set."""
        path = self.state / "props" / name
        return path.read_text().strip() if path.exists() else ""

    def setprop(self, name: str, value: str) -> None:
        """Set a property."""
        (self.state / "props" / name).write_text(value)

    def switches(self) -> Switches:
        """Return the switches as they stand."""
        return schema.load_json(Switches, self.state / "switches.json")

    def switch(self, **changes: object) -> None:
        """Change some switches."""
        changed = replace(self.switches(), **changes)  # type: ignore[arg-type]
        (self.state / "switches.json").write_text(json.dumps(schema.dump(changed), indent=2))
        (self.state / "sentinel").write_text(str(changed.sentinel))
        power.switch(self.to_host("/sys"), changed.inference_mj, changed.busy_ma)

    def write(self, path: str, text: str) -> None:
        """Write one of the phone's files, such as /sys/class/thermal/thermal_zone0/temp."""
        target = Path(self.to_host(path))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def read(self, path: str) -> str:
        """Return the text of one of the phone's files."""
        return Path(self.to_host(path)).read_text()

    def dumpsys(self, service: str, text: str) -> None:
        """Set what `dumpsys SERVICE` prints."""
        (self.state / "dumpsys" / service).write_text(text)

    def last_command(self) -> str:
        """Return the flags of the benchmark tool's last run."""
        return (self.state / "last_command").read_text()

    def settings(self) -> dict[str, str]:
        """Return every setting, property and mode that a harness may change, for comparison."""
        found = {f"props/{p.name}": p.read_text() for p in (self.state / "props").iterdir()}
        found |= {f"settings/{p.name}": p.read_text() for p in (self.state / "settings").iterdir()}
        modes = self.state / "fixed_performance"
        found["fixed_performance"] = modes.read_text().strip() if modes.exists() else "false"
        return {name: text.strip() for name, text in found.items() if text.strip()}

    def reboot(self) -> None:
        """Forget what a reboot forgets and take a new boot id; settings and files stay."""
        for prop in (self.state / "props").glob("debug.*"):
            prop.unlink()
        for name in ("fixed_performance", "logcat"):
            (self.state / name).unlink(missing_ok=True)
        self.write("/proc/sys/kernel/random/boot_id", f"{uuid.uuid4()}\n")


def create(path: Path, *, model: str = "Pixel 4", api_level: int = 33) -> Folder:
    """Make the folder of a fake phone, or renew the programs of one that exists.

    Args:
        path: Where; files in it are kept.
        model: What ro.product.model says, which decides the profile.
        api_level: What ro.build.version.sdk says.
    """
    folder = Folder(path)
    for name in ("props", "settings", "dumpsys", "faults"):
        (folder.state / name).mkdir(parents=True, exist_ok=True)
    (folder.root / "data/local/tmp").mkdir(parents=True, exist_ok=True)
    props = {
        MARK: "1",
        "ro.product.model": model,
        "ro.product.name": "fake",
        "ro.product.device": "fake",
        "ro.product.cpu.abilist": "arm64-v8a,armeabi-v7a",
        "ro.product.cpu.abi": "arm64-v8a",
        "ro.build.version.sdk": str(api_level),
        "ro.soc.model": "SM8150",
        "ro.build.fingerprint": f"fake/fake/{api_level}",
        "ro.serialno": path.name,
    }
    for name, value in props.items():
        folder.setprop(name, value)
    (folder.state / "settings/system.screen_off_timeout").write_text("60000\n")
    _write_files(folder)
    _write_programs(folder)
    if not (folder.state / "switches.json").exists():
        (folder.state / "switches.json").write_text("{}")
    folder.switch()
    return folder


def _write_files(folder: Folder) -> None:
    for zone, (kind, temperature) in enumerate([("cpu-0-0", 41_000), ("skin-therm", 31_000)]):
        folder.write(f"/sys/class/thermal/thermal_zone{zone}/type", f"{kind}\n")
        folder.write(f"/sys/class/thermal/thermal_zone{zone}/temp", f"{temperature}\n")
    clusters = {0: ("0 1 2 3", 1_785_600), 4: ("4 5 6", 2_419_200), 7: ("7", 2_841_600)}
    for policy, (cpus, khz) in clusters.items():
        base = f"/sys/devices/system/cpu/cpufreq/policy{policy}"
        folder.write(f"{base}/related_cpus", f"{cpus}\n")
        for name in ("cpuinfo_max_freq", "scaling_max_freq", "scaling_cur_freq"):
            folder.write(f"{base}/{name}", f"{khz}\n")
        folder.write(f"{base}/scaling_governor", "schedutil\n")
    folder.write("/proc/loadavg", "0.42 0.50 0.61 1/1234 9999\n")
    folder.write("/proc/sys/kernel/random/boot_id", f"{uuid.uuid4()}\n")
    folder.dumpsys(
        "battery",
        "Current Battery Service state:\n  AC powered: false\n  USB powered: true\n"
        "  Wireless powered: false\n  status: 2\n  level: 88\n  scale: 100\n  temperature: 290\n",
    )
    folder.dumpsys("thermalservice", "IsStatusOverride: false\nThermal Status: 0\n")
    folder.dumpsys("power", "POWER MANAGER (dumpsys power)\n  mWakefulness=Awake\n")


def _write_programs(folder: Folder) -> None:
    programs = folder.path / "bin"
    programs.mkdir(exist_ok=True)
    for name, text in _PROGRAMS.items():
        path = programs / name
        path.write_text(f"#!/bin/sh\nS=${ENVIRONMENT}/state\n{text}")
        path.chmod(0o755)
    package = "harness.devices.fake_phone"
    _write_tool(folder.tool, f'{package}.benchmark_model "$@"')
    _write_tool(folder.litert_tool, f'{package}.benchmark_model litert2 "$@"')
    _write_tool(folder.litert_tool.parent / "run_model", f'{package}.run_model "$@"')
    for name in LIBRARIES:
        (folder.litert_tool.parent / name).write_text("a library of the fake phone\n")


def _write_tool(path: Path, module: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\nexec {sys.executable} -P -m {module}\n")
    path.chmod(0o755)


_PROGRAMS: Mapping[str, str] = {
    "getprop": """
if [ $# -gt 0 ]; then
  if [ -f "$S/props/$1" ]; then cat "$S/props/$1"; fi; echo
else
  for p in "$S"/props/*; do echo "[${p##*/}]: [$(cat "$p")]"; done
fi
""",
    "setprop": 'if [ -n "$2" ]; then printf %s "$2" >"$S/props/$1"; else rm -f "$S/props/$1"; fi\n',
    "settings": """
f="$S/settings/$2.$3"
case $1 in
  get) if [ -f "$f" ]; then cat "$f"; else echo null; fi ;;
  put) printf '%s\\n' "$4" >"$f" ;;
  delete) rm -f "$f" ;;
esac
""",
    "dumpsys": 'if [ -f "$S/dumpsys/$1" ]; then cat "$S/dumpsys/$1"; '
    'else echo "Can\'t find service: $1" >&2; fi\n',
    "cmd": """
if [ "$1 $2" = "power set-fixed-performance-mode-enabled" ]; then
  echo "$3" >"$S/fixed_performance"
else
  echo "cmd: Can't find service: $1" >&2; exit 20
fi
""",
    "cat": power.CAT,
    "input": "exit 0\n",
    "logcat": """
case "$*" in
  *-g*) echo "main: ring buffer is 256 KiB (0 B consumed)"; exit ;;
  *-c*) rm -f "$S/logcat" ;;
  *-G*) exit 0 ;;
  *-d*) echo "--------- beginning of main"; if [ -f "$S/logcat" ]; then cat "$S/logcat"; fi ;;
esac
""",
    "taskset": """
shift
case "$*" in
  *sentinel*) cat "$S/sentinel"; exit ;;
esac
exec "$@"
""",
    "date": """
if [ "$*" = "+%s" ] && [ -f "$S/clock_offset_s" ]; then
  echo $(( $(/bin/date +%s) + $(cat "$S/clock_offset_s") ))
else
  exec /bin/date "$@"
fi
""",
}
