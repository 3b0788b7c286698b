"""Show how estimates did against what phones measured."""

import argparse
import json
from pathlib import Path

from rich.table import Table

from harness import ledger, schema
from harness.cli import shared

DEFAULT = Path(".results/ledger.jsonl")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `harness ledger`."""
    parser.add_argument("file", type=Path, nargs="?", default=DEFAULT, metavar="FILE")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(options: argparse.Namespace) -> int:
    """Print bias, error and coverage of each phone and delegate, and what has drifted."""
    accounts = ledger.accounts(ledger.read(options.file))
    if options.json:
        print(json.dumps(schema.dump(accounts), indent=1))
        return 0
    console = shared.console()
    if not accounts:
        console.print(f"{options.file}: no estimate has met a measurement yet")
        return 0
    table = Table(box=None, pad_edge=False)
    for column in ("phone", "pairs", "bias", "median error", "in interval"):
        table.add_column(column)
    for one in accounts:
        table.add_row(
            f"{one.device}:{one.delegate}", str(one.entries), f"{one.bias:+.0%}",
            f"{one.median_error:.0%}", f"{one.coverage:.0%}",
        )  # fmt: skip
    console.print(table)
    for one in accounts:
        if one.warning:
            console.print(one.warning)
    return 0
