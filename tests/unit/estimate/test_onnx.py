"""A graph written as ONNX computes what the .tflite computes, but for its weights."""

import numpy as np
import pytest

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

import onnx
import onnxruntime

from harness.errors import ModelError
from harness.estimate import onnx_ops, onnx_writer
from harness.estimate.reference.catalogue import REFERENCES
from harness.graph import parse
from tests import models

pytestmark = pytest.mark.qualcomm

FRAME = np.linspace(0.05, 1.0, 8 * 8 * 4, dtype=np.float32).reshape(1, 8, 8, 4)

EXACT = [
    ("ABS", {}),
    ("ADD", {}),
    ("AVERAGE_POOL_2D", {}),
    ("AVERAGE_POOL_2D", {"filter_height": 1, "filter_width": 1}),
    ("CONCATENATION", {}),
    ("DEPTH_TO_SPACE", {}),
    ("DIV", {}),
    ("ELU", {}),
    ("EXP", {}),
    ("GELU", {}),
    ("HARD_SWISH", {}),
    ("LEAKY_RELU", {"alpha": 0.3}),
    ("LOG", {}),
    ("LOGISTIC", {}),
    ("MAXIMUM", {}),
    ("MAX_POOL_2D", {}),
    ("MAX_POOL_2D", {"filter_height": 1, "filter_width": 1}),
    ("MEAN", {}),
    ("MINIMUM", {}),
    ("MIRROR_PAD", {}),
    ("MUL", {}),
    ("NEG", {}),
    ("PAD", {}),
    ("REDUCE_MAX", {}),
    ("RELU", {}),
    ("RELU6", {}),
    ("RELU_N1_TO_1", {}),
    ("RESHAPE", {}),
    ("RESIZE_BILINEAR", {}),
    ("RESIZE_BILINEAR", {"half_pixel_centers": True}),
    ("RESIZE_NEAREST_NEIGHBOR", {}),
    ("RSQRT", {}),
    ("SOFTMAX", {"beta": 1.0}),
    ("SPACE_TO_DEPTH", {}),
    ("SQRT", {}),
    ("SQUARE", {}),
    ("SQUARED_DIFFERENCE", {}),
    ("SUB", {}),
    ("SUM", {}),
    ("TANH", {}),
    ("TRANSPOSE", {}),
]
WEIGHTED = ["CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "PRELU", "TRANSPOSE_CONV"]


def run_onnx(model: bytes) -> np.ndarray:
    parsed = parse(model)
    data = onnx_writer.write(parsed, onnx_ops.EMITTERS)
    onnx.checker.check_model(onnx.load_model_from_string(data))
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    fed = session.get_inputs()[0]
    frame = FRAME
    if fed.type == "tensor(uint8)":
        frame = (FRAME * 64 + 128).astype(np.uint8)
    if fed.type == "tensor(uint16)":
        frame = (FRAME * 64 + 32768).astype(np.uint16)
    output: np.ndarray = session.run(None, {fed.name: frame})[0]
    return output


def run_litert(model: bytes) -> np.ndarray:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=model)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], FRAME)
    interpreter.invoke()
    output: np.ndarray = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    return output


@pytest.mark.parametrize(("op", "options"), EXACT, ids=lambda value: str(value))
def test_an_op_without_weights_computes_the_same_numbers(
    op: str, options: dict[str, object]
) -> None:
    model = models.op_model(op, **options)

    np.testing.assert_allclose(run_onnx(model), run_litert(model), rtol=2e-3, atol=2e-4)


