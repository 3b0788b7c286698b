"""Draw runs as one self-contained HTML page, as pictures or as a badge."""

import argparse
from pathlib import Path

from harness import ini, results, text
from harness.cli import shared
from harness.cli.history_news import past
from harness.history.opening import DEFAULT
from harness.report import badge, figures
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
        "--history", metavar="URL",
        help="SQLite file or postgresql://... for sparklines; default the ini key history, else "
        f"{DEFAULT} where it is",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=Path, metavar="FILE",
        help="the page; default report.html where neither --png nor --badge is asked for",
    )  # fmt: skip
    parser.add_argument(
        "--png", type=Path, metavar="FOLDER",
        help="write planes, placement strips and frames as PNG (extra study)",
    )  # fmt: skip
    parser.add_argument(
        "--badge", type=Path, metavar="FILE", help="write what was ruled as a small SVG",
    )  # fmt: skip
    parser.add_argument(
        "--originals", action="store_true",
        help="scale no image for view, however large the page becomes",
    )  # fmt: skip
    shared.add_golden_dir(parser)


def run(options: argparse.Namespace) -> int:
    """Write what is asked for and say where it is."""
    found = [results.load(path) for path in options.runs or [results.latest(Path())]]
    page = options.out or (None if options.png or options.badge else Path("report.html"))
    if options.badge is not None:
        badge.write(found, options.badge)
        print(f"badge: {options.badge}")
    if options.png is not None:
        pictures = figures.write(found, options.png, golden_dir=options.golden_dir)
        print(f"pictures: {text.counted(len(pictures), 'file')} in {options.png}")
    if page is not None:
        rendering.write(
            found,
            page,
            against=[results.load(path) for path in options.against],
            past=past(options.history or ini.of_project().text("history")),
            golden_dir=options.golden_dir,
            whole=options.originals,
        )
        print(f"report: {page}")
    return 0
