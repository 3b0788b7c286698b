"""A rewritten model is a model: it is read, resized and run, and computes images of its size."""

import numpy as np
import pytest

from harness.advice import channels, rewrites
from harness.advice.rewrites import Rewrite
from harness.estimate.reference import write
from harness.estimate.reference.draft import Draft
from harness.graph import parse
from tests import models


def ops(model: bytes) -> list[str]:
    return [op.name for op in parse(model).ops]


def rewritten(rewrite: Rewrite, model: bytes) -> bytes | None:
    changed = rewrite(models.model(model))
    return None if changed is None else changed.data


def run(model: bytes) -> np.ndarray:
    """Run the model in LiteRT at 24x24: the resizer checks every shape on the way."""
    from ai_edge_litert.interpreter import Interpreter

    sized = models.resized(model, width_px=24, height_px=24)
    interpreter = Interpreter(model_content=sized)
    interpreter.allocate_tensors()
    fed = interpreter.get_input_details()[0]
    interpreter.set_tensor(fed["index"], np.zeros(fed["shape"], dtype=fed["dtype"]))
    interpreter.invoke()
    output: np.ndarray = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    return output


def shuffling(dtype: str) -> bytes:
    """Return a UNet that enlarges by DEPTH_TO_SPACE."""
    model = rewritten(
        rewrites.convolve_then_shuffle, models.unet(upsampling="TRANSPOSE_CONV", dtype=dtype)
    )
    assert model is not None
    return model


@pytest.mark.parametrize("dtype", ["float32", "int8"])
@pytest.mark.parametrize(
    ("rewrite", "made"),
    [
        (rewrites.resize_then_convolve, "RESIZE_BILINEAR"),
        (rewrites.convolve_then_shuffle, "DEPTH_TO_SPACE"),
    ],
)
def test_transposed_convolutions_become_what_accelerators_take(
    rewrite: Rewrite, made: str, dtype: str
) -> None:
    model = models.unet(upsampling="TRANSPOSE_CONV", dtype=dtype)

    changed = rewritten(rewrite, model)

    assert changed is not None
    assert "TRANSPOSE_CONV" not in ops(changed)
    assert made in ops(changed)
    assert run(changed).shape == run(model).shape


def test_shuffling_keeps_the_macs_of_the_transposed_convolution() -> None:
    model = models.unet(upsampling="TRANSPOSE_CONV")
    changed = rewritten(rewrites.convolve_then_shuffle, model)

    assert changed is not None
    assert parse(changed).macs == parse(model).macs


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_prelu_becomes_relu(dtype: str) -> None:
    model = models.unet(dtype=dtype)
    assert "PRELU" in ops(model)

    changed = rewritten(rewrites.relu_for_prelu, model)

    assert changed is not None
    assert "PRELU" not in ops(changed)
    assert parse(changed).macs == parse(model).macs
    assert run(changed).shape == run(model).shape
    # As an exporter does: fused into the convolution before it.
    assert len(ops(changed)) == len(ops(model)) - ops(model).count("PRELU")
    fused = [op.options["fused_activation_function"] for op in parse(changed).ops
             if op.name == "CONV_2D"]  # fmt: skip
    assert fused.count(1) == ops(model).count("PRELU")


def test_a_prelu_whose_input_others_read_becomes_an_op_of_its_own() -> None:
    draft = Draft()
    x = draft.conv(draft.input(8, 8, 4), 4, act="NONE")
    model = write.write(draft.finish(draft.add(draft.prelu(x), x)))

    changed = rewritten(rewrites.relu_for_prelu, model)

    assert changed is not None
    assert ops(changed) == ["CONV_2D", "RELU", "ADD"]
    assert run(changed).shape == run(model).shape


def test_sixteen_bit_activations_become_eight_bit() -> None:
    model = models.conv_net(dtype="int16")

    changed = rewritten(rewrites.int8_for_int16, model)

    assert changed is not None
    graph = parse(changed)
    assert {t.dtype for t in graph.tensors if t.constant is None} == {"int8"}
    assert max(op.version for op in graph.ops if op.name == "CONV_2D") == 3
    assert run(changed).dtype == np.int8


@pytest.mark.parametrize("rewrite", [*rewrites.REWRITES.values()], ids=[*rewrites.REWRITES.keys()])
def test_a_model_without_the_pattern_is_left_alone(rewrite: Rewrite) -> None:
    assert rewritten(rewrite, models.op_model("CONV_2D")) is None


@pytest.mark.parametrize("upsampling", ["TRANSPOSE_CONV", "RESIZE_BILINEAR", "DEPTH_TO_SPACE"])
@pytest.mark.parametrize("dtype", ["float32", "int8"])
@pytest.mark.parametrize("factor", [0.5, 3])
def test_channels_change_everywhere_at_once(upsampling: str, dtype: str, factor: float) -> None:
    model = (
        shuffling(dtype)
        if upsampling == "DEPTH_TO_SPACE"
        else models.unet(upsampling=upsampling, dtype=dtype)
    )

    changed = channels.change(models.model(model), lambda count: max(1, round(count * factor))).data

    before, after = parse(model), parse(changed)
    assert run(changed).shape == run(model).shape
    assert [op.name for op in after.ops] == [op.name for op in before.ops]
    assert after.macs < 0.7 * before.macs if factor < 1 else after.macs > 2.5 * before.macs


def test_channels_of_half_precision_weights_change_with_their_unpacked_form() -> None:
    model = models.unet(fp16_weights=True)

    changed = channels.change(models.model(model), lambda count: 2 * count).data

    assert run(changed).shape == run(model).shape
    assert parse(changed).weight_bytes > 1.5 * parse(model).weight_bytes


def test_channels_that_stay_leave_the_graph_as_it_is() -> None:
    model = models.unet()

    changed = channels.change(models.model(model), lambda count: count).data

    assert [t.shape for t in parse(changed).tensors] == [t.shape for t in parse(model).tensors]


def test_an_op_that_is_not_understood_keeps_its_channels() -> None:
    model = models.op_model("TRANSPOSE")

    changed = channels.change(models.model(model), lambda count: 2 * count).data

    assert parse(changed).tensors == parse(model).tensors
