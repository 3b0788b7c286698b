"""The guide to Python runs as it is printed, its notebook too, and the API page is current."""

import json
from pathlib import Path

import pytest

from tests import pages
from tests.integration.test_docs import fits


def test_the_code_of_the_guide_prints_what_it_says(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(pages.ROOT)
    namespace: dict[str, object] = {}
    steps = list(pages.CODE.finditer(pages.GUIDE.read_text(encoding="utf-8")))

    for notes, code, printed in (step.groups() for step in steps):
        if "not run" in notes:
            continue
        exec(compile(code, str(pages.GUIDE), "exec"), namespace)
        said = capsys.readouterr().out.splitlines()
        for wanted in (printed or "").splitlines():
            assert any(fits(wanted, line) for line in said), f"{wanted!r} is not in:\n{said}"

    assert len(steps) >= 6


def test_the_notebook_is_the_guide_and_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = pages.NOTEBOOK.read_text(encoding="utf-8")
    cells = json.loads(text)["cells"]
    monkeypatch.chdir(pages.ROOT)
    namespace: dict[str, object] = {}

    for cell in cells:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            exec("".join(cell["source"]), namespace)

    assert "PASS latency" in capsys.readouterr().out
    assert text == pages.notebook(), "run `python -m tests.pages`"


def test_the_api_page_is_current() -> None:
    assert pages.API.read_text(encoding="utf-8") == pages.api(), "run `python -m tests.pages`"


def test_every_public_name_is_on_the_api_page() -> None:
    page = Path(pages.API).read_text(encoding="utf-8")

    assert all(f"### harness.{name}\n" in page for name in ("load", "connect", "plan", "judge"))
    assert all(f"### {kind.__name__}\n" in page for kind in pages.RETURNED)
