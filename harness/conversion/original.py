"""Run an ONNX network as it was exported, and say how far its conversion is from it."""

import functools
import importlib.util
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness import cache, extras, fidelity, files
from harness.errors import ModelError, StackMissing
from harness.model import Model
from harness.stacks import xnnpack
from harness.worker import Worker

Values = NDArray[np.float32]
ShapeOf = tuple[int | str | None, ...]
"""A shape in ONNX: a length that is left open has a name, or None."""
_LIMIT_S = 600.0
_MEMORY_MIB = 16384
_LAST, _FIRST = (0, 2, 3, 1), (0, 3, 1, 2)
_SEED = 0


@dataclass(frozen=True, kw_only=True)
class ConversionDrift:
    """How far a converted network is from the original, each in float32 on this host.

    Attributes:
        psnr_db: The lowest PSNR of any input, at most 120 dB.
        max_error: The largest difference of any value, as a share of the output's range.
        inputs: On how many inputs.
        noise: Whether those were noise, for want of images of the model's size.
    """

    psnr_db: float
    max_error: float
    inputs: int
    noise: bool

    def __str__(self) -> str:
        """Return it in one line."""
        on = f"{self.inputs} {'inputs of noise' if self.noise else 'images'}"
        return f"{self.psnr_db:.1f} dB, largest error {self.max_error:.2g}, on {on}"


def inputs(path: Path) -> list[tuple[str, ShapeOf]]:
    """Return name and shape of each input of an ONNX file.

    Raises:
        StackMissing: ONNX Runtime is not installed.
        ModelError: the file is missing, or no ONNX network.
        DeviceError: ONNX Runtime crashed on it.
    """
    found: list[tuple[str, ShapeOf]] = _worker().call("inputs", _read(path), timeout_s=_LIMIT_S)
    return found


def fixed(path: Path, shapes: Mapping[str, Sequence[int]]) -> bytes:
    """Return an ONNX file with fixed shapes of its inputs, by name.

    Raises:
        ModelError: they do not fit the network.
    """
    found: bytes = _worker().call("fixed", _read(path), dict(shapes), timeout_s=_LIMIT_S)
    return found


def drift(path: Path, model: Model, images: Sequence[Values]) -> ConversionDrift:
    """Compare a converted network with the original, on the same inputs.

    The peak of the PSNR is the span of what the original gives.

    Args:
        path: The ONNX file.
        model: Its conversion, at its own size, with one input.
        images: float32 [1, H, W, C]; their middles are taken, and noise where none is as large.

    Raises:
        StackMissing: ONNX Runtime is not installed.
        ModelError: the two have other inputs or outputs, or one cannot be run.
        DeviceError: one of the runtimes crashed.
    """
    given = inputs(path)
    graph = model.graph
    if len(given) != 1 or len(graph.inputs) != 1:
        raise ModelError(
            f"{path}: has {len(given)} inputs; conversion drift is measured of networks with one"
        )
    shape = graph.tensors[graph.inputs[0]].shape
    cuts = [cut for image in images if (cut := _cut(image, shape)) is not None]
    noise = not cuts
    fed = cuts or [np.random.default_rng(_SEED).random(shape).astype(np.float32)]
    wanted_shape = given[0][1]
    worst_db, largest = math.inf, 0.0
    data = _read(path)
    for values in fed:
        turned = _like(values, wanted_shape)
        originals = _worker().call("run", data, turned, timeout_s=_LIMIT_S)
        made = xnnpack.execute(model, [values])
        if len(originals) != len(made):
            raise ModelError(f"{path}: gives {len(originals)} outputs, its conversion {len(made)}")
        for got, original in zip(made, originals, strict=True):
            right = _image(_like(original, got.shape))
            match = fidelity.compare(_image(got), right, output_range=_span(path, right))
            worst_db, largest = min(worst_db, match.psnr_db), max(largest, match.max_error)
    return ConversionDrift(psnr_db=worst_db, max_error=largest, inputs=len(fed), noise=noise)


def _cut(image: Values, shape: tuple[int, ...]) -> Values | None:
    """Return the middle of an image in a model's input shape, or None where it is too small."""
    for order in (None, _FIRST):
        if len(shape) != 4:
            return None
        height, width, channels = (
            (shape[1], shape[2], shape[3]) if order is None else (shape[2], shape[3], shape[1])
        )
        if channels != image.shape[3] or height > image.shape[1] or width > image.shape[2]:
            continue
        top, left = (image.shape[1] - height) // 2, (image.shape[2] - width) // 2
        cut = image[:, top : top + height, left : left + width]
        return np.ascontiguousarray(cut if order is None else cut.transpose(order))
    return None


def _like(values: Values, shape: Sequence[int | str | None]) -> Values:
    """Return values with their channels where a shape has them.

    Raises:
        ModelError: they are not of that shape in either layout.
    """
    for order in (None, _FIRST, _LAST):
        if order is not None and values.ndim != 4:
            break
        turned = values if order is None else values.transpose(order)
        if len(shape) == turned.ndim and all(
            n == m or not isinstance(n, int) for n, m in zip(shape, turned.shape, strict=True)
        ):
            return np.ascontiguousarray(turned)
    raise ModelError(
        f"the original wants or gives {list(shape)}, and its conversion {list(values.shape)}"
    )


def _span(path: Path, values: Values) -> tuple[float, float]:
    """Return the least and the largest value, or [0, 1] around one value."""
    if not np.isfinite(values).all():
        raise ModelError(f"{path}: the original itself gives values that are not finite")
    low, high = float(values.min()), float(values.max())
    return (low, high) if low < high else (low - 0.5, low + 0.5)


def _image(values: Values) -> Values:
    """Return values as one image, whatever their number of axes."""
    return values if values.ndim == 4 else values.reshape(1, 1, 1, -1)


def _read(path: Path) -> bytes:
    if importlib.util.find_spec("onnxruntime") is None:
        raise StackMissing(f"onnxruntime is not installed; {extras.install_command('onnx')}")
    return files.read(path, at_most_bytes=files.MODEL_BYTES_MAX, error=ModelError)


@functools.cache
def _worker() -> Worker:
    """Return this process's ONNX worker, which starts with its first call."""
    return Worker(
        "harness.conversion.worker",
        stage="ONNX Runtime",
        log=cache.root() / "logs" / "onnx.log",
        memory_mib=_MEMORY_MIB,
    )
