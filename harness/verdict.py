"""Hold one ruling of one gate, and the joined ruling over several."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from harness import markup, text
from harness.evidence import Evidence, Provenance, weakest

LATENCY, FALLBACK, FIDELITY = "latency", "cpu_fallback", "fidelity"
SCALING, REGRESSION, CHANGE = "scaling", "regression", "change"
MEMORY, FILE_SIZE, FIRST_INFERENCE = "memory", "file_size", "first_inference"
ENERGY = "energy"
"""Short names of the gates."""


class Outcome(enum.Enum):
    """The three ways a gate can rule. No evidence is never a pass."""

    PASS = "PASS"
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"


class Change(enum.Enum):
    """How something is beside what it was before a change."""

    BETTER = "better"
    EQUAL = "equal"
    WORSE = "worse"
    UNDECIDED = "undecided"


class Sense(enum.Enum):
    """The side of its limit on which an observed value must lie."""

    AT_MOST = "<="
    AT_LEAST = ">="

    def keeps(self, value: float, limit: float) -> bool:
        """Return whether a value keeps a limit; one that is not a number never does."""
        return value <= limit if self is Sense.AT_MOST else value >= limit


class Lack(enum.Enum):
    """What an INCONCLUSIVE ruling lacks, so that whoever can give it is told."""

    FACT = "fact"
    """The fact itself: an error or an unknown kept it from being taken."""
    PHONE = "phone"
    """A phone: what is known on this host does not decide."""
    STATE = "state"
    """A measurement in a valid state: the phone left it, and the numbers are void."""
    PRECISION = "precision"
    """A narrower interval: the measured one straddles the limit."""
    STACK = "stack"
    """Software on this host, such as an extra of this package."""
    FRAME = "frame"
    """A frame, or the ones that were blessed."""
    REFERENCE = "reference"
    """The FP32 model: the subject has none."""
    TARGET = "target"
    """The sharp image beside a frame."""
    BASELINE = "baseline"
    """A baseline that a person accepts."""
    LIMIT = "limit"
    """A limit that a person sets in subject.toml."""


_MARKS = {
    Outcome.PASS: ("P", markup.GREEN),
    Outcome.FAIL: ("F", markup.ORANGE),
    Outcome.INCONCLUSIVE: ("I", markup.GREY),
}
"""Letter and colour of an outcome in a table."""


@dataclass(frozen=True, kw_only=True)
class MovedOp:
    """An op that runs on another unit than before.

    Attributes:
        index: Its number in the graph now.
        op: Its name, such as `TRANSPOSE_CONV`.
        was: The unit before.
        now: The unit now.
        reason: Why it fell back to the CPU, now or before; or ''.
    """

    index: int
    op: str
    was: str
    now: str
    reason: str = ""

    def __str__(self) -> str:
        """Return `#23 TRANSPOSE_CONV npu -> cpu (refused by the driver)`."""
        why = f" ({self.reason})" if self.reason else ""
        return f"#{self.index} {self.op} {self.was} -> {self.now}{why}"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One ruling on one metric.

    Attributes:
        gate: Short name of the gate, such as `latency`.
        metric: What was judged, with its unit in the name, such as `psnr_db`.
        observed: The value, or None where there is no evidence.
        limit: The limit, or None where none is set.
        sense: On which side of the limit the value must lie.
        unit: Unit of value and limit, such as `dB`, or ''.
        outcome: PASS, FAIL or INCONCLUSIVE.
        provenance: How the value is known, or None where there is no evidence.
        cause: Why the outcome is no PASS, or ''.
        remedy: What is known to help, or ''.
        lacks: What an INCONCLUSIVE ruling lacks; None for the others.
        low: Lower end of the interval of the value, or None.
        high: Upper end of the interval of the value, or None.
        change: Of the gate of change, how the value is beside what it was; None of the others.
        moved: Of the gate of change, the ops that run on another unit than before.
        accepted: Of a PASS that rests on a deviation that a person let stay: until when and why.
    """

    gate: str
    metric: str
    sense: Sense
    outcome: Outcome
    observed: float | None = None
    limit: float | None = None
    unit: str = ""
    provenance: Provenance | None = None
    cause: str = ""
    remedy: str = ""
    lacks: Lack | None = None
    low: float | None = None
    high: float | None = None
    change: Change | None = None
    moved: tuple[MovedOp, ...] = ()
    accepted: str = ""

    def __post_init__(self) -> None:
        """Make what was quoted in the reason printable; a ruling of nothing lacks its fact."""
        for name in ("unit", "cause", "remedy", "accepted"):
            object.__setattr__(self, name, text.line(getattr(self, name)))
        if self.outcome is Outcome.INCONCLUSIVE:
            object.__setattr__(self, "lacks", self.lacks or Lack.FACT)
        elif self.lacks is not None:
            raise ValueError(f"{self.outcome.value} lacks {self.lacks.value}")

    @property
    def evidence(self) -> Evidence | None:
        """Return how the value is known, or None where there is no evidence."""
        return self.provenance.evidence if self.provenance else None

    @property
    def compared(self) -> str:
        """Return value, interval and limit, such as `psnr_db 40 dB, at least 42 dB`, or ''."""
        if self.observed is None:
            return ""
        unit = f" {self.unit}" if self.unit else ""
        ends = [value for value in (self.low, self.observed, self.high) if value is not None]
        digits = _digits(ends, self.limit)
        seen = f"{self.metric} {self.observed:.{digits}g}"
        if self.low is not None and self.high is not None:
            seen += f" ({self.low:.{digits}g} to {self.high:.{digits}g})"
        if self.limit is None:
            return seen + unit
        limit = f"{self.limit:.{digits}g}{unit}"
        if len({self.sense.keeps(value, self.limit) for value in ends}) > 1:
            return f"{seen}{unit} straddles {limit}"
        wish = "at most" if self.sense is Sense.AT_MOST else "at least"
        return f"{seen}{unit}, {wish} {limit}"

    @property
    def because(self) -> str:
        """Return one line: value and limit, cause, remedy, as far as each is there."""
        first = (": " if self.limit is not None else "; ").join(
            filter(None, (self.compared, self.cause))
        )
        let = f"accepted {self.accepted}" if self.accepted else ""
        return text.line("; ".join(filter(None, (first, self.remedy, let))))

    def __repr__(self) -> str:
        """Return the line that a person reads in a failure, bounded."""
        return text.repr_of(self, str(self))

    def _repr_html_(self) -> str:
        """Return a table for notebooks: the value and its limit, the cause and the remedy."""
        mark, color = _MARKS[self.outcome]
        evidence = self.evidence.value if self.evidence else "none"
        cells = (self.compared or self.metric, self.cause, self.remedy, evidence)
        row = markup.Row(mark=mark, color=color, cells=cells)
        title = f"{self.outcome.value} {self.gate}"
        return markup.table(title, ("compared", "cause", "remedy", "evidence"), [row])

    def __str__(self) -> str:
        """Return the line that a person reads in a failure."""
        ground = f" [{self.evidence.value}]" if self.evidence else ""
        return f"{self.outcome.value} {self.gate}: {self.because}{ground}"


