"""Tests of rewriting a model for another input size."""

from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from hypothesis import given
from hypothesis import strategies as st

from harness import graph
from harness.errors import ModelError
from harness.images import Pixels
from harness.stacks import xnnpack
from tests import models
from tests.models import ModelBuilder

_RESIZABLE = {
    "conv chain": models.conv_net(size_px=16),
    "conv chain, int8": models.conv_net(size_px=16, dtype="int8"),
    "unet": models.unet(),
    "unet, half pixel centers": models.unet(half_pixel_centers=True),
    "unet, nearest": models.unet(upsampling="RESIZE_NEAREST_NEIGHBOR"),
    "unet, transposed": models.unet(upsampling="TRANSPOSE_CONV"),
    "unet, int8": models.unet(dtype="int8"),
    "unet, int16": models.unet(dtype="int16"),
    "unet, fp16 weights": models.unet(fp16_weights=True),
    **{
        op: models.op_model(op, shape=(1, 16, 16, 4))
        for op in (
            "CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "RESIZE_BILINEAR", "PRELU",
            "DEPTH_TO_SPACE", "SPACE_TO_DEPTH", "PAD", "MIRROR_PAD", "MAX_POOL_2D",
            "AVERAGE_POOL_2D", "MEAN", "TRANSPOSE", "CONCATENATION", "ADD", "LOGISTIC",
        )
    },
}  # fmt: skip


@pytest.mark.parametrize("size", [(16, 16), (32, 24), (8, 40)], ids=str)
@pytest.mark.parametrize("name", _RESIZABLE)
def test_every_shape_is_the_one_that_litert_computes(name: str, size: tuple[int, int]) -> None:
    resized = models.resized(_RESIZABLE[name], width_px=size[0], height_px=size[1])

    parsed = graph.parse(resized)
    assert parsed.tensors[parsed.inputs[0]].shape[1:3] == (size[1], size[0])
    assert {t.index: t.shape for t in parsed.tensors} == _shapes_in_litert(resized)


@pytest.mark.parametrize("name", ["conv chain", "MAX_POOL_2D", "DEPTH_TO_SPACE", "PAD", "MEAN"])
def test_the_rewritten_file_has_the_shapes_of_litert_resizing_the_original(name: str) -> None:
    resized = graph.parse(models.resized(_RESIZABLE[name], width_px=24, height_px=32))

    channels = resized.tensors[resized.inputs[0]].shape[3]
    wanted = _shapes_in_litert(_RESIZABLE[name], (1, 32, 24, channels))
    assert {t.index: t.shape for t in resized.tensors} == wanted


