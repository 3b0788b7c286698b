"""What the latest runs of a history changed: new, known and gone findings. Arithmetic only.

A fact that repeats, and a count whoever counted it, is compared exactly with the value before it;
a difference is explained by what differs in the provenance, and all that one cause changed is one
finding. What a phone measures is noisy: `changes` says what is a lasting change there.
"""

import enum
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from harness import changes, placement
from harness.changes import Night, Reading
from harness.evidence import sha256_of
from harness.history import levels
from harness.history.entries import FactEntry, RunEntry, SeriesKey
from harness.history.rows import Acknowledged
from harness.placement import NodePlacement
from harness.verdict import MovedOp, Outcome, Sense

_SHOWN = 3
_NAMES = (
    ("variant_sha256", "model"),  # as it was run: another one at each size
    ("file_sha256", "model"),  # takes its place: all sizes of a file have one cause
    ("harness_version", "harness"),
    ("device", "device"),
)
"""Parts of a provenance, and what they are called in a cause."""


class FindingState(enum.Enum):
    """Where a finding stands."""

    NEW = "new"
    KNOWN = "known"
    GONE = "gone"


@dataclass(frozen=True, kw_only=True)
class Moved:
    """The change of one series.

    Attributes:
        series: Which.
        was: Its value, or level, before.
        now: Its value, or level, now.
        outcome_was: What was ruled before, or ''.
        outcome_now: What is ruled now, or ''.
        ops: Of a count of ops, those that run on another unit now.
    """

    series: SeriesKey
    was: float
    now: float
    outcome_was: str = ""
    outcome_now: str = ""
    ops: tuple[MovedOp, ...] = ()

    @property
    def worse(self) -> bool:
        """Return whether the change is for the worse, in value or in ruling."""
        if self.now == self.was:
            return self.outcome_was == Outcome.PASS.value != self.outcome_now
        grows = self.now > self.was
        return grows is (levels.sense_of(self.series.metric) is Sense.AT_MOST)

    def __str__(self) -> str:
        """Return the change as one line, with the first of the ops that moved."""
        ratio = f" ({self.now / self.was - 1:+.1%})" if self.was > 0 else ""
        ruled = dict.fromkeys(filter(None, (self.outcome_was, self.outcome_now)))
        outcome = f", {' -> '.join(ruled)}" if len(ruled) > 1 else ""
        ops = f"; {placement.describe_moves(self.ops)}" if self.ops else ""
        return f"{self.series}: {self.was:.5g} -> {self.now:.5g}{ratio}{outcome}{ops}"


@dataclass(frozen=True, kw_only=True)
class News:
    """All that one cause changed in one run.

    Attributes:
        run: Id of the run that gave it away.
        time_utc: When that began.
        cause: What differs, in words.
        moves: The series that changed, the worse ones first.
        state: Where it stands.
        acknowledged: Why a person lets it stay, or ''.
    """

    run: str
    time_utc: str
    cause: str
    moves: tuple[Moved, ...]
    state: FindingState = FindingState.NEW
    acknowledged: str = ""

    @property
    def id(self) -> str:
        """Return the name by which it is acknowledged; the same whenever it is looked for."""
        parts = [self.run, self.cause, sorted(move.series.digest for move in self.moves)]
        return sha256_of(json.dumps(parts).encode())[:12]

    @property
    def worse(self) -> bool:
        """Return whether anything in it is worse."""
        return any(move.worse for move in self.moves)

    @property
    def counts(self) -> bool:
        """Return whether it fails a check: a new regression that nobody acknowledged."""
        return self.state is FindingState.NEW and self.worse and not self.acknowledged

    def __str__(self) -> str:
        """Return it as a few lines: what, since when and why, then the first of its series."""
        word = "worse" if self.worse else "better or other"
        head = f"{self.state.value} {self.id}: {len(self.moves)} series {word}"
        lines = [f"{head} since {self.time_utc} (run {self.run}): {self.cause}"]
        lines += [f"  {move}" for move in self.moves[:_SHOWN]]
        if len(self.moves) > _SHOWN:
            lines.append(f"  and {len(self.moves) - _SHOWN} more")
        if self.acknowledged:
            lines.append(f"  acknowledged: {self.acknowledged}")
        return "\n".join(lines)


