"""Files of the kinds that newer exporters write: read where that is possible, else refused."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import flexbuffers

from harness import flatbuffer, graph
from harness.errors import ModelError
from harness.stacks import xnnpack
from tests import kinds, models

IMAGE = np.random.default_rng(0).random((1, 32, 32, 1)).astype(np.float32)


def stored_behind(data: bytes) -> bytes:
    """Return the model with the data of its buffers behind the flatbuffer."""
    tree = flatbuffer.unpack(data)
    kept = [None if one.data is None else bytes(one.data) for one in tree.buffers]
    for buffer, values in zip(tree.buffers, kept, strict=True):
        if values:
            buffer.data, buffer.offset, buffer.size = None, 2, len(values)
    head = len(flatbuffer.pack(tree))
    end = -(-head // 16) * 16
    tail = bytearray(end - head)
    for buffer, values in zip(tree.buffers, kept, strict=True):
        if values:
            buffer.offset = head + len(tail)
            tail += values + bytes(-len(values) % 16)
    packed = flatbuffer.pack(tree)
    assert len(packed) == head
    return packed + bytes(tail)


def with_composite() -> bytes:
    """Return a model whose one op stands for a subgraph, as converters write composites."""
    tree = flatbuffer.unpack(kinds.luma())
    inner = tree.subgraphs[0]
    outer = schema.SubGraphT()
    outer.name, outer.inputs, outer.outputs = b"main", [0], [1]
    outer.tensors = [inner.tensors[inner.inputs[0]], inner.tensors[inner.outputs[0]]]
    code = schema.OperatorCodeT()
    code.builtinCode = schema.BuiltinOperator.STABLEHLO_COMPOSITE
    code.deprecatedBuiltinCode, code.version = 127, 1
    tree.operatorCodes.append(code)
    operator = schema.OperatorT()
    operator.opcodeIndex = len(tree.operatorCodes) - 1
    operator.inputs, operator.outputs = [0], [1]
    operator.builtinOptions2Type = schema.BuiltinOptions2.StableHLOCompositeOptions
    operator.builtinOptions2 = schema.StableHLOCompositeOptionsT()
    operator.builtinOptions2.name = b"team.sharpen"
    operator.builtinOptions2.decompositionSubgraphIndex = 1
    operator.builtinOptions2.compositeAttributes = np.frombuffer(flexbuffers.Dumps({}), np.uint8)
    outer.operators = [operator]
    tree.subgraphs = [outer, inner]
    return flatbuffer.pack(tree)


def with_two_signatures() -> bytes:
    """Return a file of two models, each with a signature."""
    tree = flatbuffer.unpack(kinds.luma())
    tree.subgraphs = tree.subgraphs * 2
    tree.signatureDefs = []
    for index, key in enumerate((b"encode", b"decode")):
        signature = schema.SignatureDefT()
        signature.signatureKey, signature.subgraphIndex = key, index
        signature.inputs, signature.outputs = [], []
        tree.signatureDefs.append(signature)
    return flatbuffer.pack(tree)


def test_weights_behind_the_flatbuffer_are_read_and_run() -> None:
    plain, behind = models.model(kinds.luma()), models.model(stored_behind(kinds.luma()))

    assert behind.graph.weight_bytes == plain.graph.weight_bytes > 0
    np.testing.assert_array_equal(xnnpack.run(behind, IMAGE), xnnpack.run(plain, IMAGE))


def test_a_resized_model_has_its_weights_inside() -> None:
    behind, plain = models.model(stored_behind(kinds.luma())), models.model(kinds.luma())

    resized = behind.at("16x16")

    small = IMAGE[:, :16, :16]
    np.testing.assert_array_equal(
        xnnpack.run(resized, small), xnnpack.run(plain.at("16x16"), small)
    )


def test_weights_that_lie_behind_the_end_of_the_file_are_refused_by_name() -> None:
    data = stored_behind(kinds.luma())

    with pytest.raises(ModelError, match=r"tensor 't\d+' lies behind the end of the file"):
        graph.parse(data[:-64])


def test_a_composite_is_one_op_of_its_name_and_runs() -> None:
    model = models.model(with_composite())

    assert [op.name for op in model.graph.ops] == ["STABLEHLO_COMPOSITE"]
    np.testing.assert_allclose(
        xnnpack.run(model, IMAGE), xnnpack.run(models.model(kinds.luma()), IMAGE), atol=1e-6
    )


def test_two_models_in_one_file_are_refused_with_their_names() -> None:
    with pytest.raises(ModelError, match=r"'encode', 'decode'.*a file of its own"):
        graph.parse(with_two_signatures(), name="two.tflite")
