"""What is missing is never a pass: goldens, limits, budgets, baselines, targets."""

import shutil
from pathlib import Path

import pytest

from tests import tiny


@pytest.fixture
def subject(project: pytest.Pytester) -> Path:
    """Return the folder of the project's subject."""
    return project.path / "golden" / tiny.NAME


def _run(project: pytest.Pytester, gate: str) -> tuple[dict[str, int], str]:
    result = project.runpytest("--device=pixel4", f"test_{gate}.py")
    assert "passed" not in result.parseoutcomes()
    return result.parseoutcomes(), " ".join(result.stdout.str().split())


def test_a_missing_reference_is_an_error_that_names_bless(
    project: pytest.Pytester, subject: Path
) -> None:
    for path in (subject / "references").glob("*.npz"):
        path.unlink()

    outcomes, text = _run(project, "fidelity")

    assert outcomes.keys() <= {"failed", "errors"}
    assert "the FP32 reference is missing; run `harness bless unet`" in text


def test_no_frames_at_all_is_an_error(project: pytest.Pytester, subject: Path) -> None:
    for path in (subject / "frames").glob("*.blurred.png"):
        path.unlink()
    shutil.rmtree(subject / "references")

    outcomes, text = _run(project, "fidelity")

    assert outcomes.keys() <= {"failed", "errors"}
    assert "holds no <frame>.blurred.png" in text


def test_a_damaged_frame_is_an_error(project: pytest.Pytester, subject: Path) -> None:
    for path in (subject / "frames").glob("*.blurred.png"):
        path.write_bytes(path.read_bytes()[:100])

    outcomes, text = _run(project, "fidelity")

    assert outcomes.keys() <= {"failed", "errors"}
    assert "not a readable image" in text


def test_missing_limits_are_inconclusive(project: pytest.Pytester, subject: Path) -> None:
    text = (subject / "subject.toml").read_text(encoding="utf-8")
    limits = ("psnr_db", "worst_tile_psnr_db", "relative_l2", "quality_drop_db")
    kept = [line for line in text.splitlines() if not line.startswith(limits)]
    (subject / "subject.toml").write_text("\n".join(kept), encoding="utf-8")

    outcomes, text = _run(project, "fidelity")

    assert outcomes == {"inconclusive": 8}
    assert "subject.toml sets no limit for it" in text


def test_a_missing_latency_budget_is_inconclusive(project: pytest.Pytester, subject: Path) -> None:
    tiny.edit(subject / "subject.toml", "latency_ms = 1000\n", "")

    outcomes, text = _run(project, "latency")

    assert outcomes == {"inconclusive": 2}
    assert "subject.toml sets no limit for it" in text


def test_missing_baselines_are_inconclusive(project: pytest.Pytester, subject: Path) -> None:
    (subject / "baselines.json").unlink()

    outcomes, text = _run(project, "regression")

    assert outcomes == {"inconclusive": 2}
    assert "no baseline" in text


def test_damaged_baselines_are_an_error(project: pytest.Pytester, subject: Path) -> None:
    (subject / "baselines.json").write_text('{"baselines": [', encoding="utf-8")

    outcomes, text = _run(project, "regression")

    assert outcomes.keys() <= {"failed", "errors"}
    assert "baselines.json: not valid JSON" in text


def test_a_model_of_one_size_is_not_asked_how_it_scales(
    project: pytest.Pytester, subject: Path
) -> None:
    text = (subject / "subject.toml").read_text(encoding="utf-8")
    (subject / "subject.toml").write_text(text.split("[scaling]")[0], encoding="utf-8")

    result = project.runpytest("--device=pixel4", "--strict", "-rs")

    assert set(result.parseoutcomes()) == {"passed", "skipped"}
    assert "not asked: unet states no two resolutions under [scaling]" in result.stdout.str()


def test_a_frame_that_never_had_a_sharp_target_is_inconclusive(
    project: pytest.Pytester, subject: Path
) -> None:
    for path in (subject / "frames").glob("*.sharp.png"):
        path.unlink()
    tiny.bless(project.path / "golden")

    result = project.runpytest("--device=pixel4", "-k", "sharp_target")

    assert set(result.parseoutcomes()) == {"inconclusive", "deselected"}
    printed = " ".join(result.stdout.str().split())
    assert ".sharp.png beside it" in printed
    assert "needs an image" in printed


def test_an_estimate_that_is_only_relative_cannot_meet_an_absolute_budget(
    project: pytest.Pytester,
) -> None:
    result = project.runpytest("--device=reno3", "test_latency.py")

    assert result.parseoutcomes() == {"inconclusive": 2}
    assert "relative only" in " ".join(result.stdout.str().split())


@pytest.mark.parametrize(
    ("error", "need"),
    [
        ("StackMissing", "needs software on this host"),
        ("MeasurementError", "needs to be measured again"),
    ],
)
def test_an_error_that_leaves_no_evidence_says_what_is_needed(
    project: pytest.Pytester, error: str, need: str
) -> None:
    path = project.makepyfile(
        f"from harness.errors import {error}\n"
        "def test_it(device, variant):\n"
        f"    raise {error}('gone')\n"
    )

    result = project.runpytest("--device=pixel4", path)

    assert result.parseoutcomes() == {"inconclusive": 2}
    assert need in " ".join(result.stdout.str().split())
