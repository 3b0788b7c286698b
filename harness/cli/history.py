"""Look back: how well changes are found in recorded nights."""

import argparse
import json
from pathlib import Path

from rich.table import Table

from harness import schema
from harness.cli import shared
from harness.history import replay
from harness.history.replay import Row
from harness.history.yardstick import Score


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands of `harness history`."""
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    again = commands.add_parser(
        "replay",
        help="feed recorded nights to every rule, night by night, and score what each says",
        description="Feed recorded nights to every rule, night by night, and score what each "
        "says. docs/regressions.md explains the columns of the file and of the table.",
    )
    again.add_argument("file", type=Path, metavar="FILE", help="CSV, packed by gzip or not")
    again.add_argument("--findings", action="store_true", help="print what our rule found, too")
    again.add_argument("--json", action="store_true", help="print JSON instead of tables")
    again.set_defaults(history=_replay)


def run(options: argparse.Namespace) -> int:
    """Run a subcommand of `harness history`."""
    code: int = options.history(options)
    return code


def _replay(options: argparse.Namespace) -> int:
    """Print how each rule does on recorded nights."""
    nights = replay.read(options.file)
    findings = [
        finding for _, found in replay.findings_by_night(nights) for finding in found
    ] if options.findings else []  # fmt: skip
    rows = replay.compare(nights)
    if options.json:
        known = {"rules": schema.dump(rows), "findings": [str(finding) for finding in findings]}
        print(json.dumps(known, indent=1))
        return 0
    console = shared.console()
    for finding in findings:
        console.print(f"{finding.found} {finding}", soft_wrap=True)
    first = next(row.score for row in rows if row.score)
    console.print(
        f"{first.steps} lasting steps and {first.units} unit changes in "
        f"{first.series_nights} series-nights"
    )
    console.print(_table(rows))
    console.print(
        "units: unit changes told on their first night; steps: lasting steps of 10 % told within "
        "three nights; false: alarms per 1,000 series-nights that match nothing; right: share of "
        "alarms that match; (2): by a second truth, the segments of a hindsight fit"
    )
    return 0


def _table(rows: tuple[Row, ...]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("rule", no_wrap=True)
    for column in (
        "units", "steps", "mean night", "false", "right", "steps (2)", "false (2)",
    ):  # fmt: skip
        table.add_column(column, justify="right")
    for row in rows:
        if row.score is None or row.segments is None:
            table.add_row(f"{row.name} (not installed)")
        else:
            table.add_row(row.name, *_figures(row.score), *_segments(row.segments))
    return table


def _figures(score: Score) -> tuple[str, ...]:
    return (
        _share(score.unit_share), _share(score.step_share), f"{score.delay_nights:.1f}",
        _rate(score.false_per_1000), _share(score.right_share),
    )  # fmt: skip


def _segments(score: Score) -> tuple[str, str]:
    return _share(score.step_share), _rate(score.false_per_1000)


def _share(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _rate(rate: float | None) -> str:
    return "-" if rate is None else f"{rate:.1f}"
