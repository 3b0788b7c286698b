"""A run on disk: what was planned, the facts and verdicts as they come, and its end.

The file has one JSON object a line, each with one key that says what it is: `run` first, then
`plan`, `fact`, `verdict` and `done` in any order, and `end` last. It is readable after a kill, and
a run without an end, or with planned tests of which nothing is known, proves nothing of them.
docs/records.md is the page on it.
"""

import contextlib
import datetime
import itertools
import json
import re
import secrets
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness import __version__, evidence, files, schema
from harness.errors import ConfigError, HarnessError
from harness.fact_lines import Taken
from harness.run_lines import End, Planned, Record, Run, Unruled

__all__ = [
    "FOLDER", "SCHEMA", "End", "Line", "Planned", "Record", "Results", "Run", "Unruled", "Writer",
    "all_runs", "json_schema", "latest", "lines", "load", "of_id", "unfinished",
]  # fmt: skip
FOLDER = ".results"
SCHEMA = 3
"""Number of the record format; docs/records.md says what each one had."""


Line = Run | Planned | Taken | Record | Unruled | End
_KINDS: Mapping[str, type[Line]] = {
    "run": Run, "plan": Planned, "fact": Taken, "verdict": Record, "done": Unruled, "end": End,
}  # fmt: skip
_NAME = re.compile(r"(\d{4}-\d\d-\d\dT\d{6}Z)(?:-(\d{1,6}))?")
"""When a run began, and its number among those that began in one second."""
_NAMES = {kind: name for name, kind in _KINDS.items()}


@dataclass(frozen=True, kw_only=True)
class Results:
    """All that a results file holds.

    Attributes:
        path: The file.
        run: Its head.
        plans: What was planned; several processes may each have planned a part.
        facts: In the order in which they came.
        records: Likewise.
        done: Tests that ruled nothing.
        end: Its end, or None where the run was cut short.
        missing: Of several runs that are shards of one plan, the shards that are not there.
    """

    path: Path
    run: Run
    plans: tuple[Planned, ...]
    facts: tuple[Taken, ...]
    records: tuple[Record, ...]
    done: tuple[Unruled, ...]
    end: End | None
    missing: tuple[str, ...] = ()

    @property
    def planned(self) -> tuple[str, ...]:
        """Return the planned tests, each once."""
        return tuple(dict.fromkeys(test for plan in self.plans for test in plan.tests))

    @property
    def unrecorded(self) -> tuple[str, ...]:
        """Return the planned tests of which nothing is known: INCONCLUSIVE, each of them."""
        known = {record.test for record in self.records} | {done.test for done in self.done}
        return tuple(test for test in self.planned if test not in known)


class Writer:
    """What appends the lines of a run to a file of its own.

    Attributes:
        path: The run's file, `.results/<time>.jsonl`, or None before its first line.
        run: The run's head.
        line_sha256: SHA-256 of each line so far, with its line feed.
    """

    def __init__(
        self, root: Path, *, command: Sequence[str] = (), lab: str = "", run_id: str = ""
    ) -> None:
        """Write below a folder; nothing is made there before the first line.

        Args:
            root: The folder.
            command: What was typed.
            lab: Name of the lab that is asked, or ''.
            run_id: Id of the run, or '' for one that is made up.
        """
        self.path: Path | None = None
        self.line_sha256: list[str] = []
        self._folder = root / FOLDER
        self.run = Run(
            schema=SCHEMA,
            id=run_id or secrets.token_hex(8),
            command=tuple(command),
            host=socket.gethostname(),
            time_utc=evidence.now_utc(),
            git_commit=evidence.git_commit(root),
            versions=_versions(),
            lab=lab,
        )

    def write(self, line: Line) -> None:
        """Append one line and hand it to the operating system before returning.

        Raises:
            HarnessError: the file cannot be written.
        """
        if isinstance(line, Record) and line.verdict.provenance is not None:
            provenance = replace(line.verdict.provenance, git_commit=self.run.git_commit)
            line = replace(line, verdict=replace(line.verdict, provenance=provenance))
        try:
            if self.path is None:
                self.path = self._create()
            self._append(self.path, line)
        except OSError as error:
            place = self.path or self._folder
            raise HarnessError(f"{place}: cannot be written ({error.strerror})") from None

    def _create(self) -> Path:
        """Make a file that no other run has, even one that started in the same second."""
        self._folder.mkdir(parents=True, exist_ok=True)
        stamp = self.run.time_utc.replace(":", "").replace("+0000", "Z")
        for number in itertools.count(1):
            path = self._folder / f"{stamp if number == 1 else f'{stamp}-{number}'}.jsonl"
            with contextlib.suppress(FileExistsError):
                path.touch(exist_ok=False)
                self._append(path, self.run)
                return path
        raise AssertionError("count() never ends")

    def _append(self, path: Path, line: Line) -> None:
        data = (json.dumps({_NAMES[type(line)]: schema.dump(line)}) + "\n").encode()
        with path.open("ab") as file:
            file.write(data)
        self.line_sha256.append(evidence.sha256_of(data))


