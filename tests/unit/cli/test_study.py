"""Run the steps of `harness study` that need no TensorFlow, on small data."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from harness import cli
from harness.study import curves, held_out
from harness.training import photos

GOLDEN = Path(__file__).parents[3] / "golden" / "deblur_edsr"


def _run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main(["study", *arguments])
    return int(ended.value.code)


@pytest.fixture
def golden(tmp_path, monkeypatch) -> Path:
    """Return a golden folder of one subject; the held-out frames are two that the test draws."""
    folder = tmp_path / "golden" / "deblur_edsr"
    folder.mkdir(parents=True)
    for name in ("fp32.tflite", "int8_ptq.tflite", "provenance.json"):
        shutil.copy(GOLDEN / name, folder / name)
    sharp = np.random.default_rng(0).integers(110, 140, (2, 256, 256, 3), dtype=np.uint8)
    pairs = photos.CropPairs(blurred=np.roll(sharp, 1, axis=2), sharp=sharp, titles=("a", "b"))
    monkeypatch.setattr(photos, "cached_pairs", lambda cut, cache: pairs)
    return tmp_path / "golden"


def test_measuring_some_variants_keeps_the_others_figures(golden):
    path = golden / "deblur_edsr" / held_out.RECORD

    assert _run("measure", "--golden-dir", str(golden)) == 0
    whole = held_out.load(path)
    assert _run("measure", "deblur_edsr", "--variants", "fp32", "--golden-dir", str(golden)) == 0

    assert [one.name for one in whole.files] == ["fp32", "int8_ptq"]
    assert held_out.load(path) == whole


def test_a_subject_that_is_not_there_ends_with_2(golden, capsys):
    assert _run("measure", "deblur_nothing", "--golden-dir", str(golden)) == 2

    assert "FP32 file is missing" in capsys.readouterr().err


def test_curves_are_gathered_with_what_the_last_tenth_gained(tmp_path, capsys):
    folder = tmp_path / "trainings" / "one"
    folder.mkdir(parents=True)
    (folder / "held_out.csv").write_text("step,psnr_db\n900,24.9\n1000,25.0\n")

    assert _run("curves", "--folder", str(folder.parent), "--out", str(tmp_path)) == 0

    assert "+0.100" in capsys.readouterr().out
    assert curves.load(tmp_path / curves.NAME) == {"one": [(900, 24.9), (1000, 25.0)]}
