"""Pictures of a real report for the documentation, in both themes.

`python -m tests.pictures` judges two shipped subjects on this host, draws the report of both runs
and takes its pictures in Chromium; that takes minutes. `python -m tests.pictures RUN ...` takes
them of runs that there are, with the subjects of the folder `golden` beside their `.results`.
"""

import io
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from PIL import Image

from harness import child, results
from harness.report.page import rendering

if TYPE_CHECKING:
    from playwright.sync_api import Page

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "pictures"
SUBJECTS = (ROOT / "golden" / "deblur_unet", ROOT / "examples" / "non_portable")
ASKED = (("pixel4,mate30pro,reno3", "non_portable"), ("pixel4", "deblur_unet"))
"""Phones and the subject that is judged on them; the report shows them in this order."""
BYTES_MAX = 200_000
_SIZE = {"width": 1280, "height": 800}
_COLOURS = 192
"""Of the palette of a picture that would be too large without one."""


@dataclass(frozen=True, kw_only=True)
class Shot:
    """A part of the page that is shown.

    Attributes:
        name: Of its file, before the theme.
        theme: `light` or `dark`.
        selector: What is scrolled to and shown, or '' for the first screen.
        height_px: Most of it that is shown.
    """

    name: str
    theme: Literal["light", "dark"]
    selector: str = ""
    height_px: int = 800

    @property
    def file(self) -> str:
        """Return the name of its file."""
        return f"{self.name}-{self.theme}.png"


SHOTS = (
    Shot(name="report", theme="light"),
    Shot(name="report", theme="dark"),
    Shot(name="plane", theme="light", selector="figure:has-text('deblur_unet on') >> nth=0"),
    Shot(name="strips", theme="dark", selector=".strip:has-text('non_portable.int8_ptq')"),
    Shot(name="frames", theme="light", selector="[aria-label='Frame chelsea of deblur_unet']"),
)


def judged(folder: Path) -> list[Path]:
    """Judge the subjects in a folder, and return the results files."""
    for subject in SUBJECTS:
        shutil.copytree(subject, folder / "golden" / subject.name)
    (folder / "pytest.ini").touch()
    for devices, subject in ASKED:
        command = [
            sys.executable, "-m", "pytest", "-q", "--origin=emulated", f"--device={devices}",
            f"--subject={subject}",
        ]  # fmt: skip
        done = child.run(command, stage="the gates", timeout_s=3600, cwd=folder)
        if done.exit_code not in (0, 1):  # the example fails on purpose
            raise SystemExit(f"pytest ended with {done.exit_code}:\n{done.stdout[-4000:]}")
    return results.all_runs(folder)


def take(runs: Sequence[Path], folder: Path) -> None:
    """Write the pictures of the report of some runs of one folder."""
    from playwright.sync_api import sync_playwright

    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as made, sync_playwright() as playwright:
        file = Path(made) / "report.html"
        golden_dir = runs[0].parents[1] / "golden"
        rendering.write([results.load(run) for run in runs], file, golden_dir=golden_dir)
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        for shot in SHOTS:
            page = browser.new_page(viewport=_SIZE, color_scheme=shot.theme)
            page.goto(file.as_uri())
            data = _small(_taken(page, shot))
            page.close()
            if len(data) > BYTES_MAX:
                raise SystemExit(f"{shot.file} has {len(data)} bytes, at most {BYTES_MAX}")
            (folder / shot.file).write_bytes(data)
        browser.close()


def _taken(page: "Page", shot: Shot) -> bytes:
    if not shot.selector:
        page.evaluate("scrollTo(0, 0)")
        return page.screenshot()
    part = page.locator(shot.selector)
    part.scroll_into_view_if_needed()
    page.wait_for_timeout(500)  # charts are drawn when they come into view
    box = part.bounding_box()
    assert box is not None, f"the page has no {shot.selector}"
    clip = {
        "x": box["x"], "y": box["y"] + page.evaluate("scrollY"), "width": box["width"],
        "height": min(box["height"], shot.height_px),
    }  # fmt: skip
    return page.screenshot(clip=clip, full_page=True)


def _small(data: bytes) -> bytes:
    """Return a PNG in all its colours, or with a palette where that is too large."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    whole = _png(image)
    return whole if len(whole) <= BYTES_MAX else _png(image.quantize(_COLOURS))


def _png(image: Image.Image) -> bytes:
    data = io.BytesIO()
    image.save(data, "PNG", optimize=True)
    return data.getvalue()


def main() -> None:
    """Take the pictures."""
    with tempfile.TemporaryDirectory() as made:
        named = [Path(name).resolve() for name in sys.argv[1:]]
        take(named or judged(Path(made)), FOLDER)


if __name__ == "__main__":
    main()
