"""Placement through the NNAPI delegate, in its own order of checks."""

import dataclasses
from pathlib import Path

import pytest

from harness import profiles
from harness.evidence import Evidence, sha256_of
from harness.model import Model
from harness.placement import CPU, Placement
from harness.profiles import Accelerator, Profile, Refusal, Target
from harness.stacks import nnapi
from harness.stacks.nnapi_limits import LEVEL_7, LEVEL_8
from tests.models import Float16WeightsBuilder, ModelBuilder, conv_net, op_model, unet

DRIVER = Accelerator(name="npu", delegate="nnapi", source="test", dtypes=("float32", "int8"))


def phone(*accelerators: Accelerator, api: int = 29, driver_level: int | None = 29) -> Target:
    profile = Profile(
        name="phone",
        title="A phone",
        match=(),
        soc="",
        cpu=(),
        android_api_level=api,
        driver_feature_level=driver_level,
        default_delegate="nnapi",
        accelerators=accelerators,
        source="test",
    )
    return Target(profile=profile, delegate="nnapi")


def refusing(op: str, *dtypes: str, remedy: str = "", name: str = "npu") -> Accelerator:
    refusal = Refusal(op=op, reason="not built in", source="test", dtypes=dtypes, remedy=remedy)
    return dataclasses.replace(DRIVER, name=name, refusals=(refusal,))


def place(model: bytes, target: Target) -> Placement:
    return nnapi.place(Model(name="model", data=model), target)


def shipped(name: str) -> Target:
    folder = Path(__file__).parents[3] / "device_profiles"
    return Target(profile=profiles.load_all([folder])[name], delegate="nnapi")


def test_a_portable_net_is_wholly_on_the_accelerator() -> None:
    placed = place(unet(), phone(DRIVER))

    assert placed.cpu_ops == 0
    assert placed.partitions == 1
    assert {node.unit for node in placed.nodes} == {"npu"}


def test_a_placement_says_how_it_is_known() -> None:
    model = unet()

    placed = place(model, phone(DRIVER))

    assert placed.provenance.evidence is Evidence.RULES
    assert placed.provenance.device == "phone:nnapi rules, feature level 29"
    assert placed.provenance.variant_sha256 == sha256_of(model)
    assert "f674577" in placed.provenance.runtime["nnapi rules"]


def test_a_driver_refusal_puts_the_op_on_the_cpu() -> None:
    placed = place(unet(), phone(refusing("PRELU")))

    assert {node.op for node in placed.fallbacks} == {"PRELU"}
    assert {node.op for node in placed.nodes if node.unit == "npu"} >= {"CONV_2D", "ADD"}
    assert placed.fallbacks[0].reason == "refused by driver 'npu': not built in"


def test_each_refused_upsampling_of_a_unet_costs_two_partitions() -> None:
    for levels in (1, 2, 3):
        model = unet(upsampling="TRANSPOSE_CONV", levels=levels)
        placed = place(model, phone(refusing("TRANSPOSE_CONV")))
        assert placed.cpu_ops == levels
        assert placed.partitions == 2 * levels + 1


def test_a_refusal_of_one_dtype_leaves_the_others_alone() -> None:
    target = phone(refusing("RESIZE_BILINEAR", "int8"))

    assert place(unet(), target).cpu_ops == 0
    assert place(unet(dtype="int8"), target).cpu_ops == 2


def test_half_pixel_centers_fall_back_below_feature_level_30() -> None:
    model = unet(half_pixel_centers=True)

    old = place(model, phone(DRIVER))
    new = place(model, phone(DRIVER, api=30, driver_level=30))

    assert {node.op for node in old.fallbacks} == {"RESIZE_BILINEAR"}
    assert "half_pixel_centers=False" in old.fallbacks[0].remedy
    assert new.cpu_ops == 0


def test_an_old_driver_holds_a_new_android_back() -> None:
    model = unet(half_pixel_centers=True)

    placed = place(model, phone(DRIVER, api=33, driver_level=29))

    assert placed.cpu_ops == 2
    assert placed.provenance.device.endswith("feature level 29")


