"""Draw the convolutional classifiers of the Snapdragon figures as torchvision defines them.

The op counts are those of the published rows, the SUB and MUL that normalize the input included.
Source: torchvision's model cards for parameters and MACs.
"""

from harness.estimate.reference.draft import Draft, Node

_SIDE_PX = 224


def resnet_trunk(
    net: Draft,
    x: Node,
    depths: tuple[int, ...],
    *,
    bottleneck: bool = True,
    width: int = 64,
    groups: int = 1,
    dilated: bool = False,
) -> Node:
    """Draw a ResNet up to its last feature map (arXiv:1512.03385); dilated as FCN uses it.

    Args:
        net: Where to draw.
        x: The input image.
        depths: Blocks of each stage.
        bottleneck: Whether blocks are 1x1, 3x3, 1x1 (else 3x3, 3x3).
        width: Channels of the 3x3 convolution in the first stage.
        groups: Groups of the 3x3 convolution (ResNeXt, arXiv:1611.05431).
        dilated: Whether the last two stages dilate where they would stride.
    """
    x = padded_max_pool(net, net.strided(x, 64, 7))
    rate = 1
    for stage, depth in enumerate(depths):
        inner = width * 2**stage
        outer = 64 * 2**stage * (4 if bottleneck else 1)
        shrinks = stage > 0 and not (dilated and stage > 1)
        for block in range(depth):
            stride = 2 if shrinks and block == 0 else 1
            # The first block of a dilated stage keeps the rate of the stage before it.
            y = _residual_block(net, x, inner, outer, stride, groups, rate, bottleneck)
            skip = x
            if block == 0 and (stride > 1 or net.shape(x)[-1] != outer):
                skip = net.conv(x, outer, 1, stride=stride, act="NONE")
            x = net.add(y, skip, act="RELU")
            if dilated and stage > 1 and block == 0:
                rate *= 2
    return x


def padded_max_pool(net: Draft, x: Node) -> Node:
    """Halve height and width by PyTorch's padded maximum: a PAD, then no padding."""
    return net.requantize(net.pool(net.pad(x, 1), "MAX", 3, stride=2, padding="VALID"))


def _residual_block(
    net: Draft, x: Node, inner: int, outer: int, stride: int, groups: int, rate: int,
    bottleneck: bool,
) -> Node:  # fmt: skip
    if not bottleneck:
        y = net.strided(x, inner, 3) if stride > 1 else net.conv(x, inner)
        return net.conv(y, outer, act="NONE")
    y = net.conv(x, inner, 1)
    if stride > 1:
        y = net.strided(y, inner, 3, groups=groups)
    else:
        y = net.dilated(y, inner, rate) if rate > 1 else net.conv(y, inner, 3, groups=groups)
    return net.conv(y, outer, 1, act="NONE")


def resnet18(net: Draft) -> Node:
    """Draw ResNet-18."""
    return net.classify(resnet_trunk(net, net.image(_SIDE_PX), (2, 2, 2, 2), bottleneck=False))


def resnet50(net: Draft) -> Node:
    """Draw ResNet-50."""
    return net.classify(resnet_trunk(net, net.image(_SIDE_PX), (3, 4, 6, 3)))


def wide_resnet50(net: Draft) -> Node:
    """Draw Wide ResNet-50-2 (arXiv:1605.07146)."""
    return net.classify(resnet_trunk(net, net.image(_SIDE_PX), (3, 4, 6, 3), width=128))


def resnext50(net: Draft) -> Node:
    """Draw ResNeXt-50 32x4d."""
    return net.classify(resnet_trunk(net, net.image(_SIDE_PX), (3, 4, 6, 3), width=128, groups=32))


def resnext101(net: Draft) -> Node:
    """Draw ResNeXt-101 32x8d."""
    return net.classify(resnet_trunk(net, net.image(_SIDE_PX), (3, 4, 23, 3), width=256, groups=32))


