"""Tests of cutting ops out of a model and of showing inner tensors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import cutting, graph
from harness.errors import ModelError
from harness.stacks import xnnpack
from tests import models


def test_a_cut_of_every_op_is_the_same_graph() -> None:
    model = models.unet()
    whole = graph.parse(model)

    again = graph.parse(_cut_all(model, whole))

    assert [(op.name, op.options) for op in again.ops] == [(o.name, o.options) for o in whole.ops]
    assert [t.shape for t in again.tensors] == [t.shape for t in whole.tensors]
    assert again.weight_bytes == whole.weight_bytes
    assert again.macs == whole.macs


@pytest.mark.parametrize("dtype", ["float32", "int8", "int16"])
def test_two_halves_of_a_model_compute_what_the_whole_computes(dtype: str) -> None:
    model = models.conv_net(depth=3, dtype=dtype)
    whole = graph.parse(model)
    border = whole.ops[1].outputs[0]
    frame = np.random.default_rng(1).random((1, 8, 8, 3), dtype=np.float32)
    head = cutting.cut(model, ops=range(2), inputs=whole.inputs, outputs=[border])
    tail = cutting.cut(model, ops=range(2, len(whole.ops)), inputs=[border], outputs=whole.outputs)

    between = xnnpack.run(models.model(head), frame)
    output = xnnpack.run(models.model(tail), between)

    np.testing.assert_array_equal(output, xnnpack.run(models.model(model), frame))


def test_names_are_given_and_the_other_tensors_keep_theirs() -> None:
    model = models.conv_net(depth=2)
    whole = graph.parse(model)

    part = graph.parse(
        cutting.cut(
            model, ops=[0], inputs=whole.inputs, outputs=whole.ops[0].outputs,
            names={whole.inputs[0]: "in0"},
        )
    )  # fmt: skip

    assert part.tensors[part.inputs[0]].name == "in0"
    assert part.tensors[part.outputs[0]].name == whole.tensors[whole.ops[0].outputs[0]].name


def test_a_shown_tensor_becomes_an_output() -> None:
    model = models.unet()
    whole = graph.parse(model)
    inner = [whole.ops[3].outputs[0], whole.ops[1].outputs[0]]

    shown = graph.parse(cutting.show(model, [*inner, *whole.outputs]))

    names = [f"{whole.tensors[i].name}/shown" for i in inner]
    names += [whole.tensors[i].name for i in whole.outputs]
    assert [shown.tensors[i].name for i in shown.outputs] == names
    assert [op.name for op in shown.ops[len(whole.ops) :]] == ["RESHAPE", "RESHAPE"]


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_a_shown_tensor_that_is_read_too_has_the_values_it_had(dtype: str) -> None:
    model = models.unet(dtype=dtype)
    whole = graph.parse(model)
    inner = [op.outputs[0] for op in whole.ops[:-1]]
    frame = np.random.default_rng(5).random((1, 16, 16, 3), dtype=np.float32)

    shown = xnnpack.execute(models.model(cutting.show(model, inner)), [frame])

    for index, values in zip(inner, shown, strict=True):
        alone = cutting.cut(model, ops=range(len(whole.ops)), inputs=whole.inputs, outputs=[index])
        (right,) = xnnpack.execute(models.model(alone), [frame])
        np.testing.assert_allclose(values, right, atol=1e-6)


def test_weights_that_were_shared_are_stored_once() -> None:
    builder = models.ModelBuilder()
    image = builder.activation((1, 8, 8, 64))
    filters = builder.weights((64, 3, 3, 64))
    x = image
    for _ in range(2):
        y = builder.activation((1, 8, 8, 64))
        builder.op(
            "CONV_2D", [x, filters, builder.bias(64)], [y],
            padding="SAME", stride_h=1, stride_w=1, dilation_h_factor=1, dilation_w_factor=1,
        )  # fmt: skip
        x = y
    model = builder.build([image], [x])

    assert len(_cut_all(model, graph.parse(model))) < 1.05 * len(model)


def test_an_op_whose_input_nothing_computes_is_refused() -> None:
    model = models.conv_net(depth=2)
    whole = graph.parse(model)

    with pytest.raises(ModelError, match="nothing gives tensor"):
        cutting.cut(model, ops=[2], inputs=[], outputs=whole.ops[2].outputs)


def test_an_output_that_nothing_computes_is_refused() -> None:
    model = models.conv_net(depth=2)
    whole = graph.parse(model)

    with pytest.raises(ModelError, match="nothing computes"):
        cutting.cut(model, ops=[0], inputs=whole.inputs, outputs=whole.outputs)


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_every_prefix_of_a_model_is_a_model(data: st.DataObject) -> None:
    model = models.unet(dtype=data.draw(st.sampled_from(["float32", "int8"])))
    whole = graph.parse(model)
    length = data.draw(st.integers(1, len(whole.ops)))

    part = graph.parse(
        cutting.cut(
            model, ops=range(length), inputs=whole.inputs, outputs=whole.ops[length - 1].outputs
        )
    )

    assert [op.name for op in part.ops] == [op.name for op in whole.ops[:length]]
    assert part.macs == sum(op.macs for op in whole.ops[:length])


def _cut_all(model: bytes, whole: graph.Graph) -> bytes:
    return cutting.cut(model, ops=range(len(whole.ops)), inputs=whole.inputs, outputs=whole.outputs)
