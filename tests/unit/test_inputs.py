"""Inputs: real values by name, told apart by content."""

import numpy as np
import pytest

from harness.errors import ModelError
from harness.inputs import Inputs
from tests import kinds, models

SIZE_PX = 8
DARK = np.zeros((1, SIZE_PX, SIZE_PX, 3), np.float32)
LIGHT = np.ones((1, SIZE_PX, SIZE_PX, 3), np.float32)
BURST = models.model(kinds.burst(size_px=SIZE_PX)).graph
SINGLE = models.model(models.conv_net(size_px=SIZE_PX)).graph


def test_the_same_content_is_equal_and_other_content_or_names_are_not() -> None:
    first = Inputs({"a": DARK, "b": LIGHT})

    assert first == Inputs({"a": DARK.copy(), "b": LIGHT.copy()})
    assert len({first, Inputs({"a": LIGHT, "b": DARK}), Inputs({"a": DARK, "c": LIGHT})}) == 3


def test_values_go_to_the_input_of_their_name_whatever_their_order() -> None:
    values = Inputs({"second": LIGHT, "first": DARK}).of_graph(BURST)

    assert values[0] is DARK
    assert values[1] is LIGHT


def test_values_under_names_of_another_exporter_are_taken_in_their_order() -> None:
    values = Inputs({"x": LIGHT, "y": DARK}).of_graph(BURST)

    assert values[0] is LIGHT


def test_a_frame_is_for_the_only_input_whatever_its_name() -> None:
    assert Inputs.of(DARK).of_graph(SINGLE)[0] is DARK


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        (Inputs.of(DARK), "[[inputs]]"),
        (Inputs({"first": DARK, "third": LIGHT}), "third"),
        (Inputs({"first": DARK, "second": LIGHT[:, :4]}), "second"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(inputs: Inputs, said: str) -> None:
    with pytest.raises(ModelError) as refusal:
        inputs.of_graph(BURST)

    assert said in str(refusal.value)
