"""Draw a run as a page at its end."""

from pathlib import Path

from harness import results
from harness.errors import HarnessError


def draw(path: Path, page: Path, *, golden_dir: Path) -> str:
    """Draw the run of a results file as a page, and return a line on what came of it."""
    from harness.report.page import rendering  # templates are not loaded where none is asked for

    try:
        rendering.write([results.load(path)], page, golden_dir=golden_dir)
    except HarnessError as error:
        return f"report: not drawn, {error}"
    return f"report: {page}"
