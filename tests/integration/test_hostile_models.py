"""Damaged models end in a clear error or a valid answer: never in a crash or a hang.

Each one goes through what `harness inspect` does and through what a gate does: reading, placing,
estimating and running, with LiteRT in its worker process.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from harness import cli, profiles
from harness.devices.emulated import Emulated
from harness.errors import HarnessError
from harness.images import Size
from harness.profiles import Target
from harness.stacks import xnnpack
from tests import models

pytestmark = pytest.mark.slow

_TRUNCATIONS, _FLIPS, _SHARDS = 50, 200, 10
_SIZE = Size(width_px=32, height_px=32)
_WHOLE = {
    "unet": models.unet(size_px=32),
    "unet, int8": models.unet(size_px=32, dtype="int8"),
    "unet, fp16 weights": models.unet(size_px=32, fp16_weights=True),
}


def _truncated(model: bytes) -> Iterator[bytes]:
    for length in np.random.default_rng(1).integers(0, len(model), _TRUNCATIONS):
        yield model[: int(length)]


def _flipped(model: bytes) -> Iterator[bytes]:
    """Yield copies of a model with one to four bytes changed."""
    random = np.random.default_rng(2)
    for _ in range(_FLIPS):
        data = bytearray(model)
        for place in random.integers(8, len(model), random.integers(1, 5)):
            data[place] ^= int(random.integers(1, 256))
        yield bytes(data)


@pytest.fixture(autouse=True)
def _short_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for a hanging model less long than for a slow one."""
    monkeypatch.setattr(xnnpack, "RUN_LIMIT_S", 10.0)


@pytest.mark.parametrize("name", _WHOLE)
def test_a_truncated_model_is_refused_or_answered(name: str, tmp_path: Path) -> None:
    children = _children()
    refused = [reason for data in _truncated(_WHOLE[name]) for reason in _judge(data, tmp_path)]

    assert all(refused)
    assert len(refused) > _TRUNCATIONS
    assert _children() <= children + 1  # this file's one worker, perhaps


@pytest.mark.parametrize("shard", range(_SHARDS))
def test_a_model_with_flipped_bytes_is_refused_or_answered(shard: int, tmp_path: Path) -> None:
    children = _children()
    for data in list(_flipped(_WHOLE["unet"]))[shard::_SHARDS]:
        for reason in _judge(data, tmp_path):
            assert reason

    assert _children() <= children + 1  # this file's one worker, perhaps


@pytest.mark.parametrize("name", list(_WHOLE)[1:])
def test_a_quantized_model_with_flipped_bytes_is_refused_or_answered(
    name: str, tmp_path: Path
) -> None:
    children = _children()
    for data in list(_flipped(_WHOLE[name]))[::5]:
        for reason in _judge(data, tmp_path):
            assert reason

    assert _children() <= children + 1  # this file's one worker, perhaps


def test_a_truncated_model_on_the_command_line_is_exit_code_2_and_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "broken.tflite"
    path.write_bytes(_WHOLE["unet"][:500])

    with pytest.raises(SystemExit) as ended:
        cli.main(["inspect", str(path), "--device=pixel4"])

    assert ended.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def _judge(data: bytes, folder: Path) -> list[str]:
    """Do all that a gate does with a model; return the reasons of what was refused."""
    pixel4 = profiles.load_all([profiles.shipped_folder()])["pixel4"]
    frame = np.full((1, 32, 32, 3), 0.5, np.float32)
    model = models.model(data, str(folder / "hostile.tflite"))
    refused = []
    for delegate in ("nnapi", "cpu"):
        device = Emulated(Target(profile=pixel4, delegate=delegate))
        for verb in (
            lambda d=device: d.place(model.at(_SIZE)).partitions > 0,
            lambda d=device: d.time(model.at(_SIZE)).estimate_ms > 0.0,
            lambda d=device: d.time(model.at("48x16")).estimate_ms > 0.0,
            lambda d=device: d.run(model.at(_SIZE), frame).pixels.dtype == np.float32,
        ):
            try:
                assert verb()
            except HarnessError as error:
                refused.append(f"{type(error).__name__}: {error}")
    return refused


def _children() -> int:
    """Return how many child processes of this process are alive."""
    folder = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    return len(folder.read_text().split())
