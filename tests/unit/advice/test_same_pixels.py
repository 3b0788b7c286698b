"""Rewrites that keep the weights give the same pixels, and leave alone what is something else."""

import numpy as np
import pytest

from harness import advice
from harness.advice.rewrites import SAME_PIXELS
from harness.model import Model
from harness.placement import Placement
from harness.profiles import Target
from harness.stacks import xnnpack
from tests import models
from tests.models import ModelBuilder
from tests.patterns import (
    build,
    copied_in_five,
    shuffled_channels_first,
    shuffled_in_six,
    transposed,
    turned_and_back,
)
from tests.unit.estimate import phones


def clipped(*ops: str, low: float = 0.0, high: float = 1.0) -> Model:
    """Return a convolution and ops that clip it."""
    model = ModelBuilder()
    image = model.activation((1, 8, 6, 3), name="image")
    x = model.conv(image, 3)
    bounds = {"MINIMUM": high, "MAXIMUM": low}
    for op in ops:
        more = [model.tensor((1,), data=bounds[op])] if op in bounds else []
        x = model.same(op, x, *more)
    return build(model, image, x)


def normalized(*, before: bool) -> Model:
    """Return a SUB and a DIV by channel before a convolution, or a MUL and an ADD after it."""
    model = ModelBuilder()
    image = model.activation((1, 8, 6, 3), name="image")
    values = {
        "SUB": [0.485, 0.456, 0.406], "DIV": [0.229, 0.224, 0.225], "ADD": [0.1, 0.2, 0.3],
        "MUL": [2.0, 0.5, 3.0],
    }  # fmt: skip

    def step(op: str, x: int) -> int:
        return model.same(op, x, model.tensor((1, 1, 1, 3), data=values[op]))

    if before:
        return build(model, image, model.conv(step("MUL", step("DIV", step("SUB", image))), 3))
    return build(model, image, step("ADD", step("MUL", model.conv(image, 3))))


def rewritten(model: Model, word: str) -> Model | None:
    """Return a model after the one rewrite whose name holds a word."""
    (name,) = [name for name in SAME_PIXELS if word in name]
    return SAME_PIXELS[name](model)


def ops(model: Model | None) -> list[str]:
    assert model is not None
    return [op.name for op in model.graph.ops]


def outputs(model: Model) -> np.ndarray:
    """Return what a model makes of noise around zero, so that every bound is met."""
    shape = model.graph.tensors[model.graph.inputs[0]].shape
    noise = np.random.default_rng(0).normal(0.0, 4.0, shape).astype(np.float32)
    return np.asarray(xnnpack.execute(model, [noise])[0])


@pytest.mark.parametrize(
    ("model", "word", "left"),
    [
        (shuffled_in_six(), "pixel shuffle", ["CONV_2D", "DEPTH_TO_SPACE"]),
        (shuffled_in_six(dtype="int8"), "pixel shuffle", ["CONV_2D", "DEPTH_TO_SPACE"]),
        (shuffled_channels_first(), "pixel shuffle", ["CONV_2D", "DEPTH_TO_SPACE", "RELU"]),
        (copied_in_five(), "upsampling", ["CONV_2D", "RESIZE_NEAREST_NEIGHBOR"]),
        (turned_and_back(), "chains", ["CONV_2D", "RELU", "CONV_2D"]),
        (clipped("RELU", "MINIMUM"), "clipping", ["CONV_2D", "RELU_0_TO_1"]),
        (clipped("MINIMUM", "RELU"), "clipping", ["CONV_2D", "RELU_0_TO_1"]),
        (clipped("RELU", "MINIMUM", high=6.0), "clipping", ["CONV_2D", "RELU6"]),
        (clipped("MAXIMUM", "MINIMUM", low=-1.0), "clipping", ["CONV_2D", "RELU_N1_TO_1"]),
        (normalized(before=True), "normalization", ["MUL", "ADD", "CONV_2D"]),
        (normalized(before=False), "normalization", ["CONV_2D"]),
    ],
)
def test_a_pattern_becomes_fewer_ops_that_give_the_same_pixels(
    model: Model, word: str, left: list[str]
) -> None:
    changed = rewritten(model, word)

    assert changed is not None
    assert ops(changed) == left
    was, now = outputs(model), outputs(changed)
    assert was.std() > 0.0
    np.testing.assert_allclose(now, was, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("word", ["pixel shuffle", "upsampling", "chains"])
def test_moves_are_exact_to_the_last_bit(word: str) -> None:
    for model in (
        shuffled_in_six(),
        shuffled_channels_first(),
        copied_in_five(),
        turned_and_back(),
    ):
        changed = rewritten(model, word)
        if changed is not None:
            np.testing.assert_array_equal(outputs(changed), outputs(model))


@pytest.mark.parametrize(
    ("model", "word"),
    [
        # Its channels are in another order, and there are no weights to put them right.
        (shuffled_in_six(conv=False), "pixel shuffle"),
        (shuffled_channels_first(conv=False), "pixel shuffle"),
        # Rows and columns of a block are exchanged with those of the image.
        (shuffled_in_six(order=(0, 4, 1, 5, 2, 3)), "pixel shuffle"),
        (clipped("RELU", "MINIMUM", high=4.0), "clipping"),
        (clipped("RELU", "RELU6"), "clipping"),
        (models.model(models.unet()), "pixel shuffle"),
        (models.model(models.unet()), "chains"),
        (models.model(models.unet()), "normalization"),
    ],
)
def test_what_is_something_else_is_left_alone(model: Model, word: str) -> None:
    assert rewritten(model, word) is None


def test_a_tensor_that_is_read_elsewhere_too_ends_a_chain() -> None:
    model = ModelBuilder()
    image = model.activation((1, 8, 6, 4), name="image")
    turned = transposed(model, image, (0, 3, 1, 2))
    back = transposed(model, turned, (0, 2, 3, 1))
    also = transposed(model, model.same("RELU", turned), (0, 2, 3, 1))
    found = build(model, image, model.same("ADD", back, also))

    assert rewritten(found, "chains") is None


def test_advice_offers_the_rewrite_with_its_gain_and_what_it_does_to_pixels() -> None:
    def nnapi(model: Model, target: Target) -> Placement:
        return phones.place(model.graph)

    target = phones.target()
    model = shuffled_in_six()

    found = advice.advise(model, [target], nnapi, run=xnnpack.execute)
    changed, made = advice.improved(model, found, run=xnnpack.execute)

    (shuffle,) = [one for one in found if "pixel shuffle" in one.rewrite]
    assert shuffle.same_db is not None
    assert shuffle.gain_share > 0.0
    assert made == (shuffle.rewrite,)
    assert ops(changed) == ["CONV_2D", "DEPTH_TO_SPACE"]
    np.testing.assert_array_equal(outputs(changed), outputs(model))
