"""Small .tflite files of the kinds that people export besides one RGB image in and one out.

Each restores: it gives its image back, little changed, so that limits mean something.
"""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from harness import flatbuffer
from tests import models
from tests.models import SCALE, WEIGHT_SCALE, ModelBuilder

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


def nchw(*, size_px: int = 32, dtype: str = "float32") -> bytes:
    """Build a net with channels first outside and last inside, as converters of PyTorch make."""
    model = ModelBuilder(dtype)
    image = model.activation((1, 3, size_px, size_px), name="image")
    inside = model.activation((1, size_px, size_px, 3))
    model.op("TRANSPOSE", [image, model.constant([0, 2, 3, 1])], [inside])
    restored = mixing(model, inside, np.eye(3))
    outside = model.activation((1, 3, size_px, size_px), name="restored")
    model.op("TRANSPOSE", [restored, model.constant([0, 3, 1, 2])], [outside])
    return model.build([image], [outside])


def raw(*, size_px: int = 16, dtype: str = "float32") -> bytes:
    """Build a net that makes RGB of a packed Bayer mosaic, of twice the edge."""
    model = ModelBuilder(dtype)
    mosaic = model.activation((1, size_px, size_px, 4), name="mosaic")
    cell = np.array([[1, 0, 0, 0], [0, 0.5, 0.5, 0], [0, 0, 0, 1]])
    spread = mixing(model, mosaic, np.tile(cell, (4, 1)))
    larger = model.activation((1, 2 * size_px, 2 * size_px, 3), name="developed")
    model.op("DEPTH_TO_SPACE", [spread], [larger], block_size=2)
    return model.build([mosaic], [larger])


def luma(*, size_px: int = 32, dtype: str = "float32") -> bytes:
    """Build a net of one channel in and out."""
    model = ModelBuilder(dtype)
    image = model.activation((1, size_px, size_px, 1), name="y")
    return model.build([image], [mixing(model, image, np.eye(1), name="restored")])


def noise_map(*, size_px: int = 32, dtype: str = "float32") -> bytes:
    """Build a net that takes a plane with the level of noise beside its image."""
    model = ModelBuilder(dtype)
    image = model.activation((1, size_px, size_px, 3), name="image")
    level = model.activation((1, size_px, size_px, 1), name="level")
    joined = model.concatenation(image, level)
    restored = mixing(model, joined, np.eye(3, 4), name="restored")
    return model.build([image, level], [restored])


def exposure(*, size_px: int = 32, dtype: str = "float32") -> bytes:
    """Build a net that multiplies its image by one number."""
    model = ModelBuilder(dtype)
    image = model.activation((1, size_px, size_px, 3), name="image")
    gain = model.activation((1, 1, 1, 1), name="gain")
    lit = model.same("MUL", mixing(model, image, np.eye(3)), gain)
    return model.build([image, gain], [lit])


def video(
    *, size_px: int = 16, dtype: str = "float32", channels: int = 8, kept: float = 0.5
) -> bytes:
    """Build a net that restores a frame and hands a state, the frame's share in it, to the next."""
    model = ModelBuilder(dtype)
    image = model.activation((1, size_px, size_px, 3), name="frame")
    state = model.activation((1, size_px, size_px, channels), name="state")
    joined = model.concatenation(image, state)
    share = np.hstack([0.9 * np.eye(3), 0.1 * np.eye(3, channels)])
    restored = mixing(model, joined, share, name="restored")
    hands = np.zeros((channels, 3 + channels))
    hands[:3, :3], hands[:3, 3:6] = kept * np.eye(3), 0.5 * np.eye(3)
    following = mixing(model, joined, hands, seed=5, name="next_state")
    return model.build([image, state], [restored, following])


def classifier(*, size_px: int = 32, dtype: str = "float32", classes: int = 5) -> bytes:
    """Build a net that gives a score to each class."""
    model = ModelBuilder(dtype)
    image = model.activation((1, size_px, size_px, 3), name="image")
    features = model.conv(image, 8, stride=2)
    pooled = model.activation((1, 8))
    model.op("MEAN", [features, model.constant([1, 2])], [pooled], keep_dims=False)
    scores = model.activation((1, classes), name="scores")
    weights = model.weights((classes, 8), per_channel=False)
    whole = {"dtype": "int32", "scales": [SCALE * WEIGHT_SCALE]} if dtype == "int8" else {}
    bias = model.tensor((classes,), data=0, **whole)
    model.op("FULLY_CONNECTED", [pooled, weights, bias], [scores])
    return model.build([image], [scores])


IMAGES_AS = {
    "uint8": (1 / 255, 0), "int8": (1 / 255, -128), "int16": (1 / 32767, 0), "float32": None,
}  # fmt: skip
"""Scale and zero point with which exporters store an image in [0, 1]."""


def stored_as(dtype: str, *, size_px: int = 48) -> bytes:
    """Build an 8-bit net whose image comes and goes as a dtype, as exporters leave it."""
    model = ModelBuilder("int8")
    shape, known = (1, size_px, size_px, 3), IMAGES_AS[dtype]
    numbers = {} if known is None else {"scales": [known[0]], "zero_point": known[1]}
    image = model.activation(shape, dtype, name="image", **numbers)
    inside = model.activation(shape)
    model.op("QUANTIZE", [image], [inside])
    restored = mixing(model, inside, np.eye(3))
    outside = model.activation(shape, dtype, name="restored", **numbers)
    model.op("DEQUANTIZE" if known is None else "QUANTIZE", [restored], [outside])
    return model.build([image], [outside])


