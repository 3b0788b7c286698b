"""Quantize small models for real: every recipe, the least set in float, and what is refused."""

from pathlib import Path

import numpy as np
import pytest

from harness import model as models_of
from harness import quantizing, subjects
from harness.errors import ModelError
from harness.images import Pixels
from harness.model import Model
from harness.quantizing import Quantizing
from tests import models, needs, tiny

pytestmark = pytest.mark.quantize


@pytest.fixture(autouse=True)
def _installed() -> None:
    needs.installed(quantizing.missing())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a float model and photographs."""
    (tmp_path / "net.tflite").write_bytes(models.restorer())
    tiny.photographs(tmp_path / "photographs")
    return tmp_path


def frames(count: int = 2, size_px: int = 32) -> list[Pixels]:
    rng = np.random.default_rng(0)
    return [rng.random((1, size_px, size_px, 3)).astype(np.float32) for _ in range(count)]


def far_from_zero() -> Model:
    """Return a model with a sum around 500, of which 8 bits leave nothing."""
    model = models.ModelBuilder()
    image = model.activation((1, 32, 32, 3), name="image")
    far = model.same("ADD", model.conv(image, 3), model.tensor((1, 1, 1, 3), data=500.0))
    near = model.same("ADD", far, model.tensor((1, 1, 1, 3), data=-500.0))
    return Model(name="far", data=model.build([image], [model.conv(near, 3)]))


def prelu() -> bytes:
    """Return a model of the one op that the quantizer has no rule for."""
    model = models.ModelBuilder()
    image = model.activation((1, 64, 64, 3), name="image")
    return model.build([image], [model.prelu(image)])


@pytest.mark.parametrize(
    ("recipe", "least_db"),
    [("int8", 35.0), ("int8-dynamic", 38.0), ("int16", 42.0), ("fp16", 60.0)],
)
def test_each_recipe_writes_its_kind_of_file_near_the_float_model(
    folder: Path, capsys: pytest.CaptureFixture[str], recipe: str, least_db: float
) -> None:
    code = tiny.command(
        "quantize", folder / "net.tflite", "--recipe", recipe,
        "--frames", folder / "photographs", "--keep-psnr", str(least_db),
    )  # fmt: skip

    assert code == 0
    written = models_of.load(folder / f"net_{recipe.replace('-', '_')}.tflite")
    assert subjects.precision_of(written.graph) is quantizing.PRECISIONS[recipe]
    assert written.sha256 in capsys.readouterr().out


def test_a_file_that_falls_below_the_psnr_is_not_written(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = tiny.command(
        "quantize", folder / "net.tflite", "--recipe=int8",
        "--frames", folder / "photographs", "--keep-psnr=100",
    )  # fmt: skip

    assert code == 1
    assert "--recipe mixed" in capsys.readouterr().err
    assert not list(folder.glob("*int8*"))


def test_tensors_keep_the_names_of_the_float_model() -> None:
    model = Model(name="unet", data=models.unet(size_px=32))

    made = Quantizing(model=model, frames=frames()).quantized("int8")

    names = {tensor.name for tensor in model.graph.tensors}
    written = {made.graph.tensors[op.outputs[0]].name for op in made.graph.ops if "CONV" in op.name}
    assert len(written) == len([op for op in model.graph.ops if "CONV" in op.name])
    assert all(any(name.startswith(known) for known in names) for name in written)


def test_frames_of_another_size_calibrate_a_model_that_keeps_its_own() -> None:
    model = Model(name="unet", data=models.unet(size_px=64))

    made = Quantizing(model=model, frames=frames(size_px=32)).quantized("int8")

    assert made.size == model.size


def test_the_ops_that_8_bits_ruin_are_those_left_in_float() -> None:
    it = Quantizing(model=far_from_zero(), frames=frames())

    steps = list(quantizing.least_in_float(it, keep_psnr_db=35.0))

    assert not steps[0].keeps
    assert steps[-1].keeps
    assert set(steps[-1].kept) == {1, 2}
    assert min(match.psnr_db for match in it.distances(steps[-1].model)) >= 35.0


def test_mixed_shows_what_each_step_costs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "far.tflite").write_bytes(far_from_zero().data)

    code = tiny.command(
        "quantize", folder / "far.tflite", "--recipe=mixed", "--keep-psnr=35",
        "--frames", folder / "photographs", "--device=pixel4:cpu", "--out", folder / "out.tflite",
    )  # fmt: skip

    assert code == 0
    said = capsys.readouterr().out
    assert "In float: ADD #1, ADD #2" in said
    assert "pixel4:cpu ms" in said
    assert len(models_of.load(folder / "out.tflite").graph.ops) > 4


def test_without_a_psnr_mixed_has_nothing_to_keep(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tiny.command("quantize", folder / "net.tflite", "--recipe=mixed") == 2
    assert "--keep-psnr" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (models.restorer(dtype="int8"), "quantize its FP32 export"),
        (prelu(), "has no rule by int8 for any of its ops: PRELU"),
    ],
)
def test_what_cannot_be_quantized_is_refused_in_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], model: bytes, says: str
) -> None:
    (folder / "odd.tflite").write_bytes(model)

    code = tiny.command(
        "quantize", folder / "odd.tflite", "--recipe=int8", "--frames", folder / "photographs"
    )

    error = capsys.readouterr().err
    assert code == 2
    assert says in error
    assert error.count("\n") == 1


def test_a_subjects_own_frames_calibrate_its_model(golden_dir: Path) -> None:
    model = golden_dir / tiny.NAME / "fp32.tflite"

    assert tiny.command("quantize", model, "--recipe=int8") == 0
    assert (model.parent / "fp32_int8.tflite").is_file()


def test_an_existing_file_is_not_written_over(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "net_int8.tflite").write_bytes(b"kept")

    assert tiny.command("quantize", folder / "net.tflite", "--recipe=int8") == 2
    assert "--out" in capsys.readouterr().err
    assert (folder / "net_int8.tflite").read_bytes() == b"kept"


def test_frames_of_two_sizes_are_refused() -> None:
    with pytest.raises(ModelError, match="frames of one size"):
        Quantizing(model=far_from_zero(), frames=[*frames(1, size_px=32), *frames(1, size_px=16)])
