"""Judge a change with `--against=RUN`: today's variants beside what an earlier run found."""

import re
from pathlib import Path

import pytest

from harness import results
from harness.evidence import sha256_of
from harness.verdict import CHANGE, Change, Lack, Verdict
from tests import kinds, models, tiny

pytestmark = pytest.mark.slow


def _newest(project: pytest.Pytester) -> results.Results:
    return results.load(results.latest(project.path))


def _ruled(project: pytest.Pytester, variant: str) -> dict[str, Verdict]:
    return {
        record.verdict.metric: record.verdict
        for record in _newest(project).records
        if record.verdict.gate == CHANGE and record.variant == variant
    }


def _replace(golden: Path, variant: str, data: bytes) -> None:
    file = golden / tiny.NAME / f"{variant}.tflite"
    tiny.edit(golden / tiny.NAME / "subject.toml", sha256_of(file.read_bytes()), sha256_of(data))
    file.write_bytes(data)


@pytest.fixture
def earlier(project: pytest.Pytester) -> str:
    """Return the id of a run of the project as it is."""
    project.runpytest("--device=pixel4", "--harness-run-id=before-1")
    return "before-1"


def test_what_a_run_found_is_equal_where_nothing_changed(
    project: pytest.Pytester, earlier: str
) -> None:
    result = project.runpytest("--device=pixel4", f"--against={earlier}", "test_change.py")

    found = _newest(project)
    assert result.ret == pytest.ExitCode.OK
    assert found.plans[0].against == "run before-1"
    assert {record.verdict.change for record in found.records} == {Change.EQUAL}
    ruled = _ruled(project, "int8_ptq")
    assert set(ruled) == {"latency_ms", "cpu_ops", "partitions", "quality_db", "pixels_db"}
    assert ruled["pixels_db"].observed > 100.0


def test_a_costlier_file_is_worse_than_the_run_and_says_what_differs(
    project: pytest.Pytester, earlier: str
) -> None:
    data = models.unet(size_px=tiny.SIZE_PX, dtype="int8", levels=3)
    _replace(project.path / "golden", "int8_ptq", data)
    path = results.latest(project.path)

    project.runpytest("--device=pixel4", f"--against={path}", "test_change.py")

    ruled = _ruled(project, "int8_ptq")
    assert ruled["latency_ms"].change is Change.WORSE
    assert f"-> {sha256_of(data)[:12]}" in ruled["latency_ms"].cause
    assert ruled["pixels_db"].change is ruled["quality_db"].change is not Change.EQUAL
    assert ruled["file_size_mib"].change is Change.WORSE
    assert ruled["macs"].change is Change.WORSE
    assert ruled["macs"].observed > 0.0
    assert _ruled(project, "fp32")["latency_ms"].change is Change.EQUAL


def test_a_loosened_limit_is_seen_in_what_the_run_ruled_by(
    project: pytest.Pytester, earlier: str
) -> None:
    toml = project.path / "golden" / tiny.NAME / "subject.toml"
    tiny.edit(toml, "latency_ms = 1000", "latency_ms = 2000")

    project.runpytest("--device=pixel4", f"--against={earlier}", "test_latency.py")

    assert set(_newest(project).plans[0].loosened) == {
        "unet: fp32: latency_ms at 64x64 1000 -> 2000",
        "unet: int8_ptq: latency_ms at 64x64 1000 -> 2000",
    }


def test_a_run_of_a_version_that_wrote_no_file_sizes_leaves_them_undecided(
    project: pytest.Pytester, earlier: str
) -> None:
    path = results.latest(project.path)
    text = re.sub(r'"(file_bytes|macs)": [0-9]+, ', "", path.read_text(encoding="utf-8"))
    path.write_text(text, encoding="utf-8")
    _replace(
        project.path / "golden",
        "int8_ptq",
        models.unet(size_px=tiny.SIZE_PX, dtype="int8", levels=3),
    )

    project.runpytest("--device=pixel4", f"--against={earlier}", "test_change.py", "-k", "costs")

    ruled = _ruled(project, "int8_ptq")
    for metric in ("file_size_mib", "macs"):
        assert ruled[metric].change is Change.UNDECIDED
        assert f"run before-1 holds no {metric}" in ruled[metric].cause


def test_what_is_made_is_equal_to_the_last_bit_though_the_run_keeps_16(
    project: pytest.Pytester,
) -> None:
    for target in (project.path / "golden" / tiny.NAME / "frames").glob("*.sharp.png"):
        target.unlink()
    tiny.bless(project.path / "golden", "--because", "no sharp targets")
    project.runpytest("--device=pixel4", "--harness-run-id=sixteen")

    project.runpytest("--device=pixel4", "--against=sixteen", "test_change.py", "-k", "pixels")

    ruled = _ruled(project, "fp32")
    assert ruled["psnr_db"].observed > 100.0
    assert ruled["psnr_db"].limit == ruled["psnr_db"].observed
    assert {one.change for one in ruled.values()} == {Change.EQUAL}


