"""What a remedy for fallbacks can gain at most, from what an estimate says of the ops."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.keys import Key
from harness.placement import Placement
from harness.report.page.strips import CROSSINGS, times_of
from harness.report.page.timings import Timing


@dataclass(frozen=True, kw_only=True)
class Gain:
    """What the ops on the CPU and their hand-overs take of an estimate.

    Attributes:
        share: Of the estimate (0..1).
        timing: The estimate.
    """

    share: float
    timing: Timing

    def __str__(self) -> str:
        """Return it as a sentence."""
        about = self.timing.about
        took = f"{self.share:.0%} of the estimate"
        if not self.timing.relative:
            ms = self.timing.ms
            took = f"{self.share * ms:.3g} of the estimated {ms:.3g} ms ({self.share:.0%})"
        return (
            f"Estimated gain: at most {took}, which the ops on the CPU and their hand-overs take "
            f"on {about.device}:{about.delegate} {about.resolution}"
        )


def gains(timings: Sequence[Timing], placements: Mapping[Key, Placement]) -> dict[Key, Gain]:
    """Return the gain of each variant, phone and resolution where ops fell back and it is known.

    Args:
        timings: Latencies; only an estimate says what each op takes.
        placements: Where ops run, by what it is about.
    """
    found = {}
    for timing in timings:
        placement = placements.get(timing.about)
        shares = dict(timing.shares)
        if placement is None or not placement.fallbacks or not shares:
            continue
        each = times_of(len(placement.nodes), shares)
        slow = set(placement.fallbacks)
        on_cpu = sum(
            time for time, node in zip(each, placement.nodes, strict=False) if node in slow
        )
        share = on_cpu + shares.get(CROSSINGS, 0.0)
        if 0.0 < share <= 1.0:
            found[timing.about] = Gain(share=share, timing=timing)
    return found
