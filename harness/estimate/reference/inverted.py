"""Draw the inverted-residual classifiers: MobileNet v2 and v3, EfficientNet-B0 and v2-S.

Sources: arXiv:1801.04381, arXiv:1905.02244, arXiv:1905.11946, arXiv:2104.00298;
torchvision's cards.
"""

from harness.estimate.reference.draft import Draft, Node


def mobilenet_v2(net: Draft) -> Node:
    """Draw MobileNetV2 1.0."""
    x = net.strided(net.image(224), 32, 3, act="RELU6")
    rows = (
        (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
        (6, 160, 3, 2), (6, 320, 1, 1),
    )  # fmt: skip
    for expand, channels, repeats, stride in rows:
        for i in range(repeats):
            x = _block(net, x, channels, 3, stride if i == 0 else 1, expand * net.shape(x)[-1])
    return net.classify(net.conv(x, 1280, 1, act="RELU6"))


def mobilenet_v3_large(net: Draft) -> Node:
    """Draw MobileNetV3-Large."""
    x = net.strided(net.image(224), 16, 3, act="HARD_SWISH")
    r, h = "RELU", "HARD_SWISH"
    rows = (
        (3, 16, 16, 0, r, 1), (3, 64, 24, 0, r, 2), (3, 72, 24, 0, r, 1), (5, 72, 40, 24, r, 2),
        (5, 120, 40, 32, r, 1), (5, 120, 40, 32, r, 1), (3, 240, 80, 0, h, 2),
        (3, 200, 80, 0, h, 1), (3, 184, 80, 0, h, 1), (3, 184, 80, 0, h, 1),
        (3, 480, 112, 120, h, 1), (3, 672, 112, 168, h, 1), (5, 672, 160, 168, h, 2),
        (5, 960, 160, 240, h, 1), (5, 960, 160, 240, h, 1),
    )  # fmt: skip
    for kernel, wide, channels, squeeze, act, stride in rows:
        x = _block(
            net, x, channels, kernel, stride, wide, act=act, squeeze=squeeze, gate="HARD_SIGMOID"
        )
    x = net.mean(net.conv(x, 960, 1, act="HARD_SWISH"), keep_dims=False)
    return net.dense(net.dense(x, 1280, act="HARD_SWISH"), 1000)


def efficientnet_b0(net: Draft) -> Node:
    """Draw EfficientNet-B0."""
    x = net.strided(net.image(224), 32, 3, act="SILU")
    rows = (
        (1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3),
        (6, 5, 1, 112, 3), (6, 5, 2, 192, 4), (6, 3, 1, 320, 1),
    )  # fmt: skip
    for expand, kernel, stride, channels, repeats in rows:
        for i in range(repeats):
            in_channels = net.shape(x)[-1]
            x = _block(
                net, x, channels, kernel, stride if i == 0 else 1, expand * in_channels,
                act="SILU", squeeze=in_channels // 4,
            )  # fmt: skip
    return net.classify(net.conv(x, 1280, 1, act="SILU"))


def efficientnet_v2_s(net: Draft, side_px: int) -> Node:
    """Draw EfficientNetV2-S, whose first stages fuse the expansion into a full convolution."""
    x = net.strided(net.image(side_px), 24, 3, act="SILU")
    rows = (
        (True, 1, 1, 24, 2), (True, 4, 2, 48, 4), (True, 4, 2, 64, 4), (False, 4, 2, 128, 6),
        (False, 6, 1, 160, 9), (False, 6, 2, 256, 15),
    )  # fmt: skip
    for fused, expand, stride, channels, repeats in rows:
        for i in range(repeats):
            step = stride if i == 0 else 1
            in_channels = net.shape(x)[-1]
            if fused:
                x = _fused_block(net, x, channels, step, expand)
            else:
                x = _block(
                    net, x, channels, 3, step, expand * in_channels, act="SILU",
                    squeeze=in_channels // 4,
                )  # fmt: skip
    return net.classify(net.conv(x, 1280, 1, act="SILU"))


def _fused_block(net: Draft, x: Node, channels: int, stride: int, expand: int) -> Node:
    in_channels = net.shape(x)[-1]
    wide = in_channels * expand
    act = "SILU"
    first = channels if expand == 1 else wide
    y = net.strided(x, first, 3, act=act) if stride > 1 else net.conv(x, first, act=act)
    if expand > 1:
        y = net.conv(y, channels, 1, act="NONE")
    return net.add(x, y) if stride == 1 and in_channels == channels else y


def _block(
    net: Draft,
    x: Node,
    channels: int,
    kernel: int,
    stride: int,
    wide: int,
    *,
    act: str = "RELU6",
    squeeze: int = 0,
    gate: str = "LOGISTIC",
) -> Node:
    """Expand, filter by channel, squeeze and excite, project, add."""
    in_channels = net.shape(x)[-1]
    y = x if wide == in_channels else net.conv(x, wide, 1, act=act)
    if stride > 1:
        y = net.depthwise(net.pad(y, kernel // 2), kernel, stride=stride, padding="VALID", act=act)
    else:
        y = net.depthwise(y, kernel, act=act)
    if squeeze:
        small = "RELU" if gate == "HARD_SIGMOID" else "SILU"
        s = net.conv(net.mean(y), squeeze, 1, act=small, norm=False)
        y = net.binary("MUL", y, _gate(net, s, wide, gate))
    y = net.conv(y, channels, 1, act="NONE")
    return net.add(x, y) if stride == 1 and in_channels == channels else y


def _gate(net: Draft, s: Node, wide: int, gate: str) -> Node:
    if gate == "LOGISTIC":
        return net.unary("LOGISTIC", net.conv(s, wide, 1, act="NONE", norm=False))
    # relu6(x + 3) / 6: the exporter folds the sum into the convolution's bias.
    clamped = net.conv(s, wide, 1, act="RELU6", norm=False)
    return net.binary("MUL", clamped, net.constant(1, 1, 1, 1))
