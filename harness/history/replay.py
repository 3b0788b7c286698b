"""Feed recorded nights to a rule as if they came in now, one after the other."""

import csv
import gzip
import io
import math
import statistics
import zlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import changes, files, text
from harness.changes import Kind, LastingChange, Night, Reading, Remembered, Rule
from harness.errors import ConfigError
from harness.history import peers, yardstick
from harness.history.yardstick import Alarm, KnownSeries, RuleScore, Truth

_BYTES_MAX = 256 << 20
"""A file that unpacks to more is refused: 20 times ten years of 1,000 nightly series."""
_NEEDED = ("device", "date", "latency_ms")
_SERIES = ("model", "component", "precision", "variant", "delegate", "size", "frame", "metric")
_OWN = ("tag", "low_ms", "high_ms", "temperature_c", "layers_npu", "layers_gpu", "layers_cpu")


@dataclass(frozen=True, kw_only=True)
class RuleScores:
    """The scores of one rule on one file.

    Attributes:
        name: Of the rule.
        score: Against lasting steps, or None where the rule is not installed.
        segments: Against the segments of a hindsight fit, or None.
    """

    name: str
    score: RuleScore | None = None
    segments: RuleScore | None = None


def read(path: Path) -> tuple[Night, ...]:
    """Read nights from a CSV, packed by gzip or not.

    Columns `device`, `date` and `latency_ms` are needed, and at least one of those that name a
    series: model, component, precision, variant, delegate, size, frame, metric. `tag` tells two
    nights of one date apart. `low_ms` and `high_ms` are the ends of an interval;
    `layers_npu`, `layers_gpu` and `layers_cpu` count ops by unit; `temperature_c` is the
    phone's. Any further column is a condition of the phone. Rows of one series in one night are
    repeats.

    Raises:
        ConfigError: the file cannot be read, or lacks a column.
        MeasurementError: a row holds no measurement.
    """
    rows = list(_rows(path))
    nights: dict[tuple[str, str, str], list[tuple[int, Mapping[str, str]]]] = defaultdict(list)
    for line, row in rows:
        nights[(row["date"], row.get("tag", ""), row["device"])].append((line, row))
    ordered = sorted(nights, key=lambda night: (changes.time_of(night[0]), *night[1:]))
    return tuple(
        _night(path, date, text.line(device, text.NAME), nights[(date, tag, device)])
        for date, tag, device in ordered
    )


def records(nights: Sequence[Night]) -> tuple[KnownSeries, ...]:
    """Return each series as it went, sorted by name; names start with the phone."""
    values: dict[str, list[float]] = defaultdict(list)
    units: dict[str, tuple[str, ...]] = {}
    other: dict[str, list[int]] = defaultdict(list)
    for night in nights:
        for reading in night.readings:
            name = f"{night.phone} {reading.series}"
            before, now = units.get(name, ()), reading.units
            if before and now and (before[0] != now[0] or set(before) != set(now)):
                other[name].append(len(values[name]))
            units[name] = now or before
            values[name].append(statistics.median(reading.values))
    return tuple(
        KnownSeries(name=name, values=tuple(values[name]), other_units=tuple(other[name]))
        for name in sorted(values)
    )


def findings_by_night(
    nights: Sequence[Night], rule: Rule | None = None
) -> tuple[tuple[Night, tuple[LastingChange, ...]], ...]:
    """Return what each night gave away when it came in."""
    watches: dict[str, Remembered] = {}
    told = []
    for night in nights:
        watch = watches.get(night.phone) or Remembered(phone=night.phone)
        watches[night.phone], findings = changes.observe(watch, night, rule)
        told.append((night, findings))
    return tuple(told)


def alarms(nights: Sequence[Night], rule: Rule | None = None) -> dict[str, tuple[Alarm, ...]]:
    """Return what our rule says of each series, night by night.

    A shared finding counts as an alarm on each series that it says is off its level, or on
    another unit.
    """
    rule = rule or Rule()
    seen: Counter[str] = Counter()
    said: dict[str, list[Alarm]] = defaultdict(list)
    for night, findings in findings_by_night(nights, rule):
        seen.update(f"{night.phone} {reading.series}" for reading in night.readings)
        for finding in findings:
            for move in finding.moves:
                small = abs(math.log(move.ratio)) <= math.log1p(rule.share)
                if finding.kind is Kind.SHARED and small and not move.units:
                    continue
                name = f"{night.phone} {move.series}"
                direction = (move.ratio > 1) - (move.ratio < 1)
                said[name].append(Alarm(night=seen[name] - 1, direction=direction))
    return {name: tuple(said[name]) for name in seen}


