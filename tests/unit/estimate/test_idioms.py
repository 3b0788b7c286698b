"""Layer normalizations and normalized inputs are found in the forms that exporters leave."""

from collections.abc import Sequence

import numpy as np
import pytest

from harness.estimate import idioms, snapdragon
from harness.estimate.reference.attention import layer_norm
from harness.estimate.reference.draft import Draft, Node
from harness.graph import Graph
from tests import needs


def keras_norm(net: Draft, x: Node) -> Node:
    """Draw what Keras leaves: scale by the inverse deviation, shift by what the mean leaves."""
    channels = net.shape(x)[-1]
    mean = net.mean(x, (3,))
    variance = net.mean(net.binary("SQUARED_DIFFERENCE", x, mean), (3,))
    inverse = net.unary("RSQRT", net.binary("ADD", variance, net.constant(1)))
    scale = net.binary("MUL", inverse, net.constant(channels))
    shift = net.binary("SUB", net.constant(channels), net.binary("MUL", mean, scale))
    return net.binary("ADD", net.binary("MUL", x, scale), shift)


def negated_norm(net: Draft, x: Node) -> Node:
    """Draw what the converter of TensorFlow 2.21 makes of that: the mean is negated first."""
    channels = net.shape(x)[-1]
    mean = net.mean(x, (3,))
    negative = net.unary("NEG", mean)
    variance = net.mean(net.binary("SQUARED_DIFFERENCE", x, mean), (3,))
    inverse = net.unary("RSQRT", net.binary("ADD", variance, net.constant(1)))
    scale = net.binary("MUL", inverse, net.constant(channels))
    shift = net.binary("ADD", net.binary("MUL", negative, scale), net.constant(channels))
    return net.binary("ADD", net.binary("MUL", x, scale), shift)


def names(graph: Graph) -> list[str]:
    return [op.name for op in graph.ops]


def block(norm: object, *, residual: bool = True) -> Graph:
    draft = Draft()
    x = draft.conv(draft.input(8, 8, 3), 16)
    y = draft.conv(norm(draft, x), 16)  # type: ignore[operator]
    return draft.finish(draft.add(x, y) if residual else y)


@pytest.mark.parametrize("norm", [layer_norm, keras_norm, negated_norm])
def test_a_layer_norm_in_parts_becomes_one_op_with_its_scale_and_shift(norm: object) -> None:
    graph = block(norm)

    found = idioms.with_layer_norms(graph)

    assert names(found) == ["CONV_2D", "LAYER_NORM", "CONV_2D", "ADD"]
    data, scale, shift = found.ops[1].inputs
    assert data == found.ops[0].outputs[0]
    assert scale != shift
    assert {graph.tensors[i].elements for i in (scale, shift)} == {16}
    assert found.ops[1].outputs == found.ops[2].inputs[:1]


def test_an_inner_tensor_that_others_read_keeps_the_parts() -> None:
    draft = Draft()
    x = draft.conv(draft.input(8, 8, 3), 16)
    y = layer_norm(draft, x)
    mean = next(op.outputs[0] for op in draft.finish(y).ops if op.name == "MEAN")
    graph = draft.finish(draft.binary("MUL", y, mean))

    assert idioms.with_layer_norms(graph) == graph


def test_a_mean_over_pixels_is_no_layer_norm() -> None:
    draft = Draft()
    x = draft.conv(draft.input(8, 8, 3), 16)
    centred = draft.binary("SUB", x, draft.mean(x))
    variance = draft.mean(draft.binary("MUL", centred, centred))
    inverse = draft.unary("RSQRT", draft.binary("ADD", variance, draft.constant(1)))
    graph = draft.finish(draft.binary("MUL", centred, inverse))

    assert idioms.with_layer_norms(graph) == graph


def test_what_follows_a_layer_norm_stays() -> None:
    draft = Draft()
    y = layer_norm(draft, draft.conv(draft.input(8, 8, 3), 16))
    graph = draft.finish(draft.binary("MUL", y, draft.constant(1, 1, 1, 16)))

    assert names(idioms.with_layer_norms(graph)) == ["CONV_2D", "LAYER_NORM", "MUL"]


def test_a_normalized_image_enters_behind_its_normalization() -> None:
    draft = Draft()
    x = draft.conv(draft.image(8), 16)
    graph = draft.finish(x)

    found = idioms.without_input_normalization(graph)

    assert names(graph) == ["SUB", "MUL", "CONV_2D"]
    assert names(found) == ["CONV_2D"]
    assert found.inputs == found.ops[0].inputs[:1]


