"""The lines of a run's file: its head, its plan, verdicts, and its end."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from harness import text
from harness.cases import Withheld
from harness.keys import Key
from harness.verdict import Verdict


@dataclass(frozen=True, kw_only=True)
class Run:
    """The head of a results file: what was asked, where and with what.

    Attributes:
        schema: Number of the record format.
        id: Unique to the run.
        command: What was typed.
        host: Name of the machine that judged.
        time_utc: When it began, ISO 8601.
        git_commit: Commit of the working tree, with `+dirty` where it had changes; or ''.
        versions: Versions of the software that took part, by name.
        lab: Name of the lab that was asked, as `--lab` has it; or '' for this host.
    """

    schema: int
    id: str
    command: tuple[str, ...]
    host: str
    time_utc: str
    git_commit: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    lab: str = ""


@dataclass(frozen=True, kw_only=True)
class Planned:
    """What a run set out to test.

    Attributes:
        tests: Node ids of the tests that are about a phone.
        withheld: Variants that do not ship to a phone, and why.
        resumes: Id of the unfinished run whose facts were taken over, or ''.
        against: What the change was judged against, such as `origin/main`; '' for no change.
        unchanged: Variants on phones that do not differ from that, and were not judged.
        loosened: What the change made easier to pass, one line each.
        tightened: What it made harder to pass, likewise.
        altered: What else is judged otherwise than before, likewise.
        uncompared: What that holds nothing of, so that nobody compared it; or ''.
        new: Subjects that this did not have, and that nothing is compared with.
        shard: Which part of a larger plan it is, such as `2/4`; '' for a whole plan.
        whole: Hash of that larger plan: its cases and their files; or ''.
        asked: How its facts were asked for, such as the origin and the serial: only a run that
            asks alike may take them over.
        strict: Whether a test fails whose ruling is INCONCLUSIVE (`--strict`).
    """

    tests: tuple[str, ...]
    withheld: tuple[Withheld, ...] = ()
    resumes: str = ""
    against: str = ""
    unchanged: int = 0
    loosened: tuple[str, ...] = ()
    tightened: tuple[str, ...] = ()
    altered: tuple[str, ...] = ()
    uncompared: str = ""
    new: tuple[str, ...] = ()
    shard: str = ""
    whole: str = ""
    asked: Mapping[str, str] = field(default_factory=dict)
    strict: bool = False


@dataclass(frozen=True, kw_only=True, repr=False)
class Record(Key):
    """A verdict and what it is about.

    Attributes:
        test: Node id of the test that ruled.
        verdict: The ruling, with its provenance.
    """

    test: str
    verdict: Verdict

    def __repr__(self) -> str:
        """Return the line that a person reads, bounded."""
        return text.repr_of(self, str(self))

    def __str__(self) -> str:
        """Return the line that a person reads: what it is about, and the ruling."""
        names = f"{self.device}:{self.delegate}"
        if self.subject:
            names += f" {self.subject}.{self.variant}"
        return " ".join(filter(None, (names, self.resolution, self.frame, str(self.verdict))))


@dataclass(frozen=True, kw_only=True)
class Unruled:
    """A test that is over and ruled nothing.

    Attributes:
        test: Its node id.
    """

    test: str


@dataclass(frozen=True, kw_only=True)
class End:
    """The end of a run.

    Attributes:
        time_utc: When, ISO 8601.
        exit_code: What pytest ended with.
    """

    time_utc: str
    exit_code: int
