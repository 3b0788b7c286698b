"""Draw NASNet-A (arXiv:1707.07012): many small separable convolutions, poolings and joins."""

from harness.estimate.reference.draft import Draft, Node

_MULTIPLE = 2
"""Channels grow by this where the image shrinks."""


def nasnet(net: Draft, x: Node, *, filters: int, stem: int, repeats: int) -> Node:
    """Draw a NASNet-A up to its classes.

    Args:
        net: Where to draw.
        x: The image.
        filters: Channels of each branch in the first cells: 44 in the mobile one.
        stem: Channels of the first convolution.
        repeats: Normal cells at each size: 4 in the mobile one.
    """
    x = net.conv(x, stem, stride=2, padding="VALID", act="NONE")
    previous = x
    for narrower in (_MULTIPLE**2, _MULTIPLE):
        previous, x = x, _reduction(net, x, previous, filters // narrower)
    for number in range(3):
        wide = filters * _MULTIPLE**number
        if number:
            previous, x = x, _reduction(net, x, previous, wide)
        for _ in range(repeats):
            previous, x = x, _normal(net, x, previous, wide)
    return net.mean(net.unary("RELU", x), keep_dims=False)


def nasnet_mobile(net: Draft) -> Node:
    """Draw NASNet-A (4 @ 1056) at 224x224 as TensorFlow exports it."""
    features = nasnet(net, net.input(224, 224, 3), filters=44, stem=32, repeats=4)
    return net.unary("SOFTMAX", net.dense(features, 1001))


def nasnet_large(net: Draft) -> Node:
    """Draw NASNet-A (6 @ 4032) at 224x224, AI Hub's size of classifiers, as PyTorch exports it."""
    features = nasnet(net, net.input(224, 224, 3), filters=168, stem=96, repeats=6)
    return net.dense(features, 1000)


def _normal(net: Draft, x: Node, previous: Node, filters: int) -> Node:
    p = _adjusted(net, previous, x, filters)
    h = net.conv(net.unary("RELU", x), filters, 1, act="NONE")
    clamped_p, clamped_h = (net.unary("RELU", node) for node in (p, h))
    pooled = net.pool(p, "AVERAGE", 3)
    return net.concat(
        p,
        net.add(_separable(net, clamped_h, filters, 5), _separable(net, clamped_p, filters, 3)),
        net.add(_separable(net, clamped_p, filters, 5), _separable(net, clamped_p, filters, 3)),
        net.add(net.pool(h, "AVERAGE", 3), p),
        net.add(pooled, pooled),
        net.add(_separable(net, clamped_h, filters, 3), h),
    )


def _reduction(net: Draft, x: Node, previous: Node, filters: int) -> Node:
    clamped_p = net.unary("RELU", _adjusted(net, previous, x, filters))
    h = net.conv(net.unary("RELU", x), filters, 1, act="NONE")
    first = net.add(
        _separable(net, net.unary("RELU", h), filters, 5, 2),
        _separable(net, clamped_p, filters, 7, 2),
    )
    largest = net.pool(h, "MAX", 3, stride=2)
    second = net.add(largest, _separable(net, clamped_p, filters, 7, 2))
    mean = net.pool(h, "AVERAGE", 3, stride=2)
    third = net.add(mean, _separable(net, clamped_p, filters, 5, 2))
    fourth = net.add(second, net.pool(first, "AVERAGE", 3))
    fifth = net.add(_separable(net, net.unary("RELU", first), filters, 3), largest)
    return net.concat(second, third, fourth, fifth)


def _separable(net: Draft, clamped: Node, filters: int, kernel: int, stride: int = 1) -> Node:
    """Filter twice by channel and mix the channels, with a clamp between."""
    x = net.depthwise(clamped, kernel, stride=stride, act="NONE", norm=False)
    x = net.depthwise(net.conv(x, filters, 1), kernel, act="NONE", norm=False)
    return net.conv(x, filters, 1, act="NONE")


def _adjusted(net: Draft, previous: Node, x: Node, filters: int) -> Node:
    """Give the cell before the last one the size and the channels of this cell."""
    if net.shape(previous)[1] != net.shape(x)[1]:
        clamped = net.unary("RELU", previous)
        halves = (
            net.conv(net.pool(clamped, "AVERAGE", 1, stride=2), filters // 2, 1, act="NONE"),
            net.conv(net.pool(clamped, "AVERAGE", 1, stride=2), filters // 2, 1, act="NONE"),
        )
        return net.concat(*halves)
    if net.shape(previous)[-1] != filters:
        return net.conv(net.unary("RELU", previous), filters, 1, act="NONE")
    return previous
