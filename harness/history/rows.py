"""What the history answers."""

from dataclasses import dataclass

from harness.history.entries import SeriesKey


@dataclass(frozen=True, kw_only=True)
class Point:
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
class Change:
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
