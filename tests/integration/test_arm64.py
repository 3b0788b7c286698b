"""Tests of the Arm kernels under QEMU, installed and run for real."""

import concurrent.futures
import multiprocessing
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from harness import cache, child, graph
from harness.errors import DeviceError, HarnessError, ModelError
from harness.images import Pixels
from harness.profiles import CpuCluster, Profile, Target
from harness.stacks import arm64, arm64_cpu, arm64_sysroot, arm64_worker, xnnpack
from tests import kinds, models, needs
from tests.integration.test_kinds_lanes import FILES, assert_alike, given, loaded

pytestmark = pytest.mark.arm64

SHARED = cache.root()
"""The user's cache, read before the session's own one takes its place: a build takes a minute."""


def phone(*uarches: str) -> Target:
    profile = Profile(
        name="a_phone", title="A phone", match=(), soc="soc", android_api_level=30,
        cpu=tuple(CpuCluster(cores=4, uarch=uarch, source="test") for uarch in uarches),
        default_delegate="cpu", accelerators=(), source="test",
    )  # fmt: skip
    return Target(profile=profile, delegate="cpu")


PHONE = phone("cortex-a55", "cortex-a76")


@pytest.fixture(scope="module")
def sysroot() -> Path:
    """Build the sysroot in the user's cache, unless it is there, and return its folder."""
    try:
        arm64_sysroot.install(SHARED)
    except HarnessError as error:
        needs.installed(str(error))
    return arm64_sysroot.folder(SHARED)


