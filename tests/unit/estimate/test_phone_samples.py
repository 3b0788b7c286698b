"""A phone's own timings give its constants by the same path as published figures."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from harness.errors import ConfigError, DeviceError, MeasurementError, ModelError
from harness.estimate import model
from harness.estimate.calibrate import STARTS, calibrate
from harness.estimate.phone_samples import measure
from harness.estimate.reference import write
from harness.estimate.reference.phone_nets import PhoneNet, kernel_nets, whole_nets
from harness.evidence import Evidence, Provenance
from harness.graph import parse
from harness.latency import Estimate, Latency, summarize
from harness.model import Model
from harness.placement import Placement
from tests.unit.estimate import phones

pytestmark = pytest.mark.slow

TARGET = phones.target("nnapi", phones.constants("nnapi", "float"))


def place(net: Model) -> Placement:
    return phones.place(net.graph)


def time(net: Model) -> Latency:
    """Answer as a phone whose constants are those of the test profile."""
    ms = model.break_down(net.graph, phones.place(net.graph), TARGET).total_ms
    provenance = Provenance(evidence=Evidence.FAKE, device="brick", variant_sha256=net.sha256)
    return summarize([ms], first_ms=ms, init_ms=1.0, provenance=provenance)


@pytest.mark.parametrize("precision", ["float", "int8"])
def test_kernel_benchmarks_run_and_are_what_was_drawn(precision: str) -> None:
    from ai_edge_litert.interpreter import Interpreter

    for net in kernel_nets(precision)[:8]:
        data = write.write(net.graph)
        parsed = parse(data)
        interpreter = Interpreter(model_content=data)
        interpreter.allocate_tensors()
        fed = interpreter.get_input_details()[0]
        interpreter.set_tensor(fed["index"], np.zeros(fed["shape"], dtype=fed["dtype"]))
        interpreter.invoke()

        assert [op.name for op in parsed.ops] == [op.name for op in net.graph.ops]
        assert parsed.macs == net.graph.macs
        assert tuple(fed["shape"]) == parsed.tensors[parsed.outputs[0]].shape


@pytest.mark.parametrize("precision", ["float", "int8"])
def test_whole_networks_can_be_written_for_a_phone_and_run(precision: str) -> None:
    from ai_edge_litert.interpreter import Interpreter

    for net in whole_nets(precision):
        data = write.write(net.graph)
        parsed = parse(data)
        interpreter = Interpreter(model_content=data)
        interpreter.allocate_tensors()

        assert [op.name for op in parsed.ops] == [op.name for op in net.graph.ops]
        assert parsed.macs == net.graph.macs
        assert parsed.weight_bytes == net.graph.weight_bytes


def test_a_phones_constants_are_found_from_its_kernel_benchmarks() -> None:
    samples = measure(
        kernel_nets("float"), target=TARGET, time=time, place=place,
        say=str,
    ).samples  # fmt: skip

    found = calibrate(
        samples, delegate="nnapi", precision="float", start=STARTS["nnapi", "float"],
        source="the brick, today",
    )  # fmt: skip

    # Launches and the floor cannot be told apart well by nets of one length; their sum can.
    dense = found.constants.values["dense_gmacs_per_s"]
    assert dense == pytest.approx(phones.RATES["dense_gmacs_per_s"], rel=0.1)
    assert found.constants.rows == 72
    assert found.score.median_error < 0.10
    assert found.constants.source == "the brick, today"


def test_networks_that_fall_back_are_left_out() -> None:
    def refuse(net: Model) -> Placement:
        return phones.place(net.graph, on_cpu={"RESIZE_BILINEAR"})

    said: list[str] = []
    samples = measure(
        kernel_nets("float"), target=TARGET, time=time, place=refuse,
        say=said.append,
    ).samples  # fmt: skip

    assert len(samples) == 63
    assert not any(sample.name.startswith("resize") for sample in samples)
    assert len(said) == 72
    assert "7 of 72: resize-32px-8c: left out: falls back to the CPU (RESIZE_BILINEAR)" in said


def failing(after: int, error: Exception) -> Callable[[Model], Latency]:
    """Return a phone that times some networks and then fails once."""
    timed: list[str] = []

    def answer(net: Model) -> Latency:
        timed.append(net.name)
        if len(timed) == after + 1:
            raise error
        return time(net)

    return answer


def test_a_void_measurement_is_left_out_with_its_reason() -> None:
    said: list[str] = []
    samples = measure(
        kernel_nets("float")[:4], target=TARGET,
        time=failing(1, MeasurementError("too hot")), place=place,
        say=said.append,
    ).samples  # fmt: skip

    assert len(samples) == 3
    assert said[1] == "2 of 4: conv_1x1-32px-8c: left out: too hot"


def test_what_a_phone_timed_before_it_was_unplugged_is_kept() -> None:
    timed = measure(
        kernel_nets("float"), target=TARGET,
        time=failing(20, DeviceError("the phone is gone")), place=place, say=str,
    )  # fmt: skip

    assert len(timed.samples) == 20
    assert str(timed.stopped_by) == "the phone is gone"


def test_a_phone_that_is_unplugged_too_early_is_an_error() -> None:
    with pytest.raises(DeviceError, match="gone"):
        measure(
            kernel_nets("float"), target=TARGET,
            time=failing(5, DeviceError("gone")), place=place, say=str,
        )  # fmt: skip


def test_an_estimate_cannot_calibrate() -> None:
    def guess(net: Model) -> Estimate:
        measured = time(net)
        return Estimate(
            estimate_ms=1.0, low_ms=0.5, high_ms=2.0, basis="test",
            provenance=measured.provenance,
        )  # fmt: skip

    with pytest.raises(ConfigError, match="attach the phone"):
        measure(
            kernel_nets("float")[:1], target=TARGET, time=guess, place=place,
            say=str,
        )  # fmt: skip


def test_an_op_that_cannot_be_written_is_named() -> None:
    net: PhoneNet = kernel_nets("float")[0]
    strange = replace(
        net.graph, ops=(replace(net.graph.ops[0], name="SEGMENT_SUM"), *net.graph.ops[1:])
    )

    with pytest.raises(ModelError, match="SEGMENT_SUM"):
        write.write(strange)
