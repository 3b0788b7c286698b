"""`--report`: the page of a run, drawn at its end."""

from pathlib import Path

import pytest

RUN = ("--device=pixel4", "-k", "fallback")


def test_the_page_of_a_run_is_drawn_at_its_end(project: pytest.Pytester) -> None:
    result = project.runpytest(*RUN, "--report", "out/page.html")

    page = (project.path / "out" / "page.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert "pixel4:nnapi" in page
    result.stdout.fnmatch_lines([f"report: *{Path('out') / 'page.html'}"])


def test_a_page_that_cannot_be_written_changes_no_verdict(project: pytest.Pytester) -> None:
    (project.path / "file").write_text("")

    without = project.runpytest(*RUN)
    result = project.runpytest(*RUN, "--harness-report=file/page.html")

    assert result.ret == without.ret
    result.stdout.fnmatch_lines(["report: not drawn, *cannot be written*"])
