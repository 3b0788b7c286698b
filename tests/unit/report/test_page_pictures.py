"""Tests of which images a page embeds: by hash, with losses and scaled only where they must be."""

from dataclasses import replace
from pathlib import Path

import pytest

from harness import results
from harness.report.page import pictures, rendering
from harness.report.page.merging import merge
from harness.report.page.pictures import Gallery, gallery
from harness.results import Results
from tests import large_runs

_PHONES, _VARIANTS, _FRAMES = 3, 2, 2
_LOOKS = _PHONES * _VARIANTS * _FRAMES


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Results]:
    folder = tmp_path_factory.mktemp("made")
    shape = large_runs.Shape(
        subjects=1, variants=_VARIANTS, phones=_PHONES, frames=_FRAMES, edge_px=128
    )
    large_runs.golden(folder / "golden", shape)
    return folder / "golden", results.load(large_runs.run(folder, shape))


def _shown(made: tuple[Path, Results], *, whole: bool = False) -> Gallery:
    golden_dir, one = made
    return gallery(merge([one]), golden_dir, whole=whole)


def test_few_images_are_whole_and_without_losses(made: tuple[Path, Results]) -> None:
    shown = _shown(made)

    assert (shown.edge_px, shown.lossy, shown.left_out) == (None, False, 0)
    assert len(shown.images) == 2 * _LOOKS + 3 * _FRAMES
    assert "--originals" not in rendering.render([made[1]], golden_dir=made[0])


def test_an_image_that_two_phones_made_is_embedded_once(
    made: tuple[Path, Results], monkeypatch: pytest.MonkeyPatch
) -> None:
    golden_dir, one = made
    stored = pictures.fact_files.shown_images
    of_first = {
        fact.answer["inputs_sha256"]: fact for fact in reversed(one.facts) if fact.verb == "run"
    }
    monkeypatch.setattr(
        pictures.fact_files,
        "shown_images",
        lambda fact, root: stored(of_first[fact.answer["inputs_sha256"]], root),
    )

    shown = gallery(merge([one]), golden_dir)

    assert len(shown.images) == 2 * _FRAMES + 3 * _FRAMES
    assert [len(frame.looks) for frame in shown.frames] == [_VARIANTS, _VARIANTS]
    assert all(len(look.targets) == _PHONES for frame in shown.frames for look in frame.looks)


def test_losses_come_before_scaling_and_the_page_says_both(
    made: tuple[Path, Results], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole_bytes = sum(map(len, _shown(made).images))

    monkeypatch.setattr(pictures, "_IMAGES_BYTES", int(whole_bytes * 0.6))
    lossy = _shown(made)
    monkeypatch.setattr(pictures, "_IMAGES_BYTES", int(whole_bytes * 0.02))
    scaled = _shown(made)
    page = rendering.render([made[1]], golden_dir=made[0])

    assert (lossy.edge_px, lossy.lossy) == (None, True)
    assert sum(map(len, lossy.images)) <= whole_bytes * 0.6
    assert scaled.edge_px is not None
    assert scaled.edge_px < 128
    assert f"scaled to {scaled.edge_px} pixels on the longer edge and stored with" in page
    assert _shown(made, whole=True) == replace(_shown(made, whole=True), edge_px=None, lossy=False)


def test_of_too_many_outputs_the_farthest_of_each_variant_is_embedded_and_all_have_numbers(
    made: tuple[Path, Results], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "_EACH_MAX", _LOOKS - 1)

    shown = _shown(made)
    page = rendering.render([made[1]], golden_dir=made[0])

    assert shown.left_out == _LOOKS - _VARIANTS * _FRAMES
    for frame in shown.frames:
        assert len(frame.looks) == _VARIANTS * _PHONES
        for variant in {look.variant for look in frame.looks}:
            looks = [look for look in frame.looks if look.variant == variant]
            embedded = [look for look in looks if look.image is not None]
            assert embedded == [min(looks, key=lambda look: look.psnr_db)]
    assert f"the numbers of {shown.left_out} more stand in the tables" in page
    assert _shown(made, whole=True).left_out == 0
