"""Write what runs ruled for CI: Markdown, annotations, benchmark files. Ends as the run did.

Ends with 0 (PASS, or INCONCLUSIVE without --strict), 1 (a gate failed), 2 (wrong input) or 3
(INCONCLUSIVE, with --strict here or in the run).
"""

import argparse
import json
from pathlib import Path

from harness import files, limit_lines, results, revisions, strictness, subjects
from harness.cli import shared
from harness.errors import ConfigError
from harness.report import benchmarks, joining, markdown, ruling
from harness.results import Record, Results
from harness.strictness import Strictness
from harness.verdict import CHANGE, REGRESSION, Outcome, Sense

_CODES = {Outcome.PASS: 0, Outcome.FAIL: 1, Outcome.INCONCLUSIVE: 0}
_STRICT = 3
_BASELINES = "baselines.json"
_FILE_KEY = "sha256"
"""What a change of a variant's file changes in subject.toml: there is no limit to point at."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add options."""
    parser.add_argument(
        "files", type=Path, nargs="*", metavar="RUN",
        help="results files, default the newest; several are one, such as the shards of a plan, "
        "of which a missing one is INCONCLUSIVE",
    )  # fmt: skip
    parser.add_argument(
        "--against", default="", metavar="REV",
        help="git revision or folder of subjects: show first which limits, budgets, goldens and "
        "baselines this change loosens, alters and tightens",
    )  # fmt: skip
    parser.add_argument(
        "--before", type=Path, metavar="RUN", help="an earlier results file: show what changed"
    )
    parser.add_argument(
        "--output", type=Path, metavar="FILE",
        help="append the summary to a file, such as $GITHUB_STEP_SUMMARY, instead of printing it",
    )  # fmt: skip
    parser.add_argument(
        "--comment", type=Path, metavar="FILE",
        help="write a summary that fits into a comment; its last line is a hidden marker",
    )  # fmt: skip
    parser.add_argument("--key", default="gates", help="in that marker; default gates")
    parser.add_argument(
        "--annotations", action="store_true",
        help="print GitHub annotations on the lines of subject.toml that hold the broken limits",
    )  # fmt: skip
    parser.add_argument("--bmf", type=Path, metavar="FILE", help="write Bencher Metric Format")
    parser.add_argument(
        "--benchmarks", type=Path, metavar="DIR",
        help="write smaller.json and bigger.json for github-action-benchmark",
    )  # fmt: skip
    parser.add_argument(
        "--strict",
        action="store_true",
        help="end with 3 on INCONCLUSIVE, as after a run with --strict",
    )
    shared.add_golden_dir(parser)
    shared.add_profile_dirs(parser)


def run(options: argparse.Namespace) -> int:
    """Write what was asked for."""
    paths = options.files or [results.latest(Path())]
    found = joining.join([results.load(path) for path in paths])
    before = results.load(options.before) if options.before else None
    effects = _effects(options) if options.against else ruling.effects_of(found.plans)
    if not options.key.replace("-", "").isalnum():
        raise ConfigError(f"--key={options.key!r:.80}: wants letters, digits and single dashes")
    whole = markdown.summary(found, effects=effects, before=before, key=options.key)
    if options.output:
        _append(options.output, whole)
    else:
        print(whole, end="")
    if options.comment:
        short = markdown.summary(
            found, effects=effects, before=before, key=options.key,
            at_most_bytes=markdown.COMMENT_BYTES,
        )  # fmt: skip
        _write(options.comment, short)
    if options.bmf:
        _write(options.bmf, json.dumps(benchmarks.bmf(found), indent=1))
    if options.benchmarks:
        for name, sense in (("smaller", Sense.AT_MOST), ("bigger", Sense.AT_LEAST)):
            entries = benchmarks.github(found, sense)
            _write(options.benchmarks / f"{name}.json", json.dumps(entries, indent=1))
    if options.annotations:
        for command in markdown.annotations(_places(found, options.golden_dir)):
            print(command)
    outcome = ruling.of(found).outcome
    strict = options.strict or ruling.is_strict(found)
    return _STRICT if strict and outcome is Outcome.INCONCLUSIVE else _CODES[outcome]


def _effects(options: argparse.Namespace) -> dict[str, list[str]]:
    known = shared.load_profiles(options)
    targets = [
        (target.profile.name, target.delegate) for target in shared.every_target(known, ["all"])
    ]
    with revisions.earlier(options.golden_dir, options.against) as was:
        found = strictness.sorted_out(strictness.between(was, options.golden_dir, targets))
    return ruling.by_effect(
        loosened=found[Strictness.EASIER],
        tightened=found[Strictness.HARDER],
        altered=found[Strictness.OTHER],
    )


def _places(found: Results, golden_dir: Path) -> list[tuple[Record, str, int]]:
    """Return each failed record with the file and the line that hold its limit."""
    failed = [r for r in ruling.worst_first(found) if r.verdict.outcome is Outcome.FAIL]
    return [(record, *_place(record, golden_dir)) for record in failed]


def _place(record: Record, golden_dir: Path) -> tuple[str, int]:
    known = {path.parent.name: path for path in golden_dir.glob(f"*/{subjects.SUBJECT_FILE}")}
    path = known.get(record.subject)
    if path is None:
        return _from_here(golden_dir), 1
    if record.verdict.gate == REGRESSION:
        return _from_here(path.with_name(_BASELINES)), 1
    text = files.read(path, at_most_bytes=files.TEXT_BYTES_MAX, error=ConfigError).decode()
    subject = subjects.load(path.parent)
    key = _FILE_KEY if record.verdict.gate == CHANGE else record.verdict.metric
    line = limit_lines.line_of(subject, text, record, key)
    return _from_here(path), line


def _from_here(path: Path) -> str:
    """Return a path as GitHub wants it: from the folder of the checkout, where that holds it."""
    whole, here = path.resolve(), Path.cwd()
    return whole.relative_to(here).as_posix() if whole.is_relative_to(here) else str(path)


def _append(path: Path, text: str) -> None:
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({error.strerror})") from None


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({error.strerror})") from None
