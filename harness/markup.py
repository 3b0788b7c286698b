"""Tables in HTML for notebooks. What is written into one is data: it is escaped here."""

import html
from collections.abc import Sequence
from dataclasses import dataclass

from harness import text

ROWS_MAX = 200
"""Most rows of a table; the title says how many there are."""
BLUE, GREEN, ORANGE, GREY = "#0072b2", "#007a5c", "#b34700", "#666666"
"""Colours that people who see red and green alike can tell apart, each under white letters."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of a table.

    Attributes:
        mark: A letter that says in black and white what the colour says.
        color: Colour of the mark.
        cells: Text of the other cells.
    """

    mark: str
    color: str
    cells: tuple[str, ...]


def table(title: str, headings: Sequence[str], rows: Sequence[Row]) -> str:
    """Return a table of at most `ROWS_MAX` rows as HTML.

    Args:
        title: One line above it.
        headings: Of all columns but the first, which holds the marks.
        rows: Its rows; of more than fit, the first.
    """
    if len(rows) > ROWS_MAX:
        title = f"{title}; the first {ROWS_MAX} of {len(rows)} rows"
    head = "".join(f"<th>{_escaped(heading)}</th>" for heading in ("", *headings))
    body = "".join(f"<tr>{_marked(row)}{_cells(row)}</tr>" for row in rows[:ROWS_MAX])
    return (
        f"<table><caption>{_escaped(title)}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def _marked(row: Row) -> str:
    style = f"background:{row.color};color:white;text-align:center"
    return f'<td style="{style}">{_escaped(row.mark)}</td>'


def _cells(row: Row) -> str:
    return "".join(f'<td style="text-align:left">{_escaped(cell)}</td>' for cell in row.cells)


def _escaped(cell: str) -> str:
    return html.escape(text.line(cell))
