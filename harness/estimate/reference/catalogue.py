"""List the reference networks: what they are called in published figures, and their cards."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from harness.estimate.reference import (
    attention,
    classifiers,
    inverted,
    mobile,
    nasnet,
    restoration,
)
from harness.estimate.reference.draft import Draft, Node
from harness.graph import Graph


@dataclass(frozen=True, kw_only=True)
class PublishedNetwork:
    """A network whose latency is published.

    Attributes:
        name: As published figures name it.
        family: Networks that are held out together.
        draw: Draws it.
        parameters_millions: Of its card, without auxiliary heads.
        gmacs: Of its card, at its input size, or None where the card has none.
        fuses_clamps: Whether its quantized form was exported by TensorFlow's converter, which fuses
            RELU6 into the op before it.
        since: ISO date from which phones' software runs it as it does today; rows measured before
            are of another program. '' where no such change is known.
    """

    name: str
    family: str
    draw: Callable[[Draft], Node]
    parameters_millions: float
    gmacs: float | None
    fuses_clamps: bool = False
    since: str = ""

    def graph(self, precision: str) -> Graph:
        """Draw the network; `precision` is float or int8."""
        draft = Draft(precision=precision, fuses_clamps=self.fuses_clamps)
        return draft.finish(self.draw(draft))


def _reference(
    name: str,
    family: str,
    draw: Callable[[Draft], Node],
    millions: float,
    gmacs: float | None,
    *,
    fuses_clamps: bool = False,
    since: str = "",
) -> PublishedNetwork:
    return PublishedNetwork(
        name=name,
        family=family,
        draw=draw,
        parameters_millions=millions,
        gmacs=gmacs,
        fuses_clamps=fuses_clamps,
        since=since,
    )


_FUSED_ATTENTION = "2025-10-27"
"""AI Hub Models v0.40.0 (QAIRT 2.39), after which transformers' sequences are fused.

Source: their releases' own rows. ViT's float row on Snapdragon 8 Gen 2 is 12.5 ms before and 8.0 ms
after, TrOCR's encoder 17.8 and 13.2 (41 before QAIRT 2.37); ConvNeXt, whose layer normalization is
of images, 7.3 ms in both.
"""

REFERENCES = {
    reference.name: reference
    for reference in (
        _reference(
            "mobilenet_v1", "mobilenet", mobile.mobilenet_v1, 4.24, 0.569, fuses_clamps=True
        ),
        _reference("squeezenet1_0", "squeezenet", mobile.squeezenet_1_0, 1.248, 0.86),
        _reference("inception_v4", "inception", mobile.inception_v4, 42.7, 12.27),
        # The card counts 23.8 GMAC at 331x331.
        _reference("nasnet", "nasnet", nasnet.nasnet_large, 88.75, None),
        _reference("nasnet_mobile", "nasnet", nasnet.nasnet_mobile, 5.3, 0.564),
        _reference("inception_resnet_v2", "inception", mobile.inception_resnet_v2, 55.8, 13.2),
        *(
            _reference(
                f"efficientnet_lite{i}", "efficientnet_lite",
                partial(mobile.efficientnet_lite, side_px=side, width=width, depth=depth),
                millions, gmacs, fuses_clamps=True,
            )
            # The README counts 5 % more: operations that are not multiply-accumulates.
            for i, side, width, depth, millions, gmacs in (
                (0, 224, 1.0, 1.0, 4.7, 0.39), (1, 240, 1.0, 1.1, 5.4, 0.60),
                (2, 260, 1.1, 1.2, 6.1, 0.86), (3, 280, 1.2, 1.4, 8.2, 1.37),
                (4, 300, 1.4, 1.8, 13.0, 2.51),
            )
        ),
        _reference("resnet18", "resnet", classifiers.resnet18, 11.69, 1.81),
        _reference("resnet50", "resnet", classifiers.resnet50, 25.56, 4.09),
        _reference("wideresnet50", "resnet", classifiers.wide_resnet50, 68.88, 11.40),
        _reference("resnext50", "resnet", classifiers.resnext50, 25.03, 4.23),
        _reference("resnext101", "resnet", classifiers.resnext101, 88.79, 16.41),
        _reference("regnet", "regnet", classifiers.regnet_x_3_2gf, 15.30, 3.18),
        _reference("densenet121", "densenet", classifiers.densenet121, 7.98, 2.83),
        _reference("googlenet", "inception", classifiers.googlenet, 6.62, 1.50),
        # torchvision's card counts 5.71 GMAC at 299x299 and the auxiliary head's parameters.
        _reference("inception_v3", "inception", classifiers.inception_v3, 23.8, None),
        _reference("squeezenet1_1", "squeezenet", classifiers.squeezenet_1_1, 1.235, 0.35),
        *(
            _reference(
                name, "shufflenet",
                partial(classifiers.shufflenet_v2_x0_5, joins=joins, halves=halves), 1.367, 0.04,
            )
            for name, joins, halves in (
                ("shufflenet_v2", False, False), ("shufflenet_v2_halves", False, True),
                ("shufflenet_v2_joins", True, True),
            )
        ),
        _reference("mobilenet_v2", "mobilenet", inverted.mobilenet_v2, 3.50, 0.30),
        _reference("mobilenet_v3_large", "mobilenet", inverted.mobilenet_v3_large, 5.48, 0.22),
        _reference("efficientnet_b0", "efficientnet", inverted.efficientnet_b0, 5.29, 0.39),
        _reference(
            # Exported at 224x224: AI Hub's ImagenetClassifier fixes its input; the card is of 384.
            "efficientnet_v2_s", "efficientnet",
            partial(inverted.efficientnet_v2_s, side_px=224), 21.46, None,
        ),
        _reference("convnext_base", "convnext", attention.convnext_base, 88.59, 15.36),
        _reference(
            "vit", "vit", attention.vit_b_16, 86.57, 17.56, since=_FUSED_ATTENTION
        ),
        _reference(
            "quicksrnetsmall", "restoration",
            partial(restoration.quicksrnet, channels=32, layers=2, residual=False), 0.0332, None,
        ),
        _reference(
            "quicksrnetlarge", "restoration",
            partial(restoration.quicksrnet, channels=64, layers=11, residual=True), 0.436, None,
        ),
        _reference(
            "real_esrgan_general_x4v3", "restoration", restoration.real_esrgan_general, 1.21, None
        ),
        _reference("esrgan", "restoration", restoration.esrgan, 16.7, None),
        _reference(
            "fcn_resnet50", "segmentation", partial(restoration.fcn_resnet50, side_px=520),
            33.0, 138.0,
        ),
        _reference(
            "fcn_resnet50_224", "segmentation",
            partial(restoration.fcn_resnet50, side_px=224, classes=False), 33.0, None,
        ),
        _reference("unet_segmentation", "segmentation", restoration.unet, 31.04, None),
        _reference(
            "deeplabv3_plus_mobilenet", "segmentation", restoration.deeplab_v3_plus_mobilenet,
            5.80, None,
        ),
    )
}  # fmt: skip
"""Every reference network by the name that figures give it."""
