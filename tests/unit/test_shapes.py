"""Tests of inferring shapes: what a file declares is checked before it is counted."""

from typing import Any

import pytest

from harness import graph, shapes
from harness.errors import ModelError
from harness.estimate.reference.catalogue import REFERENCES
from tests import models
from tests.models import ModelBuilder

_CONV: dict[str, Any] = {
    "padding": "SAME", "stride_h": 1, "stride_w": 1, "dilation_h_factor": 1, "dilation_w_factor": 1,
}  # fmt: skip


def test_convolutions_that_declare_one_pixel_are_refused() -> None:
    """They once counted 1/4096 of their work and were in budget."""
    model = ModelBuilder()
    image = model.activation((1, 64, 64, 64))
    x = model.activation((1, 1, 1, 64))
    model.op("CONV_2D", [image, model.weights((64, 3, 3, 64)), model.bias(64)], [x], **_CONV)

    with pytest.raises(
        ModelError, match=r"op #0 CONV_2D gives \[1, 64, 64, 64\] where .* declares \[1, 1, 1, 64\]"
    ):
        graph.parse(model.build([image], [x]))


@pytest.mark.parametrize("op", ["RESHAPE", "SQUEEZE", "EXPAND_DIMS"])
def test_no_op_loses_elements_by_another_name(op: str) -> None:
    model = ModelBuilder()
    image = model.activation((1, 8, 8, 4))
    y = model.activation((1, 1, 1, 4))
    model.op(op, [image, model.constant([1, 1, 1, 4])], [y])

    with pytest.raises(ModelError, match=rf"{op} cannot make \[1, 1, 1, 4\] of \[1, 8, 8, 4\]"):
        graph.parse(model.build([image], [y]))


def test_a_transposition_keeps_every_axis() -> None:
    model = ModelBuilder()
    image = model.activation((1, 8, 8, 4))
    y = model.activation((1, 1, 1, 4))
    model.op("TRANSPOSE", [image, model.constant([0, 0, 0, 3])], [y])

    with pytest.raises(ModelError, match=r"\[0, 0, 0, 3\] is no order of \[1, 8, 8, 4\]"):
        graph.parse(model.build([image], [y]))


@pytest.mark.parametrize("depth", [3, 8])
def test_filters_fit_the_depth_of_their_input(depth: int) -> None:
    model = ModelBuilder()
    image = model.activation((1, 8, 8, 4))
    y = model.activation((1, 8, 8, 4))
    filters = model.weights((4, 3, 3, depth))
    model.op("CONV_2D", [image, filters, model.bias(4)], [y], **_CONV)

    with pytest.raises(ModelError, match=r"op #0 CONV_2D: .* do not fit"):
        graph.parse(model.build([image], [y]))


@pytest.mark.parametrize(
    ("op", "options"),
    [
        ("CONV_2D", {"stride_h": 0}), ("CONV_2D", {"stride_w": -1}),
        ("CONV_2D", {"dilation_w_factor": -(2**31)}), ("MAX_POOL_2D", {"filter_height": 0}),
        ("MAX_POOL_2D", {"stride_w": 2**31 - 1}), ("DEPTH_TO_SPACE", {"block_size": -2}),
        ("DEPTH_TO_SPACE", {"block_size": 2**31 - 1}), ("SPACE_TO_DEPTH", {"block_size": -2}),
    ],
)  # fmt: skip
def test_options_that_make_no_sense_are_refused(op: str, options: dict[str, int]) -> None:
    model = ModelBuilder()
    image = model.activation((1, 8, 8, 4))
    inputs = [image, model.weights((4, 3, 3, 4)), model.bias(4)] if op == "CONV_2D" else [image]
    known: dict[str, Any] = {
        "CONV_2D": _CONV,
        "MAX_POOL_2D": {"padding": "SAME", "stride_h": 1, "stride_w": 1, "filter_height": 2,
                        "filter_width": 2},
    }.get(op, {})  # fmt: skip
    y = model.activation((1, 8, 8, 4))
    model.op(op, inputs, [y], **known | options)

    with pytest.raises(ModelError, match=op):
        graph.parse(model.build([image], [y]))


def test_an_op_without_an_output_is_refused() -> None:
    model = ModelBuilder()
    image = model.activation((1, 8, 8, 4))
    y = model.same("RELU", image)
    model.op("RELU", [y], [])

    with pytest.raises(ModelError, match="op #1 RELU has no output"):
        graph.parse(model.build([image], [y]))


def test_an_omitted_input_is_not_the_last_tensor() -> None:
    model = ModelBuilder()
    image = model.activation((1, 8, 8, 4))
    y = model.activation((1, 8, 8, 4))
    model.op("RELU", [-1], [y])

    with pytest.raises(ModelError, match="op #0 RELU has too few inputs"):
        graph.parse(model.build([image], [y]))


def test_what_no_rule_can_tell_is_believed_and_named() -> None:
    model = ModelBuilder()
    image = model.activation((1, 8, 8, 4))
    size = model.activation((2,), "int32")
    y = model.activation((1, 16, 16, 4))
    model.op("RESIZE_BILINEAR", [image, size], [y])
    z = model.same("OurBlur", y)

    parsed = graph.parse(model.build([image, size], [model.same("RELU", z)]))

    assert parsed.believed == (0, 1)
    assert parsed.belief.startswith(
        "no rule can tell the output shapes of RESIZE_BILINEAR #0 and 1 more"
    )


def test_a_network_of_known_ops_needs_no_belief() -> None:
    assert graph.parse(models.unet()).believed == ()


@pytest.mark.parametrize("precision", ["float", "int8"])
@pytest.mark.parametrize("name", REFERENCES)
def test_published_networks_have_the_shapes_that_they_declare(name: str, precision: str) -> None:
    assert shapes.check(REFERENCES[name].graph(precision)) == ()
