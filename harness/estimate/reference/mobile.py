"""Draw the networks of the Pixel 4 figures: MobileNetV1, SqueezeNet, Inception, EfficientNet-lite.

Sources: Howard et al. 2017 (arXiv:1704.04861); Iandola et al. 2016 (arXiv:1602.07360); Szegedy et
al. 2016 (arXiv:1602.07261); the EfficientNet-lite README of the tensorflow/tpu repository.
"""

from harness.estimate.reference.draft import Draft, Node


def mobilenet_v1(net: Draft) -> Node:
    """Draw MobileNetV1 1.0 at 224x224."""
    x = net.conv(net.input(224, 224, 3), 32, stride=2, act="RELU6")
    strides = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
    widths = (64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
    for stride, width in zip(strides, widths, strict=True):
        x = net.conv(net.depthwise(x, stride=stride), width, 1, act="RELU6")
    return net.unary("SOFTMAX", net.dense(net.mean(x, keep_dims=False), 1001))


def squeezenet_1_0(net: Draft) -> Node:
    """Draw SqueezeNet 1.0 at 224x224, whose MACs fit the published times (1.1 has 2.4x fewer)."""
    x = net.conv(net.input(224, 224, 3), 96, 7, stride=2, norm=False)
    x = net.pool(x, "MAX", 3, stride=2)
    for squeeze, pooled in ((16, 0), (16, 0), (32, 1), (32, 0), (48, 0), (48, 0), (64, 1), (64, 0)):
        x = _fire(net, x, squeeze)
        x = net.pool(x, "MAX", 3, stride=2) if pooled else x
    x = net.conv(x, 1000, 1, norm=False)
    return net.unary("SOFTMAX", net.mean(x, keep_dims=False))


def _fire(net: Draft, x: Node, squeeze: int) -> Node:
    x = net.conv(x, squeeze, 1, norm=False)
    return net.concat(
        net.conv(x, 4 * squeeze, 1, norm=False), net.conv(x, 4 * squeeze, 3, norm=False)
    )


def efficientnet_lite(net: Draft, side_px: int, width: float, depth: float) -> Node:
    """Draw EfficientNet-lite: no squeeze and excitation, ReLU6, fixed stem and head."""
    x = net.conv(net.input(side_px, side_px, 3), 32, stride=2, act="RELU6")
    stages = (
        (1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3),
        (6, 5, 1, 112, 3), (6, 5, 2, 192, 4), (6, 3, 1, 320, 1),
    )  # fmt: skip
    for number, (expand, kernel, stride, channels, repeats) in enumerate(stages):
        fixed = number in (0, len(stages) - 1)
        for i in range(repeats if fixed else -int(-(repeats * depth) // 1)):
            wide = _round_to_8(channels * width)
            x = inverted_residual(net, x, wide, kernel, stride if i == 0 else 1, expand)
    x = net.conv(x, 1280, 1, act="RELU6")
    return net.unary("SOFTMAX", net.dense(net.mean(x, keep_dims=False), 1000))


def inverted_residual(
    net: Draft, x: Node, channels: int, kernel: int, stride: int, expand: int, act: str = "RELU6"
) -> Node:
    """Expand, filter by channel, project; add the input where the shapes allow it."""
    in_channels = net.shape(x)[-1]
    y = x if expand == 1 else net.conv(x, in_channels * expand, 1, act=act)
    y = net.depthwise(y, kernel, stride=stride, act=act)
    y = net.conv(y, channels, 1, act="NONE")
    return net.add(x, y) if stride == 1 and in_channels == channels else y


def inception_v4(net: Draft) -> Node:
    """Draw Inception v4 at 299x299."""
    x = _inception_stem(net)
    for _ in range(4):
        x = _mixed_35(net, x)
    x = net.concat(
        net.pool(x, "MAX", 3, stride=2, padding="VALID"),
        net.conv(x, 384, 3, stride=2, padding="VALID"),
        _chain(net, x, (192, 1), (224, 3), (256, 3), last_stride=2),
    )
    for _ in range(7):
        x = net.concat(
            net.conv(net.pool(x, "AVERAGE", 3), 128, 1),
            net.conv(x, 384, 1),
            _chain(net, x, (192, 1), (224, (1, 7)), (256, (7, 1))),
            _chain(net, x, (192, 1), (192, (1, 7)), (224, (7, 1)), (224, (1, 7)), (256, (7, 1))),
        )
    x = net.concat(
        net.pool(x, "MAX", 3, stride=2, padding="VALID"),
        _chain(net, x, (192, 1), (192, 3), last_stride=2),
        _chain(net, x, (256, 1), (256, (1, 7)), (320, (7, 1)), (320, 3), last_stride=2),
    )
    for _ in range(3):
        a = net.conv(x, 384, 1)
        b = _chain(net, x, (384, 1), (448, (1, 3)), (512, (3, 1)))
        x = net.concat(
            net.conv(net.pool(x, "AVERAGE", 3), 256, 1), net.conv(x, 256, 1),
            net.conv(a, 256, (1, 3)), net.conv(a, 256, (3, 1)),
            net.conv(b, 256, (1, 3)), net.conv(b, 256, (3, 1)),
        )  # fmt: skip
    return net.unary("SOFTMAX", net.dense(net.mean(x, keep_dims=False), 1001))


def _inception_stem(net: Draft) -> Node:
    x = net.conv(net.input(299, 299, 3), 32, stride=2, padding="VALID")
    x = net.conv(net.conv(x, 32, padding="VALID"), 64)
    x = net.concat(
        net.pool(x, "MAX", 3, stride=2, padding="VALID"),
        net.conv(x, 96, stride=2, padding="VALID"),
    )
    x = net.concat(
        net.conv(net.conv(x, 64, 1), 96, padding="VALID"),
        net.conv(_chain(net, x, (64, 1), (64, (7, 1)), (64, (1, 7))), 96, padding="VALID"),
    )
    return net.concat(
        net.conv(x, 192, stride=2, padding="VALID"),
        net.pool(x, "MAX", 3, stride=2, padding="VALID"),
    )


def _mixed_35(net: Draft, x: Node) -> Node:
    return net.concat(
        net.conv(net.pool(x, "AVERAGE", 3), 96, 1),
        net.conv(x, 96, 1),
        _chain(net, x, (64, 1), (96, 3)),
        _chain(net, x, (64, 1), (96, 3), (96, 3)),
    )


def inception_resnet_v2(net: Draft) -> Node:
    """Draw Inception-ResNet v2 at 299x299."""
    x = net.conv(net.input(299, 299, 3), 32, stride=2, padding="VALID")
    x = net.conv(net.conv(x, 32, padding="VALID"), 64)
    x = net.pool(x, "MAX", 3, stride=2, padding="VALID")
    x = net.conv(net.conv(x, 80, 1), 192, padding="VALID")
    x = net.pool(x, "MAX", 3, stride=2, padding="VALID")
    x = net.concat(
        net.conv(x, 96, 1), _chain(net, x, (48, 1), (64, 5)),
        _chain(net, x, (64, 1), (96, 3), (96, 3)), net.conv(net.pool(x, "AVERAGE", 3), 64, 1),
    )  # fmt: skip
    for _ in range(10):
        branches = (
            net.conv(x, 32, 1), _chain(net, x, (32, 1), (32, 3)),
            _chain(net, x, (32, 1), (48, 3), (64, 3)),
        )  # fmt: skip
        x = _residual(net, x, net.concat(*branches))
    x = net.concat(
        net.conv(x, 384, 3, stride=2, padding="VALID"),
        _chain(net, x, (256, 1), (256, 3), (384, 3), last_stride=2),
        net.pool(x, "MAX", 3, stride=2, padding="VALID"),
    )
    for _ in range(20):
        right = _chain(net, x, (128, 1), (160, (1, 7)), (192, (7, 1)))
        x = _residual(net, x, net.concat(net.conv(x, 192, 1), right))
    x = net.concat(
        _chain(net, x, (256, 1), (384, 3), last_stride=2),
        _chain(net, x, (256, 1), (288, 3), last_stride=2),
        _chain(net, x, (256, 1), (288, 3), (320, 3), last_stride=2),
        net.pool(x, "MAX", 3, stride=2, padding="VALID"),
    )
    for _ in range(10):
        right = _chain(net, x, (192, 1), (224, (1, 3)), (256, (3, 1)))
        x = _residual(net, x, net.concat(net.conv(x, 192, 1), right))
    x = net.conv(x, 1536, 1)
    return net.unary("SOFTMAX", net.dense(net.mean(x, keep_dims=False), 1001))


def _residual(net: Draft, x: Node, mixed: Node) -> Node:
    """Project to the input's channels and add; the scale folds into the projection."""
    up = net.conv(mixed, net.shape(x)[-1], 1, act="NONE", norm=False)
    return net.add(x, up, act="RELU")


def _chain(
    net: Draft, x: Node, *layers: tuple[int, int | tuple[int, int]], last_stride: int = 1
) -> Node:
    """Apply convolutions in a row; a last stride of 2 is unpadded, as Inception's are."""
    for number, (channels, kernel) in enumerate(layers):
        last = number == len(layers) - 1
        strided = last and last_stride > 1
        x = net.conv(
            x, channels, kernel, stride=last_stride if strided else 1,
            padding="VALID" if strided else "SAME",
        )  # fmt: skip
    return x


def _round_to_8(channels: float) -> int:
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded
