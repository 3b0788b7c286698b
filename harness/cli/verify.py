"""Hold a signed run against its signature: what was measured on what, by whom, changed or not.

Ends with 0 (as it was signed), 1 (something was changed, or it was signed by another key or for
another commit) or 2 (there is no signature, or wrong input).
"""

import argparse
from collections import Counter
from pathlib import Path

from harness import results, text
from harness.cli import shared
from harness.report import ruling
from harness.results import Results
from harness.signing import checking, envelope
from harness.signing.checking import Checked

_SHOWN = 40


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add options."""
    parser.add_argument(
        "file", type=Path, nargs="?", metavar="RUN", help="a results file; default the newest"
    )
    parser.add_argument(
        "--key", type=Path, metavar="PUB", help="public key, in PEM, that must have signed"
    )
    parser.add_argument("--commit", default="", metavar="REV", help="commit that must be judged")
    parser.add_argument(
        "--record-only", action="store_true",
        help="leave out models and limits, where the subjects are not at hand",
    )  # fmt: skip
    shared.add_golden_dir(parser)


def run(options: argparse.Namespace) -> int:
    """Check, and say what was found."""
    path = options.file or results.latest(Path())
    key = envelope.public_key(options.key) if options.key else None
    folder = None if options.record_only else options.golden_dir
    checked = checking.check(path, golden_dir=folder, key=key, commit=options.commit)
    lines = [*_head(checked, given=key is not None)]
    if checked.troubles:
        lines += [f"NOT AS SIGNED: {one}" for one in checked.troubles]
    else:
        lines += _measured(results.load(path))
        lines.append(_intact(checked, record_only=options.record_only))
    for line in lines:
        print(text.line(line))
    return 1 if checked.troubles else 0


def _head(checked: Checked, *, given: bool) -> list[str]:
    said = checked.statement
    vouched = "the given key" if given else "nobody vouches for this key: give --key"
    return [
        f"signed by {checked.signer} ({vouched}) at {said.time_utc}",
        f"run {said.run}, commit {said.commit or 'unknown'}",
    ]


def _measured(found: Results) -> list[str]:
    """Return what was judged on what, with which evidence, and the ruling."""
    kinds: dict[str, Counter[str]] = {}
    for record in found.records:
        name = ".".join(filter(None, (record.subject, record.variant)))
        where = f"{name} on {record.device}:{record.delegate}"
        kind = record.verdict.evidence.value if record.verdict.evidence else "no evidence"
        kinds.setdefault(where, Counter())[kind] += 1
    lines = [f"asked on {found.run.host}, {found.run.time_utc}: {' '.join(found.run.command)}"]
    for where, counted in list(kinds.items())[:_SHOWN]:
        evidence = ", ".join(f"{number} {kind}" for kind, number in counted.most_common())
        lines.append(f"judged {where}: {evidence}")
    lines += [f"and {len(kinds) - _SHOWN} more"] if len(kinds) > _SHOWN else []
    ruled = ruling.of(found)
    return [*lines, f"ruled {ruled.outcome.value}: {ruled.sentence}"]


def _intact(checked: Checked, *, record_only: bool) -> str:
    said = checked.statement
    parts = [text.counted(len(said.lines), "line"), text.counted(len(said.images), "image")]
    if record_only:
        return f"as signed: {', '.join(parts)}; models and limits were not looked at"
    return f"as signed: {', '.join(parts)}, {text.counted(len(said.files), 'file')} of subjects"
