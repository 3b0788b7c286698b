"""Files and functions stay small enough to be read in one go."""

import ast
from pathlib import Path

import harness

_PACKAGE = Path(harness.__file__).parent
_FILE_LINES_MAX = 400
_FUNCTION_LINES_MAX = 50
_NEVER_EDITED = _PACKAGE / "history" / "store" / "migrations" / "versions"
"""A migration that a database has taken stays as it is."""
_LISTS = frozenset({"report/page/rendering.py::render"})
"""Functions that are a list of named values, such as those of a template."""


def _too_long(source: str, name: str) -> list[str]:
    """Return what of a file is too long, one line each."""
    functions = (
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    lengths = {f"{name}::{one.name}": (one.end_lineno or 0) - one.lineno + 1 for one in functions}
    found = [
        f"{key}: {n} lines"
        for key, n in lengths.items()
        if n > _FUNCTION_LINES_MAX and key not in _LISTS
    ]
    lines = len(source.splitlines())
    return [*found, *([f"{name}: {lines} lines"] if lines > _FILE_LINES_MAX else [])]


def test_no_file_has_more_than_400_lines_and_no_function_more_than_50() -> None:
    files = [path for path in _PACKAGE.rglob("*.py") if not path.is_relative_to(_NEVER_EDITED)]

    found = [
        line
        for path in files
        for line in _too_long(
            path.read_text(encoding="utf-8"), path.relative_to(_PACKAGE).as_posix()
        )
    ]

    assert len(files) > 300
    assert not found


def test_a_file_and_a_function_that_are_too_long_are_named() -> None:
    body = "def long():\n" + "    pass\n" * 50

    assert _too_long(body, "a.py") == ["a.py::long: 51 lines"]
    assert _too_long("\n" * 401, "b.py") == ["b.py: 401 lines"]
    assert not _too_long("def short():\n" + "    pass\n" * 49, "c.py")
