"""Draw the super-resolution and dense-prediction networks of the Snapdragon figures.

Sources: arXiv:2303.04336 (QuickSRNet), arXiv:1809.00219 (ESRGAN), arXiv:2107.10833 (Real-ESRGAN),
arXiv:1411.4038 (FCN), arXiv:1802.02611 (DeepLabV3+), arXiv:1505.04597 (UNet). Input sizes are those
of Qualcomm's AI Hub Models: 128x128 for super-resolution by 4, 520x520 for segmentation with the
class of each pixel as output (the older FCN_ResNet50 rows: 224x224, without classes), 640x1280 for
UNet.
"""

from harness.estimate.reference.classifiers import resnet_trunk
from harness.estimate.reference.draft import Draft, Node


def quicksrnet(net: Draft, channels: int, layers: int, *, residual: bool) -> Node:
    """Draw QuickSRNet; `residual` adds the enlarged input, as the large one does."""
    image = net.input(128, 128, 3)
    x = image
    for _ in range(layers + 1):
        x = net.unary("RELU_0_TO_1", net.conv(x, channels, act="NONE", norm=False))
    x = net.conv(x, 48, act="NONE", norm=False)
    if residual:
        x = net.add(x, net.conv(image, 48, 3, act="NONE", norm=False))
    return net.unary("RELU_0_TO_1", _pixel_shuffle(net, x))


def _pixel_shuffle(net: Draft, x: Node) -> Node:
    """Enlarge by 4 as PyTorch's PixelShuffle is exported: one DEPTH_TO_SPACE per color."""
    return net.concat(*(net.depth_to_space(color, 4) for color in net.split(x, 3)))


def real_esrgan_general(net: Draft) -> Node:
    """Draw Real-ESRGAN general x4v3: 33 convolutions with PReLU."""
    image = net.input(128, 128, 3)
    x = image
    for _ in range(33):
        x = net.prelu(net.conv(x, 64, act="NONE", norm=False))
    x = _pixel_shuffle(net, net.conv(x, 48, act="NONE", norm=False))
    return net.add(x, net.resize(image, 512, 512, kind="NEAREST_NEIGHBOR"))


def esrgan(net: Draft) -> Node:
    """Draw ESRGAN's RRDB network: 23 blocks of three dense blocks."""
    first = net.conv(net.input(128, 128, 3), 64, act="NONE", norm=False)
    x = first
    for _ in range(23):
        y = x
        for _ in range(3):
            y = _dense_block(net, y)
        x = net.add(x, net.binary("MUL", y, net.constant(1, 1, 1, 1)))
    x = net.add(first, net.conv(x, 64, act="NONE", norm=False))
    for side_px in (256, 512):
        x = net.resize(x, side_px, side_px, kind="NEAREST_NEIGHBOR")
        x = net.conv(x, 64, act="LEAKY_RELU", norm=False)
    x = net.conv(x, 64, act="LEAKY_RELU", norm=False)
    return net.conv(x, 3, act="NONE", norm=False)


def _dense_block(net: Draft, x: Node) -> Node:
    parts = [x]
    for _ in range(4):
        joined = net.concat(*parts) if len(parts) > 1 else x
        parts.append(net.conv(joined, 32, act="LEAKY_RELU", norm=False))
    # The factor of 0.2 folds into the last convolution.
    return net.add(x, net.conv(net.concat(*parts), 64, act="NONE", norm=False))


def unet(net: Draft) -> Node:
    """Draw UNet with 64 to 1024 channels and TRANSPOSE_CONV, padded to keep the size."""
    x = net.input(640, 1280, 3)
    skips = []
    for channels in (64, 128, 256, 512):
        skips.append(net.conv(net.conv(x, channels), channels))
        x = net.pool(skips[-1], "MAX", 2, stride=2, padding="VALID")
    x = net.conv(net.conv(x, 1024), 1024)
    for channels in (512, 256, 128, 64):
        # In int8 the skip, which the pooling reads too, is quantized again for its join.
        x = net.concat(net.requantize(skips.pop()), net.transpose_conv(x, channels))
        x = net.conv(net.conv(x, channels), channels)
    return net.conv(x, 2, 1, act="NONE", norm=False)


def fcn_resnet50(net: Draft, side_px: int, *, classes: bool = True) -> Node:
    """Draw FCN on a dilated ResNet-50; `classes` normalizes its input and ends in classes."""
    image = net.image(side_px) if classes else net.input(side_px, side_px, 3)
    x = resnet_trunk(net, image, (3, 4, 6, 3), dilated=True)
    x = net.conv(net.conv(x, 512), 21, 1, act="NONE", norm=False)
    x = net.resize(x, side_px, side_px)
    return net.classes_of_pixels(x) if classes else x


def deeplab_v3_plus_mobilenet(net: Draft) -> Node:
    """Draw DeepLabV3+ on MobileNetV2 at stride 16, padded at each block's entry."""
    x = net.strided(net.image(520), 32, 3, act="RELU6")
    rows = (
        (1, 16, 1, 1, 1), (6, 24, 2, 2, 1), (6, 32, 3, 2, 1), (6, 64, 4, 2, 1), (6, 96, 3, 1, 1),
        (6, 160, 3, 1, 1), (6, 320, 1, 1, 2),
    )  # fmt: skip
    low = x
    for expand, channels, repeats, stride, rate in rows:
        for i in range(repeats):
            x = _padded_block(net, x, channels, stride if i == 0 else 1, expand, rate)
        low = x if channels == 24 else low
    height, width = net.shape(x)[1:3]
    branches = [net.conv(x, 256, 1)]
    branches += [net.dilated(x, 256, rate) for rate in (6, 12, 18)]
    branches.append(net.resize(net.conv(net.mean(x), 256, 1), height, width))
    x = net.conv(net.concat(*branches), 256, 1)
    skip = net.conv(low, 48, 1)
    x = net.concat(net.resize(x, *net.shape(skip)[1:3]), skip)
    x = net.conv(net.conv(net.conv(x, 256), 256), 21, 1, act="NONE", norm=False)
    return net.classes_of_pixels(net.resize(x, 520, 520))


def _padded_block(net: Draft, x: Node, channels: int, stride: int, expand: int, rate: int) -> Node:
    in_channels = net.shape(x)[-1]
    y = net.pad(x, rate)
    if expand > 1:
        y = net.conv(y, expand * in_channels, 1, act="RELU6")
    y = net.depthwise(y, stride=stride, dilation=rate, padding="VALID")
    y = net.conv(y, channels, 1, act="NONE")
    return net.add(x, y) if stride == 1 and in_channels == channels else y
