"""What is said of a night: the ruling, what changed, what was left out, what could not be done."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from harness import text
from harness.evidence import Evidence
from harness.history.news import FindingState, News
from harness.report import joining, ruling
from harness.results import Results
from harness.text import counted
from harness.verdict import Outcome

_FAILURES = 8
_NEWS = 8
_WITHHELD = 8
_LINE = 400


@dataclass(frozen=True, kw_only=True)
class Summary:
    """A night in a few lines, for people and programs.

    Attributes:
        outcome: PASS, FAIL or INCONCLUSIVE; of a night without a run INCONCLUSIVE.
        sentence: What broke or lacks, or that nothing did.
        host: Machine that judged.
        run: Id of the run, or ''.
        time_utc: When the run began, ISO 8601.
        commit: Commit of the subjects, or ''.
        command: What was asked of pytest.
        failures: The failed verdicts, bounded.
        news: What changed since earlier runs, bounded.
        left_out: What was planned or asked for, and not measured or judged.
        troubles: What the night itself could not do.
        regressions: Number of new findings for the worse that nobody acknowledged.
        link: Where the report can be read, or ''.
    """

    outcome: str
    sentence: str
    host: str
    run: str = ""
    time_utc: str = ""
    commit: str = ""
    command: str = ""
    failures: tuple[str, ...] = ()
    news: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    troubles: tuple[str, ...] = ()
    regressions: int = 0
    link: str = ""
    schema: int = field(default=1)

    def __post_init__(self) -> None:
        """Make every line printable and short."""
        for name in ("sentence", "host", "commit", "command", "link"):
            object.__setattr__(self, name, text.line(getattr(self, name), _LINE))
        for name in ("failures", "news", "left_out", "troubles"):
            lines = tuple(text.line(one, _LINE) for one in getattr(self, name))
            object.__setattr__(self, name, lines)

    @property
    def headline(self) -> str:
        """Return the one line that matters."""
        worse = f"; {counted(self.regressions, 'new regression')}" if self.regressions else ""
        return f"{self.outcome}: {self.sentence}{worse}"

    def sections(self) -> Iterator[tuple[str, list[str]]]:
        """Yield each part that has something to say, with its title."""
        parts = (
            ("Failed", self.failures),
            ("Changed", self.news),
            ("Left out", self.left_out),
            ("Could not be done", self.troubles),
        )
        yield from ((title, list(lines)) for title, lines in parts if lines)
        about = [f"{self.host}, {self.time_utc or 'no run'}, {self.commit or 'no commit'}"]
        about += [self.command] if self.command else []
        about += [f"run {self.run}"] if self.run else []
        about += [self.link] if self.link else []
        yield "Run", about

    def __str__(self) -> str:
        """Return it as plain text."""
        lines = [self.headline]
        for title, said in self.sections():
            lines += ["", f"{title}:", *(f"  {line}" for line in said)]
        return "\n".join(lines)


def failures(results: Results) -> tuple[str, ...]:
    """Return the failed verdicts of a run, as far as they are shown."""
    failed = [r for r in ruling.worst_first(results) if r.verdict.outcome is Outcome.FAIL]
    return _bounded([str(record) for record in failed], _FAILURES)


def news(found: Sequence[News]) -> tuple[str, ...]:
    """Return what is new or gone, the new regressions first, and how much is known."""
    shown = sorted(
        (one for one in found if one.state is not FindingState.KNOWN),
        key=lambda one: not one.counts,
    )
    known = len(found) - len(shown)
    lines = list(_bounded([_news_line(one) for one in shown], _NEWS))
    return tuple([*lines, f"{counted(known, 'finding')} known from before"] if known else lines)


def _news_line(one: News) -> str:
    first = f": {one.moves[0]}" if one.moves else ""
    more = f" and {len(one.moves) - 1} more series" if len(one.moves) > 1 else ""
    kept = f" (acknowledged: {one.acknowledged})" if one.acknowledged else ""
    word = "worse" if one.worse else "better or other"
    return f"{one.state.value} {one.id}, {word}, {one.cause}{first}{more}{kept}"


def left_out(results: Results) -> tuple[str, ...]:
    """Return what a run planned and did not judge, and what it judged without a phone."""
    lines = []
    if shard := joining.shard_of(results.plans):
        lines.append(f"this is shard {shard} of a plan: the others are runs of their own")
    if results.end is None:
        lines.append("the run has no end: it was cut short")
    if missing := results.unrecorded:
        lines.append(
            f"{len(missing)} of {counted(len(results.planned), 'planned test')} left no record, "
            f"the first is {missing[0]}"
        )
    if absent := _without_phone(results):
        lines.append(f"no phone measured these, the harness judged what stands in: {absent}")
    withheld = {(one.because, one.variant, one.target) for p in results.plans for one in p.withheld}
    groups = itertools.groupby(sorted(withheld), key=lambda one: one[0])
    reasons = [
        f"not tested, {because}: {_names([f'{name} on {target}' for _, name, target in ones])}"
        for because, ones in groups
    ]
    return (*lines, *_bounded(reasons, _WITHHELD))


def _without_phone(results: Results) -> str:
    """Return the targets of which no verdict rests on a phone, with what stands in."""
    kinds: dict[str, set[Evidence]] = {}
    for record in results.records:
        seen = kinds.setdefault(f"{record.device}:{record.delegate}", set())
        if record.verdict.evidence is not None:
            seen.add(record.verdict.evidence)
    lacking = {target: seen for target, seen in kinds.items() if Evidence.PHONE not in seen}
    return _names([f"{target} ({_strongest_first(seen)})" for target, seen in lacking.items()])


def _strongest_first(kinds: set[Evidence]) -> str:
    ranked = sorted(kinds, key=lambda kind: kind.rank)
    return ", ".join(kind.value for kind in ranked) or "no evidence"


def _names(names: Sequence[str], at_most: int = 6) -> str:
    more = f" and {len(names) - at_most} more" if len(names) > at_most else ""
    return f"{', '.join(names[:at_most])}{more}"


def _bounded(lines: Sequence[str], at_most: int) -> tuple[str, ...]:
    more = (f"and {len(lines) - at_most} more",) if len(lines) > at_most else ()
    return (*lines[:at_most], *more)
