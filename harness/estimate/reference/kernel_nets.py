"""Draw small networks that each repeat one op, to calibrate a phone from its own timings."""

from collections.abc import Callable
from dataclasses import dataclass

from harness.estimate.reference.draft import Draft, Node
from harness.graph import Graph

_REPEATS = 6
_SIDES_PX = (32, 96, 288)
_CHANNELS = (16, 64)


@dataclass(frozen=True, kw_only=True)
class KernelNet:
    """Hold a network that maps an image to an image and repeats one op.

    Attributes:
        name: Such as `conv_3x3-96px-64c`.
        family: Networks that are held out together: those of one size.
        graph: Without weights.
    """

    name: str
    family: str
    graph: Graph


def kernel_nets(precision: str) -> tuple[KernelNet, ...]:
    """Draw the kernel benchmarks of one precision, float or int8."""
    return tuple(
        _net(kind, layer, side, channels, precision)
        for side in _SIDES_PX
        for channels in _CHANNELS
        for kind, layer in _LAYERS.items()
    )


def _net(
    kind: str, layer: Callable[[Draft, Node], Node], side: int, channels: int, precision: str
) -> KernelNet:
    draft = Draft(precision=precision)
    x = draft.conv(draft.input(side, side, 3), channels, 1, norm=False)
    for _ in range(_REPEATS):
        x = layer(draft, x)
    x = draft.conv(x, 3, 1, act="NONE", norm=False)
    return KernelNet(
        name=f"{kind}-{side}px-{channels}c",
        family=f"{side}px-{channels}c",
        graph=draft.finish(x),
    )


def _conv_3x3(draft: Draft, x: Node) -> Node:
    return draft.conv(x, draft.shape(x)[-1], norm=False)


def _conv_1x1(draft: Draft, x: Node) -> Node:
    return draft.conv(x, draft.shape(x)[-1], 1, norm=False)


def _depthwise(draft: Draft, x: Node) -> Node:
    return draft.depthwise(x, act="RELU", norm=False)


def _add(draft: Draft, x: Node) -> Node:
    return draft.add(x, x)


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
    "depthwise": _depthwise,
    "add": _add,
    "resize": _enlarge,
    "depth_to_space": _shuffle,
}
