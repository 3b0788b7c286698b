"""Tests of `harness init`: a subject of a user's own model."""

import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness import goldens, samples, subjects
from harness.cli import init_exports
from harness.subjects import Precision
from tests import models, tiny


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Return a folder with two models and a folder of photographs."""
    (tmp_path / "mine.tflite").write_bytes(models.unet(size_px=64))
    (tmp_path / "mine_int8.tflite").write_bytes(models.unet(size_px=64, dtype="int8"))
    tiny.photographs(tmp_path / "photographs")
    return tmp_path


def _unfit() -> dict[str, bytes]:
    """Return models that are no restoration models, or not of one."""
    found = {
        "four": models.op_model("RELU", shape=(1, 64, 64, 4)),
        "nchw": models.op_model("RELU", shape=(1, 3, 64, 64)),
        "dynamic": models.op_model("RELU", shape=(1, 1, 1, 3)),
        "larger": models.restorer(scale=2),
    }
    for name in ("nchw_out", "classes", "segments", "two_outputs"):
        model = models.ModelBuilder()
        image = model.activation((1, 64, 64, 3), name="image")
        outputs = [image]
        if name == "nchw_out":
            outputs = [model.activation((1, 3, 64, 64))]
            model.op("TRANSPOSE", [image, model.constant([0, 3, 1, 2])], outputs)
        elif name == "classes":
            outputs = [model.activation((1, 5))]
            weights = model.weights((5, 64 * 64 * 3), per_channel=False)
            model.op("FULLY_CONNECTED", [image, weights, model.bias(5)], outputs)
        elif name == "segments":
            outputs = [model.conv(image, 21)]
        else:
            outputs = [model.same("RELU", image), model.same("NEG", image)]
        found[name] = model.build([image], outputs)
    return found


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
    assert samples.names(subject) == ("a", "b")
    assert all(goldens.load(subject, name).target is not None for name in "ab")
    golden = work / "golden"
    assert f"Next: pytest --device=pixel4 -o golden_dir={golden}\n" in capsys.readouterr().out


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


def test_the_next_command_tests_the_new_subject(
    work: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(work)
    _init(work, "--name", "one")
    _init(work, "--name", "two")

    first, second = (
        line for line in capsys.readouterr().out.splitlines() if line.startswith("Next: ")
    )
    assert first == "Next: pytest --device=pixel4"
    assert second == "Next: pytest --device=pixel4 --subject=two"


def test_what_is_left_out_is_said(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("RGB", (64, 64)).save(work / "photographs" / "stray.png")

    code = _init(work, "--frames-max", "1")

    out = capsys.readouterr().out
    assert code == 0
    assert "1 images of" in out
    assert "stray.png" in out
    assert "the first 1 of 2 images were taken" in out
    assert samples.names(subjects.load(work / "golden" / "mine")) == ("a",)


def test_grey_frames_of_16_bits_keep_their_brightness(work: Path) -> None:
    folder = work / "grey16"
    folder.mkdir()
    levels = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64) * 16
    Image.fromarray(levels).save(folder / "one.png")

    tiny.command("init", work / "mine.tflite", "--frames", folder, "--golden-dir", work / "golden")

    frame = samples.load(subjects.load(work / "golden" / "mine"), "one").frame
    np.testing.assert_allclose(frame[0, :, :, 0], levels / 65535, atol=0.5 / 255 + 1e-6)


@pytest.mark.parametrize(
    ("data", "name", "precision"),
    [
        (models.unet(), "a", Precision.FP32),
        (models.unet(fp16_weights=True), "a", Precision.FP16),
        (models.unet(dtype="int8"), "a", Precision.INT8_PTQ),
        (models.unet(dtype="int8"), "a_QAT", Precision.INT8_QAT),
        (models.unet(dtype="int16"), "a", Precision.INT16_PTQ),
        (models.unet(int8_weights=True), "a", Precision.INT8_DYNAMIC),
    ],
)
def test_the_arithmetic_of_a_model_is_told_from_its_tensors(
    tmp_path: Path, data: bytes, name: str, precision: Precision
) -> None:
    path = tmp_path / f"{name}.tflite"
    path.write_bytes(data)

    assert init_exports.precision_of(path) is precision


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
            (("broken",), "not a .tflite file"),
            (("mine", "larger"), "larger.tflite: enlarges 2 times and"),
            (("dynamic",), "leaves its size open, [1, 1, 1, 3]; say one with --size"),
            (("large",), "smaller than the model's input 128x128"),
        ],
    )
    def test_models_that_make_no_subject_leave_nothing_behind(
        self, work: Path, capsys: pytest.CaptureFixture[str], names: tuple[str, ...], message: str
    ) -> None:
        (work / "broken.tflite").write_bytes(b"nothing")
        for name, data in _unfit().items():
            (work / f"{name}.tflite").write_bytes(data)
        (work / "large.tflite").write_bytes(models.unet(size_px=128))

        code = _init(work, models_of=names)

        assert code == 2
        assert message in capsys.readouterr().err
        assert not list((work / "golden").glob("*"))

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("--name", "a.b"), "--name 'a.b': use letters, digits, _ and -"),
            (("--frames", "nodir"), "--frames nodir: no such folder"),
            (("--frames-max", "0"), "--frames-max 0: take one at least"),
            (("--output-range", "1", "0"), "--output-range 1 0: black comes before white"),
        ],
    )
    def test_arguments_that_make_no_sense(
        self,
        work: Path,
        capsys: pytest.CaptureFixture[str],
        arguments: tuple[str, ...],
        message: str,
    ) -> None:
        code = _init(work, *arguments)

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
