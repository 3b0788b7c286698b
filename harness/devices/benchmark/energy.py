"""Measure what an inference takes of a phone's battery, where the phone says what it draws.

A Pixel counts the energy of each power rail (ODPM). Elsewhere the battery's current and voltage
are sampled, which mean something only while nothing charges it. Both are what the whole phone
draws: the power of the idle phone is taken off, and two runs that differ only in the number of
inferences take off loading and warm-up.

Source: Linux, drivers/power/supply (current_now in uA, voltage_now in uV); Pixel kernels,
drivers/power/odpm: `t=` milliseconds, then `CH0(T=...)[RAIL], ENERGY` in microwatt seconds.
"""

import itertools
import math
import re
import shlex
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from harness.devices.benchmark.bench import POWER, Bench
from harness.devices.benchmark.benchmark_tool import Preset

_IDLE_S = 2.0
_RUN_S = 3.0
"""Seconds of inferences that the longer run makes; a rail is read each 125 to 500 ms."""
_RUNS_LEAST, _RUNS_MOST = 5, 5000
_SAMPLES_LEAST = 5
_MILLIAMPERES_BELOW = 20_000
"""A phone with its screen on draws more than 20 mA: what is less is in milliamperes, as Samsung's
kernels have it."""
_Run = Callable[..., str]
RAILS = (
    "for f in /sys/bus/iio/devices/iio:device*/energy_value; do "
    "cat $f 2>/dev/null && echo @@; done; true"
)
SAMPLER = (
    "b=/sys/class/power_supply/battery; while :; do read up rest </proc/uptime; "
    'echo "$up $(cat $b/current_now 2>/dev/null) $(cat $b/voltage_now 2>/dev/null)"; '
    "sleep 0.1; done"
)
"""Shell that prints uptime, the battery's current and its voltage until it is stopped."""


@dataclass(frozen=True, kw_only=True)
class Energy:
    """What one inference takes in millijoules, or None; and by what, or why it is not known."""

    mj: float | None
    source: str


@dataclass(frozen=True, kw_only=True)
class Rails:
    """What the power rails have counted since boot, by meter: seconds, then joules."""

    meters: tuple[tuple[float, float], ...]
    names: tuple[str, ...]

    def since(self, before: "Rails") -> tuple[float, float]:
        """Return the seconds and joules since an earlier reading; seconds are the meters' mean."""
        spans = [
            (now[0] - then[0], now[1] - then[1])
            for now, then in zip(self.meters, before.meters, strict=True)
        ]
        return statistics.fmean(s for s, _ in spans), sum(joules for _, joules in spans)


def parse_rails(text: str) -> Rails | None:
    """Read what RAILS printed, or return None where the phone has no rails that a shell reads."""
    meters, names = [], []
    for part in text.split("@@"):
        clock = re.search(r"^t=(\d{1,15})$", part, re.MULTILINE)
        rails = re.findall(r"\[(\w{1,60})\], *(\d{1,18})", part)
        if clock and rails:
            meters.append((int(clock[1]) / 1e3, sum(int(uws) for _, uws in rails) / 1e6))
            names += [name for name, _ in rails]
    return Rails(meters=tuple(meters), names=tuple(names)) if meters else None


def parse_power(text: str) -> list[tuple[float, float]]:
    """Read what SAMPLER printed: seconds and watts of each sample."""
    found = []
    for line in text.splitlines():
        match = re.fullmatch(r"(\d{1,12}\.\d{1,3}) (-?\d{1,12}) (\d{1,12})", line.strip())
        if match:
            amperes = abs(int(match[2]))
            unit = 1e3 if amperes < _MILLIAMPERES_BELOW else 1e6
            found.append((float(match[1]), amperes / unit * int(match[3]) / 1e6))
    return found


def drawn(samples: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return the seconds and joules of samples of power, by trapezoids."""
    joules = sum(
        (later_s - s) * (watts + later_watts) / 2
        for (s, watts), (later_s, later_watts) in itertools.pairwise(samples)
    )
    return samples[-1][0] - samples[0][0], joules


def measure(
    bench: Bench,
    model: bytes,
    preset: Preset,
    *,
    mean_ms: float,
    charging: bool | None,
    name: str,
    mask: str = "",
) -> Energy:
    """Measure what one inference takes.

    Args:
        bench: The tool on the phone; it is entered.
        model: The .tflite.
        preset: How it is timed.
        mean_ms: Mean latency of one inference.
        charging: Whether the battery is charged, or None where that is not known.
        name: Of the model, for messages.
        mask: Cores to pin the tool to, in hex; '' for any.

    Raises:
        DeviceError: the phone, the tool or the driver failed.
    """
    stage = f"energy of {name}"

    def run(runs: int, sampler: str = "") -> str:
        """Run the tool; return what the sampler printed meanwhile."""
        done = bench.run_model(
            model,
            replace(preset, runs=runs, warmup_runs=1),
            [],
            stage=stage,
            files={POWER: 2**20} if sampler else {},
            mask=mask,
            sampler=sampler,
        )
        return done.files.get(POWER, b"").decode(errors="replace")

    many = min(_RUNS_MOST, max(_RUNS_LEAST, math.ceil(_RUN_S * 1e3 / mean_ms)))
    start = parse_rails(bench.ask(RAILS, stage))
    if start is not None:
        return _by_rails(bench, run, start, many=many, stage=stage)
    if charging is not False:
        return Energy(
            mj=None, source="no power rails that a shell can read, and the battery charges"
        )
    return _by_battery(bench, run, many=many, stage=stage)


def _by_rails(bench: Bench, run: _Run, start: Rails, *, many: int, stage: str) -> Energy:
    time.sleep(_IDLE_S)
    readings = [start, *_read(bench, stage)]
    for runs in (1, 1 + many):
        run(runs)
        readings += _read(bench, stage)
    if len({len(one.meters) for one in readings}) != 1 or len(readings) != 4:
        return Energy(mj=None, source="the power rails changed while they were read")
    spans = [later.since(earlier) for earlier, later in itertools.pairwise(readings)]
    if min(seconds for seconds, _ in spans) <= 0:
        return Energy(mj=None, source="the power rails were not renewed while they were read")
    return _above_idle(*spans, many=many, source=f"power rails {', '.join(start.names)}")


def _by_battery(bench: Bench, run: _Run, *, many: int, stage: str) -> Energy:
    idle = parse_power(bench.ask(f"timeout {_IDLE_S:g} sh -c {shlex.quote(SAMPLER)}; true", stage))
    few, more = (parse_power(run(runs, SAMPLER)) for runs in (1, 1 + many))
    if min(len(idle), len(more)) < _SAMPLES_LEAST or len(few) < 2:
        return Energy(mj=None, source="no power rails, and the battery's current cannot be read")
    source = f"the battery's current and voltage, {len(more)} samples"
    return _above_idle(drawn(idle), drawn(few), drawn(more), many=many, source=source)


def _above_idle(
    idle: tuple[float, float],
    few: tuple[float, float],
    more: tuple[float, float],
    *,
    many: int,
    source: str,
) -> Energy:
    """Return what so many inferences more took above the idle phone, from seconds and joules."""
    idle_w = idle[1] / idle[0]
    mj = ((more[1] - few[1]) - idle_w * (more[0] - few[0])) / many * 1e3
    if mj <= 0:
        return Energy(mj=None, source=f"no more than the idle phone takes, by {source}"[:300])
    return Energy(mj=mj, source=source[:300])


def _read(bench: Bench, stage: str) -> Sequence[Rails]:
    found = parse_rails(bench.ask(RAILS, stage))
    return [] if found is None else [found]
