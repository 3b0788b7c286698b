"""The drawn networks are the published ones: parameters and MACs fit their cards."""

import functools
from collections.abc import Callable

import pytest

from harness.estimate.reference import mobile
from harness.estimate.reference.draft import Draft, Node


@pytest.mark.parametrize(
    ("draw", "parameters_millions", "gmacs"),
    [
        # TFLite hosted models and the papers named in mobile.py.
        (mobile.mobilenet_v1, 4.24, 0.569),
        (mobile.squeezenet_1_0, 1.248, 0.86),
        (mobile.inception_v4, 42.7, 12.27),
        (mobile.inception_resnet_v2, 55.8, 13.2),
        # The README counts 5 % more: it adds operations that are not multiply-accumulates.
        (functools.partial(mobile.efficientnet_lite, side_px=224, width=1.0, depth=1.0), 4.7, 0.39),
        (functools.partial(mobile.efficientnet_lite, side_px=240, width=1.0, depth=1.1), 5.4, 0.60),
        (functools.partial(mobile.efficientnet_lite, side_px=260, width=1.1, depth=1.2), 6.1, 0.86),
    ],
)
def test_a_drawn_network_has_the_published_parameters_and_macs(
    draw: Callable[[Draft], Node], parameters_millions: float, gmacs: float
) -> None:
    draft = Draft()

    graph = draft.finish(draw(draft))

    assert draft.parameters / 1e6 == pytest.approx(parameters_millions, rel=0.02)
    assert graph.macs / 1e9 == pytest.approx(gmacs, rel=0.04)


def test_int8_drafts_hold_a_quarter_of_the_bytes() -> None:
    whole, small = (Draft(precision=precision) for precision in ("float", "int8"))
    float_graph = whole.finish(mobile.mobilenet_v1(whole))
    int8_graph = small.finish(mobile.mobilenet_v1(small))

    assert int8_graph.macs == float_graph.macs
    assert int8_graph.weight_bytes == pytest.approx(float_graph.weight_bytes / 4, rel=0.03)