def _shapes_in_litert(
    model: bytes, shape: tuple[int, ...] | None = None
) -> dict[int, tuple[int, ...]]:
    interpreter: Any = Interpreter(
        model_content=model,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    if shape is not None:
        interpreter.resize_tensor_input(interpreter.get_input_details()[0]["index"], shape)
    interpreter.allocate_tensors()
    count = len(graph.parse(model).tensors)
    return {
        d["index"]: tuple(int(n) for n in d["shape"])
        for d in interpreter.get_tensor_details()
        if d["index"] < count  # the rest is scratch memory
    }


def test_the_size_it_has_already_leaves_every_byte_alone() -> None:
    model = models.unet(size_px=16)

    assert models.resized(model, width_px=16, height_px=16) is model


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_the_middle_of_a_larger_image_is_what_the_small_model_makes_of_that_crop(
    dtype: str,
) -> None:
    """Five pixels from the border on, three 3x3 convolutions no longer see the padding."""
    model = models.conv_net(size_px=24, depth=3, dtype=dtype)
    large = np.random.default_rng(5).random((1, 40, 56, 3), np.float32)

    whole = _run(models.resized(model, width_px=56, height_px=40), large)
    crop = _run(model, large[:, 8:32, 16:40])

    np.testing.assert_allclose(whole[:, 13:27, 21:35], crop[:, 5:19, 5:19], atol=1e-6)


@pytest.mark.parametrize("upsampling", ["RESIZE_BILINEAR", "TRANSPOSE_CONV"])
def test_there_and_back_again_computes_the_same(upsampling: str) -> None:
    model = models.unet(upsampling=upsampling, size_px=16)
    frame = np.random.default_rng(5).random((1, 16, 16, 3), np.float32)

    large = models.resized(model, width_px=48, height_px=32)
    again = models.resized(large, width_px=16, height_px=16)

    np.testing.assert_array_equal(_run(again, frame), _run(model, frame))


def test_a_size_constant_that_two_ops_share_is_right_for_both() -> None:
    model = ModelBuilder()
    image = model.activation((1, 8, 8, 3))
    size = model.constant([16, 16])
    x = model.activation((1, 16, 16, 3))
    y = model.activation((1, 16, 16, 3))
    model.op("RESIZE_BILINEAR", [image, size], [x])
    model.op("RESIZE_BILINEAR", [x, size], [y])

    resized = graph.parse(models.resized(model.build([image], [y]), width_px=24, height_px=8))

    assert [resized.tensors[op.outputs[0]].shape for op in resized.ops] == [(1, 16, 48, 3)] * 2


@given(width=st.integers(1, 40), height=st.integers(1, 40))
def test_a_u_net_takes_multiples_of_its_stride_and_refuses_the_rest(
    width: int, height: int
) -> None:
    model = models.unet(levels=2, size_px=16)

    if width % 4 or height % 4:
        with pytest.raises(ModelError, match=r"use a|multiple"):
            models.resized(model, width_px=width, height_px=height)
    else:
        parsed = graph.parse(models.resized(model, width_px=width, height_px=height))
        assert parsed.tensors[parsed.outputs[0]].shape == (1, height, width, 3)


class TestOfWhatIsRefused:
    def test_an_op_without_a_rule_is_named(self) -> None:
        with pytest.raises(ModelError, match="op #0 OurBlur: no rule to resize it"):
            models.resized(models.op_model("OurBlur"), width_px=16, height_px=16)

    def test_a_size_that_no_block_fits(self) -> None:
        with pytest.raises(ModelError, match="op #0 SPACE_TO_DEPTH: 9x8 is not a multiple of 2"):
            models.resized(models.op_model("SPACE_TO_DEPTH"), width_px=9, height_px=8)

    def test_a_classifier_whose_dense_layer_fixes_the_size(self) -> None:
        model = ModelBuilder()
        image = model.activation((1, 8, 8, 3))
        y = model.activation((1, 5))
        model.op("FULLY_CONNECTED", [image, model.weights((5, 192)), model.bias(5)], [y])

        with pytest.raises(ModelError, match="FULLY_CONNECTED fixes the input size"):
            models.resized(model.build([image], [y]), width_px=9, height_px=8)

    def test_a_model_with_two_inputs(self) -> None:
        model = ModelBuilder()
        a, b = model.activation((1, 8, 8, 3)), model.activation((1, 8, 8, 3))

        with pytest.raises(ModelError, match="has 2 inputs and 1 outputs"):
            models.resized(model.build([a, b], [model.same("ADD", a, b)]), width_px=8, height_px=8)

    def test_an_input_that_is_no_image(self) -> None:
        with pytest.raises(ModelError, match=r"its input has shape \(1, 8\)"):
            models.resized(models.op_model("RELU", shape=(1, 8)), width_px=8, height_px=8)

    def test_shapes_that_contradict_the_ops(self) -> None:
        model = ModelBuilder()
        image = model.activation((1, 8, 8, 3))
        y = model.activation((1, 9, 9, 3))
        model.op("RELU", [image], [y])

        with pytest.raises(ModelError, match=r"RELU gives \[1, 8, 8, 3\] where .* \[1, 9, 9, 3\]"):
            models.resized(model.build([image], [y]), width_px=16, height_px=16)

    def test_a_stride_of_zero(self) -> None:
        model = models.op_model("MAX_POOL_2D", stride_h=0, stride_w=0)

        with pytest.raises(ModelError):
            models.resized(model, width_px=16, height_px=16)

    @pytest.mark.parametrize("block", [0, -2])
    def test_a_block_that_is_no_block(self, block: int) -> None:
        with pytest.raises(ModelError):
            models.resized(
                models.op_model("DEPTH_TO_SPACE", block_size=block), width_px=16, height_px=16
            )

    def test_an_op_with_too_few_inputs(self) -> None:
        model = ModelBuilder()
        image = model.activation((1, 8, 8, 3))
        y = model.activation((1, 16, 16, 3))
        model.op("RESIZE_BILINEAR", [image], [y])

        with pytest.raises(ModelError):
            models.resized(model.build([image], [y]), width_px=16, height_px=16)


def _run(model: bytes, frame: Pixels) -> Pixels:
    return xnnpack.run(models.model(model), frame)
