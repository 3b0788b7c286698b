"""Tests of LiteRT's GPU accelerator on a software Vulkan driver, run for real."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from harness import graph
from harness.errors import DeviceError, ModelError
from harness.evidence import Evidence
from harness.images import Pixels
from harness.placement import Placement
from harness.profiles import Accelerator, Profile, Target
from harness.stacks import mldrift, xnnpack
from tests import branches, kinds, models, needs

pytestmark = pytest.mark.gpu

PHONE = Target(
    profile=Profile(
        name="a_phone", title="A phone", match=(), soc="a chip", cpu=(), android_api_level=34,
        default_delegate="gpu", source="test",
        accelerators=(Accelerator(name="a gpu", delegate="gpu", source="test"),),
    ),
    delegate="gpu",
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    needs.installed(mldrift.missing())
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("HARNESS_CACHE", str(folder))
        yield folder


def frame(size_px: int = 16) -> Pixels:
    return np.random.default_rng(3).random((1, size_px, size_px, 3), dtype=np.float32)


def place(model: bytes) -> Placement:
    return mldrift.place(models.model(model), PHONE)


def with_islands(builder: models.ModelBuilder) -> bytes:
    """Build 1 + 3 + 2 ops that the GPU takes, cut apart by two L2_NORMALIZATION."""
    image = builder.activation((1, 16, 16, 3), name="image")
    x = builder.same("L2_NORMALIZATION", builder.conv(image, 4))
    x = builder.conv(builder.conv(builder.conv(x, 4), 4), 4)
    x = builder.same("L2_NORMALIZATION", x)
    return builder.build([image], [builder.same("RELU", builder.conv(x, 3))])


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_a_unet_is_wholly_on_the_gpu(dtype: str) -> None:
    placement = place(models.unet(upsampling="TRANSPOSE_CONV", dtype=dtype))

    assert placement.cpu_ops == 0
    assert placement.partitions == 1
    assert {node.unit for node in placement.nodes} == {"gpu"}
    assert placement.provenance.evidence is Evidence.VENDOR
    assert "fp32" in placement.provenance.note


def test_a_refused_op_is_named_with_the_accelerators_reason() -> None:
    builder = models.ModelBuilder()
    image = builder.activation((1, 16, 16, 3), name="image")
    padding = builder.constant([[0, 0], [1, 1], [1, 1], [0, 0]])
    padded = builder.activation((1, 18, 18, 3), name="padded")
    builder.op("MIRROR_PAD", [image, padding], [padded], mode=1)
    model = builder.build([image], [builder.conv(padded, 3)])

    (fallback,) = place(model).fallbacks

    assert (fallback.index, fallback.op) == (0, "MIRROR_PAD")
    assert "Only Reflective padding is supported" in fallback.reason
    assert "'padded'" in fallback.reason


def test_only_the_largest_partition_is_on_the_gpu() -> None:
    placement = place(with_islands(models.ModelBuilder()))

    assert [node.index for node in placement.nodes if node.unit == "gpu"] == [2, 3, 4]
    assert placement.partitions == 3
    assert "takes only one partition, the largest (3 ops)" in placement.nodes[0].reason
    assert "Operation is not supported" in placement.nodes[1].reason


def test_nodes_that_unpack_fp16_weights_go_with_their_readers() -> None:
    model = with_islands(models.Float16WeightsBuilder())

    placement = place(model)

    on_gpu = [node.op for node in placement.nodes if node.unit == "gpu"]
    assert on_gpu == ["DEQUANTIZE", "DEQUANTIZE", "CONV_2D"] * 3
    assert placement.partitions == 3


def test_int16_is_refused_op_by_op() -> None:
    placement = place(models.conv_net(dtype="int16"))

    assert placement.cpu_ops == len(placement.nodes)
    assert "INT16" in placement.nodes[0].reason


def test_float_pixels_are_those_of_the_cpu_in_fp32() -> None:
    model = models.unet(size_px=16)

    output = mldrift.run(models.model(model), PHONE, frame())

    on_cpu = xnnpack.run(models.model(model), frame())
    assert np.ptp(on_cpu) > 0.1
    assert np.abs(output - on_cpu).max() < 1e-5


def test_two_inputs_and_two_outputs_are_those_of_the_cpu() -> None:
    for data in (kinds.burst(size_px=16), kinds.two_outputs(size_px=16)):
        model = models.model(data)
        given = [frame() * (seed + 1) / 2 for seed, _ in enumerate(model.graph.inputs)]

        on_gpu = mldrift.execute(model, PHONE, given)

        for values, wanted in zip(on_gpu, xnnpack.execute(model, given), strict=True):
            np.testing.assert_allclose(values, wanted, atol=1e-5)


def test_int8_pixels_are_those_of_the_cpu_to_the_last_bit() -> None:
    model = models.unet(size_px=16, dtype="int8", even_weights=True)

    output = mldrift.run(models.model(model), PHONE, frame())

    on_cpu = xnnpack.run(models.model(model), frame())
    assert np.ptp(on_cpu) > 10 * models.SCALE
    assert np.abs(output - on_cpu).max() <= 1.01 * models.SCALE


@pytest.mark.parametrize("seed", [8, 11, 25, 29, 34])
def test_any_graph_is_placed_as_the_accelerator_counts_and_computes_what_the_cpu_computes(
    seed: int,
) -> None:
    model = branches.random_model(seed, "L2_NORMALIZATION")
    parsed = graph.parse(model)
    inputs = [frame(branches.SIZE_PX)]

    placement = mldrift.place(models.model(model), PHONE)  # checks the accelerator's own count

    refused = {op.index for op in parsed.ops if op.name == "L2_NORMALIZATION"}
    assert refused
    assert refused <= {node.index for node in placement.fallbacks}
    right = xnnpack.execute(models.model(model), inputs)
    outputs = mldrift.execute(models.model(model), PHONE, inputs)
    for output, expected in zip(outputs, right, strict=True):
        np.testing.assert_allclose(output, expected, atol=1e-4)


@pytest.mark.parametrize("dtype", ["float32", "int16"])
def test_a_model_that_is_partly_or_wholly_refused_still_runs(dtype: str) -> None:
    model = models.conv_net(dtype="int16", size_px=16)
    if dtype == "float32":
        model = with_islands(models.ModelBuilder())

    output = mldrift.run(models.model(model), PHONE, frame())

    np.testing.assert_allclose(output, xnnpack.run(models.model(model), frame()), atol=1e-5)


def test_every_output_of_a_model_is_returned_in_its_order() -> None:
    builder = models.ModelBuilder()
    image = builder.activation((1, 16, 16, 3), name="image")
    first = builder.conv(image, 4)
    model = builder.build([image], [builder.conv(first, 5), first])

    outputs = mldrift.execute(models.model(model), PHONE, [frame()])

    assert [output.shape[-1] for output in outputs] == [5, 4]


def test_a_model_that_litert_cannot_prepare_is_a_model_error_with_its_words() -> None:
    model = models.conv_net(size_px=16)
    broken = models.op_model("DEQUANTIZE")  # float32 is not quantized

    with pytest.raises(ModelError, match="is_supported_type was not true"):
        place(broken)

    assert place(model).cpu_ops == 0  # the worker goes on


def test_an_op_that_kills_the_accelerator_is_named_and_the_next_model_is_answered() -> None:
    builder = models.ModelBuilder("int16")
    image = builder.activation((1, 16, 16, 4), name="image")
    slope = builder.activation((1, 1, 4), data=16)
    model = builder.build([image], [builder.same("ABS", builder.same("MUL", image, slope))])

    with pytest.raises(DeviceError, match="MUL #0 in int16"):
        place(model)

    assert place(models.conv_net(depth=4)).cpu_ops == 0


def test_sparse_weights_are_refused_by_the_name_of_their_op() -> None:
    model = models.model(kinds.sparse(), "sparse.tflite")

    with pytest.raises(ModelError, match=r"sparse\.tflite: op #0 DENSIFY .* dense weights"):
        mldrift.place(model, PHONE)

    (made,) = xnnpack.execute(model, [frame()])
    np.testing.assert_allclose(made, frame(), atol=1e-6)


def test_inputs_of_16_bits_are_refused_by_their_name() -> None:
    model = models.model(kinds.stored_as("int16", size_px=16))

    assert mldrift.place(model, PHONE).cpu_ops == 2
    with pytest.raises(ModelError, match="'image' is int16"):
        mldrift.execute(model, PHONE, [frame()])


def test_a_frame_of_another_size_is_refused() -> None:
    model = models.conv_net(size_px=16)

    with pytest.raises(ModelError, match="resize the model first"):
        mldrift.run(models.model(model), PHONE, frame(32))


def test_nothing_that_native_libraries_print_reaches_the_terminal(
    capfd: pytest.CaptureFixture[str], own_cache: Path
) -> None:
    place(models.conv_net(depth=5))

    assert capfd.readouterr() == ("", "")
    # Of whichever test began the worker: a module's cache, or the one that all processes share.
    caches = (*own_cache.parent.iterdir(), own_cache.parents[1] / "cache")
    assert any((folder / "logs" / "mldrift.log").exists() for folder in caches)
