"""Run `harness train` on a tiny REDS tree, and what it says without TensorFlow."""

import builtins
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("keras")

from harness import cli
from tests.keras_warnings import ARRAY_COPY

pytestmark = [pytest.mark.train, ARRAY_COPY]


@pytest.fixture
def reds(tmp_path: Path) -> Path:
    """Write a REDS tree of one clip of two frames of 96x80 px, to train and to validate on."""
    rng = np.random.default_rng(0)
    for kind in ("train_blur", "train_sharp", "val_blur", "val_sharp"):
        for frame in range(2):
            split = kind.split("_")[0]
            path = tmp_path / "REDS" / split / kind / "000" / f"{frame:08}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (80, 96, 3), dtype=np.uint8)).save(path)
    return tmp_path / "REDS"


def test_training_hands_weights_and_facts_over_to_build(reds, tmp_path, capsys):
    folder = tmp_path / "run"
    arguments = ["train", "deblur_unet", "--preset", "small", "--steps", "2", "--seed", "3"]

    with pytest.raises(SystemExit) as ended:
        cli.main([*arguments, "--reds", str(reds), "--folder", str(folder)])

    assert ended.value.code == 0
    facts = json.loads((folder / "training.json").read_text())
    assert facts["command"] == (
        "harness train deblur_unet --preset small --steps 2 --seed 3 --reds DIR"
    )
    assert (facts["data_set"], facts["recipe"]["seed"]) == ("REDS", 3)
    assert facts["reds_validation"]["frames"] == 1
    assert (folder / "weights.npz").is_file()
    assert "next: harness build deblur_unet" in capsys.readouterr().out


def test_an_unknown_design_ends_with_2_and_the_known_ones(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["train", "unet9", "--preset", "small", "--folder", str(tmp_path)])

    assert ended.value.code == 2
    assert "known: deblur_carn" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["train", "build"])
def test_without_tensorflow_the_extra_is_named(command, monkeypatch, capsys):
    real = builtins.__import__

    def without_tensorflow(name, *rest):
        if name.split(".")[:2] in (["harness", "training"], ["harness", "compress"]):
            raise ModuleNotFoundError("No module named 'keras'", name="keras")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_tensorflow)

    with pytest.raises(SystemExit) as ended:
        cli.main([command, "deblur_unet"])

    assert ended.value.code == 2
    assert "pip install 'keras>=" in capsys.readouterr().err