@pytest.mark.parametrize(
    "draw",
    [
        lambda draft, x: [draft.add(draft.conv(draft.add(x, x), 3), x)],  # read by two
        lambda draft, x: [draft.add(x, draft.constant(1, 8, 8, 3))],  # not one value per channel
        lambda draft, x: [draft.conv(x, 3)],
        lambda draft, x: [draft.unary("RELU", x)],
    ],
)
def test_other_ops_of_an_image_stay(draw: object) -> None:
    draft = Draft()
    outputs: Sequence[Node] = draw(draft, draft.input(8, 8, 3))  # type: ignore[operator]
    graph = draft.finish(*outputs)

    assert idioms.without_input_normalization(graph) == graph


@pytest.mark.qualcomm
def test_a_layer_norm_is_written_as_onnx_computes_it() -> None:
    needs.package("onnx")
    onnxruntime = needs.package("onnxruntime")
    from harness.estimate import onnx_ops, onnx_writer

    draft = Draft()
    found = idioms.with_layer_norms(draft.finish(layer_norm(draft, draft.input(4, 4, 16))))
    data = onnx_writer.write(found, onnx_ops.EMITTERS)
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    x = np.random.default_rng(1).normal(3.0, 2.0, (1, 4, 4, 16)).astype(np.float32)

    (y,) = session.run(None, {session.get_inputs()[0].name: x})

    normal = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    slope = (y[0, 0, 0] - y[0, 1, 1]) / (normal[0, 0, 0] - normal[0, 1, 1])
    np.testing.assert_allclose(
        y - y[0, 0, 0], slope * (normal - normal[0, 0, 0]), rtol=1e-3, atol=1e-4
    )


def sequence_and_image_norms() -> Graph:
    draft = Draft()
    image = layer_norm(draft, draft.conv(draft.input(8, 8, 3), 16))
    return draft.finish(layer_norm(draft, draft.reshape(image, 64, 16)))


def test_old_chips_fuse_the_layer_norms_of_sequences_only() -> None:
    graph = sequence_and_image_norms()

    old, new = (snapdragon.as_run(graph, soc_model=soc) for soc in ("SM8450", "SM8650"))

    assert names(new).count("LAYER_NORM") == 2
    assert names(old).count("LAYER_NORM") == 1
    assert names(old)[-2:] == ["RESHAPE", "LAYER_NORM"]


def attention(heads: int, *, bias: bool = False, read_twice: bool = False) -> Graph:
    """Return the products of queries and keys, and of their weights and values, head by head."""
    draft = Draft()
    x = draft.input(6, 8)
    query, key, value = (
        draft.transpose(draft.reshape(draft.dense(x, 8), 6, heads, 8 // heads), 0, 2, 1, 3)
        for _ in range(3)
    )
    outputs = []
    for left, right, turned in ((query, key, False), (None, value, True)):
        data = draft.unary("SOFTMAX", outputs[0]) if left is None else left
        sides = [draft.split(side, heads, axis=1) for side in (data, right)]
        products = []
        for a, b in zip(*sides, strict=True):
            rows, columns = (draft.reshape(i, *draft.shape(i)[2:], batch=False) for i in (a, b))
            columns = draft.transpose(columns, 1, 0) if turned else columns
            products.append(draft.matrix_product(rows, columns))
            if bias:
                products[-1] = draft.binary("ADD", products[-1], draft.constant(1))
        outputs.append(draft.pack(products))
        if read_twice:
            outputs[-1] = draft.binary("ADD", outputs[-1], draft.reshape(rows, 1, 6, 8 // heads))
    return draft.finish(outputs[-1])


def test_products_of_heads_become_one_product_of_a_batch() -> None:
    graph = attention(4)

    found = idioms.with_batched_products(graph)

    assert names(found)[-3:] == ["BATCH_MATMUL", "SOFTMAX", "BATCH_MATMUL"]
    assert names(found).count("FULLY_CONNECTED") == 3
    assert found.macs == graph.macs
    first, second = (op for op in found.ops if op.name == "BATCH_MATMUL")
    assert (first.options["adj_y"], second.options["adj_y"]) == (True, False)
    assert found.tensors[first.outputs[0]].shape == (1, 4, 6, 6)
    assert found.tensors[second.outputs[0]].shape == (1, 4, 6, 2)


@pytest.mark.parametrize("changed", [{"bias": True}, {"read_twice": True}])
def test_products_that_something_else_belongs_to_stay_apart(changed: dict[str, bool]) -> None:
    graph = attention(4, **changed)

    assert idioms.with_batched_products(graph) == graph