def old_uint8(*, size_px: int = 48, kept: float = 1.0) -> bytes:
    """Build a net of 8 bits without sign, weights and all, as the first quantizers made them."""
    model = ModelBuilder("uint8")
    shape = (1, size_px, size_px, 3)
    image = model.activation(shape, name="image", scales=[1 / 255])
    filters = np.random.default_rng(3).normal(0, STRENGTH, (3, 3, 3, 3))
    filters[:, 1, 1, :] += kept * np.eye(3)
    step = float(np.abs(filters).max()) / 127
    weights = model.tensor(
        filters.shape, "uint8", data=np.round(filters / step) + 128, scales=[step], zero_point=128
    )
    bias = model.tensor((3,), "int32", data=0, scales=[step / 255])
    restored = model.activation(shape, name="restored", scales=[1 / 255])
    model.op(
        "CONV_2D", [image, weights, bias], [restored],
        padding="SAME", stride_h=1, stride_w=1, dilation_h_factor=1, dilation_w_factor=1,
    )  # fmt: skip
    return model.build([image], [restored])


def int16(*, size_px: int = 48) -> bytes:
    """Build a net of 16-bit activations and 8-bit weights."""
    model = ModelBuilder("int16")
    shape, scale = (1, size_px, size_px, 3), 2 / 32767
    image = model.activation(shape, name="image", scales=[scale])
    filters = np.random.default_rng(3).normal(0, STRENGTH, (3, 3, 3, 3))
    filters[:, 1, 1, :] += np.eye(3)
    step = float(np.abs(filters).max()) / 127
    weights = model.tensor(filters.shape, "int8", data=np.round(filters / step), scales=[step] * 3)
    bias = model.tensor((3,), "int64", data=0, scales=[scale * step] * 3)
    restored = model.activation(shape, name="restored", scales=[scale])
    model.op(
        "CONV_2D", [image, weights, bias], [restored],
        padding="SAME", stride_h=1, stride_w=1, dilation_h_factor=1, dilation_w_factor=1,
    )  # fmt: skip
    return model.build([image], [restored])


def sparse(*, size_px: int = 16) -> bytes:
    """Build a net whose weights DENSIFY unpacks; every axis of them is stored whole."""
    model = ModelBuilder()
    image = model.activation((1, size_px, size_px, 3), name="image")
    filters = np.zeros((3, 3, 3, 3))
    filters[:, 1, 1, :] = np.eye(3)
    packed = model.tensor(filters.shape, data=filters, name="packed")
    unpacked = model.activation(filters.shape, name="unpacked")
    model.op("DENSIFY", [packed], [unpacked])
    restored = model.activation((1, size_px, size_px, 3), name="restored")
    model.op(
        "CONV_2D", [image, unpacked, model.tensor((3,), data=0)], [restored],
        padding="SAME", stride_h=1, stride_w=1, dilation_h_factor=1, dilation_w_factor=1,
    )  # fmt: skip
    tree = flatbuffer.unpack(model.build([image], [restored]))
    stored = schema.SparsityParametersT()
    stored.traversalOrder = [0, 1, 2, 3]
    stored.dimMetadata = []
    for edge in filters.shape:
        axis = schema.DimensionMetadataT()
        axis.format, axis.denseSize = schema.DimensionType.DENSE, edge
        stored.dimMetadata.append(axis)
    tree.subgraphs[0].tensors[packed].sparsity = stored
    return flatbuffer.pack(tree)


QUANTIZED: dict[str, Callable[[], bytes]] = {
    **{f"{dtype}_io": functools.partial(stored_as, dtype) for dtype in IMAGES_AS},
    "old_uint8": old_uint8, "int16": int16,
}  # fmt: skip
"""Every way in which one quantized net of 48x48 is exported."""


def scaled(data: bytes, factor: float) -> bytes:
    """Return an 8-bit model with its weights multiplied: another net; with 0, one of zeros."""
    tree = flatbuffer.unpack(data)
    for tensor in tree.subgraphs[0].tensors:
        buffer = tree.buffers[tensor.buffer]
        if tensor.type == schema.TensorType.INT8 and buffer.data is not None:
            weights = np.frombuffer(bytes(buffer.data), np.int8)
            buffer.data = np.round(weights * factor).astype(np.int8).view(np.uint8)
    return flatbuffer.pack(tree)


def signed(data: bytes) -> bytes:
    """Give a model a signature: its names end with `_named`, its outputs come in turned order."""
    tree = flatbuffer.unpack(data)
    graph = tree.subgraphs[0]

    def named(indices: Sequence[int]) -> list[schema.TensorMapT]:
        maps = []
        for i in indices:
            one = schema.TensorMapT()
            one.name = graph.tensors[i].name + b"_named"
            one.tensorIndex = i
            maps.append(one)
        return maps

    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = b"serving_default", 0
    signature.inputs = named([int(i) for i in graph.inputs])
    signature.outputs = named([int(i) for i in reversed(graph.outputs)])
    tree.signatureDefs = [signature]
    return flatbuffer.pack(tree)


EXAMPLES = {
    "burst": burst, "classifier": classifier, "exposure": exposure, "luma": luma, "nchw": nchw,
    "noise_map": noise_map, "open_size": functools.partial(models.restorer, size_px=1),
    "quantized": functools.partial(stored_as, "uint8", size_px=32), "raw": raw,
    "two_outputs": two_outputs, "video": video,
}  # fmt: skip
"""Those that lie in examples/kinds for the guide: `python -m tests.kinds` writes them."""


def main() -> None:
    """Write the examples."""
    folder = Path(__file__).parents[1] / "examples" / "kinds"
    for name, build in EXAMPLES.items():
        (folder / f"{name}.tflite").write_bytes(build())


if __name__ == "__main__":
    main()
