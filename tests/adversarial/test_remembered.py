"""What is remembered must not outlive what it was made from."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness import profiles
from harness.devices.emulated import Emulated
from harness.errors import DeviceError
from harness.model import Model
from harness.profiles import Target
from harness.stacks import qnn
from tests import models, needs


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))


def small() -> Model:
    """Return a small restoration network that every stack takes."""
    return models.model(models.unet(size_px=64))


@pytest.mark.qualcomm
def test_a_remembered_output_ends_with_the_chip_that_its_profile_names(tmp_path: Path) -> None:
    """A copy of galaxy_s24 that is edited to name no real chip was still PASS VENDOR."""
    needs.installed(qnn.missing())
    ours = (profiles.shipped_folder() / "galaxy_s24.toml").read_text(encoding="utf-8")
    ours = ours.replace('name = "galaxy_s24"', 'name = "ours"', 1)
    (tmp_path / "profiles").mkdir()
    model = small()
    frame = np.full((1, 64, 64, 3), 0.5, np.float32)

    def device() -> Emulated:
        (tmp_path / "profiles" / "ours.toml").write_text(ours, encoding="utf-8")
        return Emulated(
            profiles.select(profiles.load_all([tmp_path / "profiles"]), ["ours:qnn"])[0]
        )

    device().run(model, frame)
    ours = ours.replace("SM8650", "SM9999")

    with pytest.raises(DeviceError, match="SM9999"):
        device().run(model, frame)


def test_two_devices_in_two_threads_share_workers_that_neither_may_stop(tmp_path: Path) -> None:
    """One device that was closed took the other's worker with it, between question and answer."""
    pixel4 = profiles.load_all([profiles.shipped_folder()])["pixel4"]
    model = small()
    start = threading.Barrier(2)

    def rounds(seed: int) -> list[tuple[int, ...]]:
        shapes = []
        start.wait()
        for number in range(6):
            profile = replace(pixel4, title=f"{seed}.{number}")  # nothing is remembered of it
            device = Emulated(Target(profile=profile, delegate="cpu"))
            frame = np.random.default_rng(100 * seed + number).random((1, 64, 64, 3), np.float32)
            shapes.append(device.run(model, frame).pixels.shape)
            device.place(model)
            device.close()
        return shapes

    with ThreadPoolExecutor(max_workers=2) as threads:
        assert list(threads.map(rounds, range(2))) == [[(1, 64, 64, 3)] * 6] * 2
