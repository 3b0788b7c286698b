"""Keep verdicts on disk: one JSON line each, written as they come, readable after a kill."""

import contextlib
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from harness import evidence, files, schema
from harness.errors import ConfigError, HarnessError
from harness.verdict import Verdict

FOLDER = ".results"


@dataclass(frozen=True, kw_only=True)
class Record:
    """Hold a verdict and what it is about.

    Attributes:
        test: Node id of the test that ruled.
        subject: Name of the subject.
        variant: Name of the variant.
        device: Name of the profile.
        delegate: The delegate.
        resolution: Such as `1280x720`; '' where the ruling is about several.
        verdict: The ruling, with its provenance.
        frame: Name of the golden frame, or ''.
    """

    test: str
    subject: str
    variant: str
    device: str
    delegate: str
    resolution: str
    verdict: Verdict
    frame: str = ""


class Writer:
    """The one that appends the records of a run to a file of its own.

    Attributes:
        path: The run's file, `.results/<time>.jsonl`, or None before its first record.
    """

    def __init__(self, root: Path) -> None:
        """Write below a folder; nothing is made there before the first record."""
        self.path: Path | None = None
        self._folder = root / FOLDER
        self._stamp = evidence.now_utc().replace(":", "").replace("+0000", "Z")
        self._commit = evidence.git_commit(root)

    def write(self, record: Record) -> None:
        """Append one record and hand it to the operating system before returning.

        Raises:
            HarnessError: the file cannot be written.
        """
        verdict = record.verdict
        if verdict.provenance is not None:
            provenance = replace(verdict.provenance, git_commit=self._commit)
            record = replace(record, verdict=replace(verdict, provenance=provenance))
        line = json.dumps(schema.dump(record)) + "\n"
        try:
            if self.path is None:
                self.path = self._create()
            with self.path.open("a", encoding="utf-8") as file:
                file.write(line)
        except OSError as error:
            place = self.path or self._folder
            raise HarnessError(f"{place}: cannot be written ({error.strerror})") from None

    def _create(self) -> Path:
        """Make a file that no other run has, even one that started in the same second."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for number in itertools.count(1):
            name = self._stamp if number == 1 else f"{self._stamp}-{number}"
            path = self._folder / f"{name}.jsonl"
            with contextlib.suppress(FileExistsError):
                path.touch(exist_ok=False)
                return path
        raise AssertionError("count() never ends")


def load(path: Path) -> Iterator[Record]:
    """Read the records of a run; a last line that a kill cut short is left out.

    Raises:
        ConfigError: the file is missing or another line cannot be read.
    """
    lines = files.read(path, at_most_bytes=files.TEXT_BYTES_MAX, error=ConfigError).splitlines()
    for number, line in enumerate(lines, start=1):
        try:
            data = json.loads(line)
        except (ValueError, RecursionError):
            if number == len(lines):
                return
            raise ConfigError(f"{path}:{number}: not a JSON line") from None
        yield schema.parse(Record, data, where=f"{path}:{number}")


def latest(root: Path) -> Path:
    """Return the file of the newest run.

    Raises:
        ConfigError: there is none.
    """
    runs = sorted((root / FOLDER).glob("[0-9]*.jsonl"), key=lambda path: path.stat().st_mtime)
    if not runs:
        raise ConfigError(f"{root / FOLDER}: no results yet; run `pytest --device=NAME` first")
    return runs[-1]
