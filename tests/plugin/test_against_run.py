"""Judge a change with `--against=RUN`: today's variants beside what an earlier run found."""

from pathlib import Path

import pytest

from harness import results
from harness.evidence import sha256_of
from harness.verdict import CHANGE, Change, Verdict
from tests import models, tiny

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
    assert ruled["file_size_mib"].change is Change.UNDECIDED  # the run ruled on no such thing
    assert "run before-1 holds no file_size_mib" in ruled["file_size_mib"].cause
    assert _ruled(project, "fp32")["latency_ms"].change is Change.EQUAL


def test_a_loosened_limit_is_seen_in_what_the_run_ruled_by(
    project: pytest.Pytester, earlier: str
) -> None:
    toml = project.path / "golden" / tiny.NAME / "subject.toml"
    tiny.edit(toml, "latency_ms = 1000", "latency_ms = 2000")

    project.runpytest("--device=pixel4", f"--against={earlier}", "test_latency.py")

    assert set(_newest(project).plans[0].loosened) == {
        "unet: fp32 on pixel4:nnapi: latency_ms 1000 -> 2000",
        "unet: int8_ptq on pixel4:nnapi: latency_ms 1000 -> 2000",
    }


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
