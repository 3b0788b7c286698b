"""The roofline answers with milliseconds whose causes add up."""

from collections.abc import Collection
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import profiles
from harness.errors import ConfigError, ModelError
from harness.estimate.model import break_down, estimate_graph
from harness.estimate.reference.draft import Draft
from harness.evidence import Evidence
from harness.graph import Graph
from tests.unit.estimate import phones

ROUNDING = 1.0 - 1e-12


def net(
    *, height: int = 64, width: int = 64, channels: int = 16, ops: tuple[str, ...] = ()
) -> Graph:
    """Draw three convolutions, with more ops between the first and the second."""
    draft = Draft()
    x = draft.conv(draft.input(height, width, 3), channels, norm=False)
    for name in ops:
        if name == "TRANSPOSE_CONV":
            shape = draft.constant(4)
            x = draft.op(name, [shape, draft.constant(channels, 2, 2, channels), x],
                         (1, height * 2, width * 2, channels), {})  # fmt: skip
        elif name == "PRELU":
            x = draft.prelu(x)
        else:
            x = draft.unary(name, x)
    x = draft.conv(draft.conv(x, channels), 3, act="NONE")
    return draft.finish(x)


def ms(graph: Graph, *, on_cpu: Collection[str] = ()) -> float:
    placement = phones.place(graph, on_cpu=on_cpu)
    return estimate_graph(graph, placement, phones.target()).estimate_ms


def test_shares_add_up_to_one_and_the_estimate_lies_in_its_interval() -> None:
    graph = net()

    found = estimate_graph(graph, phones.place(graph), phones.target())

    assert sum(found.shares.values()) == pytest.approx(1.0)
    assert found.low_ms == pytest.approx(found.estimate_ms / 1.5)
    assert found.high_ms == pytest.approx(found.estimate_ms * 1.5)
    assert found.provenance.evidence is Evidence.MODEL
    assert found.absolute
    assert "9 published" in found.basis
    assert found.provenance.runtime == {"profile": phones.target().sha256[:12]}


def test_a_compute_bound_convolution_costs_its_macs_over_the_rate() -> None:
    draft = Draft()
    graph = draft.finish(draft.conv(draft.input(32, 32, 512), 512))

    found = break_down(graph, phones.place(graph), phones.target())

    assert found.kernels[0].compute_ms == pytest.approx(graph.macs / 100e9 * 1e3)
    assert found.total_ms == pytest.approx(found.kernels[0].compute_ms + 0.010 + 0.5)


def test_channels_are_padded_to_the_accelerators_multiple() -> None:
    assert ms(net(channels=9)) == pytest.approx(ms(net(channels=16)), rel=0.35)
    nine, sixteen, seventeen = (
        break_down(g, phones.place(g), phones.target()).kernels[1].compute_ms
        for g in (net(channels=9), net(channels=16), net(channels=17))
    )
    assert nine == pytest.approx(sixteen)
    assert seventeen > 1.5 * sixteen


def test_the_cpu_pads_the_channels_it_produces_and_not_those_it_sums_over() -> None:
    draft = Draft()
    graph = draft.finish(draft.conv(draft.input(32, 32, 3), 9))

    on_cpu = break_down(graph, phones.place(graph, unit="cpu"), phones.target("cpu"))
    on_unit = break_down(graph, phones.place(graph), phones.target())

    assert on_cpu.kernels[0].compute_ms == pytest.approx(graph.macs * 16 / 9 / 100e9 * 1e3)
    assert on_unit.kernels[0].compute_ms == pytest.approx(on_cpu.kernels[0].compute_ms * 8 / 3)


def test_an_op_with_only_a_reference_kernel_costs_its_elements_and_is_relative() -> None:
    draft = Draft(precision="int8")
    graph = draft.finish(draft.prelu(draft.conv(draft.input(64, 64, 16), 16)))
    known = phones.constants("cpu", "int8", reference_gops_per_s=0.25)

    guessed = estimate_graph(graph, phones.place(graph, unit="cpu"), phones.target("cpu"))
    found = break_down(graph, phones.place(graph, unit="cpu"), phones.target("cpu", known))

    assert not guessed.absolute
    assert "PRELU in int8 has only reference kernels on the CPU" in guessed.basis
    assert found.kernels[1].compute_ms == pytest.approx(64 * 64 * 16 / 0.25e9 * 1e3)
    assert all(part.absolute for part in found.parts)
    assert not any("reference" in basis for basis in found.bases)


def test_an_op_without_a_rule_is_an_error_that_names_it() -> None:
    graph = net(ops=("SEGMENT_SUM",))

    with pytest.raises(ModelError, match="#1 SEGMENT_SUM has no rule"):
        estimate_graph(graph, phones.place(graph), phones.target())


def test_a_graph_in_which_nothing_takes_time_is_an_error_that_says_so() -> None:
    draft = Draft()
    graph = draft.finish(draft.op("DENSIFY", [draft.constant(3, 3)], (3, 3), {}))
    target = phones.target()

    with pytest.raises(ModelError, match="holds nothing that takes time: 1 op"):
        estimate_graph(graph, phones.place(graph, on_cpu={"DENSIFY"}), target)


def test_a_placement_of_another_graph_is_refused() -> None:
    with pytest.raises(ModelError, match="place the same graph"):
        estimate_graph(net(), phones.place(net(ops=("TANH",))), phones.target())