def compare(
    nights: Sequence[Night], truths: Sequence[Truth] | None = None
) -> tuple[RuleScores, ...]:
    """Score our rule and every other that is installed, in one run."""
    series = records(nights)
    ours = alarms(nights)
    rows = [_row("this harness", series, [ours[record.name] for record in series])]
    for peer in peers.every():
        if peer.changes is None:
            rows.append(RuleScores(name=peer.name))
            continue
        said = [peers.alarms(peer.changes, record, peer.same_nights) for record in series]
        rows.append(_row(peer.name, series, said))
    return tuple(rows)


def _row(name: str, series: Sequence[KnownSeries], said: Sequence[Sequence[Alarm]]) -> RuleScores:
    return RuleScores(
        name=name,
        score=yardstick.score(series, said),
        segments=yardstick.score(series, said, yardstick.segments),
    )


def _rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Return the rows of a CSV with their line numbers."""
    reader = csv.DictReader(io.StringIO(_text(path)), strict=True)
    try:
        names = reader.fieldnames or ()
        missing = [name for name in _NEEDED if name not in names]
        if missing or not any(name in names for name in _SERIES):
            raise ConfigError(
                f"{path}: lacks {', '.join(missing) or 'a column that names the series'}; "
                f"columns are {', '.join(_NEEDED)}, at least one of {', '.join(_SERIES)}, "
                f"and perhaps {', '.join(_OWN)}"
            )
        rows = []
        for row in reader:
            if None in row or None in row.values():
                raise ConfigError(f"{path}:{reader.line_num}: has not as many fields as columns")
            rows.append((reader.line_num, row))
    except csv.Error as error:
        raise ConfigError(f"{path}:{reader.line_num}: {error}") from error
    if not rows:
        raise ConfigError(f"{path}: has no rows")
    return rows


def _text(path: Path) -> str:
    data = files.read(path, at_most_bytes=files.TEXT_BYTES_MAX, error=ConfigError)
    if data.startswith(b"\x1f\x8b"):
        try:
            with gzip.open(io.BytesIO(data)) as file:
                data = file.read(_BYTES_MAX + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise ConfigError(f"{path}: cannot be unpacked: {error}") from error
    if len(data) > _BYTES_MAX:
        raise ConfigError(f"{path}: unpacks to more than {_BYTES_MAX >> 20} MiB")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is no UTF-8 text: {error}") from error


def _night(
    path: Path, date: str, device: str, rows: Sequence[tuple[int, Mapping[str, str]]]
) -> Night:
    """Put the rows of one device and date together."""
    series: dict[str, list[tuple[int, Mapping[str, str]]]] = defaultdict(list)
    conditions: dict[str, Counter[str]] = defaultdict(Counter)
    temperatures = []
    for line, row in rows:
        name = text.line(" ".join(row[name] for name in _SERIES if row.get(name)), text.NAME)
        series[name].append((line, row))
        if row.get("temperature_c"):
            temperatures.append(_number(path, line, row, "temperature_c"))
        for name, value in row.items():
            if value and name not in (*_NEEDED, *_SERIES, *_OWN):
                conditions[text.line(name, text.NAME)][text.line(value, text.NAME)] += 1
    return Night(
        date=date,
        phone=device,
        readings=tuple(_reading(path, name, series[name]) for name in sorted(series)),
        conditions=tuple(
            (name, counts.most_common(1)[0][0]) for name, counts in sorted(conditions.items())
        ),
        temperature_c=statistics.median(temperatures) if temperatures else None,
    )


def _reading(path: Path, name: str, rows: Sequence[tuple[int, Mapping[str, str]]]) -> Reading:
    """Put the rows of one series in one night together."""
    lows = [_number(path, line, row, "low_ms") for line, row in rows if row.get("low_ms")]
    highs = [_number(path, line, row, "high_ms") for line, row in rows if row.get("high_ms")]
    return Reading(
        series=name,
        values=tuple(_number(path, line, row, "latency_ms") for line, row in rows),
        low=min(lows) if lows else None,
        high=max(highs) if highs else None,
        units=_units(path, *rows[-1]),
    )


def _units(path: Path, line: int, row: Mapping[str, str]) -> tuple[str, ...]:
    """Return the units that run ops, the one with most of them first."""
    layers = {
        unit: _number(path, line, row, f"layers_{unit}")
        for unit in ("npu", "gpu", "cpu")
        if row.get(f"layers_{unit}")
    }
    return tuple(unit for unit in sorted(layers, key=lambda u: -layers[u]) if layers[unit] > 0)


def _number(path: Path, line: int, row: Mapping[str, str], name: str) -> float:
    try:
        return float(row[name])
    except ValueError as error:
        raise ConfigError(f"{path}:{line}: {name} is {row[name]!r}, no number") from error
