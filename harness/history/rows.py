"""What the history answers."""

from dataclasses import dataclass
from datetime import date

from harness.errors import ConfigError
from harness.history.entries import SeriesKey


@dataclass(frozen=True, kw_only=True)
class SeriesPoint:
    """One fact of a series.

    Attributes:
        time_utc: When its run began.
        run: Id of the run.
        commit: Of the code that was tested.
        attempt: 0; 1 and more for measurements taken again in the same run.
        value: The number.
        low: Lower end of its interval, or None.
        high: Upper end of it, or None.
        outcome: PASS, FAIL or INCONCLUSIVE, or ''.
    """

    time_utc: str
    run: str
    commit: str
    attempt: int
    value: float
    low: float | None
    high: float | None
    outcome: str


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One series in two runs.

    Attributes:
        series: Which.
        was: Its value in the earlier run, or None where it was not measured.
        now: Its value in the newer run, or None.
        outcome_was: What was ruled in the earlier run, or ''.
        outcome_now: What was ruled in the newer run, or ''.
    """

    series: SeriesKey
    was: float | None
    now: float | None
    outcome_was: str
    outcome_now: str


@dataclass(frozen=True, kw_only=True)
class Acknowledged:
    """A finding that a person knows of.

    Attributes:
        finding: Its id.
        because: Why it may stay.
        until: Last day on which it may, ISO 8601.
    """

    finding: str
    because: str
    until: str

    def __post_init__(self) -> None:
        """Refuse a day that is none, and a reason that says nothing or cannot be shown.

        Raises:
            ConfigError: one is.
        """
        try:
            date.fromisoformat(self.until)
        except ValueError:
            raise ConfigError(f"{self.until!r:.80} is no day; write it as 2026-12-31") from None
        if not self.because.strip() or not self.because.isprintable() or len(self.because) > 500:
            raise ConfigError("a reason has 1 to 500 characters that can be printed")
