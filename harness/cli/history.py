"""Keep runs and look back: what changed, and how well changes are found in recorded nights."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from harness import ini, schema, text
from harness.cli import history_news, shared
from harness.errors import ConfigError
from harness.history import addresses, exchange, replay
from harness.history.opening import DEFAULT, open_store
from harness.history.replay import RuleScores
from harness.history.rows import Difference
from harness.history.yardstick import RuleScore

if TYPE_CHECKING:
    from harness.history.store import Store


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands of `harness history`."""
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    add = commands.add_parser(
        "add",
        help="take runs into the history: results of pytest --device, JSON lines of `export`, or "
        "pytest-benchmark's JSON",
    )
    add.add_argument(
        "files", nargs="+", metavar="FILE", help="files, or file://, http:// or https:// addresses"
    )
    add.set_defaults(history_command=_add)
    latest = commands.add_parser(
        "latest", help="put the newest run beside the one before, of the same host"
    )
    latest.add_argument("--host", help="look at the runs of this host only")
    latest.add_argument("--json", action="store_true", help="print JSON instead of a table")
    latest.set_defaults(history_command=_latest)
    export = commands.add_parser("export", help="write every run to a file")
    export.add_argument("file", type=Path, metavar="FILE", help="NAME.jsonl or NAME.parquet")
    export.set_defaults(history_command=_export)
    migrate = commands.add_parser("migrate", help="bring the schema of a history up to date")
    migrate.set_defaults(history_command=_migrate)
    for command in (add, latest, export, migrate, *history_news.add_commands(commands)):
        command.add_argument(
            "--history",
            default=ini.of_project().text("history"),
            metavar="URL",
            help=f"SQLite file or postgresql://...; default the ini key history, else {DEFAULT}",
        )
    _add_replay(
        commands.add_parser(
            "replay",
            help="feed recorded nights to every rule, night by night, and score what each says",
            description="Feed recorded nights to every rule, night by night, and score what each "
            "says. docs/regressions.md explains the columns of the file and of the table.",
        )
    )


def _add_replay(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="CSV, packed by gzip or not")
    parser.add_argument("--findings", action="store_true", help="print what our rule found, too")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.set_defaults(history_command=_replay)


def run(options: argparse.Namespace) -> int:
    """Run a subcommand of `harness history`."""
    code: int = options.history_command(options)
    return code


def _add(options: argparse.Namespace) -> int:
    """Take runs in, and say which were new."""
    console = shared.console()
    with _open(options) as store:
        for address in options.files:
            runs = addresses.read(address)
            new = sum(store.add(run) for run in runs)
            shown = text.line(address.partition("?")[0])  # what follows may be a token
            console.print(f"{shown}: {new} of {len(runs)} runs are new", soft_wrap=True)
    return 0


def _latest(options: argparse.Namespace) -> int:
    """Print what differs between the newest run and the one before."""
    with _open(options) as store:
        newest, before, changes = store.newest_against_before(options.host)
    if options.json:
        known = {"newest": newest, "before": before, "series": schema.dump(changes)}
        print(json.dumps(known, indent=1))
        return 0
    console = shared.console()
    differ = [one for one in changes if (one.was, one.outcome_was) != (one.now, one.outcome_now)]
    console.print(
        f"{newest} against {before}: {len(differ)} of {len(changes)} series differ", soft_wrap=True
    )
    if differ:
        console.print(_changes(differ))
    return 0


def _changes(changes: list[Difference]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("series", "was", "now", "change", "outcome"):
        table.add_column(column, justify="left" if column in ("series", "outcome") else "right")
    for one in changes:
        ratio = one.now / one.was - 1 if one.was and one.now is not None else None
        outcomes = dict.fromkeys((one.outcome_was or "-", one.outcome_now or "-"))
        table.add_row(
            str(one.series),
            _value(one.was),
            _value(one.now),
            "" if ratio is None else f"{ratio:+.1%}",
            " -> ".join(outcomes),
        )
    return table


def _export(options: argparse.Namespace) -> int:
    """Write every run to a file; what is there is replaced once the new file is whole."""
    writers = {".jsonl": exchange.write_json_lines, ".parquet": exchange.write_parquet}
    write = writers.get(options.file.suffix)
    if write is None:
        raise ConfigError(f"{options.file}: wants a name that ends in {' or '.join(writers)}")
    with _open(options) as store:
        count = write(options.file, store.runs())
    shared.console().print(f"{options.file}: {count} runs", soft_wrap=True)
    return 0


def _migrate(options: argparse.Namespace) -> int:
    """Bring a history up to date."""
    with _open(options, migrate=True):
        shared.console().print("the history is up to date")
    return 0


def _open(options: argparse.Namespace, *, migrate: bool = False) -> "Store":
    """Open the history that the options name."""
    return open_store(options.history, migrate=migrate)


def _value(value: float | None) -> str:
    return "-" if value is None else f"{value:.5g}"


def _replay(options: argparse.Namespace) -> int:
    """Print how each rule does on recorded nights."""
    nights = replay.read(options.file)
    findings = (
        [finding for _, found in replay.findings_by_night(nights) for finding in found]
        if options.findings
        else []
    )
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
    if lacking := [row.name for row in rows if row.score is None]:
        console.print(f"not installed: {'; '.join(lacking)}")
    console.print(
        "units: unit changes told on their first night; steps: lasting steps of 10 % told within "
        "three nights; false: alarms per 1,000 series-nights that match nothing; right: share of "
        "alarms that match; (2): by a second truth, the segments of a hindsight fit"
    )
    return 0


def _table(rows: tuple[RuleScores, ...]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("rule", no_wrap=True)
    for column in ("units", "steps", "mean night", "false", "right", "steps (2)", "false (2)"):
        table.add_column(column, justify="right", min_width=len("100.0%"))  # no figure is cut
    for row in rows:
        if row.score is not None and row.segments is not None:
            table.add_row(row.name, *_figures(row.score), *_segments(row.segments))
    return table


def _figures(score: RuleScore) -> tuple[str, ...]:
    return (
        _share(score.unit_share),
        _share(score.step_share),
        f"{score.delay_nights:.1f}",
        _rate(score.false_per_1000),
        _share(score.right_share),
    )


def _segments(score: RuleScore) -> tuple[str, str]:
    return _share(score.step_share), _rate(score.false_per_1000)


def _share(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _rate(rate: float | None) -> str:
    return "-" if rate is None else f"{rate:.1f}"