def _digits(values: Sequence[float], limit: float | None) -> int:
    """Return how many digits tell every value from a limit that it is not equal to, at least 4."""
    if limit is None:
        return 4
    return next(
        digits
        for digits in range(4, 18)
        if digits == 17
        or all(v == limit or f"{v:.{digits}g}" != f"{limit:.{digits}g}" for v in values)
    )


class Finding(enum.Enum):
    """The class of the joined verdict of a variant on a device at a resolution."""

    RIGHT = "in budget and right"
    PARTIAL = "right as far as tested"
    SLOW = "slow"
    LARGE = "too large"
    COSTLY = "over its energy budget"
    FALLBACK = "fallback"
    WRONG = "wrong numbers"
    RESIDENT_BUT_WRONG = "full residency but wrong numbers"
    REGRESSED = "worse than its baseline"
    NEEDS_FACT = "needs a fact"
    NEEDS_PHONE = "needs a phone"
    NEEDS_MEASURING = "needs to be measured again"
    NEEDS_STACK = "needs software on this host"
    NEEDS_REFERENCE = "needs its FP32 model"
    NEEDS_IMAGE = "needs an image"
    NEEDS_BLESSING = "needs a limit or baseline"


_NEEDS = {
    Lack.FACT: Finding.NEEDS_FACT,
    Lack.PHONE: Finding.NEEDS_PHONE,
    Lack.STATE: Finding.NEEDS_MEASURING,
    Lack.PRECISION: Finding.NEEDS_MEASURING,
    Lack.STACK: Finding.NEEDS_STACK,
    Lack.REFERENCE: Finding.NEEDS_REFERENCE,
    Lack.FRAME: Finding.NEEDS_IMAGE,
    Lack.TARGET: Finding.NEEDS_IMAGE,
    Lack.BASELINE: Finding.NEEDS_BLESSING,
    Lack.LIMIT: Finding.NEEDS_BLESSING,
}
"""What a joined verdict needs; of several lacks the first of this list is named."""


def worst(outcomes: Sequence[Outcome]) -> Outcome:
    """Return FAIL if any fails, else INCONCLUSIVE if any is or if there are none, else PASS."""
    if Outcome.FAIL in outcomes:
        return Outcome.FAIL
    if Outcome.INCONCLUSIVE in outcomes or not outcomes:
        return Outcome.INCONCLUSIVE
    return Outcome.PASS


def join(verdicts: Sequence[Verdict]) -> tuple[Outcome, Finding, Evidence | None]:
    """Join the rulings on one variant x device x delegate x resolution.

    Returns:
        The worst outcome, its class, and the weakest evidence that it rests on.
    """
    outcome = worst([v.outcome for v in verdicts])
    kinds = [v.evidence for v in verdicts if v.evidence is not None]
    failed = {v.gate for v in verdicts if v.outcome is Outcome.FAIL}
    if failed:
        finding = _broken(failed, verdicts)
    elif outcome is Outcome.INCONCLUSIVE:
        lacking = {v.lacks for v in verdicts}
        finding = next((_NEEDS[lack] for lack in _NEEDS if lack in lacking), Finding.NEEDS_FACT)
    else:
        tested = {verdict.gate for verdict in verdicts}
        complete = tested >= {LATENCY, FALLBACK, FIDELITY}
        finding = Finding.RIGHT if complete else Finding.PARTIAL
    return outcome, finding, weakest(kinds) if kinds else None


def _broken(failed: set[str], verdicts: Sequence[Verdict]) -> Finding:
    """Return the gravest class of what failed."""
    if FIDELITY in failed:
        placed = [v for v in verdicts if v.gate == FALLBACK]
        resident = bool(placed) and all(v.outcome is Outcome.PASS for v in placed)
        return Finding.RESIDENT_BUT_WRONG if resident else Finding.WRONG
    if FALLBACK in failed:
        return Finding.FALLBACK
    if failed & {LATENCY, SCALING, FIRST_INFERENCE}:
        return Finding.SLOW
    if ENERGY in failed:
        return Finding.COSTLY
    return Finding.LARGE if failed & {MEMORY, FILE_SIZE} else Finding.REGRESSED
