"""Reproduce the paper's tables on the built subjects, as Markdown and CSV."""

import argparse
from pathlib import Path

from harness.cli import shared
from harness.study import page
from harness.study.facts import Study


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `harness study`."""
    parser.add_argument("name", choices=("paper",))
    parser.add_argument(
        "--out", type=Path, default=Path("docs/study"), metavar="DIR", help="default ./docs/study"
    )
    shared.add_golden_dir(parser)
    shared.add_profile_dirs(parser)


def run(options: argparse.Namespace) -> int:
    """Write the tables and claims and print where they are."""
    study = Study(options.golden_dir, shared.load_profiles(options))
    for path in page.write(study, options.out, command=f"harness study {options.name}"):
        print(path)
    return 0
