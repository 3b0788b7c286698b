"""Earlier runs, of a results file or of the history, as what today's is judged against."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from harness import earlier_limits, fact_files, metrics, results, schema, strictness
from harness.cases import Case
from harness.earlier import Earlier, EarlierImage, Number
from harness.earlier_limits import About
from harness.errors import ConfigError
from harness.evidence import Evidence, Provenance
from harness.fact_lines import Taken, answer_of, output_hashes, output_names
from harness.history import runs
from harness.history.entries import FactEntry, RunEntry
from harness.history.opening import DEFAULT, open_store
from harness.images import Output, sha256_of_pixels
from harness.inputs import Values
from harness.placement import Placement
from harness.requests import Verb
from harness.results import Record, Results
from harness.strictness import RuleChange, Strictness
from harness.subjects import Precision, fits, wanted
from harness.verdict import CHANGE

_OF_FILES = (metrics.CHANGED_FILE_SIZE_MIB.name, metrics.MACS.name)


@dataclass(frozen=True, kw_only=True)
class EarlierRun:
    """One run, by what it found of each variant on each phone.

    Attributes:
        entry: Its numbers.
        found: Its file, or None where only the history has it: no placements and no images.
    """

    entry: RunEntry
    found: Results | None = None
    _numbers: dict[About, list[FactEntry]] = field(
        init=False, repr=False, default_factory=lambda: defaultdict(list)
    )
    _taken: dict[About, list[Taken]] = field(
        init=False, repr=False, default_factory=lambda: defaultdict(list)
    )
    _records: dict[About, list[Record]] = field(
        init=False, repr=False, default_factory=lambda: defaultdict(list)
    )

    def __post_init__(self) -> None:
        """Sort what it found by what it is about."""
        for fact in self.entry.facts:
            key = fact.series
            about = (key.profile, key.delegate, key.subject, key.variant)
            self._numbers[about].append(fact)
        if self.found is None:
            return
        for one in self.found.facts:
            if not one.revision and not one.error:
                self._taken[earlier_limits.about(one)].append(one)
        for record in self.found.records:
            self._records[earlier_limits.about(record)].append(record)

    @property
    def name(self) -> str:
        """Return its name for people."""
        return f"run {self.entry.id}"

    @property
    def uncompared(self) -> str:
        """Return what it holds nothing of, in one line."""
        lacks = ["sharp targets and FP32 outputs of frames", "roles and ranges of outputs"]
        if self.found is None:
            lacks = ["limits", "baselines", "placements", "images", "file sizes", "MACs"]
            lacks += ["frames but by their names", "sharp targets"]
        lacks += ["[change]", "deviations that may stay"]
        return f"Not in {self.name}, and compared by nobody: {', '.join(lacks)}."

    def of(self, case: Case) -> Earlier | None:
        """Return what it found of a variant on a phone, or None where it is not in it."""
        about = earlier_limits.about(case.key)
        if about not in self._numbers and about not in self._taken:
            return None
        numbers: dict[tuple[str, str, str], list[Number]] = defaultdict(list)
        for fact in self._numbers.get(about, ()):
            made = _provenance(fact)
            if fact.attempt == 0 and made is not None:
                number = Number(value=fact.value, provenance=made, low=fact.low, high=fact.high)
                series = fact.series
                numbers[series.metric, series.size, series.frame].append(number)
        taken, records = self._taken.get(about, []), self._records.get(about, [])
        for name, resolution, number in _of_files(taken, records):
            numbers[name, resolution, ""].append(number)
        hashes = [one.provenance.file_sha256 for found in numbers.values() for one in found]
        return Earlier(
            run=self.name,
            reference_sha256=self._reference(case),
            numbers={name: tuple(found) for name, found in numbers.items()},
            placements=dict(_placements(taken)),
            image=lambda resolution, inputs, now: self._image(taken, resolution, inputs, now),
            files={*hashes, *(one.file_sha256 for one in taken)} - {""},
            given=None if self.found is None else _given(taken),
            frames=self._frames(about),
        )

    def _frames(self, about: About) -> Mapping[str, frozenset[str]]:
        """Return the names of the frames that it ruled on, by resolution."""
        named: dict[str, set[str]] = defaultdict(set)
        for fact in self._numbers.get(about, ()):
            named[fact.series.size].add(fact.series.frame)
        for record in self._records.get(about, ()):
            named[record.resolution].add(record.frame)
        return {size: frozenset(names - {""}) for size, names in named.items()}

    def _reference(self, case: Case) -> str:
        """Return the hash of the FP32 file that it tested of a case's subject, or ''."""
        fp32 = [v.name for v in case.subject.variants if v.precision is Precision.FP32][:1]
        for (_, _, subject, variant), facts in self._numbers.items():
            if subject == case.subject.name and variant in fp32:
                for fact in facts:
                    if (made := _provenance(fact)) is not None and made.file_sha256:
                        return made.file_sha256
        return ""

    def _image(
        self, taken: Sequence[Taken], resolution: str, inputs_sha256: str, now: Output
    ) -> EarlierImage | None:
        """Return what was made of inputs; where that is what is made today, the values themselves.

        So a variant that did not change is equal to the last bit, though the run keeps 16 of them.
        """
        for one in taken:
            alike = one.resolution == resolution and one.verb == Verb.RUN.value
            if alike and one.answer.get("inputs_sha256") == inputs_sha256 and self.found:
                made = schema.parse(Provenance, one.answer.get("provenance"), where=self.name)
                same = dict(_as_then(one, now))
                root = self.found.path.resolve().parent.parent
                whole = len(same) == len(output_names(one, where=self.name))
                kept = same if whole else fact_files.shown_images(one, root)
                if not kept:
                    return None
                output = Output(values={**kept, **same}, provenance=made)
                return EarlierImage(output=output, copied=made.evidence.repeats and not whole)
        return None

    def differences(self, cases: Sequence[Case], pattern: str) -> Iterator[RuleChange]:
        """Yield how today's cases are judged otherwise than the run judged.

        Args:
            cases: Today's.
            pattern: What is asked for, as `--subject` has it.
        """
        for subject, what in self._gone(cases, pattern):
            yield RuleChange(about=subject, what=what, effect=Strictness.EASIER)
        frames: dict[str, dict[str, None]] = defaultdict(dict)
        places: dict[tuple[str, Strictness, str], dict[str, None]] = defaultdict(dict)
        had = {about[:2] for about in (*self._numbers, *self._taken)}
        targets = {str(c.target) for c in cases if earlier_limits.about(c.key)[:2] in had}
        for case in cases:
            about, where = earlier_limits.about(case.key), str(case.target)
            facts = [one for one in map(_provenance, self._numbers.get(about, ())) if one]
            others = {one.runtime.get("profile", "") for one in facts} - {""}
            if others and case.target.sha256[:12] not in others:
                what = "its profile changed; today's numbers are by today's"
                yield RuleChange(about=case.key.device, what=what, effect=Strictness.OTHER)
            records, taken = self._records.get(about, []), self._taken.get(about, [])
            frames[case.key.subject] |= {one.frame: None for one in records if one.frame}
            for effect, what in earlier_limits.of_case(case, records, taken):
                places[case.key.subject, effect, what][where] = None
        for (subject, effect, what), found in places.items():
            what += strictness.where(list(found), len(targets))
            yield RuleChange(about=subject, what=what, effect=effect)
        given = {one for hashes in self._given.values() for one in hashes}
        for today in {case.subject.name: case.subject for case in cases}.values():
            for effect, what in earlier_limits.of_frames(today, frames[today.name], given):
                yield RuleChange(about=today.name, what=what, effect=effect)

    @cached_property
    def _given(self) -> Mapping[str, frozenset[str]]:
        return _given(self.found.facts if self.found is not None else ())

    def _gone(self, cases: Sequence[Case], pattern: str) -> Iterator[tuple[str, str]]:
        """Yield each variant that it tested on a phone of today's cases and that has none today."""
        today = {earlier_limits.about(case.key) for case in cases}
        phones = {about[:2] for about in today}
        for about in sorted({*self._numbers, *self._taken} - today):
            device, delegate, subject, variant = about
            asked = fits(subject, pattern) and wanted(variant, pattern)[0]
            if asked and (device, delegate) in phones:
                yield subject, f"{variant} on {device}:{delegate} is judged no more"


