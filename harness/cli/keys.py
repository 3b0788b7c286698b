"""Make a pair of Ed25519 keys: one that signs runs, one by which others check them.

Writes KEY, in PEM with mode 600, and its public half beside it with the suffix .pub; a file that
is there is never written over. Ends with 2 where one cannot be written.
"""

import argparse
from pathlib import Path

from harness.cli import shared
from harness.signing import envelope

_PUBLIC = ".pub"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the argument."""
    parser.add_argument("key", type=Path, metavar="KEY", help="file to write, such as lab.key")


def run(options: argparse.Namespace) -> int:
    """Make the pair and say what each half is for."""
    public = options.key.with_suffix(_PUBLIC)
    named = envelope.make_pair(options.key, public)
    console = shared.console()
    for line in (
        f"{options.key}: signs runs (`pytest --sign={options.key}`); keep it where runs are made",
        f"{public}: checks them (`harness verify --key {public}`); give it to everybody",
        named,
    ):
        console.print(line, soft_wrap=True, markup=False, highlight=False)
    return 0
