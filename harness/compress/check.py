"""Run an exported file on the host and say how far it is from its FP32 parent and from sharp."""

from __future__ import annotations

import dataclasses
import statistics

import numpy as np

from harness.fidelity import image_psnr_db
from harness.model import Model
from harness.stacks import xnnpack
from harness.training.batches import to_float
from harness.training.photos import CropPairs


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spread:
    """A mean over frames.

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
class VariantQuality:
    """What a variant does to held-out frames.

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


def measure(file: bytes, parent: bytes, pairs: CropPairs) -> VariantQuality:
    """Compare a variant with its parent and with sharp targets on every pair."""
    variant, fp32 = Model(name="variant", data=file), Model(name="parent", data=parent)
    psnr, gain, to_fp32, drop = [], [], [], []
    for blurred, sharp in zip(pairs.blurred, pairs.sharp, strict=True):
        frame, target = to_float(blurred[None]), to_float(sharp[None])
        output, reference = xnnpack.run(variant, frame), xnnpack.run(fp32, frame)
        psnr.append(image_psnr_db(output, target))
        gain.append(psnr[-1] - image_psnr_db(frame, target))
        drop.append(image_psnr_db(reference, target) - psnr[-1])
        same = np.array_equal(output, reference)
        to_fp32.append(np.inf if same else image_psnr_db(output, np.clip(reference, 0.0, 1.0)))
    return VariantQuality(
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