def _as_then(taken: Taken, now: Output) -> Iterator[tuple[str, Values]]:
    """Yield each output of today that is the one of a line, by its content hash."""
    names, hashes = (read(taken, where="outputs") for read in (output_names, output_hashes))
    for name, sha256 in zip(names, hashes, strict=False):
        if name in now.values and sha256_of_pixels(now.values[name]) == sha256:
            yield name, now.values[name]


def _given(taken: Sequence[Taken]) -> dict[str, frozenset[str]]:
    """Return the hashes of what was given to models, by resolution."""
    found: dict[str, set[str]] = defaultdict(set)
    for one in taken:
        if one.verb == Verb.RUN.value and not one.revision:
            found[one.resolution].add(str(one.answer.get("inputs_sha256", "")))
    return {size: frozenset(hashes) for size, hashes in found.items()}


def _of_files(
    taken: Sequence[Taken], records: Sequence[Record]
) -> Iterator[tuple[str, str, Number]]:
    """Yield size and MACs of the files, of facts or of a run that judged a change itself."""
    for one in taken:
        made = Provenance(
            evidence=Evidence.RULES, device="", variant_sha256="", file_sha256=one.file_sha256
        )
        found = (one.file_bytes / 2**20 or None, one.macs)
        for name, value in zip(_OF_FILES, found, strict=True):
            if value is not None:
                yield name, one.resolution, Number(value=value, provenance=made)
    for record in records:
        ruled = record.verdict
        known = ruled.gate == CHANGE and ruled.metric in _OF_FILES and ruled.observed is not None
        if known and ruled.provenance is not None and ruled.observed is not None:
            number = Number(value=ruled.observed, provenance=ruled.provenance)
            yield ruled.metric, record.resolution, number


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
