"""Keep what was estimated beside what a phone then measured, and say where estimates drift."""

import json
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import files, schema
from harness.errors import ConfigError
from harness.evidence import Evidence
from harness.keys import Key
from harness.latency import Estimate, Latency

_ENTRIES_MIN = 5
"""Pairs below which nothing is said of drift: fewer cannot tell drift from chance."""
_COVERAGE_MIN = 0.75
"""Share of measurements inside their 90 % interval below which a profile has drifted.

Source: with ten pairs and true coverage of 90 %, seven or fewer inside happen in 7 % of cases.
"""
_BIAS_MAX = 0.15
"""Median relative error above which a profile has drifted; the estimators' own aim is 10 to 15 %
(docs/latency.md)."""


FILE = Path(".results/ledger.jsonl")
"""Where gate runs on phones keep their pairs, below pytest's root folder."""


@dataclass(frozen=True, kw_only=True)
class Entry(Key):
    """One latency that was estimated and measured.

    Attributes:
        variant_sha256: Content hash of the .tflite as it was run.
        estimate_ms: What the model said.
        low_ms: Lower end of its 90 % interval.
        high_ms: Upper end of it.
        measured_ms: Median that the phone measured.
        time_utc: When it was measured.
    """

    variant_sha256: str
    estimate_ms: float
    low_ms: float
    high_ms: float
    measured_ms: float
    time_utc: str = ""


@dataclass(frozen=True, kw_only=True)
class Account:
    """The sum of the entries of one phone and delegate.

    Attributes:
        device: Short name of the phone.
        delegate: nnapi, gpu, qnn or cpu.
        entries: How many pairs.
        bias: Median of estimate over measurement, less 1: positive where estimates are too slow.
        median_error: Median absolute relative error of the estimate.
        coverage: Share of measurements inside their 90 % interval.
        warning: What has drifted and what to do, or ''.
    """

    device: str
    delegate: str
    entries: int
    bias: float
    median_error: float
    coverage: float
    warning: str


def pair(about: Key, *, estimated: Estimate, measured: Latency) -> Entry:
    """Put an estimate beside the measurement of the same file.

    Args:
        about: The names of what was measured.
        estimated: What was estimated of it.
        measured: What a phone measured.

    Raises:
        ConfigError: the estimate is relative, the measurement is not a phone's, or the two are
            of different files.
    """
    target = f"{about.device}:{about.delegate}"
    if not estimated.absolute:
        raise ConfigError(f"{target}: a relative estimate cannot be compared with a measurement")
    if measured.provenance.evidence is not Evidence.PHONE:
        raise ConfigError(
            f"{target}: the ledger takes measurements of phones, not of "
            f"{measured.provenance.evidence.value}"
        )
    sha256 = measured.provenance.variant_sha256
    if sha256 != estimated.provenance.variant_sha256:
        raise ConfigError(f"{target}: the estimate and the measurement are of different files")
    return Entry(
        **vars(about),
        variant_sha256=sha256,
        estimate_ms=estimated.estimate_ms,
        low_ms=estimated.low_ms,
        high_ms=estimated.high_ms,
        measured_ms=measured.median_ms,
        time_utc=measured.provenance.time_utc,
    )


def append(path: Path, entry: Entry) -> None:
    """Add an entry to a ledger file, one JSON line each.

    Raises:
        ConfigError: the file cannot be written.
    """
    line = json.dumps(schema.dump(entry), sort_keys=True) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(line)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({error.strerror})") from None


def read(path: Path) -> tuple[Entry, ...]:
    """Read a ledger file; a missing one is empty.

    Raises:
        ConfigError: a line is not an entry; its number is named.
    """
    if not path.exists():
        return ()
    entries = []
    for number, line in enumerate(files.read_text(path, error=ConfigError).splitlines(), 1):
        try:
            data = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{path}: line {number}: not JSON: {error}") from None
        if isinstance(data, dict) and "size" in data:
            data["resolution"] = data.pop("size")  # ledgers of before the key was shared
        entry = schema.parse(Entry, data, where=f"{path}: line {number}")
        if not all(0.0 < ms < math.inf for ms in (entry.estimate_ms, entry.measured_ms)):
            raise ConfigError(f"{path}: line {number}: a latency is not positive")
        entries.append(entry)
    return tuple(entries)


def accounts(entries: Iterable[Entry]) -> tuple[Account, ...]:
    """Sum up a ledger by phone and delegate, in order of name."""
    groups: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        groups.setdefault((entry.device, entry.delegate), []).append(entry)
    return tuple(_account(*key, groups[key]) for key in sorted(groups))


def _account(device: str, delegate: str, entries: Sequence[Entry]) -> Account:
    ratios = [entry.estimate_ms / entry.measured_ms for entry in entries]
    inside = sum(entry.low_ms <= entry.measured_ms <= entry.high_ms for entry in entries)
    bias = statistics.median(ratios) - 1.0
    coverage = inside / len(entries)
    return Account(
        device=device,
        delegate=delegate,
        entries=len(entries),
        bias=bias,
        median_error=statistics.median(abs(ratio - 1.0) for ratio in ratios),
        coverage=coverage,
        warning=_warning(f"{device}:{delegate}", len(entries), bias, coverage),
    )


def _warning(target: str, entries: int, bias: float, coverage: float) -> str:
    causes = []
    if abs(bias) > _BIAS_MAX:
        causes.append(f"estimates are {abs(bias):.0%} too {'slow' if bias > 0 else 'fast'}")
    if coverage < _COVERAGE_MIN:
        causes.append(f"only {coverage:.0%} of measurements lie in their 90 % interval")
    if not causes or entries < _ENTRIES_MIN:
        return ""
    return (
        f"{target} has drifted: {' and '.join(causes)}; "
        "fit it again with `harness calibrate` on this phone"
    )
