"""Draw ConvNeXt-Base and ViT-B/16 as exported: layer normalization in parts, one head at a time.

A product of batches of matrices is exported as one fully connected layer per head, whose weights
are computed: ViT so drawn has 1,567 ops, the measured one 1,579.

Sources: arXiv:2201.03545, arXiv:2010.11929; torchvision's cards.
"""

from harness.estimate.reference.draft import Draft, Node


def layer_norm(net: Draft, x: Node) -> Node:
    """Normalize over the last axis with the ops that exporters leave."""
    rank, channels = len(net.shape(x)), net.shape(x)[-1]
    net.parameters += 2 * channels
    ones = (1,) * (rank - 1)
    mean = net.mean(x, (rank - 1,))
    centred = net.binary("SUB", x, mean)
    variance = net.mean(net.binary("MUL", centred, centred), (rank - 1,))
    inverse = net.unary("RSQRT", net.binary("ADD", variance, net.constant(*ones, 1)))
    normal = net.binary("MUL", centred, inverse)
    scaled = net.binary("MUL", normal, net.constant(*ones, channels))
    return net.binary("ADD", scaled, net.constant(*ones, channels))


def convnext_base(net: Draft) -> Node:
    """Draw ConvNeXt-Base."""
    x = net.image(224)
    x = layer_norm(net, net.conv(x, 128, 4, stride=4, act="NONE", norm=False, padding="VALID"))
    for stage, depth in enumerate((3, 3, 27, 3)):
        width = 128 * 2**stage
        if stage:
            x = layer_norm(net, x)
            x = net.conv(x, width, 2, stride=2, act="NONE", norm=False, padding="VALID")
        for _ in range(depth):
            y = layer_norm(net, net.depthwise(x, 7, act="NONE", norm=False))
            y = net.dense(net.dense(y, 4 * width, act="GELU"), width)
            net.parameters += width
            x = net.add(x, net.binary("MUL", y, net.constant(1, 1, 1, width)))
    x = layer_norm(net, net.mean(x))
    return net.dense(net.reshape(x, 1024), 1000)


def vit_b_16(net: Draft) -> Node:
    """Draw ViT-B/16."""
    x = net.conv(net.image(224), 768, 16, stride=16, act="NONE", norm=False, padding="VALID")
    x = net.concat(net.constant(1, 1, 768), net.reshape(x, 196, 768), axis=1)
    net.parameters += 768 + 197 * 768
    x = net.add(x, net.constant(1, 197, 768))
    for _ in range(12):
        x = net.add(x, _attention(net, layer_norm(net, x), 12))
        y = layer_norm(net, x)
        x = net.add(x, net.dense(net.dense(y, 3072, act="GELU"), 768))
    first = net.split(net.transpose(layer_norm(net, x), 0, 2, 1), 197)[0]
    return net.dense(net.reshape(first, 768), 1000)


def _attention(net: Draft, x: Node, heads: int) -> Node:
    tokens, width = net.shape(x)[1:]
    # The three projections are one matrix in the original: the parameters are the same.
    query, key, value = (
        net.transpose(net.reshape(net.dense(x, width), tokens, heads, width // heads), 0, 2, 1, 3)
        for _ in range(3)
    )
    query = net.binary("MUL", query, net.constant(1, 1, 1, 1))
    weights = net.unary("SOFTMAX", _products(net, query, key))
    mixed = _products(net, weights, value, transposed=True)
    return net.dense(net.reshape(net.transpose(mixed, 0, 2, 1, 3), tokens, width), width)


def _products(net: Draft, left: Node, right: Node, *, transposed: bool = False) -> Node:
    """Multiply the matrices [1, heads, rows, inner] and [1, heads, columns, inner] head by head."""
    heads = net.shape(left)[1]
    products = []
    for a, b in zip(net.split(left, heads, axis=1), net.split(right, heads, axis=1), strict=True):
        rows, columns = (net.reshape(part, *net.shape(part)[2:], batch=False) for part in (a, b))
        if transposed:
            columns = net.transpose(columns, 1, 0)
        products.append(net.matrix_product(rows, columns))
    return net.pack(products)
