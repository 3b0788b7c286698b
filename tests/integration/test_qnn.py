"""Tests of Qualcomm's compiler and HTP simulator, run for real."""

import concurrent.futures
import multiprocessing
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from harness import cache, graph, profiles
from harness.devices.emulated import Emulated
from harness.errors import ConfigError, DeviceError, ModelError, StackMissing
from harness.evidence import Evidence
from harness.images import Pixels
from harness.placement import Placement
from harness.profiles import Accelerator, Profile, Target
from harness.stacks import qnn, qnn_compiler, xnnpack
from tests import branches, kinds, models, needs

pytestmark = pytest.mark.qualcomm


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    needs.installed(qnn.missing())
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("HARNESS_CACHE", str(folder))
        yield folder


def snapdragon(soc_model: str = "SM8650") -> Target:
    accelerator = Accelerator(name="htp", delegate="qnn", soc_model=soc_model, source="test")
    profile = Profile(
        name="a_phone", title="A phone", match=(), soc=soc_model, cpu=(), android_api_level=34,
        default_delegate="qnn", accelerators=(accelerator,), source="test",
    )  # fmt: skip
    return Target(profile=profile, delegate="qnn")


def frame(size_px: int, seed: int = 3) -> Pixels:
    return np.random.default_rng(seed).random((1, size_px, size_px, 3), dtype=np.float32)


def place(model: bytes, soc_model: str = "SM8650") -> Placement:
    return qnn.place(models.model(model), snapdragon(soc_model))


def with_floor_mod(size_px: int = 16) -> bytes:
    """Build convolutions around a FLOOR_MOD, which the HTP does not take."""
    builder = models.ModelBuilder()
    image = builder.activation((1, size_px, size_px, 3), name="image")
    x = builder.conv(image, 8)
    divisor = builder.tensor((1,), data=4.0)
    y = builder.activation(builder.shape(x), name="remainder")
    builder.op("FLOOR_MOD", [builder.same("ABS", x), divisor], [y])
    return builder.build([image], [builder.same("ADD", builder.conv(y, 3), image)])


@pytest.mark.parametrize("soc_model", ["SM8350", "SM8450", "SM8550", "SM8650", "SM8750", "SM8850"])
def test_a_unet_is_wholly_on_the_npu_of_a_flagship(soc_model: str) -> None:
    placement = place(models.unet(upsampling="TRANSPOSE_CONV"), soc_model)

    assert placement.cpu_ops == 0
    assert placement.partitions == 1
    assert {node.unit for node in placement.nodes} == {"htp"}
    assert placement.provenance.evidence is Evidence.VENDOR
    assert "onnxruntime-qnn" in placement.provenance.runtime


def test_a_refused_op_is_named_with_its_tensors_and_splits_the_graph() -> None:
    model = with_floor_mod()

    placement = place(model)

    (fallback,) = placement.fallbacks
    assert fallback.op == "FLOOR_MOD"
    assert graph.parse(model).ops[fallback.index].name == "FLOOR_MOD"
    assert "ElementWiseBinary Mod in float32" in fallback.reason
    assert "'remainder'" in fallback.reason
    assert placement.partitions == 3


def test_an_npu_without_fp16_refuses_every_float_op_and_says_why() -> None:
    placement = place(models.conv_net(), "SM7550")

    assert placement.cpu_ops == len(placement.nodes)
    assert placement.partitions == 1
    assert all("doesn't support FP16" in node.reason for node in placement.nodes)


def test_the_same_npu_takes_int8() -> None:
    assert place(models.conv_net(dtype="int8"), "SM7550").cpu_ops == 0


@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_quantized_pixels_are_those_of_the_cpu_to_one_rounding_for_each_convolution(
    dtype: str,
) -> None:
    model = models.conv_net(dtype=dtype, size_px=16, depth=2)

    on_npu = qnn.run(models.model(model), snapdragon(), frame(16))

    on_cpu = xnnpack.run(models.model(model), frame(16))
    assert on_npu.dtype == np.float32
    assert np.ptp(on_cpu) > 10 * models.SCALE  # the model does something
    assert np.abs(on_npu - on_cpu).max() <= 2.01 * models.SCALE


def test_float_pixels_are_those_of_the_cpu_within_fp16() -> None:
    model = models.unet(size_px=32)

    on_npu = qnn.run(models.model(model), snapdragon(), frame(32))

    on_cpu = xnnpack.run(models.model(model), frame(32))
    error = np.abs(on_npu - on_cpu).max()
    assert 0.0 < error < 2.0**-7  # it ran in fp16: neither exact nor far off


def test_two_inputs_and_two_outputs_are_those_of_the_cpu_to_one_rounding() -> None:
    for data in (
        kinds.burst(size_px=16, dtype="int8"),
        kinds.two_outputs(size_px=16, dtype="int8"),
    ):
        model = models.model(data)
        given = [frame(16, seed=seed) for seed, _ in enumerate(model.graph.inputs)]

        on_npu = qnn.execute(model, snapdragon(), given)

        on_cpu = xnnpack.execute(model, given)
        assert len(on_npu) == len(model.graph.outputs)
        for values, wanted in zip(on_npu, on_cpu, strict=True):
            assert np.ptp(wanted) > 10 * models.SCALE
            assert np.abs(values - wanted).max() <= 2.01 * models.SCALE


