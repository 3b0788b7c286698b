"""Tests of pairing the tensors of two exports of one model."""

from harness import graph
from harness.culprit.matching import pair_tensors, root_name
from harness.graph import Tensor
from tests import faults, models


def test_two_copies_of_a_graph_are_paired_tensor_by_tensor() -> None:
    parsed = graph.parse(models.unet())

    pairs = pair_tensors(parsed, parsed)

    runtime = [t.index for t in parsed.tensors if t.constant is None]
    assert pairs == {i: i for i in runtime}


def test_ops_are_paired_by_their_names_where_the_converter_split_one() -> None:
    split, whole = _split_prelu(), _prelu()

    pairs = pair_tensors(graph.parse(split), graph.parse(whole))

    here, there = graph.parse(split), graph.parse(whole)
    named = {here.tensors[i].name: there.tensors[j].name for i, j in pairs.items()}
    assert named["net/act/add"] == "net/act/add;net/act/Relu;net/act/mul1"
    assert "net/act/Relu" not in named
    assert named["net/out/BiasAdd"] == "net/out/BiasAdd"


def test_ops_are_paired_by_kind_and_shape_where_names_say_nothing() -> None:
    model = models.unet()
    nameless = faults.rename(model, lambda index, _: f"t{900 - index}")
    parsed = graph.parse(model)

    assert pair_tensors(graph.parse(nameless), parsed) == pair_tensors(parsed, parsed)


def test_a_conversion_stands_for_what_it_reads() -> None:
    builder = models.ModelBuilder()
    image = builder.activation((1, 8, 8, 3), name="image")
    rounded = builder.activation((1, 8, 8, 3), "int8")
    builder.op("QUANTIZE", [image], [rounded])
    back = builder.tensor((1, 8, 8, 3))
    builder.op("DEQUANTIZE", [rounded], [back], version=2)
    model = builder.build([image], [builder.conv(back, 3)])
    plain = graph.parse(models.op_model("CONV_2D", shape=(1, 8, 8, 3)))

    pairs = pair_tensors(graph.parse(model), plain)

    assert pairs[rounded] == pairs[back] == pairs[image] == plain.inputs[0]


def test_unlike_graphs_share_only_their_input() -> None:
    conv = graph.parse(models.op_model("CONV_2D"))
    pool = graph.parse(models.op_model("MAX_POOL_2D"))

    assert pair_tensors(conv, pool) == {conv.inputs[0]: pool.inputs[0]}


def test_a_root_name_is_the_last_fused_op_without_the_digits_that_keep_names_apart() -> None:
    def root(name: str) -> str:
        return root_name(Tensor(index=0, name=name, shape=(1,), dtype="float32"))

    assert root("net/act/add;net/act/Relu;net/act/mul1") == "net/act/add"
    assert root("net/conv/convolution1") == "net/conv/convolution"
    assert root("t12") == ""


def _prelu() -> bytes:
    builder = models.ModelBuilder()
    image = builder.activation((1, 8, 8, 3), name="image")
    slope = builder.activation((1, 1, 3), data=0.25)
    x = builder.activation((1, 8, 8, 3), name="net/act/add;net/act/Relu;net/act/mul1")
    builder.op("PRELU", [image, slope], [x])
    return _named_output(builder, image, x)


def _split_prelu() -> bytes:
    builder = models.ModelBuilder()
    image = builder.activation((1, 8, 8, 3), name="image")
    positive = builder.activation((1, 8, 8, 3), name="net/act/Relu")
    builder.op("RELU", [image], [positive])
    x = builder.activation((1, 8, 8, 3), name="net/act/add")
    builder.op("ADD", [positive, image], [x])
    return _named_output(builder, image, x)


def _named_output(builder: models.ModelBuilder, image: int, x: int) -> bytes:
    model = builder.build([image], [builder.conv(x, 4)])
    last = max(op.outputs[0] for op in graph.parse(model).ops)
    return faults.rename(model, lambda i, name: "net/out/BiasAdd" if i == last else name)
