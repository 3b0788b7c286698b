"""Pages that are made from others: the API from docstrings, the notebook from its guide.

`python -m tests.pages` writes both; tests check that they are current.
"""

import ast
import dataclasses
import enum
import inspect
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import harness
from harness.api import Inspection
from harness.cases import Case, FrameCase, Plan, SizedCase, Withheld
from harness.devices.device import Device
from harness.evidence import Evidence, Provenance
from harness.images import Output, Size
from harness.latency import Estimate, Instructions, Latency
from harness.memory import Memory
from harness.model import Model
from harness.placement import NodePlacement, Placement
from harness.results import Record
from harness.verdict import Lack, Outcome, Sense, Verdict

ROOT = Path(__file__).parents[1]
API = ROOT / "docs" / "api.md"
GUIDE = ROOT / "docs" / "guides" / "from-python.md"
NOTEBOOK = GUIDE.with_suffix(".ipynb")
RETURNED = (
    Model,
    Size,
    Device,
    Placement,
    NodePlacement,
    Estimate,
    Latency,
    Memory,
    Instructions,
    Output,
    Inspection,
    Plan,
    Case,
    SizedCase,
    FrameCase,
    Withheld,
    Record,
    Verdict,
    Outcome,
    Sense,
    Lack,
    Provenance,
    Evidence,
)
"""The types of what the functions return, and of what hangs on it."""
CODE = re.compile(
    r"((?:^<!--[^\n]*-->\n+)*)^```python\n(.*?)^```\n(?:\n^```text\n(.*?)^```\n)?", re.M | re.S
)
_SECTION = re.compile(r"^(Args|Attributes|Returns|Raises):$")


def api() -> str:
    """Return the page of all that `import harness` offers and returns."""
    parts = [
        "# API\n",
        "What `import harness` offers, and the types of what it returns, from the docstrings "
        "(`python -m tests.pages`; a test checks that this page is current). "
        "[From Python](guides/from-python.md) shows the use.\n",
        "## Functions\n",
        *(_function(name) for name in harness.__all__ if not name.startswith("_")),
        "## Types\n",
        *map(_type, RETURNED),
    ]
    return "\n".join(parts)


def _function(name: str) -> str:
    function = getattr(harness, name)
    return f"### harness.{name}\n\n```python\n{_signature(function)}\n```\n\n{_prose(function)}\n"


def _signature(function: Callable[..., object]) -> str:
    """Return the head of a function as it is written, one parameter a line."""
    node = ast.parse(inspect.getsource(function)).body[0]
    assert isinstance(node, ast.FunctionDef)
    node.body = [ast.Expr(ast.Constant(...))]
    head = ast.unparse(node).removesuffix(":\n    ...")
    parameters = [f"    {ast.unparse(arg)}" for arg in (*node.args.args, *node.args.kwonlyargs)]
    defaults = [None] * (len(node.args.args) - len(node.args.defaults))
    values = (*defaults, *node.args.defaults, *node.args.kw_defaults)
    lines = [
        f"{text} = {ast.unparse(value)}," if value is not None else f"{text},"
        for text, value in zip(parameters, values, strict=True)
    ]
    if node.args.kwonlyargs:
        lines.insert(len(node.args.args), "    *,")
    return "\n".join([f"def {node.name}(", *lines, f") -> {head.rpartition(' -> ')[2]}"])


def _type(kind: type) -> str:
    lines = [f"### {kind.__name__}\n", f"`{kind.__module__}.{kind.__name__}`\n", _prose(kind)]
    if dataclasses.is_dataclass(kind) and "Attributes:" not in (inspect.getdoc(kind) or ""):
        fields = [f"`{one.name}`" for one in dataclasses.fields(kind) if one.name[0] != "_"]
        lines.append(f"* Fields: {', '.join(fields)}\n")
    if issubclass(kind, enum.Enum):
        lines.append(f"* Members: {', '.join(f'`{member.name}`' for member in kind)}\n")
    lines += [line for name, value in vars(kind).items() for line in _member(name, value)]
    return "\n".join(lines) + "\n"


def _member(name: str, value: object) -> Iterator[str]:
    """Yield a line for a public method or property of a class."""
    get = getattr(value, "fget", None) or getattr(value, "func", None)
    function = get or getattr(value, "__func__", value)
    if name.startswith("_") or not inspect.isfunction(function):
        return
    (first, *_) = (inspect.getdoc(function) or "").splitlines() or [""]
    if get is not None:
        yield f"* `.{name}`: {first}"
        return
    names = [p for p in inspect.signature(function).parameters if p not in ("self", "cls")]
    yield f"* `.{name}({', '.join(names)})`: {first}"


def _prose(thing: object) -> str:
    """Return a docstring as Markdown: its sections as lists."""
    lines: list[str] = []
    section = ""
    for line in (inspect.getdoc(thing) or "").splitlines():
        found = _SECTION.match(line)
        if found:
            section = found[1]
            lines.append(f"{section}:\n")
        elif section and line.startswith("     "):
            lines[-1] += f" {line.strip()}"
        elif section and line.strip():
            name, colon, text = line.strip().partition(": ")
            lines.append(f"* `{name}`: {text}" if colon else f"* {line.strip()}")
        else:
            lines.append(line)
    return "\n".join(lines) + "\n"


def notebook() -> str:
    """Return the guide as a notebook without outputs: prose and code in turn."""
    text = GUIDE.read_text(encoding="utf-8")
    cells: list[dict[str, object]] = []
    at = 0
    for found in CODE.finditer(text):
        cells.append(_cell("markdown", text[at : found.start()]))
        if "not run" in found[1]:
            cells.append(_cell("markdown", f"```python\n{found[2]}```"))
        else:
            cells.append(_cell("code", found[2]))
        at = found.end()
    cells.append(_cell("markdown", text[at:]))
    kept = [{**cell, "id": f"cell-{n}"} for n, cell in enumerate(c for c in cells if c["source"])]
    page = {"cells": kept, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(page, indent=1, ensure_ascii=False) + "\n"


def _cell(kind: str, text: str) -> dict[str, object]:
    source = text.strip("\n").splitlines(keepends=True)
    more = {"execution_count": None, "outputs": []} if kind == "code" else {}
    return {"cell_type": kind, "metadata": {}, "source": source, **more}


def main() -> None:
    """Write both pages."""
    API.write_text(api(), encoding="utf-8")
    NOTEBOOK.write_text(notebook(), encoding="utf-8")


if __name__ == "__main__":
    main()
