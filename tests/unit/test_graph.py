"""Tests of reading a .tflite as data."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as fb

from harness import graph, resizing
from harness.errors import ModelError
from tests import models
from tests.models import ModelBuilder


def test_macs_of_a_chain_of_convolutions() -> None:
    parsed = graph.parse(models.conv_net(depth=3, channels=4, size_px=8))

    pixels = 8 * 8
    assert [op.macs for op in parsed.ops if op.name == "CONV_2D"] == [
        pixels * 3 * 3 * 3 * 4,
        pixels * 3 * 3 * 4 * 4,
        pixels * 3 * 3 * 4 * 3,
    ]
    assert parsed.macs == 23_040


@pytest.mark.parametrize(
    ("op", "macs"),
    [
        ("CONV_2D", 8 * 8 * 4 * 3 * 3 * 4),
        ("DEPTHWISE_CONV_2D", 8 * 8 * 4 * 3 * 3),
        ("TRANSPOSE_CONV", 8 * 8 * 4 * 2 * 2 * 4),
        ("FULLY_CONNECTED", 8 * 8 * 4 * 5),
        ("RESIZE_BILINEAR", 0),
        ("ADD", 0),
        ("PRELU", 0),
    ],
)
def test_macs_of_one_op_on_8x8x4(op: str, macs: int) -> None:
    assert graph.parse(models.op_model(op)).macs == macs


def test_mobilenet_v1_has_its_published_569_million_macs() -> None:
    """Source: arXiv 1704.04861, table 4: 1.0 MobileNet-224, 569 million mult-adds."""
    model = ModelBuilder()
    image = model.activation((1, 224, 224, 3))
    x = model.conv(image, 32, stride=2)
    blocks = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5,
              (1024, 2), (1024, 1)]  # fmt: skip
    for channels, stride in blocks:
        x = model.conv(_depthwise(model, x, stride), channels, kernel=1)
    y = model.activation((1, 1, 1, 1024))
    model.op("MEAN", [x, model.constant([1, 2])], [y], keep_dims=True)
    z = model.activation((1, 1000))
    model.op("FULLY_CONNECTED", [y, model.weights((1000, 1024)), model.bias(1000)], [z])

    parsed = graph.parse(model.build([image], [z]))

    assert parsed.macs == 568_740_352
    assert parsed.weight_bytes == pytest.approx(4.2e6 * 4, rel=0.02)


def _depthwise(model: ModelBuilder, x: int, stride: int) -> int:
    _, height, width, depth = model.shape(x)
    y = model.activation((1, height // stride, width // stride, depth))
    model.op(
        "DEPTHWISE_CONV_2D", [x, model.weights((1, 3, 3, depth), axis=3), model.bias(depth)], [y],
        padding="SAME", stride_h=stride, stride_w=stride, depth_multiplier=1,
        dilation_h_factor=1, dilation_w_factor=1,
    )  # fmt: skip
    return y


def test_macs_grow_with_pixels_of_a_fully_convolutional_net() -> None:
    small = graph.parse(models.unet(size_px=16))
    large = graph.parse(models.unet(size_px=64))

    assert large.macs == 16 * small.macs


@pytest.mark.parametrize("version", [1, 2, 3, 5, 17])
def test_the_version_is_the_one_in_the_file(version: int) -> None:
    parsed = graph.parse(models.op_model("RESIZE_BILINEAR", version=version))

    assert parsed.ops[0].version == version


def test_options_are_read_by_name() -> None:
    parsed = graph.parse(
        models.op_model("RESIZE_BILINEAR", half_pixel_centers=True, align_corners=False)
    )

    assert parsed.ops[0].options["half_pixel_centers"] is True
    assert parsed.ops[0].options["align_corners"] is False


def test_a_fused_activation_and_padding_have_names() -> None:
    model = models.op_model("CONV_2D", kernel=1, fused_activation_function="RELU6", padding="VALID")

    options = graph.parse(model).ops[0].options

    assert graph.ACTIVATIONS[options["fused_activation_function"]] == "RELU6"
    assert graph.PADDINGS[options["padding"]] == "VALID"


def test_an_op_without_an_options_table_has_no_options() -> None:
    assert graph.parse(models.op_model("RELU")).ops[0].options == {}


def test_a_custom_op_has_its_own_name() -> None:
    assert graph.parse(models.op_model("OurBlur")).ops[0].name == "OurBlur"


def test_per_channel_quantization_is_read_with_its_axis() -> None:
    parsed = graph.parse(models.op_model("DEPTHWISE_CONV_2D", dtype="int8"))

    image, filters, _ = parsed.input_tensors(parsed.ops[0])
    assert image.quantization == graph.Quantization(
        scales=(models.SCALE,), zero_points=(0,), axis=0
    )
    assert filters.quantization == graph.Quantization(
        scales=(models.WEIGHT_SCALE,) * 4, zero_points=(0,) * 4, axis=3
    )


def test_a_float_tensor_has_no_quantization() -> None:
    assert all(t.quantization is None for t in graph.parse(models.unet()).tensors)


@pytest.mark.parametrize(("dtype", "weight_bytes"), [("float32", 4), ("int8", 1)])
def test_weight_bytes_are_those_of_the_constants(dtype: str, weight_bytes: int) -> None:
    parsed = graph.parse(models.op_model("CONV_2D", dtype=dtype))

    assert parsed.weight_bytes == 4 * 3 * 3 * 4 * weight_bytes + 4 * 4


def test_constants_can_be_read_as_arrays() -> None:
    parsed = graph.parse(models.op_model("RESIZE_BILINEAR"))

    size = parsed.input_tensors(parsed.ops[0])[1].values()

    assert size is not None
    assert size.tolist() == [16, 16]
    assert parsed.tensors[parsed.inputs[0]].values() is None


def test_constant_data_that_does_not_fit_its_shape_is_a_model_error() -> None:
    tree = _tree(models.op_model("CONV_2D"))
    tree.subgraphs[0].tensors[1].shape = [5, 3, 3, 4]

    with pytest.raises(ModelError, match=r"\[5, 3, 3, 4\] takes 720 bytes, .* are 576"):
        graph.parse(resizing.pack(tree))


def test_peak_activations_count_what_is_alive_together() -> None:
    model = ModelBuilder()
    image = model.activation((1, 4, 4, 1))  # 64 bytes
    a = model.same("RELU", image)
    b = model.same("RELU", a)
    c = model.same("ADD", image, b)
    parsed = graph.parse(model.build([image], [c]))

    assert parsed.peak_activation_bytes == 3 * 64


def test_runtime_inputs_leave_out_constants_and_omitted_ones() -> None:
    model = ModelBuilder()
    image = model.activation((1, 8, 8, 3))
    y = model.activation((1, 8, 8, 4))
    model.op(
        "CONV_2D", [image, model.weights((4, 1, 1, 3)), -1], [y], padding="SAME",
        stride_h=1, stride_w=1, dilation_h_factor=1, dilation_w_factor=1,
    )  # fmt: skip
    parsed = graph.parse(model.build([image], [y]))

    assert [t.index for t in parsed.input_tensors(parsed.ops[0])] == [image, 2]
    assert [t.index for t in parsed.runtime_inputs(parsed.ops[0])] == [image]


class TestOfWhatIsRefused:
    @pytest.mark.parametrize("data", [b"", b"TFL3", b"\0" * 64, b"PK\3\4" + b"\0" * 64])
    def test_another_kind_of_file(self, data: bytes) -> None:
        with pytest.raises(ModelError, match=r"mine: not a \.tflite file"):
            graph.parse(data, name="mine")

    def test_a_missing_file(self, tmp_path: object) -> None:
        with pytest.raises(ModelError, match="cannot be read"):
            graph.load(tmp_path / "no.tflite")  # type: ignore[operator]

    def test_a_model_without_ops(self) -> None:
        model = ModelBuilder()
        image = model.activation((1, 4, 4, 3))

        with pytest.raises(ModelError, match="has no ops"):
            graph.parse(model.build([image], [image]))

    def test_an_op_that_names_a_tensor_that_does_not_exist(self) -> None:
        tree = _tree(models.conv_net())
        tree.subgraphs[0].operators[0].inputs = np.array([0, 999, 2], np.int32)

        with pytest.raises(ModelError, match="op #0 CONV_2D names tensors that do not exist"):
            graph.parse(resizing.pack(tree))

    def test_an_output_that_does_not_exist(self) -> None:
        tree = _tree(models.conv_net())
        tree.subgraphs[0].outputs = np.array([999], np.int32)

        with pytest.raises(ModelError, match="names tensor 999"):
            graph.parse(resizing.pack(tree))

    def test_an_op_that_reads_what_is_computed_later(self) -> None:
        tree = _tree(models.conv_net())
        tree.subgraphs[0].operators.reverse()

        with pytest.raises(ModelError, match="reads a tensor before it is computed"):
            graph.parse(resizing.pack(tree))

    def test_a_shape_that_no_memory_holds(self) -> None:
        tree = _tree(models.conv_net())
        tree.subgraphs[0].tensors[0].shape = np.array([2**30, 2**30, 2, 2], np.int32)

        with pytest.raises(ModelError, match="impossible shape"):
            graph.parse(resizing.pack(tree))

    def test_a_buffer_that_does_not_exist(self) -> None:
        tree = _tree(models.conv_net())
        tree.subgraphs[0].tensors[1].buffer = 77

        with pytest.raises(ModelError, match="names buffer 77"):
            graph.parse(resizing.pack(tree))

    def test_a_convolution_with_too_few_inputs(self) -> None:
        tree = _tree(models.conv_net())
        tree.subgraphs[0].operators[0].inputs = np.array([0], np.int32)

        with pytest.raises(ModelError, match="too few inputs"):
            graph.parse(resizing.pack(tree))


def _tree(model: bytes) -> fb.ModelT:
    return fb.ModelT.InitFromPackedBuf(bytearray(model), 0)


def test_producers_and_readers_are_the_two_ends_of_each_tensor() -> None:
    net = graph.parse(models.unet())

    for op in net.ops:
        assert all(net.producers[i] is op for i in op.outputs)
        assert all(op in net.readers[i] for i in op.inputs if i >= 0)
    assert not set(net.inputs) & net.producers.keys()
    assert sum(map(len, net.readers.values())) == sum(
        len({i for i in op.inputs if i >= 0}) for op in net.ops
    )


def test_a_dequantize_unpacks_where_what_it_reads_is_constant() -> None:
    packed = graph.parse(models.unet(fp16_weights=True))
    plain = graph.parse(models.op_model("DEQUANTIZE"))

    unpacking = [op for op in packed.ops if packed.unpacks_constant(op)]
    assert unpacking == [op for op in packed.ops if op.name == "DEQUANTIZE"] != []
    assert {packed.runtime_dtype(op) for op in unpacking} == {""}
    assert [plain.unpacks_constant(op) for op in plain.ops if op.name == "DEQUANTIZE"] == [False]
