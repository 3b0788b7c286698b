"""Draw what a phone times to be calibrated: networks that repeat one op, and whole networks."""

from collections.abc import Callable
from dataclasses import dataclass

from harness.estimate.reference.catalogue import REFERENCES
from harness.estimate.reference.draft import Draft, Node
from harness.graph import Graph

_REPEATS = 6
_SIDES_PX = (32, 96, 288)
_CHANNELS = (8, 24, 64)
_WHOLE = (
    "mobilenet_v2", "mobilenet_v3_large", "squeezenet1_1", "resnet18", "resnet50", "googlenet",
    "quicksrnetsmall", "quicksrnetlarge",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class PhoneNet:
    """A network for a phone to time.

    Attributes:
        name: Such as `conv_3x3-96px-64c` or `resnet18`.
        family: Networks that are held out together: those that repeat an op at one size, or those
            of one design.
        graph: Without weights.
    """

    name: str
    family: str
    graph: Graph


def whole_nets(precision: str) -> tuple[PhoneNet, ...]:
    """Draw known whole networks in one precision, float or int8."""
    chosen = (REFERENCES[name] for name in _WHOLE)
    return tuple(PhoneNet(name=r.name, family=r.family, graph=r.graph(precision)) for r in chosen)


def kernel_nets(precision: str) -> tuple[PhoneNet, ...]:
    """Draw the kernel benchmarks of one precision, float or int8: each repeats one op."""
    return tuple(
        _net(kind, layer, side, channels, precision)
        for side in _SIDES_PX
        for channels in _CHANNELS
        for kind, layer in _LAYERS.items()
    )


def _net(
    kind: str, layer: Callable[[Draft, Node], Node], side: int, channels: int, precision: str
) -> PhoneNet:
    draft = Draft(precision=precision)
    x = draft.conv(draft.input(side, side, 3), channels, 1, norm=False)
    for _ in range(_REPEATS):
        x = layer(draft, x)
    x = draft.conv(x, 3, 1, act="NONE", norm=False)
    return PhoneNet(
        name=f"{kind}-{side}px-{channels}c",
        family=f"{side}px-{channels}c",
        graph=draft.finish(x),
    )


def _conv_3x3(draft: Draft, x: Node) -> Node:
    return draft.conv(x, draft.shape(x)[-1], norm=False)


def _conv_1x1(draft: Draft, x: Node) -> Node:
    return draft.conv(x, draft.shape(x)[-1], 1, norm=False)


def _transpose_conv(draft: Draft, x: Node) -> Node:
    """Enlarge by a transposed convolution and shrink again."""
    return draft.pool(draft.transpose_conv(x, draft.shape(x)[-1]), "MAX", 2, stride=2)


def _depthwise(draft: Draft, x: Node) -> Node:
    return draft.depthwise(x, act="RELU", norm=False)


def _add(draft: Draft, x: Node) -> Node:
    return draft.add(x, x)


def _prelu(draft: Draft, x: Node) -> Node:
    return draft.prelu(x)


def _enlarge(draft: Draft, x: Node) -> Node:
    """Enlarge by interpolation and shrink again."""
    _, height, width, _ = draft.shape(x)
    return draft.pool(draft.resize(x, 2 * height, 2 * width), "MAX", 2, stride=2)


def _shuffle(draft: Draft, x: Node) -> Node:
    """Enlarge by DEPTH_TO_SPACE and shrink again."""
    channels = draft.shape(x)[-1]
    wide = draft.pool(draft.depth_to_space(x, 2), "MAX", 2, stride=2)
    return draft.conv(wide, channels, 1, norm=False)


_LAYERS: dict[str, Callable[[Draft, Node], Node]] = {
    "conv_3x3": _conv_3x3,
    "conv_1x1": _conv_1x1,
    "transpose_conv": _transpose_conv,
    "depthwise": _depthwise,
    "add": _add,
    "prelu": _prelu,
    "resize": _enlarge,
    "depth_to_space": _shuffle,
}
