"""Hold one ruling of one gate, and the joined ruling over several."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from harness import text
from harness.evidence import Evidence, Provenance, weakest

LATENCY, FALLBACK, FIDELITY = "latency", "cpu_fallback", "fidelity"
SCALING, REGRESSION = "scaling", "regression"
"""Short names of the gates."""


class Outcome(enum.Enum):
    """Name the three ways a gate can rule. No evidence is never a pass."""

    PASS = "PASS"
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"


class Sense(enum.Enum):
    """Say on which side of its limit an observed value must lie."""

    AT_MOST = "<="
    AT_LEAST = ">="


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Rule on one metric.

    Attributes:
        gate: Short name of the gate: latency, cpu_fallback, fidelity, scaling or regression.
        metric: What was judged, with its unit in the name, such as `psnr_db`.
        observed: The value, or None where there is no evidence.
        limit: The limit, or None where none is set.
        sense: On which side of the limit the value must lie.
        outcome: PASS, FAIL or INCONCLUSIVE.
        provenance: How the value is known, or None where there is no evidence.
        because: One line: what happened, its cause and the known remedy.
        low: Lower end of the interval of an estimated value.
        high: Upper end of the interval of an estimated value.
    """

    gate: str
    metric: str
    sense: Sense
    outcome: Outcome
    observed: float | None = None
    limit: float | None = None
    provenance: Provenance | None = None
    because: str = ""
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        """Make what was quoted in the reason printable."""
        object.__setattr__(self, "because", text.line(self.because))

    @property
    def evidence(self) -> Evidence | None:
        """Return how the value is known, or None where there is no evidence."""
        return self.provenance.evidence if self.provenance else None

    def __str__(self) -> str:
        """Return the line that a person reads in a failure."""
        ground = f" [{self.evidence.value}]" if self.evidence else ""
        return f"{self.outcome.value} {self.gate}: {self.because}{ground}"


class Finding(enum.Enum):
    """Classify the joined verdict of a variant on a device at a resolution."""

    RIGHT = "in budget and right"
    PARTIAL = "right as far as tested"
    SLOW = "slow"
    FALLBACK = "fallback"
    WRONG = "wrong numbers"
    RESIDENT_BUT_WRONG = "full residency but wrong numbers"
    REGRESSED = "worse than its baseline"
    NEEDS_PHONE = "needs a phone"
    NEEDS_BLESSING = "needs a limit or baseline"


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
    placed = [v for v in verdicts if v.gate == FALLBACK]
    resident = bool(placed) and all(v.outcome is Outcome.PASS for v in placed)
    tested = {verdict.gate for verdict in verdicts}
    finding = Finding.RIGHT if tested >= {LATENCY, FALLBACK, FIDELITY} else Finding.PARTIAL
    if FIDELITY in failed:
        finding = Finding.RESIDENT_BUT_WRONG if resident else Finding.WRONG
    elif FALLBACK in failed:
        finding = Finding.FALLBACK
    elif failed & {LATENCY, SCALING}:
        finding = Finding.SLOW
    elif failed:
        finding = Finding.REGRESSED
    elif outcome is Outcome.INCONCLUSIVE:
        undecided = [v for v in verdicts if v.outcome is Outcome.INCONCLUSIVE]
        unset = all(v.limit is None and v.observed is not None for v in undecided)
        finding = Finding.NEEDS_BLESSING if undecided and unset else Finding.NEEDS_PHONE
    return outcome, finding, weakest(kinds) if kinds else None
