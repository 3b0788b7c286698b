"""Make the consoles that we draw on: plain text in, nothing but our own styles out."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TextIO

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook
from rich.segment import Segment

from harness import text


def open_console(
    file: TextIO | None = None, *, width: int | None = None, color: bool | None = None
) -> Console:
    """Return a console that shows what others wrote as data.

    Args:
        file: Where to draw, or None for standard output.
        width: Columns, or None for those of the terminal.
        color: Whether to use terminal colours, or None where the terminal has them.
    """
    console = Console(
        file=file, width=width, force_terminal=color, no_color=None if color is None else not color,
        color_system="standard" if color else "auto" if color is None else None,
        markup=False, highlight=False, legacy_windows=False,
    )  # fmt: skip
    console.push_render_hook(_Printable())
    return console


class _Printable(RenderHook):
    """A highlighter that cleans the text a console draws; styles are not text, and stay."""

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [_Cleaned(renderable) for renderable in renderables]


@dataclass(frozen=True)
class _Cleaned:
    inner: Any

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        for segment in console.render(self.inner, options):
            if segment.control:
                yield segment
            else:
                yield Segment(text.lines(segment.text), segment.style)
