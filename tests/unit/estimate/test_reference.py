"""The drawn networks are the published ones: parameters, MACs and ops fit their cards."""

import pytest

from harness.estimate.reference.catalogue import REFERENCES, PublishedNetwork
from harness.estimate.reference.draft import Draft


@pytest.mark.parametrize("reference", REFERENCES.values(), ids=list(REFERENCES))
def test_a_drawn_network_has_the_published_parameters_and_macs(reference: PublishedNetwork) -> None:
    draft = Draft()

    graph = draft.finish(reference.draw(draft))

    assert draft.parameters / 1e6 == pytest.approx(reference.parameters_millions, rel=0.02)
    if reference.gmacs is not None:
        assert graph.macs / 1e9 == pytest.approx(reference.gmacs, rel=0.04)


@pytest.mark.parametrize(
    ("name", "precision", "layers"),
    [
        # Layer counts of the float rows published with Qualcomm AI Hub Models.
        ("resnet18", "float", 38),
        ("resnet50", "float", 79),
        ("resnext50", "float", 79),
        ("regnet", "float", 114),
        ("densenet121", "float", 312),
        ("googlenet", "float", 84),
        ("inception_v3", "float", 129),
        ("shufflenet_v2", "float", 159),
        ("mobilenet_v2", "float", 71),
        ("efficientnet_b0", "float", 245),
        ("efficientnet_v2_s", "float", 508),
        ("quicksrnetsmall", "float", 13),
        ("quicksrnetlarge", "float", 33),
        ("real_esrgan_general_x4v3", "float", 74),
        ("esrgan", "float", 1024),
        ("resnext101", "float", 147),
        ("nasnet", "float", 776),
        ("fcn_resnet50_224", "float", 84),
        ("unet_segmentation", "float", 31),
        # Of the int8 rows, less the QUANTIZE at both ends.
        ("resnet18", "int8", 41 - 2),
        ("resnet50", "int8", 82 - 2),
        ("resnext50", "int8", 82 - 2),
        ("resnext101", "int8", 150 - 2),
        ("unet_segmentation", "int8", 37 - 2),
        ("wideresnet50", "int8", 82 - 2),
        ("regnet", "int8", 116 - 2),
        ("googlenet", "int8", 86 - 2),
        ("inception_v3", "int8", 144 - 4),
        ("shufflenet_v2", "int8", 162 - 2),
        ("shufflenet_v2_halves", "int8", 175 - 2),
        ("shufflenet_v2_joins", "int8", 207 - 2),
        ("mobilenet_v2", "int8", 108 - 2),
        ("mobilenet_v3_large", "int8", 137 - 2),
        ("fcn_resnet50", "int8", 90 - 2),
        ("quicksrnetsmall", "int8", 15 - 2),
        ("quicksrnetlarge", "int8", 35 - 2),
        ("real_esrgan_general_x4v3", "int8", 76 - 2),
    ],
)
def test_a_drawn_network_has_as_many_ops_as_the_measured_one(
    name: str, precision: str, layers: int
) -> None:
    assert len(REFERENCES[name].graph(precision).ops) == layers


@pytest.mark.parametrize(
    ("name", "precision", "layers"),
    [
        ("densenet121", "int8", 698 - 2),
        ("deeplabv3_plus_mobilenet", "int8", 138 - 2),
        ("deeplabv3_plus_mobilenet", "float", 101),
        ("fcn_resnet50", "float", 88),
        ("squeezenet1_1", "int8", 43 - 2),
        ("vit", "float", 1579),
    ],
)
def test_the_others_are_within_three_percent(name: str, precision: str, layers: int) -> None:
    assert len(REFERENCES[name].graph(precision).ops) == pytest.approx(layers, rel=0.03)


def test_int8_drafts_hold_a_quarter_of_the_bytes() -> None:
    whole, small = (REFERENCES["mobilenet_v1"].graph(precision) for precision in ("float", "int8"))

    assert small.macs == whole.macs
    assert small.weight_bytes == pytest.approx(whole.weight_bytes / 4, rel=0.03)