def test_a_partly_delegated_model_runs_in_graph_order() -> None:
    model = with_floor_mod()

    output = qnn.run(models.model(model), snapdragon(), frame(16))

    assert np.abs(output - xnnpack.run(models.model(model), frame(16))).max() < 2.0**-6


@pytest.mark.parametrize(("dtype", "op"), [("int8", "EXP"), ("int16", "ABS")])
def test_a_partly_delegated_quantized_model_crosses_the_border_in_stored_values(
    dtype: str, op: str
) -> None:
    builder = models.EvenWeightsBuilder(dtype)
    image = builder.activation((1, 16, 16, 3), name="image")
    refused = builder.same(op, builder.conv(image, 4))
    model = builder.build([image], [builder.conv(refused, 3)])

    assert [node.op for node in qnn.place(models.model(model), snapdragon()).fallbacks] == [op]

    output = qnn.run(models.model(model), snapdragon(), frame(16))
    assert np.abs(output - xnnpack.run(models.model(model), frame(16))).max() <= 2.01 * models.SCALE


def test_a_model_that_is_wholly_refused_runs_on_the_cpu_kernels() -> None:
    model = models.conv_net(size_px=16)

    output = qnn.run(models.model(model), snapdragon("SM7550"), frame(16))

    np.testing.assert_array_equal(output, xnnpack.run(models.model(model), frame(16)))


def test_every_output_of_a_model_is_returned_in_its_order() -> None:
    builder = models.ModelBuilder()
    image = builder.activation((1, 16, 16, 3), name="image")
    first = builder.conv(image, 4)
    second = builder.conv(first, 5)
    model = builder.build([image], [second, first])

    outputs = qnn.execute(models.model(model), snapdragon(), [frame(16)])

    assert [output.shape[-1] for output in outputs] == [5, 4]


@pytest.mark.parametrize("seed", [2, 8, 11, 25, 34])
def test_any_graph_is_cut_at_the_refused_ops_and_computes_what_the_cpu_computes(seed: int) -> None:
    model = branches.random_model(seed, "FLOOR_MOD")
    parsed = graph.parse(model)

    placement = qnn.place(models.model(model), snapdragon())
    outputs = qnn.execute(models.model(model), snapdragon(), [frame(branches.SIZE_PX)])

    refused = [op.index for op in parsed.ops if op.name == "FLOOR_MOD"]
    assert refused
    assert [node.index for node in placement.fallbacks] == refused
    right = xnnpack.execute(models.model(model), [frame(branches.SIZE_PX)])
    for output, expected in zip(outputs, right, strict=True):
        # A remainder may jump where fp16 rounds across a multiple; few pixels lie there.
        assert np.mean(np.abs(output - expected) > 2.0**-6) < 0.01


def test_memory_is_read_from_the_preparer() -> None:
    model = models.conv_net(dtype="int8", size_px=16)

    moved = qnn.traffic(models.model(model), snapdragon())

    assert moved.spill_mib == 0.0
    assert 0.01 < moved.context_mib < 4.0


def test_a_working_set_beyond_the_chip_spills_on_the_small_npu_only() -> None:
    model = models.unet(dtype="int8", size_px=256, channels=32)

    small = qnn.traffic(models.model(model), snapdragon("SM7550"))
    flagship = qnn.traffic(models.model(model), snapdragon("SM8650"))

    assert small.spill_mib > flagship.spill_mib


def test_the_traffic_of_an_inference_holds_at_least_its_weights_and_its_output() -> None:
    model = models.conv_net(dtype="int8", size_px=16, channels=32)
    parsed = graph.parse(model)

    moved = qnn.traffic(models.model(model), snapdragon())

    output_mib = parsed.tensors[parsed.outputs[0]].size_bytes / 2**20
    assert moved.read_mib > sum(op.macs for op in parsed.ops) / 16**2 / 2**20
    assert moved.write_mib >= output_mib
    assert moved.spill_mib == moved.fill_mib == 0.0


def test_memory_is_unknown_where_no_op_runs_on_the_npu() -> None:
    model = models.conv_net()

    memory = Emulated(snapdragon("SM7550")).memory(models.model(model))

    assert memory.spill_mib is None
    assert memory.context_mib is None
    assert memory.peak_activation_mib > 0.0


def test_a_compiler_without_memory_is_a_device_error_and_not_the_models_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = models.conv_net(dtype="int8", size_px=16, depth=7)
    monkeypatch.setattr(qnn_compiler, "_MEMORY_MIB", 64)

    with pytest.raises(DeviceError, match="compiler for SM8650 cannot work here"):
        qnn.traffic(models.model(model), snapdragon())


