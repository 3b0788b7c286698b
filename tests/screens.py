"""Screens as a terminal of some columns shows them, to be held against golden ones."""

import io
from collections.abc import Callable

from rich.console import Console, RenderableType

from harness.report.console import open_console

WIDTHS = (80, 140)


def shown(draw: Callable[[Console], object], *, width: int) -> str:
    """Return what is drawn on a console of some columns without colour."""
    file = io.StringIO()
    draw(open_console(file, width=width, color=False))
    return trimmed(file.getvalue())


def screen(thing: RenderableType, *, width: int) -> str:
    """Return one thing as a terminal of some columns shows it."""
    return shown(lambda console: console.print(thing), width=width)


def trimmed(text: str) -> str:
    """Return text without the blanks that end its lines."""
    return "\n".join(line.rstrip() for line in text.splitlines())
