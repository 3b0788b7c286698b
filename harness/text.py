"""Show text that others wrote: a model, a phone, a lock, a config, a file's name.

Such text is data. It may hold terminal commands, line ends that fake a line of ours, characters
that turn the reading order around, or megabytes. It is made harmless where it becomes part of
something of ours: names of a model when they are read, the message of an error, a verdict, a
placement and a provenance when they are made, and so in every record, JUnit property and Markdown
line. Consoles clean once more whatever they draw.
"""

import difflib
from collections.abc import Iterable

NAME = 300
"""Most characters of a name; a fused op's tensor lists the names of all its parts."""
LINE = 2000
"""Most characters of a line that a person reads."""
BRIEF = 60
"""Most characters of a name within a line of ours."""
_REPR = 160
_MEANT_MAX = 3
_MEANT_RATIO = 0.7
"""Least share of letters in common, by difflib: at 0.6 `npu` would mean `gpu`."""
_LINES = 400
_TAIL_SHARE = 0.25


def line(text: str, limit: int = LINE) -> str:
    """Return text as one printable line of bounded length.

    Whatever is not printable (control and formatting characters, line ends, bidirectional
    overrides, halves of surrogate pairs) is written as in a Python string. What is too long
    loses its middle, because a message ends with what to do.
    """
    if len(text) > limit:
        tail = int(limit * _TAIL_SHARE)
        left_out = len(text) - limit
        text = f"{text[: limit - tail]} [{left_out} characters left out] {text[-tail:]}"
    return text if text.isprintable() else "".join(map(_shown, text))


def lines(text: str) -> str:
    """Return text of several lines, each as `line` returns it; only line feeds end one."""
    parts = text.split("\n")
    if len(parts) > _LINES:
        left_out = len(parts) - _LINES
        parts = [*parts[:_LINES], f"[{left_out} lines left out]"]
    return "\n".join(map(line, parts))


def markdown(text: str) -> str:
    """Return text as one line that makes no code, link, tag or new cell in a Markdown table."""
    return "".join(f"\\{char}" if char in "\\`*[]<>|" else char for char in line(text))


def _shown(char: str) -> str:
    return char if char.isprintable() else char.encode("unicode_escape").decode("ascii")


def brief(text: str, limit: int = BRIEF) -> str:
    """Return text as one printable line that loses its middle where it is longer."""
    shown = line(text)
    tail = limit // 3
    return shown if len(shown) <= limit else f"{shown[: limit - tail - 1]}…{shown[-tail:]}"


def repr_of(thing: object, about: str) -> str:
    """Return `<Type what it is about>` for a `__repr__`: one line, however much there is."""
    return f"<{type(thing).__name__} {brief(about, _REPR)}>"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural unless it is one."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def meant(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'a' or 'b'?` for a name that is not known, or '' if none is close.

    Args:
        name: As a person wrote it.
        known: The names that there are.
    """
    by_fold = {one.casefold(): one for one in known}
    wrote = name.casefold()[:NAME]
    close = difflib.get_close_matches(wrote, by_fold, _MEANT_MAX, _MEANT_RATIO)
    holding = [one for one in by_fold if len(wrote) > 1 and wrote in one]
    likely = list(dict.fromkeys([*close, *holding]))[:_MEANT_MAX]
    return f"; did you mean {' or '.join(repr(by_fold[one]) for one in likely)}?" if likely else ""
