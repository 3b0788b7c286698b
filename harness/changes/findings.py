"""What a night gave away, and how it reads as one line."""

import enum
import statistics
from dataclasses import dataclass


class Kind(enum.Enum):
    """What sort of change a finding tells of."""

    UNIT = "another unit"
    LEVEL = "new level"
    RETURN = "return to a known level"
    SHARED = "shared by many models"


@dataclass(frozen=True, kw_only=True)
class Move:
    """The change of one series.

    Attributes:
        series: Its name.
        before: Its level before.
        after: Its level now.
        units: Which units ran ops before and now, in words, where they differ; else ''.
    """

    series: str
    before: float
    after: float
    units: str = ""

    @property
    def ratio(self) -> float:
        """Return the level now over the level before."""
        return self.after / self.before


@dataclass(frozen=True, kw_only=True)
class LastingChange:
    """One piece of news about one phone.

    Attributes:
        kind: What sort of change.
        phone: Name of the phone.
        moves: The series that changed, by name; one, unless it is shared.
        began: Date of the first night of the new level.
        found: Date of the night that gave it away.
        back_to: Date of an earlier night on this level, or ''.
        cause: What else differed since the night before, in words, or ''.
        watched: Series of the phone that were compared that night.
    """

    kind: Kind
    phone: str
    moves: tuple[Move, ...]
    began: str
    found: str
    back_to: str = ""
    cause: str = ""
    watched: int

    @property
    def ratio(self) -> float:
        """Return the median ratio of its moves."""
        return statistics.median(move.ratio for move in self.moves)

    def __str__(self) -> str:
        """Return the finding as one line."""
        first = self.moves[0]
        if self.kind is Kind.SHARED:
            what = f"{len(self.moves)} of {self.watched} series, median {self.ratio - 1:+.1%}"
        else:
            what = f"{first.series} {self.ratio - 1:+.1%} ({first.before:.4g} -> {first.after:.4g})"
        back = f", back to the level of {self.back_to}" if self.back_to else ""
        cause = f": {self.cause}" if self.cause else ""
        return f"{self.phone}: {what} since {self.began}{back}{cause}"
