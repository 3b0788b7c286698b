"""Resizing follows which parts of an axis grow, whatever RESHAPE and TRANSPOSE make of them."""

import numpy as np
import pytest

from harness import axes
from harness.advice import moves
from harness.errors import ModelError
from harness.model import Model
from harness.stacks import xnnpack
from tests import patterns
from tests.models import ModelBuilder


def unshuffled() -> Model:
    """Return the pixel unshuffle of PyTorch before a convolution."""
    model = ModelBuilder()
    image = model.activation((1, 8, 12, 3), name="image")
    x = patterns.reshaped(model, image, (1, 4, 2, 6, 2, 3))
    x = patterns.transposed(model, x, (0, 1, 3, 5, 2, 4))
    x = model.conv(patterns.reshaped(model, x, (1, 4, 6, 12)), 3)
    return patterns.build(model, image, x)


@pytest.mark.parametrize("size", ["6x16", "24x8", "16x3"])
@pytest.mark.parametrize(
    "model",
    [
        patterns.shuffled_in_six(),
        patterns.shuffled_channels_first(),
        patterns.copied_in_five(),
        patterns.turned_and_back(),
    ],
)
def test_a_chain_of_moves_at_another_size_moves_as_the_op_that_it_stands_for(
    model: Model, size: str
) -> None:
    short = moves.simplified(model, (moves.PIXEL_SHUFFLE, moves.NEAREST, moves.LAYOUT))
    assert short is not None
    wanted = short.at(size)

    resized = model.at(size)

    assert len(resized.graph.ops) == len(model.graph.ops)
    shape = resized.graph.tensors[resized.graph.inputs[0]].shape
    frame = np.random.default_rng(0).random(shape).astype(np.float32)
    np.testing.assert_array_equal(
        xnnpack.execute(resized, [frame])[0], xnnpack.execute(wanted, [frame])[0]
    )


def test_blocks_keep_their_length_when_the_image_grows() -> None:
    resized = unshuffled().at("24x16")

    shapes = [resized.graph.tensors[op.outputs[0]].shape for op in resized.graph.ops]
    assert shapes[0] == (1, 8, 2, 12, 2, 3)
    assert shapes[2] == (1, 8, 12, 12)


def test_a_size_that_blocks_do_not_divide_is_refused() -> None:
    with pytest.raises(ModelError):
        unshuffled().at("13x16")


@pytest.mark.parametrize(
    ("was", "now", "target"),
    [
        # Rows and columns have become one axis before anything is known of it.
        ((1, 2048, 3), (1, 8192, 3), (1, 32, 64, 3)),
        # Two halves of an image, or blocks of half an image?
        ((1, 16, 4, 3), (1, 32, 4, 3), (1, 2, 8, 4, 3)),
        ((1, 6, 4, 3), (1, 12, 4, 3), (1, 4, 6, 3)),
    ],
)
def test_what_cannot_be_told_is_not_guessed(
    was: axes.Shape, now: axes.Shape, target: axes.Shape
) -> None:
    assert axes.regrouped(axes.of(was, now), target) is None
