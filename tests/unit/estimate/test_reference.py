"""The drawn networks are the published ones: parameters, MACs and ops fit their cards."""

import pytest

from harness.estimate.reference.catalogue import REFERENCES, Reference
from harness.estimate.reference.draft import Draft


@pytest.mark.parametrize("reference", REFERENCES.values(), ids=list(REFERENCES))
def test_a_drawn_network_has_the_published_parameters_and_macs(reference: Reference) -> None:
    draft = Draft()

    graph = draft.finish(reference.draw(draft))

    assert draft.parameters / 1e6 == pytest.approx(reference.parameters_millions, rel=0.02)
    if reference.gmacs is not None:
        assert graph.macs / 1e9 == pytest.approx(reference.gmacs, rel=0.04)


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        # Layer counts of the float rows published with Qualcomm AI Hub Models, less the SUB and
        # MUL that normalize the input of classifiers.
        ("resnet18", 38 - 2),
        ("resnet50", 79 - 2),
        ("resnext50", 79 - 2),
        ("regnet", 114 - 2),
        ("densenet121", 312 - 2),
        ("googlenet", 84 - 2),
        ("inception_v3", 129),
        ("shufflenet_v2", 159 - 2),
        ("mobilenet_v2", 71 - 2),
        ("efficientnet_b0", 245 - 2),
        ("efficientnet_v2_s", 508 - 2),
        ("quicksrnetsmall", 13),
        ("quicksrnetlarge", 33),
        ("real_esrgan_general_x4v3", 74),
        ("esrgan", 1024),
    ],
)
def test_a_drawn_network_has_as_many_ops_as_the_measured_one(name: str, layers: int) -> None:
    assert len(REFERENCES[name].graph("float").ops) == layers


def test_int8_drafts_hold_a_quarter_of_the_bytes() -> None:
    whole, small = (REFERENCES["mobilenet_v1"].graph(precision) for precision in ("float", "int8"))

    assert small.macs == whole.macs
    assert small.weight_bytes == pytest.approx(whole.weight_bytes / 4, rel=0.03)