def look_back(
    runs: Iterable[RunEntry],
    *,
    newest: int = 1,
    acknowledged: Sequence[Acknowledged] = (),
    today: str = "",
) -> tuple[News, ...]:
    """Return what changed: new findings first, then what is known and still so, then what is gone.

    Args:
        runs: The runs to look at, oldest first.
        newest: How many of the last of them are new since the last look.
        acknowledged: What a person has acknowledged.
        today: The day on which acknowledgements must still hold, ISO 8601.
    """
    ordered = list(runs)
    new = {run.id for run in ordered[max(0, len(ordered) - newest) :]}
    found = everything(ordered)
    reasons = {one.finding: one for one in acknowledged}
    shown = []
    for news, ends in zip(found, _ends(found), strict=True):
        state = _state(news, ends, new)
        if state is None:
            continue
        reason = reasons.get(news.id)
        if reason is not None and reason.until >= today:
            news = replace(news, acknowledged=f"until {reason.until}: {reason.because}")
        elif reason is not None and state is FindingState.KNOWN:
            state = FindingState.NEW  # what was acknowledged for a time comes back after it
        shown.append(replace(news, state=state))
    return tuple(
        sorted(shown, key=lambda news: (list(FindingState).index(news.state), not news.worse))
    )


def everything(runs: Sequence[RunEntry]) -> list[News]:
    """Return all that changed in runs, oldest first, whether it is better, worse or gone.

    Args:
        runs: The runs to look at, oldest first.
    """
    found = [*_exact(runs), *_of_phones(runs)]
    return sorted(found, key=lambda news: (news.time_utc, news.run, news.id))


def _state(news: News, ends: Sequence[str], new: set[str]) -> FindingState | None:
    """Return where a finding stands by the runs that ended each worse move, '' if none did."""
    if news.run in new:
        return FindingState.NEW
    if not news.worse:
        return None
    if "" in ends:
        return FindingState.KNOWN
    return FindingState.GONE if new.intersection(ends) else None


def _ends(found: Sequence[News]) -> list[list[str]]:
    """Return for each finding the run by which each of its worse moves came back, or ''."""
    ends: list[list[str]] = []
    for at, news in enumerate(found):
        ends.append([_end(move, found[at + 1 :]) for move in news.moves if move.worse])
    return ends


def _end(move: Moved, later: Sequence[News]) -> str:
    """Return the run in which a series came back at least half of the way, or ''."""
    for news in later:
        for other in news.moves:
            if other.series != move.series:
                continue
            if move.now == move.was:
                back = other.outcome_now == move.outcome_was
            else:
                back = (other.now - move.was) / (move.now - move.was) < 0.5
            if back:
                return news.run
    return ""


@dataclass(frozen=True, kw_only=True)
class _Known:
    fact: FactEntry
    run: RunEntry


def _exact(runs: Sequence[RunEntry]) -> Iterator[News]:
    """Yield the exact news of each run, one for each cause."""
    known: dict[SeriesKey, _Known] = {}
    for run in runs:
        by_cause: dict[str, list[Moved]] = {}
        for fact in run.facts:
            if fact.attempt or not levels.is_exact(fact.series):
                continue
            before = known.get(fact.series)
            known[fact.series] = _Known(fact=fact, run=run)
            if before is None or _same(before.fact, fact):
                continue
            cause = _cause(before, known[fact.series])
            by_cause.setdefault(cause, []).append(_moved(before.fact, fact))
        for cause, moves in by_cause.items():
            moves.sort(key=lambda move: (not move.worse, move.series.parts))
            yield News(run=run.id, time_utc=run.time_utc, cause=cause, moves=tuple(moves))


def _same(before: FactEntry, now: FactEntry) -> bool:
    alike = before.value == now.value and before.outcome == now.outcome
    return alike and not _moved_ops(before, now)


def _moved_ops(before: FactEntry, now: FactEntry) -> tuple[MovedOp, ...]:
    if before.placement == now.placement:
        return ()
    return placement.moved(_nodes(before.placement), _nodes(now.placement))


def _nodes(text: str | None) -> tuple[NodePlacement, ...]:
    """Return the nodes of a placement; none where there is none, or it is none of ours."""
    try:
        data: Any = json.loads(text or "[]")
        return tuple(
            NodePlacement(index=int(index), op=str(op), unit=str(unit), reason=str(reason))
            for index, op, unit, reason in data
        )
    except (ValueError, TypeError, RecursionError):
        return ()


def _moved(before: FactEntry, now: FactEntry) -> Moved:
    return Moved(
        series=now.series,
        was=before.value,
        now=now.value,
        outcome_was=before.outcome,
        outcome_now=now.outcome,
        ops=_moved_ops(before, now),
    )


