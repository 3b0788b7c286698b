"""The ranges that `harness init` tells from the files."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness import subjects
from tests import models, tiny
from tests.integration.test_kinds import photograph
from tests.models import ModelBuilder


def quantized(scale: float, zero_point: int, dtype: str) -> bytes:
    """Build an 8-bit net that gives its image back, its output stored as told."""
    model = ModelBuilder("int8")
    shape = (1, 48, 48, 3)
    image = model.activation(shape, name="image", scales=[1 / 255], zero_point=-128)
    restored = model.activation(
        shape, dtype, name="restored", scales=[scale], zero_point=zero_point
    )
    model.op("QUANTIZE", [image], [restored])
    return model.build([image], [restored])


@pytest.mark.parametrize(
    ("scale", "zero_point", "dtype", "brighter", "known"),
    [
        (2 / 255, -1, "int8", 60, (-1.0, 1.0)),
        (1 / 127.5, 128, "uint8", 60, (-1.0, 1.0)),
        (1.0, 0, "uint8", 0, (0.0, 255.0)),
        (1 / 255, -128, "int8", 0, (0.0, 1.0)),
    ],
)
def test_the_range_of_an_output_is_that_which_its_integers_are_made_for(
    scale: float,
    zero_point: int,
    dtype: str,
    brighter: float,
    known: tuple[float, float],
    tmp_path: Path,
) -> None:
    (tmp_path / "frames").mkdir()
    photograph(1, brighter).save(tmp_path / "frames" / "a.png")
    (tmp_path / "net.tflite").write_bytes(quantized(scale, zero_point, dtype))
    golden = tmp_path / "golden"
    init = ("init", tmp_path / "net.tflite", "--frames", tmp_path / "frames")

    assert tiny.command(*init, "--golden-dir", golden) == 0

    assert subjects.load(golden / "net").output_range == known


def test_a_float_model_has_the_range_of_its_quantized_export_where_photographs_are_bright(
    tmp_path: Path,
) -> None:
    (tmp_path / "frames").mkdir()
    bright = np.random.default_rng(1).integers(170, 220, (48, 48, 3)).astype(np.uint8)
    Image.fromarray(bright).save(tmp_path / "frames" / "a.png")
    (tmp_path / "fp32.tflite").write_bytes(models.restorer(size_px=48, values="signed"))
    (tmp_path / "int8.tflite").write_bytes(quantized(2 / 255, -1, "int8"))
    golden = tmp_path / "golden"
    both = (tmp_path / "fp32.tflite", tmp_path / "int8.tflite")

    code = tiny.command(
        "init", *both, "--frames", tmp_path / "frames", "--golden-dir", golden, "--name", "net"
    )

    assert code == 0
    assert subjects.load(golden / "net").output_range == (-1.0, 1.0)


def test_the_input_of_a_file_for_bytes_is_given_bytes(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    photograph(1).save(tmp_path / "frames" / "a.png")
    model = ModelBuilder("uint8")
    image = model.activation((1, 48, 48, 3), name="image", scales=[1.0])
    restored = model.activation((1, 48, 48, 3), name="restored", scales=[1.0])
    model.op("RELU", [image], [restored])
    (tmp_path / "net.tflite").write_bytes(model.build([image], [restored]))
    golden = tmp_path / "golden"
    init = ("init", tmp_path / "net.tflite", "--frames", tmp_path / "frames")

    assert tiny.command(*init, "--golden-dir", golden) == 0

    subject = subjects.load(golden / "net")
    assert subject.inputs[0].range == (0.0, 255.0)
    assert subject.outputs[0].range == (0.0, 255.0)
