"""The vendor's estimator sees only structure, one NPU partition at a time."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harness import estimate as estimate_package
from harness.errors import StackMissing
from harness.estimate import correction, snapdragon, vendor, vendor_worker
from harness.estimate.quantization import scale_numbers
from harness.estimate.reference.draft import Draft
from harness.graph import Graph, parse
from harness.profiles import EstimateConstants
from tests import models
from tests.unit.estimate import phones


def net(*, channels: int = 8, precision: str = "float") -> Graph:
    draft = Draft(precision=precision)
    x = draft.conv(draft.input(16, 16, 3), channels)
    y = draft.conv(draft.conv(x, channels), channels)
    return draft.finish(draft.add(x, y))


def test_weights_do_not_change_the_key_and_shapes_do() -> None:
    model = parse(models.conv_net())
    louder = replace(
        model,
        tensors=tuple(
            replace(t, constant=bytes(len(t.constant)))
            if t.constant is not None and t.dtype == "float32"
            else t
            for t in model.tensors
        ),
    )

    keys = [vendor.structure_key(vendor.without_weights(g)) for g in (model, louder)]

    assert louder != model
    assert keys[0] == keys[1]
    assert vendor.structure_key(net(channels=8)) != vendor.structure_key(net(channels=9))
    assert vendor.structure_key(net()) != vendor.structure_key(net(precision="int8"))


def test_the_key_keeps_what_constants_decide_shapes() -> None:
    near = parse(models.op_model("PAD"))
    wide = replace(
        near,
        tensors=tuple(
            replace(t, constant=bytes(reversed(t.constant))) if t.dtype == "int32" and t.constant
            else t
            for t in near.tensors
        ),
    )  # fmt: skip

    keys = {vendor.structure_key(vendor.without_weights(g)) for g in (near, wide)}

    assert len(keys) == 2


def test_a_part_reads_from_outside_and_writes_what_others_read() -> None:
    whole = net()
    first, second, third, added = whole.ops

    part = vendor.subgraph(whole, [second.index, third.index])

    assert [op.index for op in part.ops] == [1, 2]
    assert part.inputs == (first.outputs[0],)
    assert part.outputs == (third.outputs[0],)
    assert vendor.subgraph(whole, [0]).outputs == (first.outputs[0],)
    assert set(vendor.subgraph(whole, [added.index]).inputs) == {*first.outputs, *third.outputs}


def test_a_part_takes_the_unpacking_of_its_weights_along() -> None:
    model = parse(models.unet(fp16_weights=True))
    convolutions = [op.index for op in model.ops if op.name == "CONV_2D"]

    part = vendor.subgraph(model, convolutions)

    assert {"CONV_2D", "DEQUANTIZE"} == {op.name for op in part.ops}
    produced = {i for op in part.ops if op.name == "DEQUANTIZE" for i in op.outputs}
    assert not produced & set(part.inputs)


def clamped(*, precision: str) -> Graph:
    draft = Draft(precision=precision)
    x = draft.conv(draft.input(8, 8, 3), 8, act="RELU")
    x = draft.requantize(draft.conv(x, 8, act="RELU6"))
    return draft.finish(draft.unary("RELU", draft.add(x, x)))


def test_only_quantized_clamps_and_rescalings_of_their_own_are_apart() -> None:
    # RELU6, QUANTIZE and RELU; the clamp that is fused into the first convolution is not.
    assert correction.apart(clamped(precision="int8")) == 3
    assert correction.apart(clamped(precision="float")) == 0


def test_the_precision_of_a_graph_is_that_of_most_macs() -> None:
    quantized = parse(models.conv_net(dtype="int8"))

    assert correction.precision_of(quantized) == "int8"
    assert correction.precision_of(parse(models.conv_net(dtype="int16"))) == "int16"
    assert correction.precision_of(parse(models.unet(fp16_weights=True))) == "float"


def test_ops_that_only_move_numbers_keep_their_scale_and_others_make_one() -> None:
    draft = Draft(precision="int8")
    x = draft.conv(draft.input(8, 8, 3), 8)
    padded = draft.pad(x, 1)
    again = draft.requantize(padded)
    pooled = draft.pool(again, "MAX", 2, stride=2)
    y = draft.concat(pooled, pooled)
    graph = draft.finish(draft.add(y, y))

    numbers = scale_numbers(graph)

    assert numbers[x] == numbers[padded]
    assert numbers[again] == numbers[pooled] == numbers[y]
    assert len({numbers[i] for i in (graph.inputs[0], x, again, graph.outputs[0])}) == 4


def test_a_floating_point_graph_has_no_scales() -> None:
    assert scale_numbers(net()) == {}


def test_only_float_ports_are_converted() -> None:
    floats, bytes_ = (correction.ports_ms(net(precision=p)) for p in ("float", "int8"))

    assert floats == 0.12 * (16 * 16 * 3 + 16 * 16 * 8) * 4 / 2**20
    assert bytes_ == 0.0


@pytest.mark.parametrize("package", ["onnx", "onnxruntime", "onnxruntime_qnn"])
def test_a_missing_package_is_named_with_the_command_that_adds_it(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in list(sys.modules):
        if name.split(".")[0] == package or name.startswith("harness.estimate.onnx_"):
            monkeypatch.delitem(sys.modules, name)
    for name in ("onnx_ops", "onnx_writer"):
        monkeypatch.delattr(estimate_package, name, raising=False)
    monkeypatch.setitem(sys.modules, package, None)

    with pytest.raises(StackMissing, match="pip install 'onnx"):
        vendor_worker.estimate(net(), vendor.ESTIMATOR_SOC)


def test_an_op_without_a_cost_counts_once_however_many_tiles_it_was_cut_into(
    tmp_path: Path,
) -> None:
    rows = ["0,BACKEND,0,US,BACKEND,ROOT,Performance Estimates"]
    said = {
        "Simulated (Accelerator exec time us)": 429707,
        "Simulated (Accelerator exec time us (lower estimate))": 386934,
        "Input Fill": 1_000_000,
        "Intermediate Fill": 20_000,
        "Intermediate Spill": 3_000,
        "Output Spill": 786_432,
        "Missing Ops (Number of Ops with no Costs associated)": 4,
    }
    rows += [f"0,BACKEND,{value},US,BACKEND,SUB-EVENT,{name}" for name, value in said.items()]
    rows += ["0,BACKEND,0,US,BACKEND,SUB-EVENT,Concat122 : OpId_212"] * 3
    rows += ["0,BACKEND,0,US,BACKEND,SUB-EVENT,Concat122 : OpId_98"]
    profile = tmp_path / "profile.csv"
    profile.write_text("\n".join(rows) + "\n", encoding="utf-8")

    assert vendor_worker._read(profile) == (429707.0, 1_023_000, ("Concat", "Concat"))
    profile.write_text("no estimates here\n", encoding="utf-8")
    assert vendor_worker._read(profile) is None


def test_bytes_beyond_the_estimators_counter_are_not_quintillions(tmp_path: Path) -> None:
    said = {
        "Simulated (Accelerator exec time us)": 159_165,
        "Input Fill": 26_083_328,
        "Intermediate Fill": 18_446_744_071_773_880_320,
        "Intermediate Spill": 18_446_744_071_655_915_520,
    }
    profile = tmp_path / "profile.csv"
    lines = [f"0,BACKEND,{value},BYTES,BACKEND,SUB-EVENT,{name}" for name, value in said.items()]
    profile.write_text("\n".join(lines) + "\n", encoding="utf-8")

    time_us, traffic_bytes, _ = vendor_worker._read(profile) or (0.0, 0, ())

    assert time_us == 159_165.0
    assert traffic_bytes == 26_083_328 + 2_359_296_000 + 2_241_331_200


def test_ops_without_a_cost_widen_the_interval_by_their_share_and_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    npu = EstimateConstants(
        delegate="qnn", precision="float", values={"floor_ms": 0.1, "vendor_ratio": 1.0}, rows=9,
        error_share=0.1, interval_ratio=1.2, source="round numbers for tests",
    )  # fmt: skip
    said = vendor.VendorEstimate(time_ms=2.0, traffic_mib=0.0, uncosted=("Concat", "Concat"))
    monkeypatch.setattr(vendor, "estimate", lambda graph: said)

    found = snapdragon.cost(net(), phones.phone(npu))

    assert len(net().ops) == 4
    assert found.high_ms / found.total_ms == pytest.approx(1.5 * 1.2)
    assert found.total_ms / found.low_ms == pytest.approx(1.5 * 1.2)
    assert found.basis.endswith("ops without a vendor cost: 2 Concat")


def test_a_counter_that_may_have_begun_again_is_a_doubt_where_ops_move_as_much() -> None:
    def hidden_mib(side_px: int, counted_mib: float) -> float:
        draft = Draft()
        x = draft.conv(draft.input(side_px, side_px, 32), 32)
        return vendor._hidden_mib(draft.finish(x), counted_mib)

    moved_mib = 2 * 8192 * 8192 * 32 * 2 / 2**20  # read and written, in fp16
    assert moved_mib == 8192.0
    assert hidden_mib(8192, 500.0) == hidden_mib(8192, 4100.0) == 4096.0
    assert hidden_mib(8192, 8192.0) == 0.0
    assert hidden_mib(8192, 100.0) == 8192.0
    assert hidden_mib(256, 0.0) == 0.0


def test_traffic_that_cannot_be_counted_raises_the_high_end_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    npu = EstimateConstants(
        delegate="qnn",
        precision="float",
        rows=9,
        error_share=0.1,
        interval_ratio=1.2,
        values={"floor_ms": 0.1, "vendor_ratio": 0.5, "memory_ms": 0.001},
        source="round numbers for tests",
    )
    said = vendor.VendorEstimate(time_ms=2.0, traffic_mib=10.0, uncosted=(), hidden_mib=8192.0)
    monkeypatch.setattr(vendor, "estimate", lambda graph: said)

    found = snapdragon.cost(net(), phones.phone(npu))

    assert found.low_ms == pytest.approx(found.total_ms / 1.2)
    assert found.high_ms == pytest.approx(1.2 * (found.total_ms + 0.5 * 0.001 * 8192))
    assert found.basis.endswith("; up to 8 GiB of traffic more than it can count")
