"""`--report`: the page of a run, drawn at its end."""

import shutil
from pathlib import Path

import pytest

from harness import results
from harness.report.page import rendering
from tests.unit.report import pages

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


def _frames(page: str) -> list[dict[str, object]]:
    frames: list[dict[str, object]] = pages.part(page, "frames")
    return frames


def test_the_page_shows_what_each_variant_made_of_each_frame(project: pytest.Pytester) -> None:
    project.runpytest("--device=pixel4", "-k", "fidelity", "--report", "page.html")

    page = (project.path / "page.html").read_text(encoding="utf-8")
    frames = _frames(page)
    assert frames
    for frame in frames:
        looks = frame["looks"]
        assert isinstance(looks, list)
        for look in looks:
            names = [name for name, _ in look["figures"]]
            assert names[:2] == ["PSNR", "relative L2"]
            assert look["image"] != look["error"]
    addresses = pages.part(page, "images")
    assert len(set(addresses)) == len(addresses)


def test_the_page_says_which_images_it_lacks(project: pytest.Pytester) -> None:
    project.runpytest("--device=pixel4", "-k", "fidelity")
    run = results.load(results.latest(project.path))
    shutil.rmtree(project.path / ".results" / "images")

    without_images = rendering.render([run], golden_dir=project.path / "golden")
    without_goldens = rendering.render([run], golden_dir=project.path / "nowhere")

    assert _frames(without_images) == _frames(without_goldens) == []
    assert "is not stored beside it" in without_images
    assert "subject.toml is missing" in without_goldens