def regnet_x_3_2gf(net: Draft) -> Node:
    """Draw RegNetX-3.2GF (arXiv:2003.13678): groups of 48 channels."""
    x = net.strided(net.image(_SIDE_PX), 32, 3)
    for depth, width in zip((2, 6, 15, 2), (96, 192, 432, 1008), strict=True):
        for block in range(depth):
            y = net.conv(x, width, 1)
            groups = width // 48
            y = (
                net.strided(y, width, 3, groups=groups)
                if block == 0
                else net.conv(y, width, groups=groups)
            )
            y = net.conv(y, width, 1, act="NONE")
            skip = net.conv(x, width, 1, stride=2, act="NONE") if block == 0 else x
            x = net.add(skip, y, act="RELU")
    return net.classify(x)


def densenet121(net: Draft) -> Node:
    """Draw DenseNet-121 (arXiv:1608.06993); the normalization before a convolution cannot fold."""
    x = padded_max_pool(net, net.strided(net.image(_SIDE_PX), 64, 7))
    for stage, depth in enumerate((6, 12, 24, 16)):
        features, joined = [x], list[Node]()
        for layer in range(depth):
            y = net.conv(_norm_relu(net, x), 128, 1)
            net.parameters -= 32  # the second convolution of a layer has no normalization
            features.append(net.conv(y, 32, act="NONE", norm=False))
            # torchvision joins all features again before each layer. In int8 they are quantized
            # again where the join's scale changes; the measured graph has as many ops as if
            # every second join's did.
            kept = joined if layer % 2 else []
            joined = [*kept, *(net.requantize(feature) for feature in features[len(kept) :])]
            x = net.concat(*joined)
        if stage < 3:
            channels = net.shape(x)[-1] // 2
            net.parameters -= channels
            x = net.conv(_norm_relu(net, x), channels, 1, act="NONE", norm=False)
            x = net.requantize(net.pool(x, "AVERAGE", 2, stride=2, padding="VALID"))
    return net.classify(_norm_relu(net, x))


def _norm_relu(net: Draft, x: Node) -> Node:
    channels = net.shape(x)[-1]
    net.parameters += 2 * channels
    scaled = net.binary("MUL", x, net.constant(1, 1, 1, channels))
    act = "NONE" if net.quantized else "RELU"
    shifted = net.binary("ADD", scaled, net.constant(1, 1, 1, channels), act=act)
    return net.unary("RELU", shifted) if net.quantized else shifted


def googlenet(net: Draft) -> Node:
    """Draw GoogLeNet (arXiv:1409.4842) with the 3x3 in place of 5x5 that torchvision has."""
    x = net.pool(net.strided(net.image(_SIDE_PX), 64, 7), "MAX", 3, stride=2)
    x = net.pool(net.conv(net.conv(x, 64, 1), 192), "MAX", 3, stride=2)
    rows = (
        (64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64), None,
        (192, 96, 208, 16, 48, 64), (160, 112, 224, 24, 64, 64), (128, 128, 256, 24, 64, 64),
        (112, 144, 288, 32, 64, 64), (256, 160, 320, 32, 128, 128), None,
        (256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128),
    )  # fmt: skip
    for row in rows:
        if row is None:
            x = net.pool(x, "MAX", 3, stride=2)
            continue
        a, b, c, d, e, f = row
        x = net.concat(
            net.conv(x, a, 1), net.conv(net.conv(x, b, 1), c), net.conv(net.conv(x, d, 1), e),
            net.conv(net.pool(x, "MAX", 3), f, 1),
        )  # fmt: skip
    return net.classify(x)


