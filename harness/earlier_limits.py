"""What an earlier run judged by, beside today's: limits, baselines, frames, resolutions."""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence, Set

from harness import baselines, metrics, observations, samples, strictness
from harness.baselines import Baseline
from harness.budgets import Budget
from harness.cases import Case
from harness.errors import BlessedDataError, ConfigError
from harness.fact_lines import Taken
from harness.images import Size
from harness.keys import Key
from harness.limits import Limits, OutputLimits
from harness.requests import Verb
from harness.results import Record
from harness.strictness import Strictness
from harness.subjects import Subject
from harness.verdict import CHANGE, REGRESSION, SCALING, Sense, Verdict

About = tuple[str, str, str, str]
_Told = Iterator[tuple[Strictness, str]]
_OF_OUTPUT, _OF_VARIANT, _OF_SIZE = (
    frozenset(field.name for field in dataclasses.fields(kind))
    for kind in (OutputLimits, Limits, Budget)
)
"""Keys of limits, by what they are of."""


def about(key: Key) -> About:
    """Return what tells a variant on a phone: profile, delegate, subject, variant."""
    return key.device, key.delegate, key.subject, key.variant


def of_case(case: Case, records: Sequence[Record], taken: Sequence[Taken]) -> _Told:
    """Yield how a case is judged otherwise than a run judged it.

    Args:
        case: Today's.
        records: The run's rulings on it.
        taken: The run's facts of it.
    """
    key = case.key
    today = {str(one.size) for one in case.by_size(blessed=True)}
    for resolution in dict.fromkeys(one.resolution for one in records if not one.frame):
        if resolution and resolution not in today:
            yield Strictness.EASIER, f"{key.variant} is judged no more at {resolution}"
    for record in records:
        if record.verdict.limit is None or (
            record.resolution and not record.frame and record.resolution not in today
        ):
            continue
        of = "" if record.verdict.gate == SCALING else f"{key.variant}: "
        for effect, what in _of_limit(case, record):
            yield effect, f"{of}{what}"
    yield from _resolutions(case, records, taken)


def _of_limit(case: Case, record: Record) -> _Told:
    """Yield what a limit was and is, where it is another."""
    ruled = record.verdict
    at_least = ruled.sense is Sense.AT_LEAST
    if ruled.gate == CHANGE or ruled.accepted:
        return
    if ruled.gate == REGRESSION:
        label = f"baseline {ruled.metric} at {record.resolution}"
        now = _blessed(case, record)
        yield from strictness.of_limit(label, ruled.limit, now, at_least=at_least)
    elif ruled.gate == SCALING:
        name = metrics.NAMED[ruled.metric].key if ruled.metric in metrics.NAMED else ""
        if case.subject.scaling is not None and hasattr(case.subject.scaling, name):
            now = getattr(case.subject.scaling, name)
            label = f"scaling {name}"
            yield from strictness.of_limit(label, ruled.limit, now, at_least=at_least)
    else:
        yield from _of_budget(case, record, at_least=at_least)


def _of_budget(case: Case, record: Record, *, at_least: bool) -> _Told:
    """Yield what a limit of the variant or a budget was and is, where it is another."""
    ruled = record.verdict
    output, _, metric = ruled.metric.rpartition("/")
    limits = case.variant.limits
    if metric not in metrics.NAMED:
        own = limits.own.get(metric)
        now = getattr(own, "at_least" if at_least else "at_most", None)
        yield from strictness.of_limit(f"own.{metric}", ruled.limit, now, at_least=at_least)
        return
    key = metrics.NAMED[metric].key
    names = {spec.file_name: spec.name for spec in case.subject.judged_specs if spec.name}
    if output and output not in names:
        yield Strictness.EASIER, f"output {output} is judged no more"
    elif output and key in _OF_OUTPUT:
        now = strictness.limit_of(limits, names[output], key)
        yield from strictness.of_limit(ruled.metric, ruled.limit, now, at_least=at_least)
    elif key in _OF_VARIANT:
        now = getattr(limits, key)
        yield from strictness.of_limit(key, ruled.limit, now, at_least=at_least)
    elif key in _OF_SIZE and record.resolution:
        now = getattr(case.at(Size.parse(record.resolution)).budget, key)
        label = f"{key} at {record.resolution}"
        yield from strictness.of_limit(label, ruled.limit, now, at_least=at_least)


def _blessed(case: Case, record: Record) -> float | None:
    """Return the limit that today's baseline of a ruling sets, or None where it is gone."""
    ruled = record.verdict
    if ruled.provenance is None:
        return ruled.limit
    try:
        known = baselines.load(case.subject)
    except ConfigError:
        return None  # each test that asks for baselines says what is wrong with them
    made, key = ruled.provenance, case.key
    wanted = (key.variant, key.device, key.delegate, record.resolution, ruled.metric, made.evidence)
    for one in known:
        same = (one.variant, one.device, one.delegate, one.resolution, one.metric, one.evidence)
        phone = made.evidence.repeats or one.fingerprint == made.device
        if same == wanted and phone and not one.until:
            return _limit_of(one, ruled)
    return None


def _limit_of(one: Baseline, ruled: Verdict) -> float:
    return one.value - one.spread if ruled.sense is Sense.AT_LEAST else one.value + one.spread


def _resolutions(case: Case, records: Sequence[Record], taken: Sequence[Taken]) -> _Told:
    """Yield what of the growth with resolution is asked no more."""
    if not any(one.verdict.gate == SCALING for one in records):
        return
    scaling = case.subject.scaling
    if scaling is None:
        yield Strictness.EASIER, "[scaling] is gone"
        return
    sizes = [*scaling.sizes, *(one.size for one in case.by_size(blessed=True))]
    today = {str(case.subject.run_size(size)) for size in sizes}
    timed = {one.resolution for one in taken if one.verb == Verb.TIME.value}
    for resolution in sorted(timed - today):
        yield Strictness.EASIER, f"scaling no longer asks for {resolution}"


def of_frames(subject: Subject, names: Iterable[str], given: Set[str]) -> _Told:
    """Yield each frame that is gone, or another than a run gave to models.

    Args:
        subject: Today's.
        names: Of the frames that the run ruled on.
        given: Hashes of all that it gave to models; nothing where that is not kept.
    """
    today = samples.names(subject)
    for name in names:
        if name not in today:
            yield Strictness.EASIER, f"golden {name} is gone"
            continue
        try:
            sample = samples.load(subject, name)
        except (BlessedDataError, ConfigError):
            continue  # its tests say so
        shown = {one.sha256 for one in observations.given(subject, sample)}
        if given and not shown <= given:
            yield Strictness.OTHER, f"golden {name}: another frame"