def test_an_unknown_driver_level_is_judged_at_the_runtimes_and_said_so() -> None:
    placed = place(unet(half_pixel_centers=True), phone(DRIVER, api=30, driver_level=None))

    assert placed.cpu_ops == 0
    assert "feature level is unknown" in placed.provenance.note


@pytest.mark.parametrize(
    ("api", "level"), [(27, 27), (29, 29), (31, 31), (32, 31), (33, LEVEL_7), (36, LEVEL_8)]
)
def test_an_android_release_has_a_feature_level(api: int, level: int) -> None:
    assert nnapi.runtime_level(api) == level


def test_android_8_0_delegates_nothing() -> None:
    placed = place(conv_net(), phone(DRIVER, api=26))

    assert placed.cpu_ops == len(placed.nodes)
    assert "Android 8.1" in placed.nodes[0].reason


def test_a_phone_without_accelerator_delegates_nothing() -> None:
    placed = place(conv_net(), phone())

    assert placed.cpu_ops == len(placed.nodes)


def test_before_android_10_the_drivers_are_not_asked() -> None:
    placed = place(conv_net(), phone(refusing("CONV_2D"), api=28))

    assert placed.cpu_ops == 0


def test_a_dtype_that_the_accelerator_does_not_take_falls_back() -> None:
    int8_only = dataclasses.replace(DRIVER, dtypes=("int8",))

    placed = place(unet(), phone(int8_only))

    assert placed.cpu_ops == len(placed.nodes)
    assert placed.nodes[0].reason == "driver 'npu' takes int8, not float32"
    assert place(unet(dtype="int8"), phone(int8_only)).cpu_ops == 0


def test_an_op_that_one_of_two_drivers_takes_stays_accelerated() -> None:
    first, second = refusing("PRELU", name="dsp"), refusing("CONV_2D", name="gpu")

    placed = place(unet(), phone(first, second))

    units = {node.op: node.unit for node in placed.nodes}
    assert placed.cpu_ops == 0
    assert (units["PRELU"], units["CONV_2D"]) == ("gpu", "dsp")


def test_the_driver_that_takes_the_whole_graph_gets_it() -> None:
    placed = place(unet(), phone(refusing("PRELU", name="dsp"), refusing("ELU", name="gpu")))

    assert {node.unit for node in placed.nodes} == {"gpu"}


def test_a_refusal_by_every_driver_names_them_all() -> None:
    placed = place(unet(), phone(refusing("PRELU", name="dsp"), refusing("PRELU", name="gpu")))

    assert "'dsp'" in placed.fallbacks[0].reason
    assert "'gpu'" in placed.fallbacks[0].reason


def test_int16_takes_the_whole_delegate_down() -> None:
    placed = place(unet(dtype="int16"), phone(dataclasses.replace(DRIVER, dtypes=())))

    assert placed.cpu_ops == len(placed.nodes)
    assert placed.partitions == 1
    assert "removes it from the whole graph" in placed.nodes[1].reason
    assert "CONV_2D #0" in placed.nodes[1].reason
    assert placed.nodes[1].remedy.startswith("NNAPI has no 16-bit fixed point")


def test_int16_that_the_rules_refuse_is_only_a_fallback() -> None:
    model = ModelBuilder("int16")
    x = model.activation((1, 8, 8, 4))
    data = model.build([x], [model.same("RELU", x)])

    placed = place(data, phone(DRIVER))

    assert "is not taken at any feature level" in placed.nodes[0].reason


def test_float16_weights_belong_to_the_op_that_reads_them() -> None:
    placed = place(unet(fp16_weights=True), phone(DRIVER))

    assert any(node.op == "DEQUANTIZE" for node in placed.nodes)
    assert placed.cpu_ops == 0
    assert placed.partitions == 1


def test_float16_weights_and_one_driver_refusal_leave_nothing_accelerated() -> None:
    target = phone(refusing("TRANSPOSE_CONV"))
    halves = unet(upsampling="TRANSPOSE_CONV", fp16_weights=True)
    floats = unet(upsampling="TRANSPOSE_CONV")

    placed = place(halves, target)

    assert placed.cpu_ops == len(placed.nodes)
    assert placed.partitions == 1
    assert "whole or not at all" in placed.nodes[0].reason
    assert "ship float32 weights" in placed.nodes[0].remedy
    assert place(floats, target).cpu_ops == 2


