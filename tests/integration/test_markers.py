"""What `make test` leaves out is marked, so that `make test-all` runs it."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
MARKERS = [line.split(":")[0] for line in PROJECT["tool"]["pytest"]["ini_options"]["markers"]]


def test_make_test_leaves_out_every_marker_that_the_project_has() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")

    assert f"MARKED := {' or '.join(MARKERS)}\n" in makefile


def test_a_module_that_needs_another_package_has_a_marker() -> None:
    """Without one, `make test` skips the module and `make test-marked` deselects it."""
    marked = re.compile(rf"^pytestmark = [^=]*?pytest\.mark\.({'|'.join(MARKERS)})\b", re.M | re.S)
    modules = {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
    }

    choosy = [name for name, text in modules.items() if "\npytest.importorskip(" in text]

    assert choosy
    assert [name for name in choosy if not marked.search(modules[name])] == []
