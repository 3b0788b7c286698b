"""Run an exported file on the host and say how far it is from its FP32 parent and from sharp."""

from __future__ import annotations

import dataclasses
import statistics
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert.interpreter import Interpreter

from harness.training.batches import to_float
from harness.training.photos import Pairs
from harness.training.train import psnr_db


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spread:
    """Hold a mean over frames.

    Attributes:
        mean: Mean over frames.
        standard_error: Standard error of that mean.
        least: The smallest of the frames.
        frames: Frames in all.
    """

    mean: float
    standard_error: float
    least: float
    frames: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Quality:
    """Hold what a variant does to held-out frames.

    Attributes:
        psnr_db: Against the sharp target.
        gain_db: The same less the PSNR of the blurred frame.
        to_fp32_db: Against the FP32 parent's output (inf for the parent itself).
        drop_db: PSNR of the parent less that of the variant, both against the target.
    """

    psnr_db: Spread
    gain_db: Spread
    to_fp32_db: Spread
    drop_db: Spread


class Runner:
    """Run one .tflite on the CPU; integers at its ends are scaled to and from [0, 1]."""

    def __init__(self, file: bytes, *, threads: int = 2) -> None:
        """Load the file."""
        self._interpreter = Interpreter(model_content=file, num_threads=threads)
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]
        self._output = self._interpreter.get_output_details()[0]

    def run(self, frame: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Map [1, H, W, 3] float32 in [0, 1] to the same shape."""
        self._interpreter.set_tensor(self._input["index"], _stored(frame, self._input))
        self._interpreter.invoke()
        return _real(self._interpreter.get_tensor(self._output["index"]), self._output)


def measure(file: bytes, parent: bytes, pairs: Pairs) -> Quality:
    """Compare a variant with its parent and with sharp targets on every pair."""
    variant, fp32 = Runner(file), Runner(parent)
    psnr, gain, to_fp32, drop = [], [], [], []
    for blurred, sharp in zip(pairs.blurred, pairs.sharp, strict=True):
        frame, target = to_float(blurred[None]), to_float(sharp[None])
        output, reference = variant.run(frame), fp32.run(frame)
        psnr.append(psnr_db(output, target))
        gain.append(psnr[-1] - psnr_db(frame, target))
        drop.append(psnr_db(reference, target) - psnr[-1])
        same = np.array_equal(output, reference)
        to_fp32.append(np.inf if same else psnr_db(output, np.clip(reference, 0.0, 1.0)))
    return Quality(
        psnr_db=spread(psnr), gain_db=spread(gain), to_fp32_db=spread(to_fp32), drop_db=spread(drop)
    )


def spread(values: list[float]) -> Spread:
    """Return the mean of values over frames with its standard error."""
    finite = bool(np.isfinite(values).all())
    error = statistics.stdev(values) / len(values) ** 0.5 if finite and len(values) > 1 else 0.0
    return Spread(
        mean=float(np.mean(values)),
        standard_error=error,
        least=float(min(values)),
        frames=len(values),
    )


def _stored(frame: npt.NDArray[np.float32], detail: dict[str, Any]) -> npt.NDArray[Any]:
    scale, zero_point = detail["quantization"]
    if not scale:
        return frame
    limits = np.iinfo(detail["dtype"])
    steps = np.rint(frame.astype(np.float64) / scale) + zero_point
    stored: npt.NDArray[Any] = np.clip(steps, limits.min, limits.max).astype(detail["dtype"])
    return stored


def _real(stored: npt.NDArray[Any], detail: dict[str, Any]) -> npt.NDArray[np.float32]:
    scale, zero_point = detail["quantization"]
    if not scale:
        return stored.astype(np.float32)
    real: npt.NDArray[np.float32] = ((stored.astype(np.float64) - zero_point) * scale).astype(
        np.float32
    )
    return real
