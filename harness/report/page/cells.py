"""The matrix of the page: each variant on each phone at each resolution, joined over its gates."""

import enum
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from harness import metrics
from harness.evidence import Evidence
from harness.keys import Key
from harness.metrics import Metric
from harness.results import Record
from harness.verdict import Finding, Outcome, Verdict, join, worst

_TEST_ID = re.compile(
    r"\[(?P<device>[^:\[]+):(?P<delegate>[^-]+)-(?P<subject>[^.]+)\.(?P<variant>[^-]+)"
    r"(?:-(?P<at>.+))?\]$"
)
"""The end of a test's node id, as `harness.cases` spells a case."""
_SIZE = re.compile(r"[0-9]{1,6}x[0-9]{1,6}")


class Class(enum.Enum):
    """The class of a cell: a letter that tells it from others without colour, and its words."""

    RIGHT = ("P", Finding.RIGHT.value)
    PARTIAL = ("A", Finding.PARTIAL.value)
    SLOW = ("S", Finding.SLOW.value)
    LARGE = ("L", Finding.LARGE.value)
    COSTLY = ("J", Finding.COSTLY.value)
    FALLBACK = ("F", Finding.FALLBACK.value)
    WRONG = ("W", Finding.WRONG.value)
    RESIDENT_BUT_WRONG = ("X", Finding.RESIDENT_BUT_WRONG.value)
    REGRESSED = ("R", Finding.REGRESSED.value)
    NEEDS_FACT = ("?", Finding.NEEDS_FACT.value)
    NEEDS_PHONE = ("N", Finding.NEEDS_PHONE.value)
    NEEDS_MEASURING = ("M", Finding.NEEDS_MEASURING.value)
    NEEDS_STACK = ("H", Finding.NEEDS_STACK.value)
    NEEDS_REFERENCE = ("3", Finding.NEEDS_REFERENCE.value)
    NEEDS_IMAGE = ("I", Finding.NEEDS_IMAGE.value)
    NEEDS_BLESSING = ("B", Finding.NEEDS_BLESSING.value)
    ERROR = ("E", "error")
    UNRECORDED = ("U", "not all tests ran")

    @property
    def letter(self) -> str:
        """Return the letter."""
        return self.value[0]

    @property
    def words(self) -> str:
        """Return what the letter stands for."""
        return self.value[1]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A variant on a phone at a resolution, with all that was ruled on it.

    Attributes:
        about: Its names; no frame.
        records: The rulings, those about all resolutions of the variant among them.
        unrecorded: Planned tests of it of which nothing is known.
    """

    about: Key
    records: tuple[Record, ...]
    unrecorded: tuple[str, ...] = ()

    @property
    def target(self) -> str:
        """Return phone and delegate, `pixel4:nnapi`."""
        return f"{self.about.device}:{self.about.delegate}"

    @property
    def name(self) -> str:
        """Return subject and variant, `deblur_unet.int8_ptq`."""
        return ".".join(filter(None, (self.about.subject, self.about.variant))) or "tests"

    @cached_property
    def outcome(self) -> Outcome:
        """Return the worst outcome; a test of which nothing is known is INCONCLUSIVE."""
        outcomes = [record.verdict.outcome for record in self.records]
        return worst([*outcomes, *(Outcome.INCONCLUSIVE for _ in self.unrecorded)])

    @cached_property
    def kind(self) -> Class:
        """Return the class."""
        outcome, finding, _ = join([record.verdict for record in self.records])
        if any(record.verdict.metric == "error" for record in self.records):
            return Class.ERROR
        if self.unrecorded and outcome is not Outcome.FAIL:
            return Class.UNRECORDED
        return Class[finding.name]

    @cached_property
    def evidence(self) -> Evidence | None:
        """Return the weakest evidence that it rests on."""
        return join([record.verdict for record in self.records])[2]

    @cached_property
    def figures(self) -> str:
        """Return the latency and the worst PSNR to FP32, `~10.7 ms, 107 dB`, as far as known."""
        slow = self._observed(metrics.LATENCY_MS)
        match = self._observed(metrics.PSNR_DB)
        measured = all(v.evidence is Evidence.PHONE for v in slow)
        parts = []
        if slow:
            ms = max(verdict.observed or 0.0 for verdict in slow)
            parts.append(f"{'' if measured else '~'}{ms:.3g} ms")
        if match:
            parts.append(f"{min(verdict.observed or 0.0 for verdict in match):.3g} dB")
        return ", ".join(parts)

    def _observed(self, metric: Metric) -> list[Verdict]:
        known = (record.verdict for record in self.records)
        return [
            verdict
            for verdict in known
            if (verdict.gate, verdict.metric) == (metric.gate, metric.name)
            and verdict.observed is not None
        ]

    def by_gate(self) -> dict[str, tuple[Outcome, Evidence | None]]:
        """Return the worst outcome and weakest evidence of each gate."""
        gates = dict.fromkeys(record.verdict.gate for record in self.records)
        return {gate: join(self._of(gate))[::2] for gate in gates}

    def _of(self, gate: str) -> list[Verdict]:
        return [record.verdict for record in self.records if record.verdict.gate == gate]


def cells(records: Sequence[Record], unrecorded: Sequence[str]) -> tuple[Cell, ...]:
    """Return the cells, in the order in which they were tested, small resolutions first.

    What is about all resolutions of a variant, such as its scaling, belongs to each of its cells.

    Args:
        records: The rulings.
        unrecorded: Planned tests of which nothing is known.
    """
    groups: dict[Key, _Group] = {}
    for record in records:
        groups.setdefault(_variant(record), _Group()).records.append(record)
    for test in unrecorded:
        about = _about(test)
        if about is not None:
            groups.setdefault(_variant(about), _Group()).unrecorded.append((about, test))
    return tuple(cell for about, group in groups.items() for cell in group.cells(about))


@dataclass(frozen=True)
class _Group:
    """What is known of a variant on a phone."""

    records: list[Record] = field(default_factory=list)
    unrecorded: list[tuple[Key, str]] = field(default_factory=list)

    def cells(self, about: Key) -> Iterator[Cell]:
        keys: list[Key] = [*self.records, *(key for key, _ in self.unrecorded)]
        sizes = sorted({key.resolution for key in keys if key.resolution}, key=pixels)
        for size in sizes or [""]:
            yield Cell(
                about=replace(about, resolution=size),
                records=tuple(r for r in self.records if r.resolution in ("", size)),
                unrecorded=tuple(t for key, t in self.unrecorded if key.resolution in ("", size)),
            )


def pixels(resolution: str) -> int:
    """Return the pixels of `1280x720`; 0 where it is no resolution."""
    if not _SIZE.fullmatch(resolution):
        return 0
    width, _, height = resolution.partition("x")
    return int(width) * int(height)


def names(one: Key) -> Key:
    """Return the names alone of what has names and more, without the frame."""
    return Key(
        device=one.device,
        delegate=one.delegate,
        subject=one.subject,
        variant=one.variant,
        resolution=one.resolution,
    )


def _variant(one: Key) -> Key:
    return replace(names(one), resolution="")


def _about(test: str) -> Key | None:
    """Return what the node id of a test that never ruled says it is about, or None."""
    match = _TEST_ID.search(test)
    if match is None:
        return None
    at = match["at"] or ""
    sized = _SIZE.fullmatch(at) is not None
    return Key(
        device=match["device"],
        delegate=match["delegate"],
        subject=match["subject"],
        variant=match["variant"],
        resolution=at if sized else "",
        frame="" if sized else at,
    )
