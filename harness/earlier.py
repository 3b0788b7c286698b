"""What an earlier run found of a variant on a phone, for who judges today's beside it."""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field

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
class EarlierImage:
    """What an earlier run's variant made of a frame.

    Attributes:
        output: The images.
        copied: Whether the run keeps a copy in 16 bits of any, not the values themselves.
    """

    output: Output
    copied: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Earlier:
    """What an earlier run found of a variant on a phone through one delegate.

    Attributes:
        run: Name of the run, for people.
        reference_sha256: Content hash of the FP32 file that it had; '' where it tested none.
        numbers: By metric, resolution and frame, '' for none; one for each kind of evidence.
        placements: By resolution.
        image: Returns what the variant made at a resolution of inputs of a hash, beside what it
            makes of them today; None where the run keeps no such image.
        files: Content hashes of the files that it had.
        given: Hashes of what it gave the variant, by resolution; None where that is not kept.
        frames: Names of the frames that it ruled on, by resolution.
    """

    run: str
    reference_sha256: str
    numbers: Mapping[tuple[str, str, str], tuple[Number, ...]]
    placements: Mapping[str, Placement]
    image: Callable[[str, str, Output], EarlierImage | None]
    files: Set[str] = frozenset()
    given: Mapping[str, Set[str]] | None = None
    frames: Mapping[str, Set[str]] = field(default_factory=dict)

    def number(
        self, metric: str, resolution: str, evidence: Evidence, *, frame: str = ""
    ) -> Number | None:
        """Return a number on evidence of a kind, else on another kind, or None."""
        found = self.numbers.get((metric, resolution, frame), ())
        alike = [one for one in found if one.provenance.evidence is evidence]
        return next(iter([*alike, *found]), None)

    def other_frames(
        self, resolution: str, run_resolution: str, given: Mapping[str, Sequence[str]]
    ) -> str:
        """Return how today's frames are others than those that it had, or ''.

        Args:
            resolution: Of the frames.
            run_resolution: At which the model runs: a tile's, where there are tiles.
            given: Hashes of what is given of each frame today, by its name.
        """
        had = self.frames.get(resolution, frozenset())
        gone = sorted(had - set(given))
        new = sorted(set(given) - had) if had else []
        known = None if self.given is None else self.given.get(run_resolution, frozenset())
        if known is not None:
            hashes = {name: frozenset(parts) for name, parts in given.items()}
            new = [name for name, parts in hashes.items() if not parts <= known]
        parts = [f"without {', '.join(gone)}"] if gone else []
        parts += [f"with another {', '.join(new)}"] if new else []
        return (
            f"frames of {resolution} are others: today's are {' and '.join(parts)}" if parts else ""
        )
