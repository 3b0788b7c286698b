"""Read the op profile in each layout."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.devices.traces import op_profile
from harness.devices.traces.op_profile import ProfileRow
from harness.errors import DeviceError

INITIALIZATION = """Profiling Info for Benchmark Initialization:
============================== Run Order ==============================
\t             [node type]\t  [first]\t [avg ms]\t     [%]\t  [cdf%]\t  [mem KB]\t[times called]\t[Name]
\t         AllocateTensors\t    1.356\t    1.356\t100.000%\t100.000%\t     0.000\t        1\tAllocateTensors/0

Number of nodes executed: 1
"""  # noqa: E501
OLD = """Operator-wise Profiling Info for Regular Benchmark Runs:
============================== Run Order ==============================
\t             [node type]\t          [start]\t  [first]\t [avg ms]\t     [%]\t  [cdf%]\t  [mem KB]\t[times called]\t[Name]
\t     TfLiteNnapiDelegate\t            0.000\t   11.665\t   11.422\t 21.939%\t 21.939%\t     0.000\t        1\t[a/add_fold, aspp0/Relu]:71
\t         RESIZE_BILINEAR\t           12.157\t    0.733\t    0.731\t  1.404%\t 24.753%\t     0.000\t        1\t[ResizeBilinear]:63

============================== Top by Computation Time ==============================
\t             [node type]\t          [start]\t  [first]\t [avg ms]\t     [%]\t  [cdf%]\t  [mem KB]\t[times called]\t[Name]
\t     TfLiteNnapiDelegate\t            0.000\t   11.665\t   11.422\t 21.939%\t 21.939%\t     0.000\t        1\t[a/add_fold]:71

Number of nodes executed: 2
"""  # noqa: E501
NEW = """INFO: Operator-wise Profiling Info for Regular Benchmark Runs:
============================== Run Order ==============================
                      [node type]   [first]  [avg ms]     [%]   [cdf%]  [mem KB]  [times called]  [Name]
                         QUANTIZE     0.199     0.203  1.328%   1.328%     0.000               1  [tfl.quantize]:0
    Convolution (NHWC, QC8) IGEMM     0.398     0.407  2.658%   3.986%     0.000               1  Delegate/Convolution (NHWC, QC8) IGEMM:0
            TfLiteXNNPackDelegate     1.000     1.100 90.000%  93.986%     0.000               1  [out]:9

Number of nodes executed: 2
"""  # noqa: E501
CSV = """Operator-wise Profiling Info for Regular Benchmark Runs:
============================== Run Order ==============================
node type, first, avg_ms, %, cdf%, mem KB, times called, name
TfLiteGpuDelegateV2, 0.5, 1.25, 90%, 90%, 0, 1, [a\tb]:12
Convolution (NHWC, F32), 0.5, 0.25, 9%, 99%, 0, 1, [c]:3

Number of nodes executed: 2
"""


def test_an_old_build_with_a_start_column_is_read_by_its_header():
    assert op_profile.parse_text(INITIALIZATION + OLD) == (
        ProfileRow(node_type="TfLiteNnapiDelegate", mean_ms=11.422, index=71, tensor="a/add_fold"),
        ProfileRow(node_type="RESIZE_BILINEAR", mean_ms=0.731, index=63, tensor="ResizeBilinear"),
    )


def test_a_new_build_is_read_and_what_a_delegate_does_inside_is_no_node():
    rows = op_profile.parse_text(NEW)

    assert [(row.node_type, row.index) for row in rows] == [
        ("QUANTIZE", 0), ("TfLiteXNNPackDelegate", 9),
    ]  # fmt: skip
    assert op_profile.total_ms(rows) == pytest.approx(1.303)


def test_comma_separated_values_are_read_with_commas_in_node_types():
    assert op_profile.parse_text(CSV) == (
        ProfileRow(node_type="TfLiteGpuDelegateV2", mean_ms=1.25, index=12, tensor="a"),
        ProfileRow(node_type="Convolution (NHWC, F32)", mean_ms=0.25, index=3, tensor="c"),
    )


def test_output_without_a_profile_has_no_rows():
    assert op_profile.parse_text(INITIALIZATION) == ()


@pytest.mark.parametrize("text", [OLD, NEW, CSV])
@given(data=st.data())
def test_a_profile_cut_off_before_its_end_is_an_error(text: str, data: st.DataObject):
    start = text.index("Runs:") + len("Runs:")
    end = text.index("\n\n")
    length = data.draw(st.integers(start, end - 1))

    with pytest.raises(DeviceError):
        op_profile.parse_text(text[:length])


@given(st.text())
def test_any_text_after_the_heading_is_rows_or_a_device_error(rest: str):
    try:
        rows = op_profile.parse_text(
            "Operator-wise Profiling Info for Regular Benchmark Runs:\n=== Run Order ===\n" + rest
        )
    except DeviceError:
        return
    assert isinstance(rows, tuple)
