"""What leads from the vendor's estimate to a phone: a factor, the unseen and the overpriced."""

import numpy as np
import pytest

from harness.estimate import correction, work
from harness.estimate.correction import Known
from harness.estimate.reference.draft import Draft
from harness.estimate.reference.write import write
from harness.estimate.vendor import VendorEstimate
from harness.graph import Graph, parse
from tests import models

VALUES = {
    "floor_ms": 5.0, "vendor_ratio": 2.0, "op_ms": 0.5, "op_less_ms": 0.25, "pool_less_ms": 10.0,
    "memory_ms": 0.125, "apart_ms": 1.0,
}  # fmt: skip


def net(precision: str) -> Graph:
    """Return a convolution and a pooling that reads a hundredth of a million elements."""
    draft = Draft(precision=precision)
    x = draft.conv(draft.input(20, 20, 3), 25)
    return draft.finish(draft.pool(x, "MAX", 2, stride=2))


def said(time_ms: float) -> VendorEstimate:
    return VendorEstimate(time_ms=time_ms, traffic_mib=8.0, uncosted=())


def test_maximum_poolings_are_counted_by_what_their_windows_read() -> None:
    assert correction.pooled_millions(net("float")) == pytest.approx(0.01)
    draft = Draft()
    average = draft.finish(draft.pool(draft.input(20, 20, 25), "AVERAGE", 2, stride=2))
    assert correction.pooled_millions(average) == 0.0
    assert correction.averaged_millions(average) == pytest.approx(0.01)
    assert correction.averaged_millions(net("float")) == 0.0


def test_wide_convolutions_are_priced_in_float_by_the_channels_of_one_group() -> None:
    def gmacs(channels: int, precision: str = "float", groups: int = 1) -> float:
        draft = Draft(precision=precision)
        x = draft.input(10, 10, 512)
        return correction.wide_gmacs(draft.finish(draft.conv(x, channels, 1, groups=groups)))

    assert gmacs(256) == pytest.approx(100 * 512 * 256 / 1e9)
    assert gmacs(255) == 0.0
    assert gmacs(256, groups=2) == 0.0
    assert gmacs(256, "int8") == 0.0


def test_convolutions_of_3x3_are_priced_in_float() -> None:
    def gmacs(kernel: int, precision: str = "float") -> float:
        draft = Draft(precision=precision)
        x = draft.input(10, 10, 8)
        return correction.conv3x3_gmacs(draft.finish(draft.conv(x, 16, kernel)))

    assert gmacs(3) == pytest.approx(100 * 9 * 8 * 16 / 1e9)
    assert gmacs(1) == gmacs(5) == 0.0
    assert gmacs(3, "int8") == 0.0


def test_a_depthwise_convolution_is_one_under_either_name() -> None:
    """Keras exports 7x7 ones as CONV_2D with a group for each channel."""
    drafts = Draft(), Draft(), Draft()
    grouped, named, gray = (
        draft.finish(convolve(draft, draft.input(10, 10, channels)))
        for draft, channels, convolve in zip(
            drafts,
            (512, 512, 1),
            (
                lambda draft, x: draft.conv(x, 512, 3, groups=512),
                lambda draft, x: draft.depthwise(x),
                lambda draft, x: draft.conv(x, 512, 3),
            ),
            strict=True,
        )
    )

    asked = [work.work_of(g, g.ops[0], on_cpu=False) for g in (grouped, named, gray)]

    assert asked[0] == asked[1]
    assert [one.kind for one in asked] == [work.DEPTHWISE, work.DEPTHWISE, work.DENSE]
    assert correction.conv3x3_gmacs(grouped) == correction.wide_gmacs(grouped) == 0.0
    assert correction.conv3x3_gmacs(gray) > 0.0


def test_dilated_convolutions_are_priced_in_integers() -> None:
    def gmacs(precision: str, rate: int) -> float:
        draft = Draft(precision=precision)
        return correction.dilated_gmacs(
            draft.finish(draft.dilated(draft.input(10, 10, 8), 16, rate))
        )

    assert gmacs("int8", 2) == pytest.approx(100 * 9 * 8 * 16 / 1e9)
    assert gmacs("int8", 1) == 0.0
    assert gmacs("float", 2) == 0.0


def test_a_dilation_of_a_file_is_read_as_the_drawn_ones_are() -> None:
    draft = Draft(precision="int8")
    drawn = draft.finish(draft.dilated(draft.input(10, 10, 8), 16, 2))

    read = parse(write(drawn))

    assert correction.dilated_gmacs(read) == correction.dilated_gmacs(drawn) > 0.0


def test_wide_convolutions_and_those_of_3x3_cost_more_and_average_poolings_less() -> None:
    draft = Draft()
    x = draft.pool(draft.conv(draft.input(20, 20, 3), 256, 3), "AVERAGE", 2, stride=2)
    graph = draft.finish(x)
    said_ms = 3.0
    values = {"vendor_ratio": 2.0, "conv3x3_ms": 3e3, "wide_ms": 1e4, "average_less_ms": 2.0}

    seen_ms, unseen_ms = correction.corrected_ms(correction.know(graph, said(said_ms)), values)

    averaged = 100 * 256 * 4 / 1e6
    assert seen_ms == pytest.approx(2.0 * (said_ms - 2.0 * averaged + correction.ports_ms(graph)))
    assert unseen_ms == pytest.approx(2.0 * (3e3 + 1e4) * 400 * 9 * 3 * 256 / 1e9)


def test_what_is_alive_at_once_is_counted_in_the_bytes_of_the_npu() -> None:
    """Floats take two bytes there; weights that an op unpacks are no activations."""
    mib = 25 * (20 * 20 + 10 * 10) / 2**20  # what the pooling reads and writes

    assert correction.peak_mib(net("int8")) == pytest.approx(mib)
    assert correction.peak_mib(net("float")) == pytest.approx(2 * mib)
    plain, halved = (parse(models.unet(fp16_weights=stored)) for stored in (False, True))
    assert halved.has_float16_weights
    assert correction.peak_mib(halved) == pytest.approx(correction.peak_mib(plain))
    known = correction.know(net("int8"), said(3.0))
    _, unseen_ms = correction.corrected_ms(known, {"vendor_ratio": 2.0, "peak_ms": 0.5})
    assert unseen_ms == pytest.approx(2.0 * 0.5 * mib)


def test_ops_cost_more_in_float_and_less_in_int8_than_the_estimator_says() -> None:
    in_float, in_int8 = (
        correction.corrected_ms(correction.know(net(precision), said(3.0)), VALUES)
        for precision in ("float", "int8")
    )

    ports_ms = correction.ports_ms(net("float"))
    assert in_float == pytest.approx((2.0 * (3.0 - 0.1 + ports_ms), 2.0 * (2 * 0.5 + 1.0)))
    assert in_int8 == pytest.approx((2.0 * (3.0 - 0.1 - 2 * 0.25), 2.0 * 1.0))


def test_savings_leave_a_share_of_the_estimate() -> None:
    seen_ms, _ = correction.corrected_ms(correction.know(net("int8"), said(0.5)), VALUES)

    assert seen_ms == pytest.approx(2.0 * 0.3 * 0.5)


def test_many_graphs_are_corrected_as_each_alone() -> None:
    each = [correction.know(net(p), said(ms)) for p in ("float", "int8") for ms in (0.5, 3.0)]

    together = Known.stack(each)

    found = correction.corrected_ms(together.at([0, 2, 3]), VALUES)
    alone = [correction.corrected_ms(each[row], VALUES) for row in (0, 2, 3)]
    assert np.transpose(found) == pytest.approx(np.array(alone))
