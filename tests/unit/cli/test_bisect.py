"""Tests of `harness bisect`: which arithmetic answers, and when there is nothing to compare."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests import faults, models, tiny

SOUND = models.unet(dtype="int8", channels=8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with an int8 model, its FP32 twin and an image."""
    (tmp_path / "int8.tflite").write_bytes(SOUND)
    (tmp_path / "fp32.tflite").write_bytes(faults.float_twin(SOUND))
    pixels = np.random.default_rng(1).integers(0, 256, (16, 16, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "image.png")
    return tmp_path


@pytest.mark.parametrize("device", ["mate30pro", "pixel4:cpu"])
def test_the_cpu_is_not_compared_with_itself(
    folder: Path, device: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = tiny.command("bisect", folder / "int8.tflite", "--device", device, "--against=cpu")

    said = capsys.readouterr()
    assert code == 2
    assert said.out == ""
    assert "would compare them with themselves" in said.err
    assert "--against=fp32" in said.err


def test_one_phone_is_asked_about_at_a_time(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = tiny.command("bisect", folder / "int8.tflite", "--device=pixel4:*", "--against=cpu")

    assert code == 2
    assert "--device=pixel4:* names 3 phones and delegates" in capsys.readouterr().err


def test_a_file_is_not_its_own_reference_on_the_same_kernels(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fp32 = folder / "fp32.tflite"

    assert tiny.command("bisect", fp32, "--device=mate30pro", "--reference", fp32) == 2
    assert "would compare them with themselves" in capsys.readouterr().err


def test_both_sides_are_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = tiny.command(
        "bisect", folder / "int8.tflite", "--device=mate30pro",
        "--reference", folder / "fp32.tflite", "--tolerance-db=5", "--frame", folder / "image.png",
    )  # fmt: skip

    first, second, *_ = capsys.readouterr().out.splitlines()
    assert code == 0
    assert first == (
        "int8.tflite: LiteRT's CPU kernels (XNNPACK) on this host for mate30pro:nnapi; "
        "nnapi's own is not at hand [HOST]"
    )
    assert second == "reference, fp32.tflite: LiteRT's CPU kernels (XNNPACK) on this host"


def test_a_model_with_channels_first_is_told_so(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    builder = models.ModelBuilder("float32")
    image = builder.activation((1, 3, 16, 16), name="image")
    (folder / "first.tflite").write_bytes(builder.build([image], [builder.same("RELU", image)]))

    code = tiny.command(
        "bisect", folder / "first.tflite", "--device=pixel4",
        "--reference", folder / "fp32.tflite", "--frame", folder / "image.png",
    )  # fmt: skip

    assert code == 2
    assert (
        "has 3 channels, the model takes [1, 3, 16, 16] (channels first" in capsys.readouterr().err
    )


def test_help_says_the_tolerance(capsys: pytest.CaptureFixture[str]) -> None:
    assert tiny.command("bisect", "--help") == 0
    assert "default 15 (an error of 18 %)" in " ".join(capsys.readouterr().out.split())
