"""Tests of `harness init`: a subject of a user's own model."""

import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness import goldens, subjects
from harness.cli import init
from harness.subjects import Precision
from tests import models, tiny


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Return a folder with two models and a folder of photographs."""
    (tmp_path / "mine.tflite").write_bytes(models.unet(size_px=64))
    (tmp_path / "mine_int8.tflite").write_bytes(models.unet(size_px=64, dtype="int8"))
    tiny.photographs(tmp_path / "photographs")
    return tmp_path


def _init(work: Path, *arguments: str | Path, models_of: tuple[str, ...] = ("mine",)) -> int:
    paths = [work / f"{name}.tflite" for name in models_of]
    return tiny.command(
        "init", *paths, "--frames", work / "photographs", "--golden-dir", work / "golden",
        *arguments,
    )  # fmt: skip


def test_a_subject_is_written_that_loads_with_its_goldens(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = _init(work, models_of=("mine", "mine_int8"))

    subject = subjects.load(work / "golden" / "mine")
    assert code == 0
    assert [v.precision for v in subject.variants] == [Precision.FP32, Precision.INT8_PTQ]
    assert goldens.names(subject) == ("a", "b")
    assert all(goldens.load(subject, name).target is not None for name in "ab")
    assert "Next: pytest --device=pixel4" in capsys.readouterr().out


def test_budgets_are_left_to_the_user_unless_given(work: Path) -> None:
    _init(work, "--name", "one")
    _init(work, "--name", "two", "--budget-ms", "42.5")

    one, two = (subjects.load(work / "golden" / name) for name in ("one", "two"))
    assert [budget.latency_ms for budget in one.budgets] == [None]
    assert [budget.latency_ms for budget in two.budgets] == [42.5]


def test_limits_are_measured_and_say_so(work: Path) -> None:
    _init(work, models_of=("mine", "mine_int8"))

    fp32, int8 = subjects.load(work / "golden" / "mine").variants
    assert fp32.limits.psnr_db is not None
    assert int8.limits.psnr_db is not None
    assert fp32.limits.psnr_db > int8.limits.psnr_db
    assert "measured" in fp32.limits.source


def test_larger_frames_are_cut_and_never_scaled(work: Path) -> None:
    large = np.random.default_rng(0).integers(0, 256, (100, 90, 3), np.uint8)
    folder = work / "large"
    folder.mkdir()
    Image.fromarray(large).save(folder / "one.png")

    tiny.command("init", work / "mine.tflite", "--frames", folder, "--golden-dir", work / "golden")

    with Image.open(work / "golden" / "mine" / "frames" / "one.blurred.png") as image:
        np.testing.assert_array_equal(np.asarray(image), large[18:82, 13:77])


def test_a_name_with_quotes_and_dots_is_made_a_file_name(work: Path) -> None:
    (work / 'my "best" net.v2.tflite').write_bytes(models.unet(size_px=64))

    code = _init(work, models_of=('my "best" net.v2',))

    (folder,) = (work / "golden").iterdir()
    assert code == 0
    assert tomllib.loads((folder / "subject.toml").read_text())["name"] == folder.name


@pytest.mark.parametrize(
    ("data", "name", "precision"),
    [
        (models.unet(), "a", Precision.FP32),
        (models.unet(fp16_weights=True), "a", Precision.FP16),
        (models.unet(dtype="int8"), "a", Precision.INT8_PTQ),
        (models.unet(dtype="int8"), "a_QAT", Precision.INT8_QAT),
        (models.unet(dtype="int16"), "a", Precision.INT16_PTQ),
    ],
)
def test_the_arithmetic_of_a_model_is_told_from_its_tensors(
    data: bytes, name: str, precision: Precision
) -> None:
    assert init.precision_of(name, data) is precision


class TestOfWhatIsRefused:
    def test_a_subject_that_exists_is_left_alone(
        self, work: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        _init(work)
        before = (work / "golden" / "mine" / "subject.toml").read_bytes()

        code = _init(work)

        assert code == 2
        assert "exists already" in capsys.readouterr().err
        assert (work / "golden" / "mine" / "subject.toml").read_bytes() == before

    @pytest.mark.parametrize(
        ("names", "message"),
        [
            (("mine_int8",), "none of the models is FP32"),
            (("mine", "again"), "a second fp32 model"),
            (("broken",), "not a .tflite file"),
            (("grey",), "takes 4 channels; frames are RGB"),
            (("large",), "smaller than the model's input 128x128"),
        ],
    )
    def test_models_that_make_no_subject_leave_nothing_behind(
        self, work: Path, capsys: pytest.CaptureFixture[str], names: tuple[str, ...], message: str
    ) -> None:
        (work / "again.tflite").write_bytes(models.unet(size_px=64, channels=5))
        (work / "broken.tflite").write_bytes(b"nothing")
        (work / "grey.tflite").write_bytes(models.op_model("RELU", shape=(1, 64, 64, 4)))
        (work / "large.tflite").write_bytes(models.unet(size_px=128))

        code = _init(work, models_of=names)

        assert code == 2
        assert message in capsys.readouterr().err
        assert not list((work / "golden").glob("*"))

    def test_a_folder_without_images(self, work: Path, capsys: pytest.CaptureFixture[str]) -> None:
        code = tiny.command(
            "init", work / "mine.tflite", "--frames", work, "--golden-dir", work / "golden"
        )

        assert code == 2
        assert "holds no images" in capsys.readouterr().err

    def test_a_model_that_litert_refuses_leaves_nothing_behind(
        self, work: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (work / "custom.tflite").write_bytes(models.op_model("OurBlur", shape=(1, 64, 64, 3)))

        code = _init(work, models_of=("custom",))

        assert code == 2
        assert "LiteRT refuses the model" in capsys.readouterr().err
        assert not list((work / "golden").glob("*"))
