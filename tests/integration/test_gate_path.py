"""A gate run never loads TensorFlow, and runs no inference twice for unchanged work."""

import os
from pathlib import Path

import pytest

from harness import cache
from tests import rulings, tiny

_WATCH_IMPORTS = """
import sys

def pytest_unconfigure(config):
    heavy = {"tensorflow", "keras", "torch", "jax", "sqlalchemy", "dask"} & set(sys.modules)
    print(f"heavy imports: {sorted(heavy)}")
    print("the harness took part:", "harness.gate" in sys.modules)
"""


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a cache folder that nobody has used."""
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(autouse=True)
def _only_needed_plugins(monkeypatch: pytest.MonkeyPatch, pytester: pytest.Pytester) -> None:
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:hypothesispytest -p no:benchmark")


def _outputs() -> dict[Path, int]:
    """Return each remembered inference with the time it was written at."""
    return {path: path.stat().st_mtime_ns for path in (cache.root() / "outputs").glob("*/*")}


@pytest.mark.usefixtures("own_cache")
def test_running_every_gate_imports_no_heavy_package(project: pytest.Pytester) -> None:
    project.makeconftest(_WATCH_IMPORTS)

    result = project.runpytest_subprocess("--device=pixel4", "-s")

    assert result.ret == 0
    rulings.assert_green(project.path)
    result.stdout.fnmatch_lines(["heavy imports: [[][]]", "the harness took part: True"])


@pytest.mark.usefixtures("own_cache")
def test_the_worker_that_runs_models_imports_no_heavy_package(project: pytest.Pytester) -> None:
    """The worker is a process of its own; -X importtime makes it write down what it imports."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPROFILEIMPORTTIME", "1")
        result = project.runpytest_subprocess("--device=pixel4", "test_fidelity.py")

    result.assert_outcomes(passed=8)
    log = (cache.root() / "logs" / "litert.log").read_text(errors="replace")
    imported = {
        line.rsplit("|", 1)[-1].strip() for line in log.splitlines() if "import time" in line
    }
    assert "ai_edge_litert.interpreter" in imported
    assert not {name for name in imported if name.split(".")[0] in ("tensorflow", "keras")}


@pytest.mark.usefixtures("own_cache")
def test_collecting_starts_no_worker_and_computes_nothing(project: pytest.Pytester) -> None:
    result = project.runpytest("--device=pixel4", "--collect-only", "-q")

    assert result.ret == 0
    assert not Path(os.environ["HARNESS_CACHE"]).exists()


@pytest.mark.usefixtures("own_cache")
def test_a_second_run_of_unchanged_work_runs_no_inference(project: pytest.Pytester) -> None:
    first = project.runpytest_subprocess("--device=pixel4")
    before = _outputs()
    log = cache.root() / "logs" / "litert.log"
    log.unlink()

    second = project.runpytest_subprocess("--device=pixel4")

    assert (first.ret, second.ret) == (0, 0)
    rulings.assert_green(project.path)
    assert len(before) == 4  # two variants on two frames
    assert _outputs() == before
    assert not log.exists(), "a worker was started"


@pytest.mark.usefixtures("own_cache")
def test_a_new_frame_costs_its_own_inferences_only(project: pytest.Pytester) -> None:
    project.runpytest("--device=pixel4")
    before = _outputs()
    frames = project.path / "golden" / tiny.NAME / "frames"
    tiny.photographs(project.path / "more", ("x", "y", "c"))
    for kind in ("blurred", "sharp"):
        (frames / f"c.{kind}.png").write_bytes(
            (project.path / "more" / f"c.{kind}.png").read_bytes()
        )
    tiny.bless(project.path / "golden")

    assert project.runpytest("--device=pixel4").ret == 0
    rulings.assert_green(project.path, frames=3)

    after = _outputs()
    assert before.items() <= after.items()
    assert len(after) == len(before) + 2


@pytest.mark.usefixtures("own_cache")
def test_a_damaged_cache_changes_no_verdict(project: pytest.Pytester) -> None:
    project.runpytest("--device=pixel4")
    for path in cache.root().rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[:-7])

    result = project.runpytest("--device=pixel4")

    assert result.ret == 0
    rulings.assert_green(project.path)


@pytest.mark.usefixtures("own_cache")
def test_a_worker_that_died_between_two_calls_is_replaced(project: pytest.Pytester) -> None:
    """A test of the user's kills the idle worker; the calls after it find a new one."""
    path = project.makepyfile(
        "import os, signal\n"
        "from harness.errors import DeviceError\n"
        "from harness.stacks import xnnpack\n"
        "def test_kill(device, variant, golden):\n"
        "    device.run(variant, golden.frame * 0.5)\n"
        "    if golden.name == 'a':\n"
        "        for pid in xnnpack.worker().pids:\n"
        "            os.kill(pid, signal.SIGKILL)\n"
        "            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)\n"
        "        device.run(variant, golden.frame * 0.25)\n"
        "def test_after(device, variant, golden):\n"
        "    assert device.run(variant, golden.frame * 0.125).pixels.shape == (1, 64, 64, 3)\n"
    )

    result = project.runpytest("--device=pixel4", path)

    result.assert_outcomes(passed=8)