def test_an_op_on_the_cpu_adds_its_time_and_the_crossings() -> None:
    graph = net(ops=("TRANSPOSE_CONV",))

    whole = estimate_graph(graph, phones.place(graph), phones.target())
    split = estimate_graph(graph, phones.place(graph, on_cpu={"TRANSPOSE_CONV"}), phones.target())

    assert whole.cpu_share == 0.0
    assert split.cpu_share > 0.0
    # Two hand-overs: 64x64x16 floats in, 128x128x16 floats out, at 2 GB/s, and 0.3 ms each.
    crossings_ms = 2 * 0.3 + (64 * 64 + 128 * 128) * 16 * 4 / 2e9 * 1e3
    assert split.shares["crossings between partitions"] * split.estimate_ms == pytest.approx(
        crossings_ms
    )
    assert split.estimate_ms > whole.estimate_ms


def test_the_cpu_delegate_does_not_count_as_fallback() -> None:
    graph = net()

    found = estimate_graph(graph, phones.place(graph, unit="cpu"), phones.target("cpu"))

    assert found.cpu_share == 0.0


def test_ops_that_xnnpack_leaves_to_other_kernels_of_the_cpu_are_handed_over_for_nothing() -> None:
    graph = net(ops=("TANH",))
    split = phones.place(graph, unit="xnnpack", on_cpu={"TANH"})

    found = estimate_graph(graph, split, phones.target("cpu"))

    assert "crossings between partitions" not in found.shares
    assert found.cpu_share == 0.0


def test_a_phone_without_figures_gets_relative_estimates_from_the_stand_in() -> None:
    graph = net()
    unmeasured = phones.target("nnapi", phones.constants("cpu", "float"))

    found = estimate_graph(graph, phones.place(graph), unmeasured)

    assert not found.absolute
    assert "pixel4's constants stand in" in found.basis
    assert found.high_ms / found.estimate_ms >= 4.0


def test_sixteen_bit_activations_are_relative_and_slower_than_eight_bit() -> None:
    draft = Draft(precision="int8")
    x = draft.conv(draft.input(64, 64, 16), 16)
    eight = draft.finish(x)
    wide = tuple(
        type(t)(index=t.index, name=t.name, shape=t.shape, constant=t.constant,
                dtype="int16" if t.constant is None else t.dtype)
        for t in eight.tensors
    )  # fmt: skip
    sixteen = Graph(tensors=wide, ops=eight.ops, inputs=eight.inputs, outputs=eight.outputs,
                    size_bytes=eight.size_bytes)  # fmt: skip
    on_cpu = phones.target("cpu")

    fast = estimate_graph(eight, phones.place(eight, unit="cpu"), on_cpu)
    slow = estimate_graph(sixteen, phones.place(sixteen, unit="cpu"), on_cpu)

    assert slow.estimate_ms > 10 * fast.estimate_ms
    assert fast.absolute
    assert not slow.absolute


def test_a_malformed_constant_is_an_error_that_names_it() -> None:
    graph = net()
    entry = phones.constants("nnapi", "float", dispatch_us=-1.0)

    with pytest.raises(ConfigError, match="brick: nnapi float: values: dispatch_us must be pos"):
        estimate_graph(graph, phones.place(graph), phones.target("nnapi", entry))


def test_the_working_set_decides_between_on_chip_and_off_chip_memory() -> None:
    small, large = net(height=32, width=32), net(height=512, width=512)

    shares = [
        break_down(g, phones.place(g), phones.target()).kernels[0].off_chip_share
        for g in (small, large)
    ]

    assert shares == [0.0, 1.0]


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(8, 512),
    width=st.integers(8, 512),
    more=st.integers(1, 64),
    on_cpu=st.sets(st.sampled_from(["PRELU", "TANH", "TRANSPOSE_CONV"])),
)
def test_more_pixels_never_cost_less(height: int, width: int, more: int, on_cpu: set[str]) -> None:
    ops = ("PRELU", "TANH", "TRANSPOSE_CONV")

    small = ms(net(height=height, width=width, ops=ops), on_cpu=on_cpu)

    assert ms(net(height=height + more, width=width, ops=ops), on_cpu=on_cpu) >= small * ROUNDING
    assert ms(net(height=height, width=width + more, ops=ops), on_cpu=on_cpu) >= small * ROUNDING


@settings(max_examples=40, deadline=None)
@given(channels=st.integers(1, 96))
def test_more_channels_never_cost_less(channels: int) -> None:
    assert ms(net(channels=channels + 1)) >= ms(net(channels=channels)) * ROUNDING


def test_the_share_of_time_off_chip_grows_with_the_image() -> None:
    small, large = (
        estimate_graph(g, phones.place(g), phones.target())
        for g in (net(height=32, width=32), net(height=512, width=512))
    )

    assert small.off_chip_share == 0.0
    assert large.off_chip_share is not None
    assert large.off_chip_share > 0.9


def test_an_op_whose_inputs_make_no_sense_is_a_model_error() -> None:
    graph = net()
    broken = replace(graph, ops=(replace(graph.ops[0], inputs=()), *graph.ops[1:]))

    with pytest.raises(ModelError, match="export the model again"):
        estimate_graph(broken, phones.place(broken), phones.target())


def test_the_gpu_in_float32_is_estimated_as_a_ratio_only_with_the_reason() -> None:
    shipped = profiles.load_all([profiles.SHIPPED])
    half, whole = (
        estimate_graph(net(), phones.place(net()), target)
        for target in profiles.select(shipped, ["pixel4:gpu", "pixel4:gpu-fp32"])
    )

    assert half.absolute
    assert not whole.absolute
    assert "float32 takes the GPU longer by a factor not known" in whole.basis