def test_float16_weights_and_a_rule_refusal_leave_the_rest_accelerated() -> None:
    placed = place(unet(fp16_weights=True, half_pixel_centers=True), phone(DRIVER))

    assert {node.op for node in placed.fallbacks} == {"RESIZE_BILINEAR"}
    assert placed.partitions == 5


def test_float16_weights_count_as_no_partition_of_their_own() -> None:
    model = Float16WeightsBuilder()
    image = model.activation((1, 8, 8, 3))
    weights, bias = model.weights((4, 3, 3, 3)), model.bias(4)  # converters put these first
    x = model.resize(image, half_pixel_centers=True)  # on the CPU below feature level 30
    y = model.activation((1, 16, 16, 4))
    model.op("CONV_2D", [x, weights, bias], [y], padding="SAME", stride_h=1, stride_w=1)
    data = model.build([image], [y])

    placed = place(data, phone(DRIVER))

    assert [node.op for node in placed.fallbacks] == ["RESIZE_BILINEAR"]
    assert placed.partitions == 2


def test_float16_weights_of_an_op_on_the_cpu_stay_there_too() -> None:
    old = phone(DRIVER, api=28)  # TRANSPOSE_CONV begins with Android 10

    placed = place(unet(upsampling="TRANSPOSE_CONV", fp16_weights=True, levels=1), old)

    on_cpu = [node.op for node in placed.fallbacks]
    assert on_cpu.count("TRANSPOSE_CONV") == 1
    assert on_cpu.count("DEQUANTIZE") == 2  # its weights and its bias


def test_a_remedy_is_named_only_where_the_rules_accept_it() -> None:
    model = op_model("TRANSPOSE_CONV", dtype="int8")
    resize_too = (
        *refusing("TRANSPOSE_CONV").refusals,
        *refusing("RESIZE_BILINEAR", "int8").refusals,
    )

    easy = place(model, phone(refusing("TRANSPOSE_CONV")))
    hard = place(model, phone(dataclasses.replace(DRIVER, refusals=resize_too)))

    assert easy.nodes[0].remedy == "RESIZE_BILINEAR + CONV_2D is accepted here"
    assert hard.nodes[0].remedy == "CONV_2D + DEPTH_TO_SPACE is accepted here"


def test_no_remedy_is_named_where_none_is_accepted() -> None:
    int8_only = dataclasses.replace(DRIVER, dtypes=("int8",))

    assert place(op_model("TRANSPOSE_CONV"), phone(int8_only)).nodes[0].remedy == ""


def test_a_remedy_of_the_profile_comes_first() -> None:
    target = phone(refusing("TRANSPOSE_CONV", remedy="ask the vendor"))

    assert place(op_model("TRANSPOSE_CONV"), target).nodes[0].remedy == "ask the vendor"


@pytest.mark.parametrize("name", ["pixel4", "mate30pro", "reno3"])
def test_the_phones_of_the_paper_take_the_portable_net_and_not_transpose_conv(name: str) -> None:
    target = shipped(name)

    portable = place(unet(), target)
    learned = place(unet(upsampling="TRANSPOSE_CONV"), target)

    assert (portable.cpu_ops, portable.partitions) == (0, 1)
    assert {node.op for node in learned.fallbacks} == {"TRANSPOSE_CONV"}
    assert learned.fallbacks[0].remedy == "RESIZE_BILINEAR + CONV_2D is accepted here"
    assert learned.partitions == 5


@pytest.mark.parametrize(("name", "fallbacks"), [("pixel4", 0), ("mate30pro", 2), ("reno3", 0)])
def test_only_the_mate30_pro_refuses_quantized_resize_bilinear(name: str, fallbacks: int) -> None:
    placed = place(unet(dtype="int8"), shipped(name))

    assert placed.cpu_ops == fallbacks
    assert all(node.op == "RESIZE_BILINEAR" for node in placed.fallbacks)


def test_every_op_on_the_cpu_has_a_reason_and_no_accelerated_one_has() -> None:
    for model in (unet(), unet(dtype="int16"), unet(upsampling="TRANSPOSE_CONV", dtype="int8")):
        for node in place(model, shipped("mate30pro")).nodes:
            assert bool(node.reason) is (node.unit == CPU)