def inception_v3(net: Draft) -> Node:
    """Draw Inception v3 (arXiv:1512.00567) at 224x224.

    Its first convolution is unpadded, so that the normalization of the input folds into it; its
    average poolings count their padding, so that they are exported as PAD and an unpadded pooling.
    """
    x = net.conv(net.input(_SIDE_PX, _SIDE_PX, 3), 32, stride=2, padding="VALID")
    x = net.conv(net.conv(x, 32, padding="VALID"), 64)
    x = net.pool(x, "MAX", 3, stride=2, padding="VALID")
    x = net.conv(net.conv(x, 80, 1), 192, padding="VALID")
    x = net.pool(x, "MAX", 3, stride=2, padding="VALID")
    for pooled in (32, 64, 64):
        five = net.conv(net.conv(x, 48, 1), 64, 5)
        three = net.conv(net.conv(net.conv(x, 64, 1), 96), 96)
        last = net.conv(_mean_pool(net, x), pooled, 1)
        x = net.concat(net.conv(x, 64, 1), five, three, last)
    three = net.conv(net.conv(net.conv(x, 64, 1), 96), 96, stride=2, padding="VALID")
    x = net.concat(
        net.conv(x, 384, stride=2, padding="VALID"), three,
        net.requantize(net.pool(x, "MAX", 3, stride=2, padding="VALID")),
    )  # fmt: skip
    for inner in (128, 160, 160, 192):
        seven = net.conv(net.conv(net.conv(x, inner, 1), inner, (1, 7)), 192, (7, 1))
        double = net.conv(net.conv(net.conv(x, inner, 1), inner, (7, 1)), inner, (1, 7))
        double = net.conv(net.conv(double, inner, (7, 1)), 192, (1, 7))
        last = net.conv(_mean_pool(net, x), 192, 1)
        x = net.concat(net.conv(x, 192, 1), seven, double, last)
    seven = net.conv(net.conv(net.conv(x, 192, 1), 192, (1, 7)), 192, (7, 1))
    x = net.concat(
        net.conv(net.conv(x, 192, 1), 320, stride=2, padding="VALID"),
        net.conv(seven, 192, stride=2, padding="VALID"),
        net.requantize(net.pool(x, "MAX", 3, stride=2, padding="VALID")),
    )
    for _ in range(2):
        a, b = net.conv(x, 384, 1), net.conv(net.conv(x, 448, 1), 384)
        x = net.concat(
            net.conv(x, 320, 1), net.conv(a, 384, (1, 3)), net.conv(a, 384, (3, 1)),
            net.conv(b, 384, (1, 3)), net.conv(b, 384, (3, 1)),
            net.conv(_mean_pool(net, x), 192, 1),
        )  # fmt: skip
    return net.classify(x)


def _mean_pool(net: Draft, x: Node) -> Node:
    return net.requantize(net.pool(net.pad(x, 1), "AVERAGE", 3, padding="VALID"))


def squeezenet_1_1(net: Draft) -> Node:
    """Draw SqueezeNet 1.1."""
    x = net.conv(net.image(_SIDE_PX), 64, stride=2, norm=False, padding="VALID")
    for squeeze, pooled in ((16, 1), (16, 0), (32, 1), (32, 0), (48, 1), (48, 0), (64, 0), (64, 0)):
        x = net.pool(x, "MAX", 3, stride=2, padding="VALID") if pooled else x
        x = net.conv(x, squeeze, 1, norm=False)
        x = net.concat(
            net.conv(x, 4 * squeeze, 1, norm=False), net.conv(x, 4 * squeeze, norm=False)
        )
    return net.mean(net.conv(x, 1000, 1, norm=False), keep_dims=False)


def shufflenet_v2_x0_5(net: Draft, *, joins: bool = False, halves: bool = False) -> Node:
    """Draw ShuffleNet v2 x0.5 (arXiv:1807.11164).

    Args:
        net: Where to draw.
        joins: Whether int8 quantizes again both inputs of every concatenation.
        halves: Whether int8 quantizes again the half that passes a unit untouched.
    """
    join = net.requantize if joins else lambda x: x
    pass_on = net.requantize if halves else lambda x: x
    x = padded_max_pool(net, net.strided(net.image(_SIDE_PX), 24, 3))
    for repeats, channels in ((4, 48), (8, 96), (4, 192)):
        half = channels // 2
        left = net.conv(_strided_depthwise(net, x), half, 1)
        right = net.conv(_strided_depthwise(net, net.conv(x, half, 1)), half, 1)
        x = _shuffle(net, net.concat(join(left), join(right)))
        for _ in range(repeats - 1):
            left, right = (net.half(x, i) for i in range(2))
            right = net.conv(net.depthwise(net.conv(right, half, 1), act="NONE"), half, 1)
            x = _shuffle(net, net.concat(join(pass_on(left)), join(right)))
    return net.classify(net.conv(x, 1024, 1))


def _strided_depthwise(net: Draft, x: Node) -> Node:
    return net.depthwise(net.pad(x, 1), stride=2, padding="VALID", act="NONE")


def _shuffle(net: Draft, x: Node) -> Node:
    _, height, width, channels = net.shape(x)
    grouped = net.reshape(x, height, width, 2, channels // 2)
    return net.reshape(net.transpose(grouped, 0, 1, 2, 4, 3), height, width, channels)
