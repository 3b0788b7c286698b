"""What a night measured: readings of series, one phone at a time."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime

from harness.errors import MeasurementError


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What was measured of one series in one night.

    Attributes:
        series: Its name, unique on the phone.
        values: One or more values, all above 0; their median counts.
        confirming: Values measured again later in the same night because the first were off.
            They take the place of the second night where they agree, and of the first values
            where they do not.
        low: Lower end of the interval around the night's value, or None.
        high: Upper end of it, or None.
        units: Names of the units that ran ops, the one with most of them first; () if unknown.
    """

    series: str
    values: tuple[float, ...]
    confirming: tuple[float, ...] = ()
    low: float | None = None
    high: float | None = None
    units: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what has no logarithm.

        Raises:
            MeasurementError: a value is missing, not finite or not above 0, or the interval is
                upside down.
        """
        ends = [end for end in (self.low, self.high) if end is not None]
        for value in (*self.values, *self.confirming, *ends):
            if not (math.isfinite(value) and value > 0):
                raise MeasurementError(
                    f"{self.series}: {value} is no measurement; leave the night out instead"
                )
        if not self.values:
            raise MeasurementError(f"{self.series}: a reading without values; leave it out")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise MeasurementError(
                f"{self.series}: the interval ends at {self.high}, below its start {self.low}"
            )

    def holds(self, log_level: float) -> bool:
        """Return whether the night's interval still holds a level, given as its logarithm."""
        if self.low is None or self.high is None:
            return False
        return math.log(self.low) <= log_level <= math.log(self.high)


@dataclass(frozen=True, kw_only=True)
class Night:
    """All readings of one phone in one night.

    Attributes:
        date: ISO 8601 date or time; without a zone it is UTC.
        phone: Name of the phone.
        readings: One a series; a series that was not measured is absent.
        conditions: What was recorded about the phone and its software, such as
            ('driver', '1.3'); a difference is named as the cause of a shared shift.
        temperature_c: Of the phone, or None.
    """

    date: str
    phone: str
    readings: tuple[Reading, ...]
    conditions: tuple[tuple[str, str], ...] = ()
    temperature_c: float | None = None


def time_of(date: str) -> datetime:
    """Return when a night was; without a zone it is UTC.

    Raises:
        MeasurementError: it is no ISO 8601 date or time.
    """
    try:
        time = datetime.fromisoformat(date)
    except ValueError as error:
        raise MeasurementError(f"{date!r} is no ISO 8601 date") from error
    return time if time.tzinfo else time.replace(tzinfo=UTC)
