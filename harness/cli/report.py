"""Draw runs as one self-contained HTML page."""

import argparse
from pathlib import Path

from harness import results
from harness.cli import shared
from harness.report.page import rendering


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `harness report`."""
    parser.add_argument(
        "runs", type=Path, nargs="*", metavar="RUN",
        help="results files, default the newest below .results; of two rulings of one test the "
        "newer counts",
    )  # fmt: skip
    parser.add_argument(
        "--against", type=Path, action="append", default=[], metavar="RUN",
        help="an earlier run to compare with; may be given several times",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=Path, default=Path("report.html"), metavar="FILE",
        help="default %(default)s",
    )  # fmt: skip
    parser.add_argument(
        "--originals", action="store_true",
        help="scale no image for view, however large the page becomes",
    )  # fmt: skip
    shared.add_golden_dir(parser)


def run(options: argparse.Namespace) -> int:
    """Write the page and say where it is."""
    paths = options.runs or [results.latest(Path())]
    rendering.write(
        [results.load(path) for path in paths],
        options.out,
        against=[results.load(path) for path in options.against],
        golden_dir=options.golden_dir,
        whole=options.originals,
    )
    print(f"report: {options.out}")
    return 0
