"""What an earlier run found of a variant on a phone, for who judges today's beside it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from harness.evidence import Evidence, Provenance
from harness.images import Output
from harness.placement import Placement


@dataclass(frozen=True, kw_only=True)
class Number:
    """One number of an earlier run.

    Attributes:
        value: In its metric's unit.
        provenance: How it was known.
        low: Lower end of its interval, or None.
        high: Upper end of it, or None.
    """

    value: float
    provenance: Provenance
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Earlier:
    """What an earlier run found of a variant on a phone through one delegate.

    Attributes:
        run: Name of the run, for people.
        reference_sha256: Content hash of the FP32 file that it had; '' where it tested none.
        numbers: By metric, resolution and frame, '' for none; one for each kind of evidence.
        placements: By resolution.
        image: Returns what the variant made at a resolution of inputs of a hash, or None where
            the run keeps no such image.
    """

    run: str
    reference_sha256: str
    numbers: Mapping[tuple[str, str, str], tuple[Number, ...]]
    placements: Mapping[str, Placement]
    image: Callable[[str, str], Output | None]

    def number(
        self, metric: str, resolution: str, evidence: Evidence, *, frame: str = ""
    ) -> Number | None:
        """Return a number on evidence of a kind, else on another kind, or None."""
        found = self.numbers.get((metric, resolution, frame), ())
        alike = [one for one in found if one.provenance.evidence is evidence]
        return next(iter([*alike, *found]), None)
