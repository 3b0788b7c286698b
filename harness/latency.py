"""How long an inference takes, measured or estimated; the two never mix.

Both say `ms`, `low_ms` and `high_ms`, by which one rule judges them.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from harness import markup, text
from harness.errors import MeasurementError
from harness.evidence import Provenance
from harness.statistics import percentile


@dataclass(frozen=True, kw_only=True)
class Latency:
    """A measured latency of one inference, in milliseconds.

    `low_ms` and `high_ms` are the interval of the median, or None where it was not repeated.
    `energy_mj` is what one more inference takes above the idle phone in millijoules, or None where
    the phone does not say.
    """

    median_ms: float
    p95_ms: float
    mean_ms: float
    stddev_ms: float
    min_ms: float
    first_ms: float
    init_ms: float
    runs: int
    provenance: Provenance
    low_ms: float | None = None
    high_ms: float | None = None
    energy_mj: float | None = None

    def __repr__(self) -> str:
        """Return the median with its interval, the 95th percentile and the evidence."""
        interval = ""
        if self.low_ms is not None and self.high_ms is not None:
            interval = f" ({self.low_ms:.3g} to {self.high_ms:.3g})"
        runs = f"{self.runs} runs [{self.provenance.evidence.value}]"
        median = f"median {self.median_ms:.4g}{interval} ms"
        return text.repr_of(self, f"{median}, p95 {self.p95_ms:.4g} ms, {runs}")

    @property
    def ms(self) -> float:
        """Return the median."""
        return self.median_ms


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Measured medians of two models that ran A B B A on one phone, in milliseconds.

    Attributes:
        before_ms: Of each run of the earlier model, in the order in which they ran.
        now_ms: Of each run of the model that is asked about, as many.
        before_sha256: Content hash of the earlier file as it was run.
        provenance: Of the model that is asked about.
    """

    before_ms: tuple[float, ...]
    now_ms: tuple[float, ...]
    before_sha256: str
    provenance: Provenance


@dataclass(frozen=True, kw_only=True)
class Instructions:
    """The instructions that one inference executes: a cost that repeats, not a time."""

    count: float
    provenance: Provenance


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """An estimated latency of one inference, in milliseconds.

    Attributes:
        estimate_ms: Most likely median.
        low_ms: Lower end of the 90 % interval, from held-out residuals.
        high_ms: Upper end of it.
        shares: Share of the estimate by op or kernel (0..1), by label.
        basis: What the estimate rests on, in one line.
        provenance: How this is known.
        absolute: False where no figure of this phone is public, so that only ratios between
            estimates of the same phone mean anything.
        cpu_share: Share of the estimate that runs on the CPU though an accelerator was asked.
        off_chip_share: Share of the estimate spent in kernels whose working set does not fit on
            chip (0..1), or None where the model does not follow it.
    """

    estimate_ms: float
    low_ms: float
    high_ms: float
    basis: str
    provenance: Provenance
    shares: Mapping[str, float] = field(default_factory=dict)
    absolute: bool = True
    cpu_share: float = 0.0
    off_chip_share: float | None = None

    def __str__(self) -> str:
        """Return the milliseconds, their interval and the evidence."""
        interval = f"({self.low_ms:.3g} to {self.high_ms:.3g}) ms"
        relative = "" if self.absolute else " relative"
        return f"{self.estimate_ms:.4g} {interval}{relative} [{self.provenance.evidence.value}]"

    def __repr__(self) -> str:
        """Return the same."""
        return text.repr_of(self, str(self))

    def _repr_html_(self) -> str:
        """Return a table for notebooks: milliseconds and share by op or kernel."""
        costly = sorted(self.shares.items(), key=lambda item: -item[1])
        rows = [
            markup.Row(
                mark="E",
                color=markup.BLUE,
                cells=(label, f"{share * self.estimate_ms:.3g}", f"{share:.1%}"),
            )
            for label, share in costly
        ]
        title = f"{self}, 90 % interval; {self.basis}"
        return markup.table(title, ("op or kernel", "ms", "share"), rows)

    @property
    def ms(self) -> float:
        """Return the most likely median."""
        return self.estimate_ms


@dataclass(frozen=True, kw_only=True)
class EstimatePair:
    """The estimates of two models for one phone, where none is attached.

    Attributes:
        before: Of the earlier model.
        now: Of the model that is asked about.
        provenance: Of the model that is asked about.
    """

    before: Estimate
    now: Estimate
    provenance: Provenance


def both_in_turn(pair: Pairs | EstimatePair, count: int) -> Pairs | EstimatePair:
    """Return the latencies of several inferences of both models; measured pairs give a ratio."""
    if isinstance(pair, Pairs):
        return pair
    return replace(pair, before=_times(pair.before, count), now=_times(pair.now, count))


def _times(one: Estimate, count: int) -> Estimate:
    return replace(
        one,
        estimate_ms=one.estimate_ms * count,
        low_ms=one.low_ms * count,
        high_ms=one.high_ms * count,
    )


def in_turn(one: Latency | Estimate, count: int) -> Latency | Estimate:
    """Return the latency of several inferences, one after the other.

    The 95th percentile is at most that: all of them are seldom slow together.
    """
    if count == 1:
        return one
    if isinstance(one, Estimate):
        return _times(one, count)
    return replace(
        one,
        median_ms=one.median_ms * count,
        p95_ms=one.p95_ms * count,
        mean_ms=one.mean_ms * count,
        stddev_ms=one.stddev_ms * math.sqrt(count),
        min_ms=one.min_ms * count,
        low_ms=None if one.low_ms is None else one.low_ms * count,
        high_ms=None if one.high_ms is None else one.high_ms * count,
        energy_mj=None if one.energy_mj is None else one.energy_mj * count,
    )


def summarize(
    samples_ms: Sequence[float], *, first_ms: float, init_ms: float, provenance: Provenance
) -> Latency:
    """Summarize measured inferences.

    Args:
        samples_ms: Milliseconds of each timed inference, at least one.
        first_ms: Milliseconds of the first inference after loading.
        init_ms: Milliseconds of loading and preparing the model.
        provenance: How they were measured.

    Raises:
        MeasurementError: there are no samples, or one is not a positive number.
    """
    if not samples_ms or not all(0.0 < ms < float("inf") for ms in samples_ms):
        raise MeasurementError("a latency needs at least one sample, each positive and finite")
    ordered = sorted(samples_ms)
    return Latency(
        median_ms=statistics.median(ordered),
        p95_ms=percentile(ordered, 0.95),
        mean_ms=statistics.fmean(ordered),
        stddev_ms=statistics.pstdev(ordered),
        min_ms=ordered[0],
        first_ms=first_ms,
        init_ms=init_ms,
        runs=len(ordered),
        provenance=provenance,
    )
