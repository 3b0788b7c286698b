"""Placement through the classic GPU delegate, by its published rules."""

from typing import Any

import pytest

from harness import graph
from harness.evidence import Evidence
from harness.model import Model
from harness.placement import Placement
from harness.profiles import Accelerator, Profile, Refusal, Target
from harness.stacks import gpu_rules
from harness.stacks.rules import Node
from tests.models import ModelBuilder, op_model, unet

GPU = Accelerator(name="gpu", delegate="gpu", source="test")


def phone(*accelerators: Accelerator) -> Target:
    profile = Profile(
        name="phone",
        title="A phone",
        match=(),
        soc="",
        cpu=(),
        android_api_level=29,
        default_delegate="gpu",
        accelerators=accelerators,
        source="test",
    )
    return Target(profile=profile, delegate="gpu")


def place(model: bytes, target: Target | None = None) -> Placement:
    return gpu_rules.place(Model(name="model", data=model), target or phone(GPU))


def reason_on(model: bytes) -> str:
    parsed = graph.parse(model)
    finding = gpu_rules.check(Node(graph=parsed, op=parsed.ops[-1]))
    return finding.reason if finding else ""


@pytest.mark.parametrize("dtype", ["float32", "int8"])
@pytest.mark.parametrize("half_pixel_centers", [False, True])
def test_a_portable_net_is_wholly_on_the_gpu(dtype: str, half_pixel_centers: bool) -> None:
    placed = place(unet(dtype=dtype, half_pixel_centers=half_pixel_centers))

    assert (placed.cpu_ops, placed.partitions) == (0, 1)
    assert {node.unit for node in placed.nodes} == {"gpu"}
    assert placed.provenance.evidence is Evidence.RULES


def test_float16_weights_belong_to_the_op_that_reads_them() -> None:
    placed = place(unet(fp16_weights=True))

    assert (placed.cpu_ops, placed.partitions) == (0, 1)


def three_parts() -> bytes:
    """Build five ops: CONV_2D, a refused MIRROR_PAD, and three more convolutions."""
    model = ModelBuilder()
    image = model.activation((1, 8, 8, 4))
    x = model.conv(image, 4)
    padded = model.activation((1, 10, 10, 4))
    paddings = model.constant([[0, 0], [1, 1], [1, 1], [0, 0]])
    model.op("MIRROR_PAD", [x, paddings], [padded], mode=1)
    x = padded
    for _ in range(3):
        x = model.conv(x, 4)
    return model.build([image], [x])


def test_only_the_largest_partition_goes_to_the_gpu() -> None:
    placed = place(three_parts())

    assert [node.unit for node in placed.nodes] == ["cpu", "cpu", "gpu", "gpu", "gpu"]
    assert placed.partitions == 2
    assert "largest partition only" in placed.nodes[0].reason
    assert "not REFLECT" in placed.nodes[1].reason


def test_a_transpose_conv_with_fused_activation_is_refused() -> None:
    assert reason_on(op_model("TRANSPOSE_CONV", version=3)) == ""
    assert reason_on(op_model("TRANSPOSE_CONV", version=4)) == "op version 4 is newer than 3"


def test_a_refused_op_names_what_is_accepted_instead() -> None:
    placed = place(op_model("TRANSPOSE_CONV", version=4))

    assert placed.nodes[0].remedy == "RESIZE_BILINEAR + CONV_2D is accepted here"


def test_int16_is_refused_with_its_remedy() -> None:
    placed = place(unet(dtype="int16"))

    assert placed.cpu_ops == len(placed.nodes)
    assert "no 16-bit fixed point" in placed.nodes[0].remedy


@pytest.mark.parametrize(
    ("op", "options", "taken"),
    [
        ("MIRROR_PAD", {"mode": 0}, True), ("MIRROR_PAD", {"mode": 1}, False),
        ("SOFTMAX", {"beta": 1.0}, True), ("SOFTMAX", {"beta": 2.0}, False),
        ("RESIZE_BILINEAR", {"align_corners": True}, True),
        ("RESIZE_BILINEAR", {"align_corners": True, "half_pixel_centers": True}, False),
        ("DEPTH_TO_SPACE", {"block_size": 2}, True), ("DEPTH_TO_SPACE", {"block_size": 1}, False),
        ("CONV_2D", {"dilation_h_factor": 2}, True),
        ("MAX_POOL_2D", {}, True),
        ("DEPTHWISE_CONV_2D", {}, True), ("DEPTHWISE_CONV_2D", {"depth_multiplier": 2}, False),
        ("GELU", {}, True), ("SPACE_TO_BATCH_ND", {}, False), ("MyCustomOp", {}, False),
    ],
)  # fmt: skip
def test_the_gpu_takes_an_op_only_within_its_limits(
    op: str, options: dict[str, Any], taken: bool
) -> None:
    assert (reason_on(op_model(op, **options)) == "") is taken


@pytest.mark.parametrize(
    ("shape", "taken"), [((4,), True), ((1, 1, 4), True), ((8, 8, 4), True), ((8, 1, 1), False)]
)
def test_a_prelu_slope_is_per_channel_or_full(shape: tuple[int, ...], taken: bool) -> None:
    model = ModelBuilder()
    x = model.activation((1, 8, 8, 4))
    y = model.same("PRELU", x, model.activation(shape, data=0.25))

    assert (reason_on(model.build([x], [y])) == "") is taken


@pytest.mark.parametrize(
    ("shape", "taken"),
    [((1, 8, 8, 4), True), ((8, 8, 4), True), ((1, 1), True), ((1, 4), True), ((8, 4), False),
     ((4,), True)],
)  # fmt: skip
def test_only_some_broadcasts_are_known(shape: tuple[int, ...], taken: bool) -> None:
    model = ModelBuilder()
    x = model.activation((1, 8, 8, 4))
    y = model.same("ADD", x, model.activation(shape, data=1.0))

    assert (reason_on(model.build([x], [y])) == "") is taken


def test_a_refusal_of_the_profile_counts_too() -> None:
    refusal = Refusal(op="PRELU", reason="wrong on this driver", source="test")
    unit = Accelerator(name="gpu", delegate="gpu", source="test", refusals=(refusal,))

    placed = place(op_model("PRELU"), phone(unit))

    assert placed.nodes[0].reason == "refused by driver 'gpu': wrong on this driver"


def test_a_phone_without_gpu_runs_all_on_the_cpu() -> None:
    placed = place(unet(), phone())

    assert placed.cpu_ops == len(placed.nodes)
    assert placed.nodes[0].reason == "the profile names no GPU"