def _cause(before: _Known, now: _Known) -> str:
    """Return in words what differs between two facts of one series besides the value."""
    was, is_now = _parts(before.fact.provenance), _parts(now.fact.provenance)
    differ = [
        f"{name} {_short(was.get(name))} -> {_short(is_now.get(name))}"
        for name in sorted(was.keys() | is_now.keys())
        if was.get(name) != is_now.get(name)
    ]
    label = f"{now.fact.series.subject}.{now.fact.series.variant}"
    differ = [f"{label}: {one}" if one.startswith("model ") else one for one in differ]
    ruled_otherwise = before.fact.outcome != now.fact.outcome
    if before.fact.value == now.fact.value and ruled_otherwise and not differ:
        differ = ["the limit or what is required"]
    if not differ and before.run.commit != now.run.commit:
        differ = [
            f"commit {_short(before.run.commit)} -> {_short(now.run.commit)}, "
            "nothing else that was recorded"
        ]
    if not differ and before.run.host != now.run.host:
        differ = [f"host {before.run.host} -> {now.run.host}"]
    return "; ".join(differ) or "nothing that was recorded differs"


def _parts(provenance: str) -> dict[str, str]:
    """Return the parts of a provenance that can be a cause, by name; {} of what is none."""
    try:
        data: Any = json.loads(provenance or "{}")
    except (ValueError, RecursionError):
        return {}
    if not isinstance(data, Mapping):
        return {}
    runtime = data.get("runtime")
    found = dict(runtime) if isinstance(runtime, Mapping) else {}
    found |= {new: data[name] for name, new in _NAMES if data.get(name)}
    return {name: str(value) for name, value in found.items()}


def _short(value: str | None) -> str:
    """Return a value as it is told; of a hash the first 12 digits."""
    if not value:
        return "unknown"
    return value[:12] if len(value) >= 40 and " " not in value else value


@dataclass(kw_only=True)
class _OneNight:
    """What one run measured on one phone."""

    run: RunEntry
    facts: dict[SeriesKey, list[FactEntry]] = field(default_factory=dict)


def _of_phones(runs: Sequence[RunEntry]) -> Iterator[News]:
    """Yield the lasting changes of what phones measured."""
    by_phone: dict[str, list[_OneNight]] = {}
    for run in runs:
        nights: dict[str, _OneNight] = {}
        for fact in run.facts:
            level = levels.of(fact.series, fact.value)
            if levels.is_exact(fact.series) or level is None:
                continue
            phone = " ".join(filter(None, (fact.series.profile, fact.series.fingerprint)))
            night = nights.setdefault(phone, _OneNight(run=run))
            night.facts.setdefault(fact.series, []).append(fact)
        for phone, night in nights.items():
            by_phone.setdefault(phone, []).append(night)
    for phone, told in by_phone.items():
        yield from _of_phone(phone, told)


def _of_phone(phone: str, told: Sequence[_OneNight]) -> Iterator[News]:
    series = {str(key): key for night in told for key in night.facts}
    runs = {night.run.time_utc: night.run for night in told}
    for finding in changes.find(_night(phone, night) for night in told):
        run = runs[finding.found]
        moves = [
            Moved(
                series=series[one.series],
                was=levels.value(series[one.series], one.before),
                now=levels.value(series[one.series], one.after),
            )
            for one in finding.moves
        ]
        moves.sort(key=lambda move: (not move.worse, move.series.parts))
        back = f", back to the level of {finding.back_to}" if finding.back_to else ""
        cause = f"{finding.kind.value}, began {finding.began}{back}"
        yield News(
            run=run.id,
            time_utc=run.time_utc,
            cause=f"{cause}: {finding.cause}" if finding.cause else cause,
            moves=tuple(moves),
        )


def _night(phone: str, told: _OneNight) -> Night:
    conditions: dict[str, str] = {}
    readings = []
    for key, facts in told.facts.items():
        facts = sorted(facts, key=lambda fact: fact.attempt)
        parts = _parts(facts[0].provenance)
        conditions |= {
            name: value
            for name, value in parts.items()
            if name not in ("model", "device", "delegate")
        }
        found = [level for fact in facts if (level := levels.of(key, fact.value)) is not None]
        readings.append(
            Reading(series=str(key), values=tuple(found[:1]), confirming=tuple(found[1:]))
        )
    return Night(
        date=told.run.time_utc,
        phone=phone,
        readings=tuple(readings),
        conditions=tuple(sorted(conditions.items())),
    )
