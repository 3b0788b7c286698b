"""Kernels are what a runtime launches, not what a graph lists."""

from harness.estimate import kernels
from harness.estimate.reference.draft import Draft
from tests.unit.estimate import phones


def labels(draft: Draft, output: int, **kwargs: str) -> list[str]:
    graph = draft.finish(output)
    return [kernel.label for kernel in kernels.fuse(graph, phones.place(graph, **kwargs))]


def test_a_pad_goes_into_the_unpadded_convolution_after_it() -> None:
    draft = Draft()
    x = draft.conv(draft.pad(draft.input(8, 8, 4), 1), 4, padding="VALID")

    assert labels(draft, x) == ["PAD+CONV_2D #0-1"]


def test_a_pad_before_a_padded_convolution_stays_alone() -> None:
    draft = Draft()
    x = draft.conv(draft.pad(draft.input(8, 8, 4), 1), 4)

    assert labels(draft, x) == ["PAD #0", "CONV_2D #1"]


def test_prelu_is_fused_on_an_accelerator_and_launched_on_the_cpu() -> None:
    draft = Draft()
    x = draft.prelu(draft.conv(draft.input(8, 8, 4), 4, act="NONE"))

    assert labels(draft, x) == ["CONV_2D+PRELU #0-1"]
    assert labels(draft, x, unit="cpu") == ["CONV_2D #0", "PRELU #1"]
    assert labels(draft, x, unit="xnnpack") == ["CONV_2D #0", "PRELU #1"]


def test_the_cpu_fuses_no_clamp_of_eight_bit_tensors_that_it_has_no_fast_kernel_for() -> None:
    draft = Draft(precision="int8")
    x = draft.unary("RELU", draft.conv(draft.input(8, 8, 4), 4, act="NONE"))
    graph = draft.finish(x)

    on_cpu = kernels.fuse(graph, phones.place(graph, unit="cpu"))

    assert labels(draft, x) == ["CONV_2D+RELU #0-1"]
    assert [kernel.label for kernel in on_cpu] == ["CONV_2D #0", "RELU #1"]
    assert (on_cpu[1].work.kind, on_cpu[1].work.operations) == ("reference", 8 * 8 * 4)


def test_an_activation_of_a_tensor_that_others_read_is_not_fused() -> None:
    draft = Draft()
    x = draft.conv(draft.input(8, 8, 4), 4, act="NONE")
    y = draft.add(draft.unary("TANH", x), x)

    assert labels(draft, y) == ["CONV_2D #0", "TANH #1", "ADD #2"]


def test_unpacking_half_precision_weights_is_done_at_load_and_costs_nothing_later() -> None:
    draft = Draft()
    x = draft.input(8, 8, 4)
    half = draft.constant(4, 3, 3, 4)
    weights = draft.op("DEQUANTIZE", [half], (4, 3, 3, 4), {})
    y = draft.op("CONV_2D", [x, weights], (1, 8, 8, 4), {"padding": 0})
    graph = draft.finish(y)

    (kernel,) = kernels.fuse(graph, phones.place(graph))

    assert kernel.label == "CONV_2D #1"
    assert kernel.weights == (weights,)
    assert kernel.reads == (x,)


def test_the_kernels_of_some_units_are_those_of_all_that_run_there() -> None:
    draft = Draft()
    x = draft.conv(draft.input(8, 8, 4), 4, act="NONE")
    x = draft.conv(draft.unary("RELU", draft.resize(x, 16, 16)), 4)
    graph = draft.finish(x)
    placed = phones.place(graph, on_cpu={"RESIZE_BILINEAR", "RELU"})

    on_cpu = kernels.fuse(graph, placed, only=frozenset({"cpu"}))

    assert [kernel.label for kernel in on_cpu] == ["RESIZE_BILINEAR+RELU #1-2"]
    assert on_cpu == tuple(k for k in kernels.fuse(graph, placed) if k.unit == "cpu")
