"""Read and write golden/<subject>/baselines.json: facts that a person accepted."""

import functools
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from harness import schema
from harness.errors import ConfigError
from harness.evidence import Evidence
from harness.images import Size
from harness.keys import Key
from harness.subjects import Subject


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """One accepted fact.

    Attributes:
        variant: Name of the variant.
        file_sha256: Content hash of the exported file it was taken from.
        device: Profile name.
        delegate: Delegate.
        resolution: Such as `1280x720`.
        evidence: How it was known; only facts of equal evidence are compared.
        metric: Name of one of `metrics.BLESSED`.
        value: The fact.
        spread: Change that is within noise, in the metric's unit.
        because: Why it was accepted.
        low: Lower end of the interval of a measured value, or None.
        high: Upper end of it, or None.
        fingerprint: Of the phone without its build number; None for what no phone measured.
        until: Last day on which a deviation may stay, ISO 8601; '' for the baseline itself.
        run: Id of the run that measured it, where it was accepted from one; or ''.
    """

    variant: str
    file_sha256: str
    device: str
    delegate: str
    resolution: str
    evidence: Evidence
    metric: str
    value: float
    spread: float
    because: str
    low: float | None = None
    high: float | None = None
    fingerprint: str | None = None
    until: str = ""
    run: str = ""

    def __post_init__(self) -> None:
        """Refuse a spread or an interval that would allow anything, or nothing."""
        if self.spread < 0.0:
            raise ValueError(f"spread {self.spread:g} is negative")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"the interval ends at {self.high:g}, below its start {self.low:g}")
        Size.parse(self.resolution)
        check_day(self.until)

    @property
    def about(self) -> Key:
        """Return the names of what the fact is about; the subject is that of the file."""
        return Key(
            device=self.device,
            delegate=self.delegate,
            variant=self.variant,
            resolution=self.resolution,
        )

    @property
    def key(self) -> tuple[str, ...]:
        """Return what tells it from every other baseline of its subject."""
        return (
            self.variant,
            self.device,
            self.delegate,
            self.resolution,
            self.evidence.value,
            self.metric,
            self.fingerprint or "",
            self.until,
        )


def check_day(until: str) -> None:
    """Refuse a last day that is none.

    Raises:
        ValueError: it is neither '' nor a day such as 2026-12-31.
    """
    try:
        is_day = not until or date.fromisoformat(until).isoformat() == until
    except ValueError:
        is_day = False
    if not is_day:
        raise ValueError(f"until {until!r:.40} is no day; write it as 2026-12-31")


@dataclass(frozen=True, kw_only=True)
class _File:
    baselines: tuple[Baseline, ...] = ()


def path_of(subject: Subject) -> Path:
    """Return where a subject's baselines are kept."""
    return subject.folder / "baselines.json"


def load(subject: Subject) -> tuple[Baseline, ...]:
    """Read a subject's baselines; none if nothing has been blessed yet.

    Raises:
        ConfigError: the file is wrong.
    """
    path = path_of(subject)
    try:
        state = path.stat()
    except OSError:
        return ()
    return _read(path, state.st_mtime_ns, state.st_size)


@functools.lru_cache(maxsize=32)
def _read(path: Path, _modified_ns: int, _size_bytes: int) -> tuple[Baseline, ...]:
    """Read a file once for as long as it stays as it is."""
    found = schema.load_json(_File, path).baselines
    for key, count in Counter(baseline.key for baseline in found).items():
        if count > 1:
            raise ConfigError(f"{path}: {count} baselines for {' '.join(key)}; keep one")
    return found


def store(subject: Subject, baselines: Sequence[Baseline]) -> Path:
    """Write a subject's baselines in a stable order; only `harness bless` calls this."""
    # A count taken now is an int, one read back a float: written alike, so that diffs stay small.
    alike = (replace(baseline, value=float(baseline.value)) for baseline in baselines)
    ordered = sorted(alike, key=lambda baseline: baseline.key)
    dumped = schema.dump(_File(baselines=tuple(ordered)))
    # What most lack is left out, as it was before there was such a thing.
    entries = [{k: v for k, v in one.items() if v != ""} for one in dumped["baselines"]]
    text = json.dumps({**dumped, "baselines": entries}, indent=1)
    path = path_of(subject)
    path.write_text(text + "\n", encoding="utf-8")
    return path
