"""Small .tflite files of the kinds that people export besides one RGB image in and one out.

Each restores: it gives its image back, little changed, so that limits mean something.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.models import ModelBuilder

STRENGTH = 0.02
"""Standard deviation of the weights besides the identity."""


def mixing(model: ModelBuilder, x: int, share: Any, *, seed: int = 3, name: str = "") -> int:
    """Add a 3x3 CONV_2D whose middle tap is a matrix [out, in]; the others are small noise."""
    share = np.asarray(share, np.float64)
    batch, height, width, _ = model.shape(x)
    filters = np.random.default_rng(seed).normal(0, STRENGTH, (len(share), 3, 3, share.shape[1]))
    filters[:, 1, 1, :] += share
    y = model.activation((batch, height, width, len(share)), name=name)
    if model.dtype == "float32":
        constants = [model.tensor(filters.shape, data=filters), model.tensor((len(share),), data=0)]
    else:
        scale = float(np.abs(filters).max()) / 127
        scales = [scale] * len(share)
        constants = [
            model.tensor(filters.shape, "int8", data=np.round(filters / scale), scales=scales),
            model.tensor(
                (len(share),), "int32", data=0, scales=[one / 64 for one in scales]
            ),
        ]  # fmt: skip
    model.op(
        "CONV_2D", [x, *constants], [y],
        padding="SAME", stride_h=1, stride_w=1, dilation_h_factor=1, dilation_w_factor=1,
    )  # fmt: skip
    return y


def burst(
    *, size_px: int = 32, dtype: str = "float32", names: Sequence[str] = ("first", "second")
) -> bytes:
    """Build a net that merges two frames into one: mostly the first."""
    model = ModelBuilder(dtype)
    frames = [model.activation((1, size_px, size_px, 3), name=name) for name in names]
    joined = model.concatenation(*frames)
    merged = mixing(model, joined, np.hstack([0.75 * np.eye(3), 0.25 * np.eye(3)]), name="merged")
    return model.build(frames, [merged])


def two_outputs(*, size_px: int = 32, dtype: str = "float32") -> bytes:
    """Build a net that gives a restored image and a mask of one channel."""
    model = ModelBuilder(dtype)
    image = model.activation((1, size_px, size_px, 3), name="image")
    restored = mixing(model, image, np.eye(3), name="restored")
    mask = mixing(model, image, np.full((1, 3), 1 / 3), seed=4, name="mask")
    return model.build([image], [restored, mask])
