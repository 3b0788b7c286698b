"""Earlier runs, of a results file or of the history, as what today's is judged against."""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness import fact_files, results, revisions, schema
from harness.cases import Case
from harness.earlier import Earlier, Number
from harness.errors import ConfigError
from harness.evidence import Evidence, Provenance
from harness.fact_lines import Taken, answer_of
from harness.history import runs
from harness.history.entries import FactEntry, RunEntry
from harness.history.opening import DEFAULT, open_store
from harness.images import Output, Size
from harness.placement import Placement
from harness.requests import Verb
from harness.results import Results
from harness.subjects import Precision, fits, wanted
from harness.verdict import CHANGE, REGRESSION, Sense

_ABOUT = tuple[str, str, str, str]
_BUDGETS = {"cpu_ops": "cpu_ops_allowed", "partitions": "partitions_max"}
"""Keys of a budget, by the metric that they limit, where the two have other names."""


@dataclass(frozen=True, kw_only=True)
class EarlierRun:
    """One run, by what it found of each variant on each phone.

    Attributes:
        entry: Its numbers.
        found: Its file, or None where only the history has it: no placements and no images.
    """

    entry: RunEntry
    found: Results | None = None
    _numbers: dict[_ABOUT, list[FactEntry]] = field(
        init=False, repr=False, default_factory=lambda: defaultdict(list)
    )
    _taken: dict[_ABOUT, list[Taken]] = field(
        init=False, repr=False, default_factory=lambda: defaultdict(list)
    )

    def __post_init__(self) -> None:
        """Sort what it found by what it is about."""
        for fact in self.entry.facts:
            key = fact.series
            about = (key.profile, key.delegate, key.subject, key.variant)
            self._numbers[about].append(fact)
        for one in self.found.facts if self.found is not None else ():
            if not one.revision and not one.error:
                about = (one.device, one.delegate, one.subject, one.variant)
                self._taken[about].append(one)

    @property
    def name(self) -> str:
        """Return its name for people."""
        return f"run {self.entry.id}"

    def of(self, case: Case) -> Earlier | None:
        """Return what it found of a variant on a phone, or None where it is not in it."""
        key = case.key
        about = (key.device, key.delegate, key.subject, key.variant)
        if about not in self._numbers and about not in self._taken:
            return None
        numbers: dict[tuple[str, str, str], list[Number]] = defaultdict(list)
        for fact in self._numbers.get(about, ()):
            made = _provenance(fact)
            if fact.attempt == 0 and made is not None:
                number = Number(value=fact.value, provenance=made, low=fact.low, high=fact.high)
                series = fact.series
                numbers[series.metric, series.size, series.frame].append(number)
        taken = self._taken.get(about, [])
        return Earlier(
            run=self.name,
            reference_sha256=self._reference(case),
            numbers={name: tuple(found) for name, found in numbers.items()},
            placements=dict(_placements(taken)),
            image=lambda resolution, inputs: self._image(taken, resolution, inputs),
        )

    def _reference(self, case: Case) -> str:
        """Return the hash of the FP32 file that it tested of a case's subject, or ''."""
        fp32 = [v.name for v in case.subject.variants if v.precision is Precision.FP32][:1]
        for (_, _, subject, variant), facts in self._numbers.items():
            if subject == case.subject.name and variant in fp32:
                for fact in facts:
                    if (made := _provenance(fact)) is not None and made.file_sha256:
                        return made.file_sha256
        return ""

    def _image(self, taken: Sequence[Taken], resolution: str, inputs_sha256: str) -> Output | None:
        assert self.found is not None or not taken
        for one in taken:
            alike = one.resolution == resolution and one.verb == Verb.RUN.value
            if alike and one.answer.get("inputs_sha256") == inputs_sha256 and self.found:
                root = self.found.path.resolve().parent.parent
                made = schema.parse(Provenance, one.answer.get("provenance"), where=self.name)
                values = fact_files.shown_images(one, root)
                return Output(values=values, provenance=made) if values else None
        return None

    def loosened(self, cases: Sequence[Case]) -> Iterator[str]:
        """Yield each limit of today that allows more than the run ruled by."""
        by_about = {(c.key.device, c.key.delegate, c.key.subject, c.key.variant): c for c in cases}
        for record in self.found.records if self.found is not None else ():
            verdict = record.verdict
            case = by_about.get((record.device, record.delegate, record.subject, record.variant))
            if case is None or verdict.limit is None or verdict.gate in (CHANGE, REGRESSION):
                continue
            name = _BUDGETS.get(verdict.metric, verdict.metric)
            limits = vars(case.variant.limits)
            if name not in limits and record.resolution:
                limits = vars(case.at(Size.parse(record.resolution)).budget)
            now = limits.get(name, "")
            if now is None or isinstance(now, int | float):
                at_least = verdict.sense is Sense.AT_LEAST
                for what in revisions.looser(name, verdict.limit, now, at_least=at_least):
                    yield f"{record.subject}: {record.variant} on {case.target}: {what}"

    def gone(self, cases: Sequence[Case], pattern: str) -> Iterator[str]:
        """Yield each variant that it tested on a phone of today's cases and that has none today.

        Args:
            cases: Today's.
            pattern: What is asked for, as `--subject` has it.
        """
        keys = [case.key for case in cases]
        today = {(key.device, key.delegate, key.subject, key.variant) for key in keys}
        phones = {(key.device, key.delegate) for key in keys}
        for about in sorted({*self._numbers, *self._taken} - today):
            device, delegate, subject, variant = about
            asked = fits(subject, pattern) and wanted(variant, pattern)[0]
            if asked and (device, delegate) in phones:
                yield f"{subject}: {variant} on {device}:{delegate} is judged no more"


def _provenance(fact: FactEntry) -> Provenance | None:
    """Return how a number was known; None where the history has it from elsewhere."""
    try:
        made = schema.parse(Provenance, json.loads(fact.provenance), where=str(fact.series))
        return made if made.evidence is Evidence(fact.series.evidence) else None
    except (ConfigError, ValueError, RecursionError):
        return None


def _placements(taken: Sequence[Taken]) -> Iterator[tuple[str, Placement]]:
    for one in taken:
        if one.verb == Verb.PLACE.value:
            placed = answer_of(one, where=one.request[:12])
            if isinstance(placed, Placement):
                yield one.resolution, placed


def in_results(root: Path, named: str) -> EarlierRun | None:
    """Return the run of a results file or of an id below a folder, or None where there is none.

    Raises:
        ConfigError: the file is no results file.
    """
    path = Path(named) if Path(named).is_file() else results.of_id(root, named)
    if path is None:
        return None
    found = results.load(path)
    return EarlierRun(entry=runs.entry(found), found=found)


def in_history(root: Path, named: str, address: str) -> EarlierRun | None:
    """Return the run of an id in a history, or None where there is none.

    Args:
        root: The folder whose `.results` holds the history that is used without an address.
        named: Id of the run.
        address: Of the history, or ''.

    Raises:
        ConfigError: it cannot be read.
        StackMissing: the extra `history` is not installed.
    """
    if not address and not (root / DEFAULT).is_file():
        return None
    with open_store(address or str(root / DEFAULT)) as store:
        entry = store.run(named)
    return EarlierRun(entry=entry) if entry is not None else None