def lines(path: Path) -> Iterator[Line]:
    """Read the lines of a run; a last one that a kill cut short is left out.

    Raises:
        ConfigError: the file is missing, is of another format, or a line cannot be read.
    """
    stored = files.read(path, at_most_bytes=files.RUN_BYTES_MAX, error=ConfigError).splitlines()
    for number, line in enumerate(stored, start=1):
        try:
            data = json.loads(line)
        except (ValueError, RecursionError):
            if number == len(stored):
                return
            raise ConfigError(f"{path}:{number}: not a JSON line") from None
        yield _parse(data, where=f"{path}:{number}", first=number == 1)


def _parse(data: object, *, where: str, first: bool) -> Line:
    names = list(data) if isinstance(data, dict) else []
    if len(names) != 1 or names[0] not in _KINDS or first is not (names[0] == "run"):
        what = 'a head, {"run": ...}' if first else f"one of {', '.join(_KINDS)}"
        raise ConfigError(
            f"{where}: expected {what}; a file of an earlier version cannot be read, run again"
        )
    assert isinstance(data, dict)
    name = names[0]
    line = schema.parse(_KINDS[name], data[name], where=f"{where}: {name}")
    if isinstance(line, Run) and line.schema != SCHEMA:
        raise ConfigError(
            f"{where}: has record format {line.schema} and this version reads {SCHEMA}; "
            "use the version that wrote it, or run again"
        )
    return line


def load(path: Path) -> Results:
    """Read a run.

    Raises:
        ConfigError: as `lines`, or the file is empty.
    """
    found: dict[type[Line], list[Any]] = {kind: [] for kind in _KINDS.values()}
    for line in lines(path):
        found[type(line)].append(line)
    if not found[Run]:
        raise ConfigError(f"{path}: is empty; the run was cut short before it began")
    return Results(
        path=path,
        run=found[Run][0],
        plans=tuple(found[Planned]),
        facts=tuple(found[Taken]),
        records=tuple(found[Record]),
        done=tuple(found[Unruled]),
        end=found[End][-1] if found[End] else None,
    )


def all_runs(root: Path) -> list[Path]:
    """Return the files of all runs below a folder, that which began last at the end.

    When each began it says itself; of one that does not, its name counts.
    """
    found = (root / FOLDER).glob("[0-9]*.jsonl")
    return sorted(found, key=_began)


def _began(path: Path) -> tuple[float, int, str]:
    """Return when a run began, which it is of those of one second, and the file's name."""
    named = _NAME.match(path.stem)
    said = named[1].replace("Z", "+0000") if named else ""
    with contextlib.suppress(ConfigError):
        said = _head(path).time_utc
    try:
        began_s = datetime.datetime.fromisoformat(said).timestamp()
    except (ValueError, OverflowError):
        began_s = 0.0
    return began_s, int((named and named[2]) or 1), path.name


def _head(path: Path) -> Run:
    """Return the head of a results file, whatever comes after it.

    Raises:
        ConfigError: it cannot be read, or is of another format.
    """
    line = files.first_line(path, at_most_bytes=files.TEXT_BYTES_MAX, error=ConfigError)
    try:
        head = _parse(json.loads(line), where=f"{path}:1", first=True)
    except (ValueError, RecursionError):
        raise ConfigError(f"{path}:1: not a JSON line") from None
    assert isinstance(head, Run)
    return head


def latest(root: Path) -> Path:
    """Return the file of the newest run.

    Raises:
        ConfigError: there is none.
    """
    runs = all_runs(root)
    if not runs:
        raise ConfigError(f"{root / FOLDER}: no results yet; run `pytest --device=NAME` first")
    return runs[-1]


def of_id(root: Path, run_id: str) -> Path | None:
    """Return the newest file below a folder whose head has an id, or None."""
    for path in reversed(all_runs(root)):
        with contextlib.suppress(ConfigError):  # of an earlier format, or damaged
            if _head(path).id == run_id:
                return path
    return None


def unfinished(root: Path, tests: Sequence[str], asked: Mapping[str, str]) -> Results | None:
    """Return the newest run if it planned these tests, asked alike and has no end; else None."""
    for path in reversed(all_runs(root)):
        try:
            found = load(path)
        except ConfigError:
            continue  # of an earlier format, or damaged: nothing to take over
        same = set(found.planned) == set(tests) and found.run.versions == _versions()
        alike = all(dict(plan.asked) == dict(asked) for plan in found.plans)
        return found if same and alike and found.end is None else None
    return None


def _versions() -> dict[str, str]:
    return {"pytest-device-harness": __version__}


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of one line of a results file."""
    choices = [
        {
            "type": "object",
            "properties": {name: schema.json_schema(kind)},
            "required": [name],
            "additionalProperties": False,
        }
        for name, kind in _KINDS.items()
    ]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A line of a results file of the device harness",
        "oneOf": choices,
    }
