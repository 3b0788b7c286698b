"""Tests of the compression rows: size, PSNR, dB lost and ms of each variant of a subject."""

from pathlib import Path

import pytest

from harness import results
from harness.report.page import compression
from harness.report.page.compression import CompressionRow
from harness.report.page.merging import merge
from harness.report.page.pictures import gallery
from harness.report.page.timings import timings
from harness.results import Results
from harness.verdict import FIDELITY, LATENCY, Outcome
from tests import large_runs
from tests.unit.report.pages import estimate, record, run


def _rows(one: Results, golden_dir: Path) -> tuple[CompressionRow, ...]:
    merged = merge([one])
    shown = gallery(merged, golden_dir)
    return compression.rows(merged, timings(merged.facts), shown.frames, golden_dir)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Results]:
    folder = tmp_path_factory.mktemp("made")
    shape = large_runs.Shape(subjects=1, variants=3, phones=2, frames=2, edge_px=64)
    large_runs.golden(folder / "golden", shape)
    return folder, results.load(large_runs.run(folder, shape))


def test_a_subject_has_a_row_on_each_phone_with_all_its_variants(
    made: tuple[Path, Results],
) -> None:
    folder, one = made

    found = _rows(one, folder / "golden")

    assert [(row.subject, row.target, row.resolution) for row in found] == [
        ("net00", "phone00:nnapi", "64x64"),
        ("net00", "phone01:nnapi", "64x64"),
    ]
    assert list(found[0].variants) == ["fp32", "fp16", "int8_ptq"]
    cell = found[0].variants["fp32"]
    file = folder / "golden" / "net00" / "fp32.tflite"
    assert cell.size == f"{file.stat().st_size / 1024:.0f} KiB"
    assert float(cell.psnr.removesuffix(" dB")) > 30
    assert cell.latency.endswith("MODEL")


def test_the_size_of_a_file_that_is_another_now_is_not_told(made: tuple[Path, Results]) -> None:
    folder, one = made
    toml = folder / "golden" / "net00" / "subject.toml"
    before = toml.read_text()
    at = before.index('sha256 = "') + len('sha256 = "')
    try:
        toml.write_text(before[:at] + "0" * 12 + before[at + 12 :])
        (row, *_) = _rows(one, folder / "golden")
    finally:
        toml.write_text(before)

    assert row.variants["fp32"].size == ""
    assert row.variants["int8_ptq"].size


def test_what_frames_lose_is_their_mean_and_what_is_unknown_is_left_out(tmp_path: Path) -> None:
    lost = [
        record(FIDELITY, Outcome.PASS, metric="quality_drop_db", observed=value)
        for value in (0.1, 0.3)
    ]
    facts = [estimate("pixel4", name, "256x256", 8.0) for name in ("fp32", "int8_ptq")]

    (row,) = _rows(run(*lost, record(LATENCY, Outcome.PASS), facts=facts), tmp_path)

    assert row.variants["int8_ptq"].lines == ("0.20 dB lost", "8 ms MODEL")
    assert row.variants["fp32"].lines == ("8 ms MODEL",)


def test_a_subject_of_one_variant_has_no_row(tmp_path: Path) -> None:
    assert _rows(run(facts=[estimate("a", "fp32", "256x256", 8.0)]), tmp_path) == ()


def test_what_is_lost_less_than_it_can_be_told_has_no_sign(tmp_path: Path) -> None:
    lost = record(FIDELITY, Outcome.PASS, metric="quality_drop_db", observed=-0.001)
    facts = [estimate("pixel4", name, "256x256", 8.0) for name in ("fp32", "int8_ptq")]

    (row,) = _rows(run(lost, facts=facts), tmp_path)

    assert row.variants["int8_ptq"].lost == "0.00 dB lost"