def test_a_compiler_that_hangs_is_stopped_and_its_stage_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = models.conv_net(dtype="int8", size_px=16, depth=8)
    monkeypatch.setattr(qnn_compiler, "_COMPILE_TIMEOUT_S", 0.02)

    with pytest.raises(DeviceError, match="Qualcomm compile for SM8650: no answer within"):
        qnn.traffic(models.model(model), snapdragon())


def test_a_chip_that_the_compiler_does_not_know_is_an_error() -> None:
    with pytest.raises(DeviceError, match="does not know the chip SM8150"):
        place(models.conv_net(), "SM8150")


def test_a_profile_without_a_chip_is_an_error_that_says_what_to_add() -> None:
    model = models.conv_net()

    with pytest.raises(ConfigError, match="soc_model"):
        qnn.place(models.model(model), snapdragon(""))


def test_a_frame_of_another_size_is_refused() -> None:
    model = models.conv_net(size_px=16)

    with pytest.raises(ModelError, match="resize the model first"):
        qnn.run(models.model(model), snapdragon(), frame(32))


def test_a_placement_is_remembered(own_cache: Path) -> None:
    model = models.conv_net(depth=4)
    first = place(model)
    log = own_cache / "logs" / "qnn-partition-SM8650.log"
    log.unlink()

    again = place(model)

    assert not log.exists()  # the compiler did not run again
    assert again.nodes == first.nodes


def test_a_lost_context_binary_is_compiled_again(own_cache: Path) -> None:
    model = models.conv_net(dtype="int8", size_px=16, depth=4)
    before = qnn.run(models.model(model), snapdragon(), frame(16))
    for binary in own_cache.glob("qnn/*/*.bin"):
        binary.unlink()

    after = qnn.run(models.model(model), snapdragon(), frame(16, seed=3))

    np.testing.assert_array_equal(after, before)


def test_a_damaged_context_is_a_device_error_and_the_next_run_works(own_cache: Path) -> None:
    model = models.model(models.conv_net(dtype="int8", size_px=16, depth=5))
    (partition,) = qnn_compiler.split(model, "SM8650").partitions
    context = qnn_compiler.compile_partition(model, partition, "SM8650")
    whole = context.path.read_bytes()
    cache.write(context.path, whole[: len(whole) // 2])

    with pytest.raises(DeviceError, match="HTP simulator"):
        qnn.run(model, snapdragon(), frame(16))

    cache.write(context.path, whole)
    assert qnn.run(model, snapdragon(), frame(16)).shape == (1, 16, 16, 3)


def test_processes_that_start_on_an_empty_cache_do_not_disturb_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    spawn = multiprocessing.get_context("spawn")

    with concurrent.futures.ProcessPoolExecutor(3, mp_context=spawn) as pool:
        outputs = list(pool.map(_run_once, range(3)))

    np.testing.assert_array_equal(outputs[0], outputs[1])
    np.testing.assert_array_equal(outputs[0], outputs[2])
    assert list(tmp_path.glob("**/*.part")) == []


def _run_once(_: int) -> Pixels:
    model = models.conv_net(dtype="int8", size_px=16)
    return qnn.run(models.model(model), snapdragon(), frame(16))


def test_nothing_that_native_libraries_print_reaches_the_terminal(
    capfd: pytest.CaptureFixture[str], own_cache: Path
) -> None:
    model = models.conv_net(dtype="int8", size_px=16, depth=6)

    qnn.run(models.model(model), snapdragon(), frame(16))

    assert capfd.readouterr() == ("", "")
    assert (own_cache / "logs" / "qnn-compile-SM8650.log").stat().st_size > 0


def test_a_missing_package_is_said_with_the_command_that_adds_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = models.conv_net()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    qnn.missing.cache_clear()
    try:
        with pytest.raises(StackMissing, match=r"pip install .*onnxruntime-qnn"):
            qnn.place(models.model(model), snapdragon())
    finally:
        qnn.missing.cache_clear()


SHIPPED = profiles.load_all([profiles.shipped_folder()])


@pytest.mark.parametrize(
    "name", sorted(name for name, profile in SHIPPED.items() if "qnn" in profile.delegates)
)
def test_the_compiler_knows_the_chip_of_every_shipped_profile(name: str) -> None:
    target = Target(profile=SHIPPED[name], delegate="qnn")
    model = models.conv_net(dtype="int8")

    assert qnn.place(models.model(model), target).cpu_ops == 0


@pytest.mark.parametrize("dtype", ["float32", "int8", "int16"])
def test_the_dtypes_of_shipped_profiles_are_those_that_the_compiler_takes(dtype: str) -> None:
    model = models.conv_net(dtype=dtype)
    parsed = graph.parse(model)
    phones = {n: p.accelerators_of("qnn")[0] for n, p in SHIPPED.items() if "qnn" in p.delegates}

    takes = {n: not place(model, npu.soc_model).cpu_ops for n, npu in phones.items()}

    assert parsed.tensors[parsed.inputs[0]].dtype == dtype
    assert takes == {n: dtype in npu.dtypes for n, npu in phones.items()}
