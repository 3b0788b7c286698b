"""Tests of the Arm stack that need no emulator."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from harness import child, graph
from harness.errors import DeviceError, StackMissing
from harness.profiles import CpuCluster, Profile, Target
from harness.stacks import arm64, arm64_worker
from tests import models


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))


def phone(*uarches: str) -> Target:
    profile = Profile(
        name="a_phone", title="A phone", match=(), soc="soc", android_api_level=30,
        cpu=tuple(CpuCluster(cores=4, uarch=uarch, source="test") for uarch in uarches),
        default_delegate="cpu", accelerators=(), source="test",
    )  # fmt: skip
    return Target(profile=profile, delegate="cpu")


def test_a_missing_sysroot_is_one_line_with_the_command_that_adds_it() -> None:
    missing = arm64.missing()

    assert missing is not None
    assert "`harness doctor --install arm64`" in missing
    assert "\n" not in missing


def test_asking_a_missing_sysroot_to_run_or_count_names_the_command() -> None:
    model = models.conv_net()
    frame = np.zeros((1, 8, 8, 3), np.float32)

    with pytest.raises(StackMissing, match="harness doctor --install arm64"):
        arm64.run(models.model(model), phone("cortex-a76"), frame)
    with pytest.raises(StackMissing, match="harness doctor --install arm64"):
        arm64.instructions(models.model(model), phone("cortex-a76"))
    with pytest.raises(StackMissing, match="harness doctor --install arm64"):
        arm64.versions()


def test_fp16_on_a_phone_without_fp16_arithmetic_is_refused_and_not_emulated() -> None:
    model = models.conv_net()
    frame = np.zeros((1, 8, 8, 3), np.float32)

    with pytest.raises(DeviceError, match=r"a_phone:cpu: a CPU core .* no fp16 arithmetic"):
        arm64.run(models.model(model), phone("cortex-a53", "cortex-a73"), frame, fp16=True)


def test_the_cost_is_highest_in_fp16_and_lowest_in_int8() -> None:
    fp32, int8 = (
        graph.parse(models.conv_net(channels=16, size_px=128, dtype=dtype))
        for dtype in ("float32", "int8")
    )

    assert arm64.cost_s(int8) < arm64.cost_s(fp32) < arm64.cost_s(fp32, fp16=True)


def test_the_cost_grows_with_the_frame() -> None:
    small, large = (graph.parse(models.conv_net(size_px=px)) for px in (64, 512))

    assert arm64.cost_s(small) < arm64.cost_s(large)


def test_the_worker_becomes_the_program_it_is_told_to() -> None:
    command = {arm64_worker.COMMAND: json.dumps(["/bin/echo", "the emulator"])}

    done = child.run(
        [sys.executable, "-m", "harness.stacks.arm64_worker"], stage="worker", timeout_s=60,
        env=command,
    )  # fmt: skip

    assert done.stdout == "the emulator\n"


def test_the_worker_needs_nothing_of_the_hosts_site_packages_to_find_the_harness(
    tmp_path: Path,
) -> None:
    program = tmp_path / "program.py"
    source = Path(arm64_worker.__file__)
    program.write_text(
        f"import importlib.util, sys\n"
        f"spec = importlib.util.spec_from_file_location('worker', {str(source)!r})\n"
        "worker = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(worker)\n"
        "worker._adopt_harness()\n"
        "import harness.child\n"
        "print(harness.child.__file__, 'numpy' in sys.modules)\n"
    )

    done = child.run([sys.executable, "-S", "-P", program], stage="worker", timeout_s=60)

    assert done.stdout.split() == [str(Path(child.__file__)), "False"], done.stderr