@pytest.fixture(scope="module", autouse=True)
def own_cache(sysroot: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give this module a cache with nothing in it but the sysroot, and stop its emulator."""
    with pytest.MonkeyPatch.context() as patch:
        folder = new_cache(sysroot, tmp_path_factory.mktemp("arm64"), patch)
        yield folder
        arm64.worker(folder, arm64_cpu.describe(PHONE.profile.cpu)).close()


def new_cache(sysroot: Path, folder: Path, patch: pytest.MonkeyPatch) -> Path:
    """Put a cache that has the sysroot into use; counts and logs start empty."""
    (folder / "arm64").symlink_to(sysroot)
    patch.setenv("HARNESS_CACHE", str(folder))
    return folder


def frame(size_px: int, seed: int = 3) -> Pixels:
    return np.random.default_rng(seed).random((1, size_px, size_px, 3), dtype=np.float32)


def run(model: bytes, size_px: int, *, fp16: bool = False) -> Pixels:
    return arm64.run(models.model(model), PHONE, frame(size_px), fp16=fp16)


def run_on_host(model: bytes, size_px: int, *, fp16: bool = False) -> Pixels:
    return xnnpack.run(models.model(model), frame(size_px), fp16=fp16)


def psnr_db(output: Pixels, reference: Pixels) -> float:
    """Return the PSNR with peak 1, unclipped: values of these nets leave [0, 1]."""
    error = output.astype(np.float64) - reference.astype(np.float64)
    return float(-10 * np.log10(np.mean(error**2)))


def test_an_installed_sysroot_is_usable_and_says_its_versions() -> None:
    assert arm64.missing() is None
    assert arm64.versions()["ai-edge-litert-arm64"] == xnnpack.versions()["ai-edge-litert"]
    assert arm64.versions()["qemu"][0].isdigit()


@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_quantized_arm_kernels_agree_with_this_hosts_to_the_bit(dtype: str) -> None:
    model = models.conv_net(depth=4, channels=16, size_px=32, dtype=dtype)

    assert np.array_equal(run(model, 32), run_on_host(model, 32))


def test_two_inputs_and_two_outputs_agree_to_the_bit() -> None:
    for data in (
        kinds.burst(size_px=16, dtype="int8"),
        kinds.two_outputs(size_px=16, dtype="int8"),
    ):
        model = models.model(data)
        given = [frame(16, seed) for seed, _ in enumerate(model.graph.inputs)]

        emulated = arm64.execute(model, PHONE, given)

        for values, wanted in zip(emulated, xnnpack.execute(model, given), strict=True):
            assert np.ptp(wanted) > 10 * models.SCALE
            np.testing.assert_array_equal(values, wanted)


@pytest.mark.parametrize("name", FILES)
def test_every_kind_of_model_agrees_within_a_step(name: str) -> None:
    model = loaded(name)

    assert_alike(arm64.execute(model, PHONE, given(model)), model, steps=1)


def test_an_int8_unet_agrees_to_the_bit() -> None:
    model = models.unet(dtype="int8", channels=8, size_px=32)

    assert np.array_equal(run(model, 32), run_on_host(model, 32))


@pytest.mark.parametrize("fp16_weights", [False, True])
def test_fp32_arm_kernels_differ_from_this_hosts_by_rounding_only(fp16_weights: bool) -> None:
    model = models.unet(channels=8, size_px=32, fp16_weights=fp16_weights)

    assert psnr_db(run(model, 32), run_on_host(model, 32)) > 120


def test_fp16_is_farther_from_fp32_on_arm_than_this_hosts_emulation_says() -> None:
    model = models.unet(size_px=32)
    fp32 = run(model, 32)

    arm_db = psnr_db(run(model, 32, fp16=True), fp32)
    host_db = psnr_db(run_on_host(model, 32, fp16=True), fp32)

    assert arm_db < host_db - 5
    assert 50 < arm_db < 80


def test_a_run_gives_the_same_pixels_again() -> None:
    model = models.unet(size_px=32)

    assert np.array_equal(run(model, 32, fp16=True), run(model, 32, fp16=True))


def test_a_file_that_litert_refuses_is_a_model_error_and_the_emulator_goes_on() -> None:
    model = models.conv_net()
    unknown = models.model(models.op_model("OurBlur", shape=(1, 8, 8, 3)))

    with pytest.raises(ModelError, match="LiteRT"):
        arm64.run(unknown, PHONE, frame(8))

    assert np.isfinite(run(model, 8)).all()


def test_a_frame_of_another_size_is_refused() -> None:
    with pytest.raises(ModelError, match=r"takes \[1, 8, 8, 3\] and was given \[1, 16, 16, 3\]"):
        run(models.conv_net(size_px=8), 16)


def test_a_run_past_its_limit_names_the_stage_and_the_next_one_starts_afresh(
    own_cache: Path,
) -> None:
    model = models.conv_net()
    emulator = arm64.worker(own_cache, arm64_cpu.describe(PHONE.profile.cpu))
    emulator.close()

    with pytest.raises(DeviceError, match="Arm kernels under QEMU: run gave no answer within"):
        emulator.call("run", model, frame(8), False, timeout_s=0.01)

    assert np.isfinite(run(model, 8)).all()


def test_a_cpu_that_promises_more_than_it_has_crashes_the_emulator_only(
    sysroot: Path, own_cache: Path
) -> None:
    manifest = arm64_sysroot.installed(own_cache)
    assert manifest is not None
    model = own_cache / "model.tflite"
    model.write_bytes(models.conv_net(depth=2, channels=16, dtype="int8"))
    root = next(path for path in (sysroot / "cpu").iterdir() if "asimddp" in cpuinfo(path))
    python = arm64_sysroot.guest_command(manifest, sysroot, root, "cortex-a57")

    with pytest.raises(DeviceError, match=r"old core: crashed \(SIGILL\)"):
        child.run(
            [*python, Path(arm64_worker.__file__), "count", model, "1"], stage="old core",
            timeout_s=120, env=arm64_sysroot.host_environment(manifest, sysroot),
        )  # fmt: skip


def cpuinfo(root: Path) -> str:
    return (root / "proc" / "cpuinfo").read_text()


def test_an_old_cpu_runs_int8_without_dot_products() -> None:
    model = models.conv_net(size_px=16, channels=8, dtype="int8")
    old = phone("cortex-a53")

    try:
        output = arm64.run(models.model(model), old, frame(16))
    finally:
        arm64.worker(cache.root(), arm64_cpu.describe(old.profile.cpu)).close()

    assert np.array_equal(output, run_on_host(model, 16))


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_instructions_are_counted_the_same_again(
    dtype: str, sysroot: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = models.conv_net(channels=8, size_px=32, dtype=dtype)
    counts = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        new_cache(sysroot, tmp_path / name, monkeypatch)
        counts.append(arm64.instructions(models.model(model), PHONE))

    assert counts[0] > graph.parse(model).macs / 64
    assert abs(counts[1] - counts[0]) / counts[0] < 0.005


def test_instructions_grow_with_the_pixels() -> None:
    small, large = (
        arm64.instructions(models.model(models.conv_net(channels=16, size_px=px)), PHONE)
        for px in (32, 64)
    )

    assert 3 < large / small < 5


def test_a_small_change_of_a_model_shows_in_its_instructions() -> None:
    base, wider = (
        arm64.instructions(
            models.model(models.conv_net(depth=depth, channels=16, size_px=32)), PHONE
        )
        for depth in (6, 7)
    )

    assert wider / base > 1.005


def test_counts_do_not_depend_on_the_slow_cores_of_a_phone() -> None:
    model = models.conv_net(channels=8, size_px=16, dtype="int8")

    assert arm64.instructions(models.model(model), PHONE) == arm64.instructions(
        models.model(model), phone("cortex-a76")
    )


def test_counts_do_not_depend_on_paths_and_variables(
    sysroot: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = models.model(models.conv_net(channels=8, size_px=16, dtype="int8"))
    counts = set()
    for length in (1, 2222, 60_000):
        (tmp_path / str(length)).mkdir()
        new_cache(sysroot, tmp_path / str(length), monkeypatch)
        monkeypatch.setenv("A_VARIABLE", "x" * length)
        counts.add(arm64.instructions(model, PHONE))

    assert len(counts) == 1


def test_another_thread_of_the_program_is_not_counted(sysroot: Path, tmp_path: Path) -> None:
    manifest = arm64_sysroot.installed(SHARED)
    assert manifest is not None
    report = tmp_path / "report"
    options = ("-plugin", f"{sysroot / 'count.so'},report={report}")
    python = arm64_sysroot.guest_command(
        manifest, sysroot, sysroot / "root", "cortex-a76", options=options
    )
    script = tmp_path / "busy.py"
    script.write_text(BUSY)

    child.run(
        [*python, script], stage="two threads", timeout_s=120,
        env=arm64_sysroot.host_environment(manifest, sysroot),
    )  # fmt: skip

    first, second, both = (int(line) for line in report.read_text().split())
    assert second - first < (both - second) / 10


BUSY = f"""
import os, threading

def mark():
    try:
        os.getpgid({arm64_worker.MARK_PID})
    except ProcessLookupError:
        pass

def work():
    return sum(range(300_000))

mark()
thread = threading.Thread(target=work)
thread.start()
thread.join()
mark()
work()
mark()
"""
"""Marks before and after the same work, first in another thread, then in its own."""


def test_a_count_is_remembered(own_cache: Path) -> None:
    model = models.conv_net(channels=4, size_px=16)

    counted = arm64.instructions(models.model(model), PHONE)
    stored = [cache.read(path, float) for path in (own_cache / "instructions").glob("*/*")]

    assert counted in stored
    assert arm64.instructions(models.model(model), PHONE) == counted


def test_a_model_that_cannot_be_counted_is_an_error_that_says_why() -> None:
    with pytest.raises(HarnessError):
        arm64.instructions(models.model(models.conv_net()[:400]), PHONE)


def test_two_processes_install_at_once_and_find_the_same_sysroot(sysroot: Path) -> None:
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
        list(pool.map(arm64_sysroot.install, [SHARED, SHARED]))

    assert arm64_sysroot.installed(SHARED) is not None
    assert not (SHARED / "arm64.partial").exists()
