"""A team that has only a quantized file: what can be judged is, and what needs FP32 is named."""

from pathlib import Path

import pytest

import harness
from harness import subjects
from harness.results import Record
from harness.verdict import Lack, Outcome
from tests import kinds, models, tiny
from tests.integration.test_kinds import KINDS, exchange, flat, outcomes, photograph

pytestmark = pytest.mark.slow


def alone(folder: Path, data: bytes, name: str = "net") -> Path:
    """Make a subject of one file and two photographs; return the folder of subjects."""
    (folder / "frames").mkdir(parents=True)
    flat(folder / "frames")
    (folder / f"{name}.tflite").write_bytes(data)
    golden = folder / "golden"
    code = tiny.command(
        "init", folder / f"{name}.tflite", "--frames", folder / "frames", "--golden-dir", golden
    )
    assert code == 0
    return golden


def ruled(golden: Path, target: str = "pixel4:cpu", gate: str = "fidelity") -> list[Record]:
    """Return the rulings of a gate."""
    return [one for one in harness.judge(golden, target, jobs=1) if one.verdict.gate == gate]


def of_metric(records: list[Record], metric: str) -> set[Outcome]:
    """Return how a metric was ruled on."""
    return {one.verdict.outcome for one in records if one.verdict.metric.endswith(metric)}


@pytest.mark.parametrize("name", kinds.QUANTIZED)
def test_a_quantized_file_alone_is_held_to_its_first_outputs_and_lacks_fp32(
    name: str, tmp_path: Path
) -> None:
    records = ruled(alone(tmp_path, kinds.QUANTIZED[name]()))

    assert of_metric(records, "first_relative_l2") == {Outcome.PASS}
    assert of_metric(records, "non_finite_values") == {Outcome.PASS}
    lacking = {one.verdict.metric for one in records if one.verdict.lacks is Lack.REFERENCE}
    assert lacking == {"psnr_db"}
    assert all("FP32" in r.verdict.cause for r in records if r.verdict.lacks is Lack.REFERENCE)


def test_placement_and_size_of_a_quantized_file_alone_are_judged(tmp_path: Path) -> None:
    golden = alone(tmp_path, kinds.old_uint8())

    assert of_metric(ruled(golden, "pixel4:nnapi", "cpu_fallback"), "cpu_ops") == {Outcome.PASS}
    assert len(subjects.load(golden / "net").variants) == 1


@pytest.mark.parametrize("kind", ["burst", "classifier", "video"])
def test_other_kinds_are_held_to_their_first_outputs_too(kind: str, tmp_path: Path) -> None:
    build, write, arguments = KINDS[kind]
    (tmp_path / "frames").mkdir()
    write(tmp_path / "frames")
    (tmp_path / "net.tflite").write_bytes(build(dtype="int8"))
    golden = tmp_path / "golden"
    code = tiny.command(
        "init", tmp_path / "net.tflite", "--frames", tmp_path / "frames", "--golden-dir", golden,
        *arguments,
    )  # fmt: skip

    records = ruled(golden)

    assert code == 0
    assert of_metric(records, "first_relative_l2") == {Outcome.PASS}
    assert Outcome.FAIL not in outcomes(records)


def test_another_file_is_held_to_the_first_ones_outputs_until_a_person_takes_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    golden = alone(tmp_path, kinds.stored_as("uint8"))
    exchange(golden, "net", kinds.scaled(kinds.stored_as("uint8"), 0.5))
    bless = ("bless", "net", "--device", "pixel4:cpu", "--yes", "--golden-dir", golden)

    assert tiny.command(*bless) == 0
    kept = of_metric(ruled(golden), "first_relative_l2")
    said = capsys.readouterr().out
    assert tiny.command(*bless, "--first-outputs", "--because", "another net") == 0

    assert kept == {Outcome.FAIL}
    assert "first_relative_l2" in said
    assert of_metric(ruled(golden), "first_relative_l2") == {Outcome.PASS}


def test_a_quantized_file_alone_loses_no_quality_against_the_sharp_target(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    photograph(1).save(tmp_path / "frames" / "a.blurred.png")
    photograph(1).save(tmp_path / "frames" / "a.sharp.png")
    (tmp_path / "net.tflite").write_bytes(kinds.old_uint8())
    golden = tmp_path / "golden"
    init = ("init", tmp_path / "net.tflite", "--frames", tmp_path / "frames")
    assert tiny.command(*init, "--golden-dir", golden) == 0
    before = of_metric(ruled(golden), "quality_drop_db")
    exchange(golden, "net", kinds.old_uint8(kept=0.8))

    assert before == {Outcome.PASS}
    assert of_metric(ruled(golden), "quality_drop_db") == {Outcome.FAIL}


def test_every_quantized_export_beside_fp32_is_judged_by_it(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    flat(tmp_path / "frames")
    paths = [tmp_path / "fp32.tflite"]
    paths[0].write_bytes(models.restorer(size_px=48))
    for name, build in kinds.QUANTIZED.items():
        paths.append(tmp_path / f"{name}.tflite")
        paths[-1].write_bytes(build())
    golden = tmp_path / "golden"
    init = ("init", *paths, "--frames", tmp_path / "frames", "--name", "net")
    assert tiny.command(*init, "--golden-dir", golden) == 0

    records = ruled(golden)

    assert {one.variant for one in records} == {"fp32", *kinds.QUANTIZED}
    assert of_metric(records, "psnr_db") == {Outcome.PASS}
    assert outcomes(records) == {Outcome.PASS}


def test_bisect_of_a_quantized_file_alone_asks_for_the_fp32_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    golden = alone(tmp_path, kinds.stored_as("int8"))

    code = tiny.command("bisect", golden / "net" / "int8_ptq.tflite", "--device", "pixel4:cpu")

    assert code == 2
    assert "--reference" in capsys.readouterr().err
