"""Convert an ONNX file with onnx2tf, in a child process and a folder of its own."""

import importlib.util
import sys
from importlib import metadata
from pathlib import Path

import numpy as np

from harness import child, extras
from harness.conversion import original
from harness.errors import ModelError, StackMissing
from harness.images import Size
from harness.text import line

_PACKAGES = ("onnx2tf", "onnx", "onnxruntime", "tensorflow", "tf_keras", "onnx_graphsurgeon")
_LIMIT_S = 1800.0
_MEMORY_MIB = 32768
_SAMPLES = "calibration_image_sample_data_20x128x128x3_float32.npy"
"""Images that onnx2tf compares layers on; it downloads them where they are not in its folder."""
_CHANNELS_MAX = 4


def missing() -> str | None:
    """Return the command that installs the converter, or None if it is here."""
    for name in _PACKAGES:
        if importlib.util.find_spec(name) is None:
            return f"{name} is not installed; {extras.install_command('onnx')}"
    return None


def converter() -> str:
    """Return the converter's name and version."""
    return f"onnx2tf {metadata.version('onnx2tf')}"


def to_tflite(path: Path, folder: Path, *, size: Size | None = None) -> Path:
    """Write an ONNX network as a float .tflite, channels last, and return where.

    Args:
        path: The ONNX file.
        folder: An empty folder that the converter may write to.
        size: The resolution to fix where the file leaves it open.

    Raises:
        StackMissing: the converter is not installed.
        ModelError: it does not take the network, or the file leaves its size open.
        DeviceError: it crashed, or ran past its limit.
    """
    if (lack := missing()) is not None:
        raise StackMissing(lack)
    command: list[str | Path] = [sys.executable, "-m", "onnx2tf", "-n", "-i"]
    command += [_fixed(path, folder, size), "-o", folder / "converted"]
    samples = np.random.default_rng(0).random((20, 128, 128, 3), np.float32)
    np.save(folder / _SAMPLES, samples)
    done = child.run(
        command,
        stage=f"onnx2tf of {path.name}",
        timeout_s=_LIMIT_S,
        memory_mib=_MEMORY_MIB,
        env={"TF_CPP_MIN_LOG_LEVEL": "2"},
        cwd=folder,
    )
    made = sorted((folder / "converted").glob("*_float32.tflite"))
    if done.exit_code != 0 or not made:
        said = [row for row in (done.stdout + done.stderr).splitlines() if "rror" in row]
        why = line(said[-1] if said else "it says nothing", 300)
        raise ModelError(f"{path}: onnx2tf cannot convert it: {why}")
    return made[0]


def _fixed(path: Path, folder: Path, size: Size | None) -> Path:
    """Return the network, or a copy in which the shapes that it leaves open are fixed.

    Raises:
        ModelError: a size is left open, and none is given.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for name, shape in original.inputs(path):
        if all(isinstance(n, int) for n in shape):
            continue
        if len(shape) != 4 or size is None:
            raise ModelError(
                f"{path}: its input {name!r} is {list(shape)}; name a resolution with --size, or "
                "export it with fixed sizes"
            )
        first = isinstance(shape[1], int) and shape[1] <= _CHANNELS_MAX
        edges = (size.height_px, size.width_px)
        channels = shape[1] if first else shape[3]
        if not isinstance(channels, int):
            raise ModelError(f"{path}: its input {name!r} is {list(shape)}: of how many channels?")
        shapes[name] = (1, channels, *edges) if first else (1, *edges, channels)
    if not shapes:
        return path.resolve()
    copy = folder / path.name
    copy.write_bytes(original.fixed(path, shapes))
    return copy
