"""The latencies that the charts draw, from the facts of runs."""

from collections.abc import Sequence
from dataclasses import dataclass

from harness import schema
from harness.evidence import Evidence
from harness.fact_lines import Taken
from harness.keys import Key
from harness.latency import Estimate, Latency
from harness.report.page.cells import names, pixels
from harness.requests import Verb


@dataclass(frozen=True, kw_only=True)
class Timing:
    """A latency, measured or estimated.

    Attributes:
        about: What it is the latency of.
        ms: Median, or most likely median.
        low_ms: Lower end of its interval, or None.
        high_ms: Upper end likewise.
        evidence: How it is known.
        relative: Whether only ratios between such estimates mean anything.
        basis: What an estimate rests on, or ''.
        shares: Share of the estimate by op or kernel (0..1).
        off_chip_share: Share of it in kernels that do not fit on chip (0..1), or None.
    """

    about: Key
    ms: float
    low_ms: float | None
    high_ms: float | None
    evidence: Evidence
    relative: bool = False
    basis: str = ""
    shares: tuple[tuple[str, float], ...] = ()
    off_chip_share: float | None = None


def timings(facts: Sequence[Taken]) -> tuple[Timing, ...]:
    """Return the latencies among facts, small resolutions first.

    Raises:
        ConfigError: a fact's fields are not those of its kind.
    """
    found = []
    for fact in facts:
        where = f"fact {fact.request[:12]}"
        if fact.verb != Verb.TIME.value:
            continue
        if fact.kind == Latency.__name__:
            one = schema.parse(Latency, fact.answer, where=where)
            found.append(
                Timing(
                    about=names(fact), ms=one.median_ms, low_ms=one.low_ms, high_ms=one.high_ms,
                    evidence=one.provenance.evidence,
                )
            )  # fmt: skip
        elif fact.kind == Estimate.__name__:
            told = schema.parse(Estimate, fact.answer, where=where)
            found.append(
                Timing(
                    about=names(fact), ms=told.estimate_ms, low_ms=told.low_ms,
                    high_ms=told.high_ms, evidence=told.provenance.evidence,
                    relative=not told.absolute, basis=told.basis,
                    shares=tuple(told.shares.items()), off_chip_share=told.off_chip_share,
                )
            )  # fmt: skip
    return tuple(sorted(found, key=lambda timing: pixels(timing.about.resolution)))
