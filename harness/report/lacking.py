"""What the INCONCLUSIVE rulings of a run lack, and the one command that adds each."""

import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.report import ruling
from harness.report.page import story
from harness.results import Record
from harness.text import counted
from harness.verdict import Lack, Outcome

_GOLDEN_DIR = re.compile(r"(?:-o|--override-ini=)?(?:harness_)?golden_dir=(.+)")
_Remedy = tuple[str, str]
"""What adds it, in words and as a shell line; each may be ''."""
_NAMED = 4
"""Most frames that a remedy names."""
_WORDS: Mapping[Lack, str] = {
    Lack.PHONE: "a phone",
    Lack.STACK: "software on this host",
    Lack.STATE: "a measurement in a valid state",
    Lack.PRECISION: "a narrower interval",
    Lack.FRAME: "a frame that was blessed",
    Lack.TARGET: "the sharp image beside a frame",
    Lack.BASELINE: "a baseline that a person accepts",
    Lack.LIMIT: "a limit in subject.toml",
    Lack.FACT: "the fact itself",
}
"""What is lacking, in the order in which it is said."""


@dataclass(frozen=True, kw_only=True)
class Reason:
    """Why rulings are INCONCLUSIVE.

    Attributes:
        gate: The gate.
        metrics: What it could not rule on.
        because: Why.
        places: What it is about, such as `net.fp32 on pixel4:nnapi at 64x64`.
    """

    gate: str
    metrics: tuple[str, ...]
    because: str
    places: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Group:
    """The rulings that lack the same thing.

    Attributes:
        lacks: What.
        rulings: How many there are.
        reasons: Why, each with what it is about.
        remedy: What adds it, in words, or ''.
        command: The shell line that adds it or comes after the remedy, or ''.
    """

    lacks: Lack
    rulings: int
    reasons: tuple[Reason, ...]
    remedy: str
    command: str

    @property
    def title(self) -> str:
        """Return `INCONCLUSIVE: 12 rulings lack a phone`."""
        verb = "lacks" if self.rulings == 1 else "lack"
        return f"INCONCLUSIVE: {counted(self.rulings, 'ruling')} {verb} {_WORDS[self.lacks]}"


def groups(records: Sequence[Record], command: Sequence[str]) -> Iterator[Group]:
    """Yield what is lacking, what a phone would add first.

    An error is not among it: its test fails and says what to do.

    Args:
        records: The rulings of a run.
        command: What was typed, `pytest` first.
    """
    unsure = [
        record
        for record in records
        if record.verdict.outcome is Outcome.INCONCLUSIVE and record.verdict.metric != "error"
    ]
    for lacks in _WORDS:
        found = [record for record in unsure if record.verdict.lacks is lacks]
        if found:
            remedy, line = _REMEDIES[lacks](found, command)
            yield Group(
                lacks=lacks,
                rulings=len(found),
                reasons=tuple(_reasons(found)),
                remedy=remedy,
                command=line,
            )


def _reasons(found: Sequence[Record]) -> Iterator[Reason]:
    alike: dict[tuple[str, str], list[Record]] = {}
    for record in found:
        verdict = record.verdict
        why = "; ".join(filter(None, (verdict.cause, verdict.remedy)))
        alike.setdefault((verdict.gate, why or verdict.because), []).append(record)
    for (gate, why), records in alike.items():
        alone = len({record.verdict.because for record in records}) == 1
        yield Reason(
            gate=gate,
            metrics=tuple(dict.fromkeys(record.verdict.metric for record in records)),
            because=records[0].verdict.because if alone else why,
            places=tuple(dict.fromkeys(map(ruling.where, records))),
        )


def _targets(found: Sequence[Record]) -> str:
    return ",".join(dict.fromkeys(f"{record.device}:{record.delegate}" for record in found))


def _pytest(found: Sequence[Record], command: Sequence[str], *origin: str) -> str:
    """Return the shell line that rules again where rulings are inconclusive."""
    files = dict.fromkeys(record.test.partition("::")[0] for record in found)
    kept = story.kept(command, but={"--origin"} if origin else ())
    return shlex.join(["pytest", f"--device={_targets(found)}", *origin, *kept, *files])


def _by_phone(found: Sequence[Record], command: Sequence[str]) -> _Remedy:
    return "attach it, then", _pytest(found, command, "--origin=phone")


def _again(found: Sequence[Record], command: Sequence[str]) -> _Remedy:
    return "run again", _pytest(found, command)


def _bless(found: Sequence[Record], command: Sequence[str]) -> _Remedy:
    subjects = dict.fromkeys(record.subject for record in found if record.subject)
    folders = [match[1] for word in command if (match := _GOLDEN_DIR.fullmatch(word))]
    where = ["--golden-dir", folders[-1]] if folders else []
    lines = (shlex.join(["harness", "bless", subject, *where]) for subject in subjects)
    return "look and accept", " && ".join(lines)


def _sharp(found: Sequence[Record], command: Sequence[str]) -> _Remedy:
    frames = list(dict.fromkeys(record.frame for record in found if record.frame))
    more = f" and {len(frames) - _NAMED} more" if len(frames) > _NAMED else ""
    names = ", ".join(frames[:_NAMED])
    remedy = f"put the sharp image beside {names or 'each frame'}{more}, then"
    return remedy, _bless(found, command)[1]


def _limits(found: Sequence[Record], _command: Sequence[str]) -> _Remedy:
    metrics = ", ".join(dict.fromkeys(record.verdict.metric for record in found))
    subjects = ", ".join(dict.fromkeys(record.subject for record in found))
    return f"write limits for {metrics} into subject.toml of {subjects}", ""


def _software(_found: Sequence[Record], _command: Sequence[str]) -> _Remedy:
    return "install what this names", "harness doctor"


_REMEDIES: Mapping[Lack, Callable[[Sequence[Record], Sequence[str]], _Remedy]] = {
    Lack.PHONE: _by_phone,
    Lack.STACK: _software,
    Lack.STATE: _again,
    Lack.PRECISION: _again,
    Lack.FRAME: _bless,
    Lack.TARGET: _sharp,
    Lack.BASELINE: _bless,
    Lack.LIMIT: _limits,
    Lack.FACT: _again,
}
