"""Files of the kinds that newer exporters write: read where that is possible, else refused."""

import os
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

import harness
from harness import cutting, flatbuffer, graph, subjects
from harness.errors import ModelError
from harness.stacks import xnnpack
from harness.subjects import Precision
from tests import exotic, kinds, models, tiny

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


@pytest.mark.parametrize(
    ("name", "op", "times"),
    [("composite", "STABLEHLO_COMPOSITE", 1), ("if", "IF", 1), ("while", "WHILE", 2)],
)
def test_what_calls_a_subgraph_is_one_op_of_its_name_and_runs(
    name: str, op: str, times: int
) -> None:
    model, image = models.model(exotic.CALLING[name]()), IMAGE[:, :16, :16]
    wanted = image
    for _ in range(times):
        wanted = xnnpack.run(models.model(kinds.luma(size_px=16)), wanted)

    assert [one.name for one in model.graph.ops] == [op]
    np.testing.assert_allclose(xnnpack.run(model, image), wanted, atol=1e-6)


@pytest.mark.parametrize("name", exotic.CALLING)
def test_what_calls_a_subgraph_is_placed_on_the_cpu_and_not_estimated(name: str) -> None:
    model = models.model(exotic.CALLING[name](), f"{name}.tflite")

    for target in ("pixel4:cpu", "pixel4:nnapi"):
        with harness.connect(target) as phone:
            assert phone.place(model).cpu_ops == 1
            with pytest.raises(ModelError, match="nothing is estimated; measure the model on a"):
                phone.time(model)


def test_a_part_that_calls_a_subgraph_takes_it_along() -> None:
    data = exotic.loop()

    part = cutting.cut(data, ops=[0], inputs=[0], outputs=[1])

    image = IMAGE[:, :16, :16]
    np.testing.assert_array_equal(
        xnnpack.run(models.model(part), image), xnnpack.run(models.model(data), image)
    )


def test_weights_of_4_bits_are_dynamic_range_and_too_new_for_delegates() -> None:
    model, image = models.model(exotic.few_bits()), IMAGE[:, :16, :16]

    with harness.connect("pixel4:nnapi") as phone:
        (fallback,) = phone.place(model).fallbacks

    assert subjects.precision_of(model.graph) is Precision.INT8_DYNAMIC
    assert "version 7 is newer" in fallback.reason
    np.testing.assert_allclose(xnnpack.run(model, image), image, atol=0.2)


def test_bfloat16_weights_are_read_placed_and_run() -> None:
    model, image = models.model(exotic.bfloat16_weights()), IMAGE[:, :16, :16]

    with harness.connect("pixel4:nnapi") as phone:
        (fallback,) = phone.place(model).fallbacks
    wanted = xnnpack.run(models.model(kinds.luma(size_px=16)), image)

    assert fallback.op == "CAST"
    assert "bfloat16" in fallback.reason
    assert len(xnnpack.place(model).nodes) == 2
    np.testing.assert_allclose(xnnpack.run(model, image), wanted, atol=0.02)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("int2", "op #0 CONV_2D has weights 't2' in int2.*export them as"),
        ("bfloat16", "op #0 CONV_2D has weights 't2' in bfloat16.*export them as"),
        ("custom", "no kernel for the custom op TeamSharpen; export the model with"),
    ],
)
def test_what_no_kernel_computes_is_refused_by_name(name: str, said: str) -> None:
    model = models.model(exotic.ALL[name](), f"{name}.tflite")

    with pytest.raises(ModelError, match=said):
        xnnpack.place(model)


def test_weights_in_a_file_of_their_own_are_refused_by_its_name() -> None:
    with pytest.raises(ModelError, match=r"tensor 't2' has its data in another file, 'weights"):
        graph.parse(exotic.elsewhere(), name="net.tflite")


@pytest.mark.parametrize("command", ["inspect", "init"])
def test_a_file_of_more_than_2_gb_is_one_line_with_what_to_do(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "large.tflite"
    path.write_bytes(kinds.luma())
    os.truncate(path, 2**31)  # takes no room on the disk

    code = tiny.command(command, path, *(["--frames", tmp_path] if command == "init" else []))

    said = capsys.readouterr().err
    assert code == 2
    assert said.startswith(f"harness: {path}: has 2048 MiB")
    assert "export it with weights of 16 or 8 bits" in said
    assert len(said.splitlines()) == 1


def test_two_models_in_one_file_are_refused_with_their_names() -> None:
    with pytest.raises(ModelError, match=r"'encode', 'decode'.*a file of its own"):
        graph.parse(with_two_signatures(), name="two.tflite")
