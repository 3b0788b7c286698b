"""The op table of the NNAPI delegate, around its limits."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import graph
from harness.stacks.nnapi_limits import (
    LEVEL_5,
    LEVEL_6,
    LEVEL_7,
    LEVEL_8,
    NNAPI_1_0,
    NNAPI_1_1,
    NNAPI_1_2,
    NNAPI_1_3,
)
from harness.stacks.nnapi_rules import RULES, breaks_delegate, check
from harness.stacks.rules import Node, Objection
from tests.models import ModelBuilder, op_model

LEVELS = (NNAPI_1_0, NNAPI_1_1, NNAPI_1_2, NNAPI_1_3, LEVEL_5, LEVEL_6, LEVEL_7, LEVEL_8)


def node_of(model: bytes, level: int, *, accelerator_specified: bool = True) -> Node:
    parsed = graph.parse(model)
    return Node(
        graph=parsed,
        op=parsed.ops[-1],
        level=level,
        accelerator_specified=accelerator_specified,
    )


def finding_on(model: bytes, level: int) -> Objection | None:
    return check(node_of(model, level))


def reason_on(model: bytes, level: int) -> str:
    finding = finding_on(model, level)
    return finding.reason if finding else ""


FIRST_LEVELS = [
    ("CONV_2D", "float32", 27), ("CONV_2D", "int8", 29),
    ("DEPTHWISE_CONV_2D", "float32", 27), ("DEPTHWISE_CONV_2D", "int8", 29),
    ("TRANSPOSE_CONV", "float32", 29), ("TRANSPOSE_CONV", "int8", 29),
    ("FULLY_CONNECTED", "float32", 27), ("FULLY_CONNECTED", "int8", 29),
    ("RESIZE_BILINEAR", "float32", 27), ("RESIZE_BILINEAR", "int8", 29),
    ("RESIZE_NEAREST_NEIGHBOR", "float32", 29), ("RESIZE_NEAREST_NEIGHBOR", "int8", 29),
    ("DEPTH_TO_SPACE", "float32", 27), ("DEPTH_TO_SPACE", "int8", 27),
    ("SPACE_TO_DEPTH", "float32", 27), ("SPACE_TO_DEPTH", "int8", 27),
    ("PRELU", "float32", 29), ("PRELU", "int8", 29),
    ("LEAKY_RELU", "float32", 29), ("LEAKY_RELU", "int8", 29),
    ("RELU", "float32", 27), ("RELU", "int8", 27), ("LOGISTIC", "int8", 27),
    ("TANH", "float32", 27), ("TANH", "int8", 29), ("HARD_SWISH", "int8", 27),
    ("ELU", "float32", 30), ("ADD", "float32", 27), ("ADD", "int8", 27),
    ("SUB", "float32", 28), ("SUB", "int8", 29), ("MUL", "int8", 27), ("DIV", "float32", 28),
    ("SQUARED_DIFFERENCE", "float32", 28), ("SQUARED_DIFFERENCE", "int8", 30),
    ("MINIMUM", "int8", 29), ("MAXIMUM", "float32", 29),
    ("CONCATENATION", "float32", 27), ("CONCATENATION", "int8", 27),
    ("PAD", "float32", 28), ("PAD", "int8", 29), ("PADV2", "float32", 29), ("PADV2", "int8", 29),
    ("MIRROR_PAD", "float32", LEVEL_7), ("MIRROR_PAD", "int8", LEVEL_7),
    ("MAX_POOL_2D", "int8", 27), ("AVERAGE_POOL_2D", "float32", 27),
    ("MEAN", "float32", 28), ("MEAN", "int8", 29), ("REDUCE_MAX", "int8", 29),
    ("SUM", "float32", 29), ("REDUCE_PROD", "float32", 29), ("TRANSPOSE", "float32", 28),
    ("TRANSPOSE", "int8", 28), ("RESHAPE", "float32", 27), ("RESHAPE", "int8", 27),
    ("SOFTMAX", "float32", 27), ("QUANTIZE", "float32", 30), ("DEQUANTIZE", "int8", 29),
    ("ABS", "float32", 29), ("POW", "float32", 29), ("SQRT", "float32", 29),
    ("RSQRT", "float32", 29), ("RSQRT", "int8", LEVEL_7), ("NEG", "float32", 29),
]  # fmt: skip
"""Source: facts on LiteRT @ f674577, nnapi_delegate.cc, Validate."""


@pytest.mark.parametrize(("op", "dtype", "first"), FIRST_LEVELS)
def test_an_op_is_taken_from_its_first_feature_level_on(op: str, dtype: str, first: int) -> None:
    model = op_model(op, dtype=dtype)

    taken = [level for level in LEVELS if finding_on(model, level) is None]

    assert taken == [level for level in LEVELS if level >= first]


@pytest.mark.parametrize(
    ("op", "dtype"),
    [
        ("ELU", "int8"), ("DIV", "int8"), ("SUM", "int8"), ("ABS", "int8"), ("NEG", "int8"),
        ("RELU", "int16"), ("RESIZE_BILINEAR", "int16"), ("ADD", "int16"), ("PRELU", "int16"),
        ("TRANSPOSE_CONV", "int16"), ("DEPTHWISE_CONV_2D", "int16"), ("LEAKY_RELU", "int16"),
        ("GELU", "float32"), ("SQUARE", "float32"), ("MyCustomOp", "float32"),
    ],
)  # fmt: skip
def test_some_ops_are_refused_at_every_feature_level(op: str, dtype: str) -> None:
    model = op_model(op, dtype=dtype)

    assert all(finding_on(model, level) for level in LEVELS)


@pytest.mark.parametrize("op", ["RELU", "RESIZE_BILINEAR", "PRELU", "ADD", "TRANSPOSE_CONV"])
def test_a_16_bit_op_is_told_that_nnapi_has_no_16_bit(op: str) -> None:
    finding = finding_on(op_model(op, dtype="int16"), LEVEL_8)

    assert finding is not None
    assert finding.remedy.startswith("NNAPI has no 16-bit fixed point")


@pytest.mark.parametrize(
    ("op", "newest"),
    [("CONV_2D", 5), ("DEPTHWISE_CONV_2D", 3), ("TRANSPOSE_CONV", 4), ("RESIZE_BILINEAR", 3),
     ("PRELU", 1), ("RELU", 2), ("RESHAPE", 1), ("CONCATENATION", 2), ("MUL", 3), ("SUB", 3)],
)  # fmt: skip
def test_an_op_newer_than_the_table_is_refused(op: str, newest: int) -> None:
    if op == "PRELU":
        model = ModelBuilder()
        x = model.activation((1, 8, 8, 4))
        slope = model.activation((4,), data=0.5)
        y = model.same("PRELU", x, slope, version=newest + 1)
        new = model.build([x], [y])
        old = op_model("PRELU")
    else:
        old, new = op_model(op, version=newest), op_model(op, version=newest + 1)

    assert finding_on(old, LEVEL_8) is None
    assert reason_on(new, LEVEL_8) == f"op version {newest + 1} is newer than {newest}"


def test_mul_version_3_needs_a_named_accelerator() -> None:
    model = op_model("MUL", version=3)

    assert check(node_of(model, 29)) is None
    assert check(node_of(model, 29, accelerator_specified=False)) is not None


@pytest.mark.parametrize("op", ["RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"])
@pytest.mark.parametrize("flag", ["half_pixel_centers", "align_corners"])
def test_modern_sampling_needs_android_11(op: str, flag: str) -> None:
    legacy = op_model(op)
    options: dict[str, Any] = {flag: True}
    modern = op_model(op, **options)

    assert finding_on(legacy, NNAPI_1_2) is None
    refused = finding_on(modern, NNAPI_1_2)
    assert refused is not None
    assert refused.reason.startswith(f"{flag} needs feature level 30")
    assert refused.remedy == "export with half_pixel_centers=False and align_corners=False"
    assert finding_on(modern, NNAPI_1_3) is None


def test_a_resize_to_a_rectangle_needs_android_10() -> None:
    model = op_model("RESIZE_BILINEAR", shape=(1, 4, 8, 4))

    assert "not square" in reason_on(model, NNAPI_1_1)
    assert reason_on(model, NNAPI_1_2) == ""


def test_a_convolution_without_bias_is_refused() -> None:
    model = ModelBuilder()
    x = model.activation((1, 8, 8, 4))
    y = model.activation((1, 8, 8, 4))
    filters = model.weights((4, 3, 3, 4))
    model.op("CONV_2D", [x, filters], [y], padding="SAME", stride_h=1, stride_w=1,
             dilation_h_factor=1, dilation_w_factor=1)  # fmt: skip

    assert reason_on(model.build([x], [y]), LEVEL_8) == "has no bias"


def test_a_dilated_convolution_needs_android_10() -> None:
    for factor in ("dilation_h_factor", "dilation_w_factor"):
        options: dict[str, Any] = {factor: 2}
        model = op_model("CONV_2D", **options)
        assert "dilation" in reason_on(model, NNAPI_1_1)
        assert reason_on(model, NNAPI_1_2) == ""


def test_a_size_computed_at_run_time_is_refused() -> None:
    model = ModelBuilder()
    x = model.activation((1, 8, 8, 4))
    size = model.tensor((2,), "int32")
    y = model.activation((1, 16, 16, 4))
    model.op("RESIZE_BILINEAR", [x, size], [y])

    assert reason_on(model.build([x, size], [y]), LEVEL_8) == (
        "size is computed at run time; it must be constant"
    )


def test_a_concatenation_with_a_fused_activation_is_refused() -> None:
    fused = op_model("CONCATENATION", fused_activation_function="RELU")

    assert reason_on(fused, LEVEL_8) == "fused RELU is not taken"


@pytest.mark.parametrize("op", ["ADD", "DIV", "MEAN", "SOFTMAX", "CONCATENATION"])
def test_rank_5_is_refused(op: str) -> None:
    model = ModelBuilder()
    x = model.activation((1, 2, 2, 2, 2))
    other = [x] if op in ("ADD", "DIV", "CONCATENATION") else []
    axes = [model.constant([0])] if op == "MEAN" else []
    y = model.activation((2 if op == "CONCATENATION" else 1, 2, 2, 2, 2))
    options: dict[str, Any] = {"keep_dims": True} if op == "MEAN" else {}
    model.op(op, [x, *other, *axes], [y], **options)

    assert "rank 5" in reason_on(model.build([x], [y]), LEVEL_8)


def test_quantizing_to_int8_inside_the_model_needs_android_11() -> None:
    finding = finding_on(op_model("QUANTIZE"), NNAPI_1_2)

    assert finding is not None
    assert finding.reason.startswith("int8 output needs feature level 30")
    assert "int8 inputs" in finding.remedy


@pytest.mark.parametrize(("zero_point", "taken"), [(0, True), (3, False)])
def test_android_10_dequantizes_only_symmetric_int8(zero_point: int, taken: bool) -> None:
    model = ModelBuilder("int8")
    x = model.activation((1, 4, 4, 4), zero_point=zero_point)
    y = model.tensor((1, 4, 4, 4))
    model.op("DEQUANTIZE", [x], [y])
    data = model.build([x], [y])

    assert (finding_on(data, NNAPI_1_2) is None) is taken
    assert finding_on(data, NNAPI_1_3) is None


def test_a_computed_float16_is_widened_from_android_11_on() -> None:
    model = ModelBuilder()
    x = model.tensor((1, 4, 4, 4), "float16")
    y = model.tensor((1, 4, 4, 4))
    model.op("DEQUANTIZE", [x], [y], version=3)
    data = model.build([x], [y])

    assert finding_on(data, NNAPI_1_2) is not None
    assert finding_on(data, NNAPI_1_3) is None


def test_int32_arithmetic_needs_android_11_and_no_activation() -> None:
    model = ModelBuilder("int32")
    x = model.activation((1, 4))
    plain = model.build([x], [model.same("ADD", x, x, version=1)])
    other = ModelBuilder("int32")
    x = other.activation((1, 4))
    y = other.same("ADD", x, x, version=1, fused_activation_function="RELU")
    fused = other.build([x], [y])

    assert reason_on(plain, NNAPI_1_2).startswith("int32 needs feature level 30")
    assert reason_on(plain, NNAPI_1_3) == ""
    assert reason_on(fused, NNAPI_1_3) == "fused RELU is not taken"


def test_a_large_quantized_window_is_refused_only_where_nnapi_may_use_its_cpu() -> None:
    model = op_model("AVERAGE_POOL_2D", dtype="int8", filter_height=17, filter_width=17)

    assert check(node_of(model, 29)) is None
    assert check(node_of(model, 29, accelerator_specified=False)) is not None


def test_packing_along_the_last_axis_needs_feature_level_6() -> None:
    def pack(axis: int) -> bytes:
        model = ModelBuilder()
        x = model.activation((2, 3))
        y = model.activation((2, 2, 3) if axis == 0 else (2, 3, 2))
        model.op("PACK", [x, x], [y], axis=axis, values_count=2)
        return model.build([x], [y])

    assert reason_on(pack(0), NNAPI_1_3) == ""
    assert "last axis" in reason_on(pack(-1), NNAPI_1_3)
    assert "last axis" in reason_on(pack(2), LEVEL_5)
    assert reason_on(pack(2), LEVEL_6) == ""


def test_a_split_counts_the_dtype_of_its_second_input() -> None:
    def split(dtype: str) -> bytes:
        model = ModelBuilder(dtype)
        x = model.activation((1, 4))
        halves = [model.activation((1, 2)), model.activation((1, 2))]
        model.op("SPLIT", [model.constant(1), x], halves, num_splits=2)
        return model.build([x], halves)

    assert reason_on(split("float32"), NNAPI_1_2) == ""
    assert reason_on(split("int8"), NNAPI_1_2).startswith("int8 needs feature level 30")
    assert reason_on(split("int8"), NNAPI_1_3) == ""


def test_batch_to_space_with_crops_is_refused() -> None:
    def batch_to_space(crop: int) -> bytes:
        model = ModelBuilder()
        x = model.activation((4, 2, 2, 1))
        y = model.activation((1, 4, 4, 1))
        blocks, crops = model.constant([2, 2]), model.constant(np.full((2, 2), crop))
        model.op("BATCH_TO_SPACE_ND", [x, blocks, crops], [y])
        return model.build([x], [y])

    assert reason_on(batch_to_space(0), NNAPI_1_2) == ""
    assert "crops" in reason_on(batch_to_space(1), NNAPI_1_2)


@pytest.mark.parametrize(
    ("op", "dtype", "breaks"),
    [("CONV_2D", "int16", True), ("TRANSPOSE", "int16", False), ("CONV_2D", "int8", False),
     ("CONV_2D", "float32", False), ("RELU", "int16", False)],
)  # fmt: skip
def test_an_op_without_type_check_lets_int16_through_to_the_runtime(
    op: str, dtype: str, breaks: bool
) -> None:
    node = node_of(op_model(op, dtype=dtype), NNAPI_1_2)

    assert (check(node) is None and breaks_delegate(node)) is breaks


def test_an_op_without_inputs_is_refused_and_not_an_error() -> None:
    node = node_of(op_model("RELU"), NNAPI_1_2)

    finding = check(replace(node, op=replace(node.op, inputs=())))

    assert finding is not None
    assert finding.reason == "lacks an input or an output"


@given(
    op=st.sampled_from(sorted(op for op in RULES if not op.startswith(("SPLIT", "LOGICAL")))),
    dtype=st.sampled_from(["float32", "int8", "int16"]),
    half_pixel=st.booleans(),
    width=st.sampled_from([2, 8, 10]),
    data=st.data(),
)
def test_a_higher_feature_level_never_refuses_what_a_lower_one_took(
    op: str, dtype: str, half_pixel: bool, width: int, data: st.DataObject
) -> None:
    low = data.draw(st.sampled_from(LEVELS))
    high = data.draw(st.sampled_from([level for level in LEVELS if level >= low]))
    options: dict[str, Any] = {"half_pixel_centers": half_pixel} if op.startswith("RESIZE") else {}
    model = op_model(op, dtype=dtype, shape=(1, 8, width, 4), **options)

    if finding_on(model, low) is None:
        assert finding_on(model, high) is None
