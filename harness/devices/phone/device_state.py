"""Hold the contract under which a phone is measured, and the state it was in.

A number is void by the state of the phone while it was taken, never by its own value. What
cannot be read is absent; a limit on something absent voids the number, because an unknown
state is not a good one.
"""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from harness.profiles import Profile

_CASE_ZONES = re.compile(r"skin|quiet|shell|case|back|xo.?therm", re.IGNORECASE)
_CHIP_ZONES = re.compile(r"cpu|gpu|tpu|npu|soc|ddr|apc|tsens|mtk", re.IGNORECASE)
_WHOLE = r"\d{1,15}"
_DECIMAL = r"\d{1,15}(?:\.\d{1,15})?"
"""Numbers as a kernel or a service prints them; longer ones are damage, and read as absent."""
_SKIN = rf"mValue=({_DECIMAL}), mType=3,"
"""A skin temperature in `dumpsys thermalservice`. Source: Android Temperature.TYPE_SKIN = 3."""
MARK = "@@"
"""Begins a line of STATE_COMMAND's output that names what follows."""
_SENTINEL_CHUNK = 2000


@dataclass(frozen=True, kw_only=True)
class CpuPolicy:
    """One frequency domain of the CPU, in MHz."""

    cpus: tuple[int, ...]
    max_mhz: int
    allowed_mhz: int
    current_mhz: int | None


@dataclass(frozen=True, kw_only=True)
class State:
    """What a phone says about itself at one moment; None is what it does not say.

    Attributes:
        temperature_c: Hottest zone of the case, else what Android calls skin, else the hottest
            zone of the chip, else the battery.
        thermal_status: Android's throttling status, 0 for none.
        battery_percent: Charge.
        charging: Whether any power is plugged in.
        screen_on: Whether the display is awake.
        load: Mean runnable threads over the last minute.
        policies: Frequency domains, slowest first.
        fixed_performance: Whether the harness bounded the clocks.
        boot_id: Changes with every boot.
        uptime_s: Seconds since boot.
        clock_offset_s: The phone's wall clock minus its uptime.
        sentinel: What the sentinel workload counted in about a second, or None if it did not run.
    """

    temperature_c: float | None = None
    thermal_status: int | None = None
    battery_percent: int | None = None
    charging: bool | None = None
    screen_on: bool | None = None
    load: float | None = None
    policies: tuple[CpuPolicy, ...] = ()
    fixed_performance: bool = False
    boot_id: str = ""
    uptime_s: float | None = None
    clock_offset_s: float | None = None
    sentinel: int | None = None

    def record(self) -> dict[str, float | str]:
        """Return what is stored with a number, units in the names."""
        values: dict[str, float | str | None] = {
            "temperature_c": self.temperature_c,
            "thermal_status": self.thermal_status,
            "battery_percent": self.battery_percent,
            "charging": None if self.charging is None else str(self.charging).lower(),
            "screen": None if self.screen_on is None else ("on" if self.screen_on else "off"),
            "load": self.load,
            "fixed_performance": str(self.fixed_performance).lower(),
            "sentinel_per_s": self.sentinel,
        }
        for policy in self.policies:
            values[f"cpu{policy.cpus[0]}_allowed_mhz"] = policy.allowed_mhz
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class Contract:
    """The state in which a phone may be measured. None switches a rule off.

    Attributes:
        temperature_c: Hottest that the phone may be before a run.
        cooldown_s: Longest wait for it to cool down.
        thermal_status: Highest throttling status.
        battery_percent: Least charge.
        load_per_core: Most runnable threads per core before a run.
        screen_on: Whether the display must be awake, as it is when an app runs.
        clock_share: Least share of its highest clock that each pinned core may be held to
            (0..1); not asked where the clocks were bounded on purpose.
        sentinel_share: Least share of its best count that the sentinel may drop to (0..1).
        sentinel_every_s: The sentinel, which takes a second, is run at most so often.
        clock_jump_s: Most seconds by which the wall clock may jump during a run.

    Source: 38 degrees and 120 s, alanhc/pixel-bench, `wait_cool`; a cap of the clock is how Android
    throttles (scaling_max_freq below cpuinfo_max_freq).
    """

    temperature_c: float | None = 38.0
    cooldown_s: float = 120.0
    thermal_status: int | None = 0
    battery_percent: int | None = 20
    load_per_core: float | None = 1.0
    screen_on: bool | None = True
    clock_share: float | None = 0.95
    sentinel_share: float | None = 0.9
    sentinel_every_s: float = 10.0
    clock_jump_s: float | None = 1.0


