"""How this project's own text is written: class docstrings, and sources a reader has."""

import ast
import re
from pathlib import Path

import harness

PACKAGE = Path(harness.__file__).parent
ROOT = PACKAGE.parent

VERBS = frozenset({
    "Add", "Answer", "Apply", "Be", "Build", "Clean", "Collect", "Compute", "Convolve", "Double",
    "Draw", "Give", "Hold", "Keep", "Look", "Make", "Name", "Parametrize", "Reach", "Read",
    "Rearrange", "Report", "Return", "Round", "Run", "Say", "Serve", "Speak", "Sum", "Take",
    "Tell", "Write",
})  # fmt: skip


def test_the_docstring_of_a_class_is_a_noun_phrase() -> None:
    begins_with_verb = [
        f"{path.relative_to(PACKAGE)}: {node.name}: {words[0]}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
        if (words := (ast.get_docstring(node) or "").split()) and words[0] in VERBS
    ]

    assert begins_with_verb == []


def test_no_two_classes_have_one_name() -> None:
    places: dict[str, list[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(str(path.relative_to(PACKAGE)))

    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_no_source_is_one_that_only_its_writers_have() -> None:
    notes = re.compile(r"\bfacts/|project's facts|the design (had|did)|differs from the design")
    folders = (PACKAGE, ROOT / "docs", ROOT / "device_profiles", ROOT / "golden")
    pages = [
        path
        for folder in folders
        for path in folder.rglob("*")
        if path.suffix in (".py", ".md", ".toml")
    ]

    found = [str(path) for path in pages if notes.search(path.read_text(encoding="utf-8"))]

    assert len(pages) > 200
    assert found == []
