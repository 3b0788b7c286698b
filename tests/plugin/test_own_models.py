"""Tests of first contact: `harness init` on a model of one's own, then the gates."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness import goldens, subjects
from harness.subjects import Precision
from tests import models, tiny

pytestmark = pytest.mark.slow

_TARGETS = ("--device=pixel4:cpu", "--device=pixel4:nnapi", "--device=pixel4:gpu",
            "--device=mate30pro", "--origin=emulated")  # fmt: skip


def _init(folder: Path, files: dict[str, bytes], *more: str, frames: Path | None = None) -> int:
    for name, data in files.items():
        (folder / f"{name}.tflite").write_bytes(data)
    return tiny.command(
        "init", *(folder / f"{name}.tflite" for name in files),
        "--frames", frames or tiny.photographs(folder / "photographs"),
        "--golden-dir", folder / "golden", "--name", "own", "--budget-ms", "1000", *more,
    )  # fmt: skip


def _outcomes(result: pytest.RunResult) -> set[str]:
    return set(result.parseoutcomes()) - {"deselected", "warnings"}


def _rewrite(folder: Path, change: float) -> Path:
    """Return a copy of the photographs with every value multiplied."""
    made = folder / "rewritten"
    made.mkdir()
    for path in tiny.photographs(folder / "photographs").iterdir():
        with Image.open(path) as image:
            pixels = np.asarray(image) * change
        Image.fromarray(pixels.astype(np.uint8)).save(made / path.name)
    return made


def test_a_fresh_subject_fails_no_gate_on_any_kind_of_delegate(pytester: pytest.Pytester) -> None:
    code = _init(
        pytester.path,
        {
            "net": models.unet(size_px=64),
            "net_fp16": models.unet(size_px=64, fp16_weights=True),
            "net_int8": models.unet(size_px=64, dtype="int8"),
            "net_dynamic": models.unet(size_px=64, int8_weights=True),
        },
    )

    result = pytester.runpytest(*_TARGETS, "test_fidelity.py", "test_scaling.py")

    assert code == 0
    assert _outcomes(result) <= {"passed", "inconclusive"}
    assert result.parseoutcomes()["passed"] > 60


@pytest.mark.parametrize("brightness", [0.15, 0.03])
def test_frames_in_the_dark_keep_their_limits(pytester: pytest.Pytester, brightness: float) -> None:
    files = {"net": models.restorer(), "net_int8": models.restorer(dtype="int8")}
    _init(pytester.path, files, frames=_rewrite(pytester.path, brightness))

    result = pytester.runpytest(*_TARGETS, "test_fidelity.py")

    assert _outcomes(result) <= {"passed", "inconclusive"}
    (fp32, _) = subjects.load(pytester.path / "golden" / "own").variants
    assert fp32.limits.relative_l2 is not None
    assert fp32.limits.relative_l2 < 1e-4  # the storage of a dark golden costs no more


def test_a_delegate_that_computes_in_fp16_has_limits_of_its_own(pytester: pytest.Pytester) -> None:
    _init(pytester.path, {"net": models.unet(size_px=64)})

    (fp32,) = subjects.load(pytester.path / "golden" / "own").variants

    assert fp32.on("cpu").limits.psnr_db == 97.0
    for delegate in ("nnapi", "gpu", "qnn"):
        assert 50.0 < (fp32.on(delegate).limits.psnr_db or 0.0) < 80.0


class TestOfSuperResolution:
    def test_the_sharp_image_is_of_the_output_size(self, pytester: pytest.Pytester) -> None:
        code = _init(
            pytester.path,
            {
                "sr": models.restorer(scale=2, size_px=32),
                "sr_int8": models.restorer(scale=2, size_px=32, dtype="int8"),
            },
            frames=self._pairs(pytester.path),
        )

        result = pytester.runpytest("--device=pixel4", "--origin=emulated")

        subject = subjects.load(pytester.path / "golden" / "own")
        golden = goldens.load(subject, "a")
        assert (code, subject.scale) == (0, 2)
        assert golden.target is not None
        assert golden.target.shape == golden.fp32_output.shape == (1, 64, 64, 3)
        assert _outcomes(result) <= {"passed", "inconclusive"}

    def test_frame_and_target_show_the_same_part(self, pytester: pytest.Pytester) -> None:
        frames = self._pairs(pytester.path)
        model = models.restorer(scale=2, size_px=32, strength=0.0)
        _init(pytester.path, {"sr": model}, frames=frames)

        golden = goldens.load(subjects.load(pytester.path / "golden" / "own"), "a")

        assert golden.target is not None
        np.testing.assert_array_equal(golden.target[:, ::2, ::2], golden.frame)

    def test_a_target_of_another_size_is_refused(
        self, pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str]
    ) -> None:
        code = _init(pytester.path, {"sr": models.restorer(scale=2, size_px=32)})

        assert code == 2
        assert "a model that enlarges 2 times wants 128x128" in capsys.readouterr().err

    @staticmethod
    def _pairs(folder: Path) -> Path:
        """Write a frame of 41x45 and a target twice as large, whose every other pixel it holds."""
        made = folder / "pairs"
        made.mkdir()
        sharp = np.random.default_rng(5).integers(0, 256, (90, 82, 3), np.uint8)
        Image.fromarray(sharp).save(made / "a.sharp.png")
        Image.fromarray(sharp[::2, ::2]).save(made / "a.blurred.png")
        return made


class TestOfTheRangeOfValues:
    @pytest.mark.parametrize(
        ("values", "output_range"),
        [("unit", (0.0, 1.0)), ("signed", (-1.0, 1.0)), ("byte", (0.0, 255.0))],
    )
    def test_is_read_from_the_outputs_and_kept(
        self, pytester: pytest.Pytester, values: str, output_range: tuple[float, float]
    ) -> None:
        _init(pytester.path, {"net": models.restorer(values=values)})

        result = pytester.runpytest(*_TARGETS, "test_fidelity.py")

        subject = subjects.load(pytester.path / "golden" / "own")
        assert subject.output_range == output_range
        assert _outcomes(result) <= {"passed", "inconclusive"}
        golden = goldens.load(subject, "a")
        assert golden.target is not None
        assert abs(float(golden.target.mean()) - sum(output_range) / 2) < 0.02 * (
            output_range[1] - output_range[0]
        )

    @pytest.mark.parametrize(("values", "fault"), [("signed", "positive only"), ("byte", "halved")])
    def test_a_variant_that_lost_part_of_it_fails(
        self,
        pytester: pytest.Pytester,
        capsys: pytest.CaptureFixture[str],
        values: str,
        fault: str,
    ) -> None:
        _init(
            pytester.path,
            {
                "net": models.restorer(values=values),
                "net_broken": models.restorer(values=values, fault=fault),
            },
        )

        result = pytester.runpytest("--device=pixel4:cpu", "test_fidelity.py")

        assert "net_broken: " in capsys.readouterr().out
        failed = [line for line in result.outlines if line.startswith("FAILED")]
        assert sum("close_to_the_fp32_golden" in line for line in failed) == 2  # both frames
        assert all("own.net_broken" in line for line in failed)

    def test_values_outside_it_fail(self, pytester: pytest.Pytester) -> None:
        _init(pytester.path, {"net": models.restorer()}, "--output-range", "0", "1")
        toml = pytester.path / "golden" / "own" / "subject.toml"
        tiny.edit(toml, "output_range = [0.0, 1.0]", "output_range = [0.0, 0.6]")

        result = pytester.runpytest("--device=pixel4:cpu", "test_fidelity.py")

        result.stdout.fnmatch_lines(["FAIL fidelity: out_of_range_share *, at most 0.01: *"])

    def test_a_golden_that_it_would_cut_off_is_refused(
        self, pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str]
    ) -> None:
        code = _init(
            pytester.path, {"net": models.restorer(values="byte")}, "--output-range", "0", "1"
        )

        assert code == 2
        assert "lies outside [0, 1]" in capsys.readouterr().err
        assert not list((pytester.path / "golden").glob("*"))


class TestOfOneFixedSize:
    def test_a_model_that_cannot_be_resized_can_be_green(
        self, pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str]
    ) -> None:
        model = models.ModelBuilder()
        image = model.activation((1, 64, 64, 3), name="image")
        flat = model.activation((1, 12288))
        model.op("RESHAPE", [image, model.constant((1, 12288))], [flat])
        moved = model.activation((1, 12288))
        model.op("ADD", [flat, model.constant(np.zeros((1, 12288)), "float32")], [moved])
        back = model.activation((1, 64, 64, 3))
        model.op("RESHAPE", [moved, model.constant((1, 64, 64, 3))], [back])
        code = _init(pytester.path, {"net": model.build([image], [back])})

        subject = subjects.load(pytester.path / "golden" / "own")
        result = pytester.runpytest("--device=pixel4:cpu", "test_scaling.py", "test_fidelity.py")

        assert (code, subject.scaling) == (0, None)
        assert "how it scales is not asked" in capsys.readouterr().out
        assert _outcomes(result) == {"passed", "skipped"}

    def test_the_smaller_size_is_one_that_the_model_takes(self, pytester: pytest.Pytester) -> None:
        photographs = tiny.photographs(pytester.path / "large", size_px=132)
        _init(pytester.path, {"net": models.unet(size_px=132)}, frames=photographs)

        subject = subjects.load(pytester.path / "golden" / "own")
        result = pytester.runpytest("--device=pixel4", "test_scaling.py")

        assert subject.scaling is not None
        assert [str(size) for size in subject.scaling.sizes] == ["68x68", "132x132"]
        assert _outcomes(result) == {"passed"}


class TestOfSeveralExports:
    def test_two_of_one_precision_go_by_their_files_names(self, pytester: pytest.Pytester) -> None:
        files = {
            "net": models.restorer(),
            "net_a": models.restorer(dtype="int8"),
            "net-b": models.restorer(dtype="int8", strength=0.0),
        }
        code = _init(pytester.path, files)

        subject = subjects.load(pytester.path / "golden" / "own")

        assert code == 0
        assert [v.name for v in subject.variants] == ["fp32", "net_a", "net_b"]
        assert {v.precision for v in subject.variants[1:]} == {Precision.INT8_PTQ}

    def test_a_dynamic_range_file_alone_is_held_to_itself_and_never_called_fp32(
        self, pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str]
    ) -> None:
        code = _init(pytester.path, {"net": models.unet(size_px=64, int8_weights=True)})

        assert code == 0
        said = capsys.readouterr()
        assert "none of the models is FP32" in said.out + said.err
        (subject,) = subjects.load_all(pytester.path / "golden", "*")
        assert Precision.FP32 not in {variant.precision for variant in subject.variants}

    def test_the_latency_of_a_dynamic_range_file_is_only_relative(
        self, pytester: pytest.Pytester
    ) -> None:
        _init(
            pytester.path,
            {
                "net": models.unet(size_px=64),
                "net_dynamic": models.unet(size_px=64, int8_weights=True),
            },
        )

        result = pytester.runpytest("--device=pixel4:cpu", "test_latency.py", "-rA")

        assert result.parseoutcomes() == {"passed": 1, "inconclusive": 1}
        assert "dynamic range" in " ".join(result.stdout.str().split())

    def test_a_precision_that_is_not_the_files_own_is_an_error(
        self, pytester: pytest.Pytester
    ) -> None:
        _init(pytester.path, {"net": models.restorer(), "net_int8": models.restorer(dtype="int8")})
        toml = pytester.path / "golden" / "own" / "subject.toml"
        tiny.edit(toml, 'precision = "int8_ptq"', 'precision = "fp32"')

        result = pytester.runpytest("--device=pixel4:cpu", "test_fidelity.py")

        assert "failed" in result.parseoutcomes()
        result.stdout.fnmatch_lines(["*int8_ptq.tflite: is int8_ptq, and subject.toml says *"])