STATE_COMMAND = "; ".join(
    f"echo {MARK}{name}; {command}"
    for name, command in {
        "zones": "for z in /sys/class/thermal/thermal_zone*; do "
        "{ read k <$z/type && read t <$z/temp && echo $k $t; } 2>/dev/null; done",
        "thermal": "dumpsys thermalservice 2>/dev/null | grep -E 'Thermal Status|mValue='",
        "battery": "dumpsys battery 2>/dev/null",
        "power": "dumpsys power 2>/dev/null | grep -E 'mWakefulness=|Display Power'",
        "load": "{ read load </proc/loadavg && echo $load; } 2>/dev/null || "
        "dumpsys cpuinfo 2>/dev/null | grep -m 1 '^Load:'",
        "cpu": "for p in /sys/devices/system/cpu/cpufreq/policy*; do { now=; "
        "read cpus <$p/related_cpus && read top <$p/cpuinfo_max_freq && "
        "read cap <$p/scaling_max_freq && { read now <$p/scaling_cur_freq; "
        'echo "$cpus|$top|$cap|$now"; }; } 2>/dev/null; done',
        "boot": "read boot </proc/sys/kernel/random/boot_id && echo $boot",
        "uptime": "read up </proc/uptime && echo $up; date +%s",
    }.items()
)
"""One shell line that prints everything `parse` reads; works without root, and forks little."""

SENTINEL = f"""i=0; read start rest </proc/uptime; start=${{start%.*}}${{start#*.}}; now=$start
while [ $((now - start)) -lt 100 ]; do
  j=0; while [ $j -lt {_SENTINEL_CHUNK} ]; do j=$((j+1)); done
  i=$((i+{_SENTINEL_CHUNK})); read now rest </proc/uptime; now=${{now%.*}}${{now#*.}}
done
echo $((i * 100 / (now - start)))
"""
"""Shell script that counts for one second of uptime and prints counts per second."""


def parse(text: str, *, fixed_performance: bool = False) -> State:
    """Read what STATE_COMMAND printed; what is missing or damaged stays absent."""
    parts = {
        name: body for name, _, body in (part.partition("\n") for part in text.split(MARK)[1:])
    }
    battery = parts.get("battery", "")
    uptime_s, clock_s = _clock(parts.get("uptime", ""))
    return State(
        temperature_c=_temperature_c(parts.get("zones", ""), parts.get("thermal", ""), battery),
        thermal_status=_integer(r"Thermal Status:\s*(\d+)", parts.get("thermal", "")),
        battery_percent=_integer(r"^\s*level:\s*(\d+)", battery),
        charging=_charging(battery),
        screen_on=_screen_on(parts.get("power", "")),
        load=_number(r"^(?:Load: )?([\d.]+)", parts.get("load", "")),
        policies=_policies(parts.get("cpu", "")),
        fixed_performance=fixed_performance,
        boot_id=parts.get("boot", "").strip(),
        uptime_s=uptime_s,
        clock_offset_s=clock_s - uptime_s if uptime_s is not None and clock_s is not None else None,
        sentinel=_integer(r"^(\d+)$", parts.get("sentinel", "")),
    )


def too_hot(state: State, contract: Contract) -> bool:
    """Return whether it is worth waiting: the phone is warmer than the contract allows."""
    limit = contract.temperature_c
    return limit is not None and state.temperature_c is not None and state.temperature_c > limit


def breaches(state: State, contract: Contract, *, best_sentinel: int | None = None) -> list[str]:
    """Return how a state breaks the contract before or after a run, worst first."""
    found: list[str] = []
    _at_most(found, "temperature", state.temperature_c, contract.temperature_c, "°C")
    _at_most(found, "thermal status", state.thermal_status, contract.thermal_status, "")
    if contract.battery_percent is not None:
        if state.battery_percent is None:
            found.append("the battery's charge cannot be read")
        elif state.battery_percent < contract.battery_percent:
            found.append(
                f"battery {state.battery_percent} %, at least {contract.battery_percent} % wanted"
            )
    if contract.screen_on is not None and state.screen_on is not contract.screen_on:
        wanted = "on" if contract.screen_on else "off"
        found.append(f"the screen is not {wanted} (or cannot be read)")
    found += _clock_breaches(state, contract)
    if contract.sentinel_share is not None and best_sentinel and state.sentinel is not None:
        share = state.sentinel / best_sentinel
        if share < contract.sentinel_share:
            found.append(
                f"slow mode: the sentinel workload ran at {share:.0%} of this phone's best"
            )
    return found


def load_breaches(state: State, contract: Contract) -> list[str]:
    """Return how background load breaks the contract; asked only before a run of our own."""
    cores = sum(len(policy.cpus) for policy in state.policies)
    if contract.load_per_core is None or not cores:
        return []
    found: list[str] = []
    _at_most(found, "load", state.load, contract.load_per_core * cores, " runnable threads")
    return found


def changes(before: State, after: State, contract: Contract) -> list[str]:
    """Return what changed during a run and makes it void."""
    found: list[str] = []
    if before.boot_id != after.boot_id:
        found.append("the phone rebooted")
    if before.charging is not after.charging:
        found.append("the charger was plugged in or out")
    if before.screen_on is not after.screen_on:
        found.append("the screen went on or off")
    if contract.clock_jump_s is not None and before.boot_id == after.boot_id:
        if before.clock_offset_s is None or after.clock_offset_s is None:
            found.append("the phone's clock cannot be read")
        elif abs(after.clock_offset_s - before.clock_offset_s) > contract.clock_jump_s:
            jump_s = after.clock_offset_s - before.clock_offset_s
            found.append(f"the phone's clock jumped by {jump_s:+.0f} s")
    return found


