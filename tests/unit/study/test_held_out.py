"""Check the record of held-out frames: measured with real kernels, written, read, compared."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from harness.errors import BlessedDataError
from harness.study import held_out
from harness.training.photos import CropPairs

GOLDEN = Path(__file__).parents[3] / "golden" / "deblur_edsr"


@pytest.fixture(scope="module")
def pairs() -> CropPairs:
    rng = np.random.default_rng(0)
    sharp = rng.integers(110, 140, (3, 256, 256, 3), dtype=np.uint8)
    return CropPairs(blurred=np.roll(sharp, 1, axis=2), sharp=sharp, titles=("a", "a", "b"))


@pytest.fixture(scope="module")
def record(pairs) -> held_out.HeldOut:
    files = {name: (GOLDEN / f"{name}.tflite").read_bytes() for name in ("int8_ptq", "fp32")}
    return held_out.measure(files, pairs, command="a test", tell=lambda line: None)


def test_files_are_measured_on_the_same_frames_and_the_parent_agrees_with_itself(record):
    assert [one.name for one in record.files] == ["fp32", "int8_ptq"]
    assert set(record.file("fp32").to_fp32_db) == {120.0}
    assert all(25.0 < value < 119.0 for value in record.file("int8_ptq").to_fp32_db)
    assert record.difference("fp32", "int8_ptq").frames == 3


def test_a_record_reads_back_as_it_was_written(record, tmp_path):
    held_out.save(record, tmp_path / "held_out.json")

    assert held_out.load(tmp_path / "held_out.json") == record


def test_files_that_are_not_measured_again_keep_their_figures_on_the_same_frames(record):
    again = dataclasses.replace(record, command="later", files=record.files[:1])
    elsewhere = dataclasses.replace(again, pixels_sha256="0" * 64)

    assert again.with_older(record).files == record.files
    assert elsewhere.with_older(record).files == record.files[:1]


def test_differences_over_other_frames_are_refused(record):
    other = dataclasses.replace(record, pixels_sha256="0" * 64)

    with pytest.raises(BlessedDataError, match="on different frames"):
        record.difference("fp32", "int8_ptq", other=other)


def test_a_list_of_another_length_is_refused(record, tmp_path):
    path = tmp_path / "held_out.json"
    held_out.save(record, path)
    data = json.loads(path.read_text())
    data["files"][0]["psnr_db"].pop()
    path.write_text(json.dumps(data))

    with pytest.raises(BlessedDataError, match="must have 3 values"):
        held_out.load(path)


def test_a_folder_without_its_fp32_file_is_refused(pairs):
    with pytest.raises(BlessedDataError, match="FP32 file is missing"):
        held_out.measure({"fp16": b""}, pairs, command="", tell=lambda line: None)