@pytest.mark.parametrize("op", ["AVERAGE_POOL_2D", "MAX_POOL_2D"])
def test_a_pooling_of_one_pixel_is_written_as_a_slice(op: str) -> None:
    parsed = parse(models.op_model(op, filter_height=1, filter_width=1))

    written = onnx.load_model_from_string(onnx_writer.write(parsed, onnx_ops.EMITTERS))

    kinds = {node.op_type for node in written.graph.node}
    assert "Slice" in kinds
    assert not {kind for kind in kinds if "Pool" in kind}


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_a_padded_mean_is_padded_before_and_keeps_its_shape_and_inner_numbers(dtype: str) -> None:
    window = {"filter_height": 3, "filter_width": 3}
    model = models.op_model("AVERAGE_POOL_2D", dtype=dtype, **window)
    parsed = parse(model)

    written = onnx.load_model_from_string(onnx_writer.write(parsed, onnx_ops.EMITTERS))
    output = run_onnx(model)

    (pool,) = [node for node in written.graph.node if node.op_type == "AveragePool"]
    assert [list(a.ints) for a in pool.attribute if a.name == "pads"] == [[0, 0, 0, 0]]
    assert output.shape == parsed.tensors[parsed.outputs[0]].shape
    if dtype == "float32":
        expected = run_litert(model)[:, :-1, :-1]
        np.testing.assert_allclose(output[:, :-1, :-1], expected, rtol=2e-3, atol=2e-4)


@pytest.mark.parametrize("dtype", ["float32", "int8", "int16"])
@pytest.mark.parametrize("op", WEIGHTED)
def test_an_op_with_weights_has_the_same_shape_in_every_precision(op: str, dtype: str) -> None:
    model = models.op_model(op, dtype=dtype)
    parsed = parse(model)

    assert run_onnx(model).shape == parsed.tensors[parsed.outputs[0]].shape


@pytest.mark.parametrize("upsampling", ["TRANSPOSE_CONV", "RESIZE_BILINEAR"])
@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_a_unet_is_written_whole(upsampling: str, dtype: str) -> None:
    parsed = parse(models.unet(upsampling=upsampling, dtype=dtype))

    model = onnx.load_model_from_string(onnx_writer.write(parsed, onnx_ops.EMITTERS))

    onnx.checker.check_model(model, full_check=True)
    convolutions = sum(node.op_type in ("Conv", "ConvTranspose") for node in model.graph.node)
    assert convolutions == sum(op.name in ("CONV_2D", "TRANSPOSE_CONV") for op in parsed.ops)


def test_every_op_of_the_reference_networks_can_be_written() -> None:
    names = {op.name for r in REFERENCES.values() for op in r.graph("int8").ops}

    assert names <= set(onnx_ops.EMITTERS)


def test_an_op_that_cannot_be_written_is_named() -> None:
    parsed = parse(models.op_model("SEGMENT_SUM"))

    with pytest.raises(ModelError, match="SEGMENT_SUM has no conversion"):
        onnx_writer.write(parsed, onnx_ops.EMITTERS)


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_weights_that_are_handed_over_apart_compute_the_same(dtype: str) -> None:
    parsed = parse(models.unet(size_px=16, channels=32, dtype=dtype))
    apart: dict[str, np.ndarray] = {}

    model = onnx_writer.write(parsed, onnx_ops.EMITTERS, apart=apart)

    whole = onnx_writer.write(parsed, onnx_ops.EMITTERS)
    assert sum(array.nbytes for array in apart.values()) > 0.9 * (len(whole) - len(model))
    options = onnxruntime.SessionOptions()
    values = [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in apart.values()]
    options.add_external_initializers(list(apart), values)
    sessions = (
        onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"]),
        onnxruntime.InferenceSession(whole, providers=["CPUExecutionProvider"]),
    )
    fed = sessions[0].get_inputs()[0]
    kind = np.float32 if dtype == "float32" else np.uint8
    frame = (np.arange(np.prod(fed.shape)).reshape(fed.shape) % 7).astype(kind)
    outputs = [session.run(None, {fed.name: frame})[0] for session in sessions]
    np.testing.assert_array_equal(outputs[0], outputs[1])


def test_what_shape_inference_reads_stays_in_the_model_however_long() -> None:
    parsed = parse(models.conv_net())
    apart: dict[str, np.ndarray] = {}
    writer = onnx_writer.OnnxWriter(parsed, apart=apart)

    writer.integers([1] * 200)

    assert apart == {}