def affinity_mask(profile: Profile, policies: Sequence[CpuPolicy]) -> str:
    """Return the hex mask of the cores to pin to: all clusters but the slowest, '' if unknown.

    The profile's masks come first; else they follow from the phone's own frequency domains.

    Source: LiteRT benchmark README (Pixel 2: f0, the big cores); mobile-ai-bench derives the
    same from cpuinfo_max_freq.
    """
    masks = [int(c.taskset_mask, 16) for c in profile.cpu if c.taskset_mask]
    if len(masks) == len(profile.cpu) > 0:
        big = masks[1:] or masks
        return f"{_union(big):x}"
    ordered = sorted(policies, key=lambda policy: policy.max_mhz)
    big_policies = ordered[1:] or ordered
    if not big_policies:
        return ""
    return f"{_union([1 << cpu for policy in big_policies for cpu in policy.cpus]):x}"


def pinned(command: str, mask: str) -> str:
    """Return a command line that runs on the cores of a mask, or anywhere without one."""
    return f"taskset {shlex.quote(mask)} {command}" if mask else command


def _union(masks: Sequence[int]) -> int:
    union = 0
    for mask in masks:
        union |= mask
    return union


def _at_most(
    found: list[str], name: str, value: float | None, limit: float | None, unit: str
) -> None:
    if limit is None:
        return
    if value is None:
        found.append(f"the {name} cannot be read")
    elif value > limit:
        found.append(f"{name} {value:g}{unit}, at most {limit:g}{unit} allowed")


def _clock_breaches(state: State, contract: Contract) -> list[str]:
    if contract.clock_share is None or state.fixed_performance:
        return []
    return [
        f"cpu {policy.cpus[0]}-{policy.cpus[-1]} is held to {policy.allowed_mhz} of "
        f"{policy.max_mhz} MHz"
        for policy in state.policies
        if policy.allowed_mhz < contract.clock_share * policy.max_mhz
    ]


def _temperature_c(zones: str, thermal: str, battery: str) -> float | None:
    found: dict[str, float] = {}
    for line in zones.splitlines():
        name, _, number = line.rpartition(" ")
        if re.fullmatch(rf"-?{_WHOLE}", number):
            celsius = int(number) / 1000 if abs(int(number)) >= 1000 else float(number)
            if -20 < celsius < 130:  # zones without a sensor report 0, -40 or -273
                found[f"{name}#{len(found)}"] = celsius
    case = [celsius for name, celsius in found.items() if _CASE_ZONES.search(name) and celsius]
    case = case or [float(v) for v in re.findall(_SKIN, thermal)]
    chip = [celsius for name, celsius in found.items() if _CHIP_ZONES.search(name) and celsius]
    if case or chip:
        return max(case or chip)
    tenths = _integer(r"^\s*temperature:\s*(-?\d+)", battery)
    return None if tenths is None else tenths / 10


def _charging(battery: str) -> bool | None:
    powered = re.findall(r"(?:AC|USB|Wireless|Dock) powered:\s*(true|false)", battery)
    return "true" in powered if powered else None


def _screen_on(power: str) -> bool | None:
    match = re.search(r"mWakefulness=(\w+)|Display Power: state=(\w+)", power)
    return None if match is None else (match[1] or match[2]) in ("Awake", "ON")


def _policies(text: str) -> tuple[CpuPolicy, ...]:
    found = []
    for line in text.splitlines():
        match = re.fullmatch(
            rf"(\d{{1,3}}(?: +\d{{1,3}})*) *\|({_WHOLE})\|({_WHOLE})\|({_WHOLE}|)", line.strip()
        )
        if match:
            found.append(
                CpuPolicy(
                    cpus=tuple(int(cpu) for cpu in match[1].split()),
                    max_mhz=int(match[2]) // 1000,
                    allowed_mhz=int(match[3]) // 1000,
                    current_mhz=int(match[4]) // 1000 if match[4] else None,
                )
            )
    return tuple(sorted(found, key=lambda policy: policy.max_mhz))


def _clock(text: str) -> tuple[float | None, float | None]:
    match = re.search(rf"^({_DECIMAL}) [\d.]+\n({_WHOLE})$", text, re.MULTILINE)
    if match is None:
        return None, None
    return float(match[1]), float(match[2])


def _integer(pattern: str, text: str) -> int | None:
    match = re.search(pattern, text, re.MULTILINE)
    return int(match[1]) if match and re.fullmatch(f"-?{_WHOLE}", match[1]) else None


def _number(pattern: str, text: str) -> float | None:
    match = re.search(pattern, text, re.MULTILINE)
    return float(match[1]) if match and re.fullmatch(_DECIMAL, match[1]) else None
