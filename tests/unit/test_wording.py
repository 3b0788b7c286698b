"""How this package's own text is written: class docstrings."""

import ast
from pathlib import Path

import harness

PACKAGE = Path(harness.__file__).parent

VERBS = frozenset({
    "Add", "Answer", "Apply", "Be", "Build", "Clean", "Collect", "Compute", "Convolve", "Double",
    "Draw", "Give", "Hold", "Keep", "Look", "Make", "Name", "Parametrize", "Reach", "Read",
    "Rearrange", "Report", "Return", "Round", "Run", "Say", "Serve", "Speak", "Sum", "Take",
    "Tell", "Write",
})  # fmt: skip
LATER = ("study", "training", "compress", "estimate")
"""Places whose class docstrings are still to be written anew."""


def test_the_docstring_of_a_class_is_a_noun_phrase() -> None:
    begins_with_verb = [
        f"{path.relative_to(PACKAGE)}: {node.name}: {words[0]}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if not str(path.relative_to(PACKAGE)).startswith(LATER)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
        if (words := (ast.get_docstring(node) or "").split()) and words[0] in VERBS
    ]

    assert begins_with_verb == []
