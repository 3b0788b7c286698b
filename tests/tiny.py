"""Make a tiny subject that is blessed and green on pixel4: `unet`, two variants, two frames."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from harness import cli
from tests import models

NAME = "unet"
SIZE_PX = 64
FRAMES = ("a", "b")


def command(*arguments: str | Path) -> int:
    """Run the harness command in this process and return its exit code."""
    try:
        cli.main([str(argument) for argument in arguments])
    except SystemExit as ended:
        return int(ended.code or 0)
    raise AssertionError("main() always exits")


def photographs(folder: Path, names: Sequence[str] = FRAMES, size_px: int = SIZE_PX) -> Path:
    """Write pairs of X.blurred.png and X.sharp.png with seeded content."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate(names):
        pixels = np.random.default_rng(seed).integers(0, 256, (size_px, size_px, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}.sharp.png")
        Image.fromarray(pixels // 2 + 64).save(folder / f"{name}.blurred.png")
    return folder


def subject(golden_dir: Path, work: Path, *, name: str = NAME) -> Path:
    """Write golden_dir/<name> with `harness init`, without baselines, and return the folder."""
    work.mkdir(parents=True, exist_ok=True)
    files = {
        "fp32": models.unet(size_px=SIZE_PX),
        "int8": models.unet(size_px=SIZE_PX, dtype="int8"),
    }
    for stem, data in files.items():
        (work / f"{stem}.tflite").write_bytes(data)
    code = command(
        "init", *(work / f"{stem}.tflite" for stem in files), "--frames",
        photographs(work / "photographs"), "--name", name, "--budget-ms", "1000",
        "--golden-dir", golden_dir,
    )  # fmt: skip
    assert code == 0
    return golden_dir / name


def bless(golden_dir: Path, *more: str) -> None:
    """Bless the subject on pixel4."""
    code = command("bless", NAME, "--device", "pixel4", "--yes", "--golden-dir", golden_dir, *more)
    assert code == 0


def edit(path: Path, old: str, new: str) -> None:
    """Replace every occurrence of a text in a file that holds it."""
    text = path.read_text(encoding="utf-8")
    assert old in text, f"{path} does not hold {old!r}"
    path.write_text(text.replace(old, new), encoding="utf-8")
