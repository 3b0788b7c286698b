"""The pictures of the documentation: `python -m tests.pictures` takes them."""

import re

from PIL import Image

from tests.pictures import BYTES_MAX, FOLDER, ROOT, SHOTS


def test_the_pictures_are_those_that_are_taken_and_each_is_small() -> None:
    files = {path.name: path for path in FOLDER.iterdir()}

    assert set(files) == {shot.file for shot in SHOTS}
    for shot in SHOTS:
        assert files[shot.file].stat().st_size <= BYTES_MAX
        with Image.open(files[shot.file]) as image:
            assert image.width <= 1280
            assert image.height <= shot.height_px


def test_each_picture_is_shown_and_described_on_a_page() -> None:
    pages = [*(ROOT / "docs").rglob("*.md"), ROOT / "README.md"]
    found = re.findall(
        r"!\[([^\]]+)\]\([^)]*pictures/([^)/]+)\)",
        "\n".join(page.read_text(encoding="utf-8") for page in pages),
    )

    assert {name for _, name in found} == {shot.file for shot in SHOTS}
    assert all(len(about.split()) >= 5 for about, _ in found)
