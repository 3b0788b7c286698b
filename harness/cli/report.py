"""Draw runs as one self-contained HTML page."""

import argparse
from pathlib import Path

from harness import results
from harness.report.page import rendering


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `harness report`."""
    parser.add_argument(
        "runs", type=Path, nargs="*", metavar="RUN",
        help="results files, default the newest below .results; of two rulings of one test the "
        "newer counts",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=Path, default=Path("report.html"), metavar="FILE",
        help="default %(default)s",
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Write the page and say where it is."""
    paths = options.runs or [results.latest(Path())]
    rendering.write([results.load(path) for path in paths], options.out)
    print(f"report: {options.out}")
    return 0
