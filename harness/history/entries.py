"""Runs as the history keeps them: a neutral form that every source is turned into."""

import json
import math
from collections import Counter
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from functools import cached_property

from harness.errors import ConfigError
from harness.evidence import sha256_of

_TEXT_MAX = 500
_BLOB_MAX = 1 << 20
_FACTS_MAX = 2_000_000
_OUTCOMES = ("", "PASS", "FAIL", "INCONCLUSIVE")


@dataclass(frozen=True, kw_only=True)
class SeriesKey:
    """What makes two facts comparable: they are of one series if all of this is equal.

    Attributes:
        subject: Name of the model.
        variant: Name of its exported file.
        profile: Name of the phone.
        delegate: nnapi, gpu, qnn or cpu.
        size: Resolution such as 1280x720, or ''.
        frame: Golden frame, or ''.
        metric: What is measured, with its unit, such as median_ms.
        evidence: How it is known, such as PHONE.
        fingerprint: Of the phone without its build number; '' for what no phone measured.
    """

    subject: str
    variant: str
    profile: str
    delegate: str
    size: str = ""
    frame: str = ""
    metric: str
    evidence: str
    fingerprint: str = ""

    def __post_init__(self) -> None:
        """Refuse what is empty, endless or cannot be shown.

        Raises:
            ConfigError: a part is.
        """
        together = "".join(self.parts)
        fits = together.isprintable() and len(together) <= _TEXT_MAX
        if fits and self.subject and self.metric and self.evidence:
            return  # in one go, as a night has thousands
        for name, value in zip(_PARTS, self.parts, strict=True):
            _check_text(value, name)
            if not value and name in ("subject", "metric", "evidence"):
                raise ConfigError(f"{name} of a series is empty")

    def __str__(self) -> str:
        """Return its parts that are not empty, separated by spaces."""
        return " ".join(filter(None, self.parts))

    @property
    def parts(self) -> tuple[str, ...]:
        """Return its parts, by which series are sorted."""
        return (
            self.subject,
            self.variant,
            self.profile,
            self.delegate,
            self.size,
            self.frame,
            self.metric,
            self.evidence,
            self.fingerprint,
        )

    @cached_property
    def digest(self) -> str:
        """Return the SHA-256 of its parts, by which a database finds it."""
        return sha256_of(json.dumps(self.parts, ensure_ascii=True).encode())


_PARTS = tuple(part.name for part in fields(SeriesKey))


@dataclass(frozen=True, kw_only=True)
class FactEntry:
    """One number of one series in one run.

    Attributes:
        series: What it is of.
        value: The number.
        low: Lower end of its interval, or None.
        high: Upper end of it, or None.
        outcome: PASS, FAIL or INCONCLUSIVE, or '' where nothing judged it.
        attempt: 0; 1 and more for measurements taken again in the same run.
        provenance: What is needed to take the fact again, as JSON text, or ''.
        placement: Of a count of ops, which op ran where: JSON text of [index, op, unit, reason] for
            each; else None. It is no part of what tells two runs apart.
    """

    series: SeriesKey
    value: float
    low: float | None = None
    high: float | None = None
    outcome: str = ""
    attempt: int = 0
    provenance: str = ""
    placement: str | None = None

    def __post_init__(self) -> None:
        """Refuse what is no finite number.

        Raises:
            ConfigError: a number is not finite, or the outcome or attempt is unknown.
        """
        for number in (self.value, self.low, self.high):
            if number is not None and not math.isfinite(number):
                raise ConfigError(f"{self.series}: {number} is no fact; leave it out instead")
        if self.outcome not in _OUTCOMES:
            raise ConfigError(f"{self.series}: outcome {self.outcome!r:.80}; {_OUTCOMES[1:]}")
        if not 0 <= self.attempt <= 32_767:
            raise ConfigError(f"{self.series}: attempt {self.attempt} is not in 0 to 32,767")
        for name, blob in (("provenance", self.provenance), ("placement", self.placement or "")):
            if len(blob) > _BLOB_MAX:
                raise ConfigError(f"{self.series}: {name} is longer than {_BLOB_MAX >> 20} MiB")


@dataclass(frozen=True, kw_only=True)
class RunEntry:
    """One run with all its facts.

    Attributes:
        id: Unique name of the run; adding it again changes nothing.
        time_utc: When it began, ISO 8601 with its zone.
        commit: Of the code that was tested, or ''.
        host: Name of the machine that ran it.
        facts: What it found.
    """

    id: str
    time_utc: str
    commit: str = ""
    host: str = ""
    facts: tuple[FactEntry, ...] = field(repr=False)

    def __post_init__(self) -> None:
        """Refuse a run without name or time, or with one fact twice.

        Raises:
            ConfigError: it is.
        """
        for name in ("id", "commit", "host"):
            _check_text(getattr(self, name), f"{name} of a run")
        if not self.id:
            raise ConfigError("id of a run is empty")
        self.time()
        if len(self.facts) > _FACTS_MAX:
            raise ConfigError(f"run {self.id}: more than {_FACTS_MAX:,} facts; split it")
        counts = Counter((fact.series, fact.attempt) for fact in self.facts)
        for (series, attempt), times in counts.most_common(1):
            if times > 1:
                raise ConfigError(f"run {self.id}: {series} is there twice as attempt {attempt}")

    def time(self) -> datetime:
        """Return when it began, in UTC.

        Raises:
            ConfigError: `time_utc` is no time, or has no zone.
        """
        try:
            time = datetime.fromisoformat(self.time_utc)
        except ValueError:
            raise ConfigError(f"run {self.id}: {self.time_utc!r:.80} is no ISO 8601 time") from None
        if time.tzinfo is None:
            raise ConfigError(f"run {self.id}: {self.time_utc} has no zone; write +00:00 for UTC")
        return time.astimezone(UTC)

    @property
    def digest(self) -> str:
        """Return the SHA-256 of what it found, whatever the order."""
        facts = sorted(
            json.dumps(
                [
                    one.series.digest,
                    one.attempt,
                    one.value,
                    one.low,
                    one.high,
                    one.outcome,
                    one.provenance,
                ]
            )
            for one in self.facts
        )
        head = [self.time().isoformat(), self.commit, self.host]
        return sha256_of(json.dumps([head, facts]).encode())


def _check_text(value: str, name: str) -> None:
    if len(value) > _TEXT_MAX or not value.isprintable():
        raise ConfigError(
            f"{name} {value!r:.80}: wants at most {_TEXT_MAX} characters that can be printed"
        )