def test_a_photograph_in_tiles_is_put_together_of_what_the_run_keeps(
    project: pytest.Pytester,
) -> None:
    toml = project.path / "golden" / tiny.NAME / "subject.toml"
    toml.write_text(f'{toml.read_text()}\n[tiles]\nresolution = "32x32"\n', encoding="utf-8")
    project.runpytest("--device=pixel4:cpu", "--harness-run-id=tiles")
    file = project.path / "golden" / tiny.NAME / "int8_ptq.tflite"
    _replace(project.path / "golden", "int8_ptq", kinds.scaled(file.read_bytes(), 0.9))

    project.runpytest("--device=pixel4:cpu", "--against=tiles", "test_change.py", "-k", "pixels")

    ruled = _ruled(project, "int8_ptq")
    assert ruled["pixels_db"].change is ruled["quality_db"].change is not Change.EQUAL
    assert 10.0 < ruled["pixels_db"].observed < 60.0
    assert {one.change for one in _ruled(project, "fp32").values()} == {Change.EQUAL}


def test_numbers_of_other_frames_are_not_compared(project: pytest.Pytester, earlier: str) -> None:
    frames = project.path / "golden" / tiny.NAME / "frames"
    for end in ("blurred", "sharp"):
        (frames / f"b.{end}.png").unlink()
    tiny.bless(project.path / "golden", "--because", "one frame less")

    project.runpytest("--device=pixel4", f"--against={earlier}", "test_change.py")

    ruled = _ruled(project, "int8_ptq")
    record = next(
        r
        for r in _newest(project).records
        if r.variant == "int8_ptq" and r.verdict.metric == "quality_db" and not r.frame
    )
    assert (record.verdict.change, record.verdict.lacks) == (Change.UNDECIDED, Lack.FRAME)
    assert "today's are without b" in record.verdict.cause
    assert ruled["latency_ms"].change is Change.EQUAL
    assert "unet: golden b is gone" in _newest(project).plans[0].loosened


def test_a_run_that_tested_less_leaves_the_rest_undecided_or_new(
    project: pytest.Pytester,
) -> None:
    project.runpytest(
        "--device=pixel4", "--subject=unet.fp32", "--harness-run-id=part", "test_fallback.py"
    )

    project.runpytest("--device=pixel4", "--against=part", "test_change.py", "-k", "cost")

    ruled = _ruled(project, "fp32")
    assert ruled["cpu_ops"].change is Change.EQUAL
    assert ruled["latency_ms"].change is Change.UNDECIDED
    assert _ruled(project, "int8_ptq") == {}


def test_what_is_neither_run_nor_revision_is_one_usage_error(project: pytest.Pytester) -> None:
    result = project.runpytest("--device=pixel4", "--against=no-such-run")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["*--against=no-such-run: no folder of subjects, no git revision *"]
    )


def test_a_run_whose_lines_were_forged_is_data(project: pytest.Pytester) -> None:
    project.runpytest(
        "--device=pixel4", "--subject=unet.fp32", "--harness-run-id=forged", "test_fallback.py"
    )
    path = results.latest(project.path)
    for name, forged in (("cpu_ops", "of"), ("partitions", "__class__")):
        tiny.edit(path, f'"metric": "{name}"', f'"metric": "{forged}"')

    result = project.runpytest("--device=pixel4", "--against=forged", "test_change.py")

    assert result.ret is pytest.ExitCode.OK
    assert _ruled(project, "fp32")["cpu_ops"].change is Change.UNDECIDED


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ([], ("unet: int8_ptq on pixel4:nnapi is judged no more",)),
        (["--subject=unet.fp32"], ()),
    ],
)
def test_a_variant_that_the_run_tested_and_that_is_gone_is_told(
    project: pytest.Pytester, earlier: str, asked: list[str], told: tuple[str, ...]
) -> None:
    toml = project.path / "golden" / tiny.NAME / "subject.toml"
    with toml.open("a", encoding="utf-8") as file:
        file.write(
            '\n[[withheld]]\ndevices = ["*"]\ndelegates = ["*"]\nvariants = ["int8_ptq"]\n'
            'because = "red"\n'
        )

    project.runpytest("--device=pixel4", f"--against={earlier}", "test_change.py", *asked)

    assert _newest(project).plans[0].loosened == told
