"""Tests of reading what Qualcomm's compiler prints."""

import pytest

from harness import graph
from harness.errors import DeviceError
from harness.stacks import qnn_log
from tests import models

CONV = graph.parse(models.op_model("CONV_2D"))
OUTPUT = CONV.ops[0].outputs[0]

REFUSED_NODE = f"""ERROR: [qnn_compiler_plugin.cc:538] 
LiteRT Op #0 'Conv2d' (code=3) is not supported in Qualcomm Compiler.
  Inputs:
    [0] name="t0"  tensor_idx=0
  Outputs:
    [0] name="t{OUTPUT}"  tensor_idx={OUTPUT}
"""  # noqa: W291
VALIDATION = """ERROR: [qnn_manager.cc:480] 
QNN op validation failed: 'Conv2d_0' (type=Conv2d)
  Inputs:
    [0] name="0_litert_0" dtype=QNN_DATATYPE_FLOAT_32 dims=[1,8,8,4] (no quantization)
  QNN error=3110. See the QNN validator log lines above for the specific reason.
"""  # noqa: W291


def test_a_refusal_carries_the_validators_words_and_the_tensors() -> None:
    words = """     0.0ms [ ERROR ]   <E> The SocModel doesn't support FP16
     0.0ms [ ERROR ]   <E> The SocModel doesn't support FP16
     0.0ms [ ERROR ]   <E> QnnBackend_validateOpConfig failed 3110
     0.0ms [ ERROR ]   <E> Failed to validate op Conv2d_0 with error 0xc26
"""

    reasons = qnn_log.refusals(words + VALIDATION + REFUSED_NODE, CONV, "SM7550")

    assert reasons == {
        0: "Qualcomm's validator for SM7550 refuses Conv2d in float32: "
        f"The SocModel doesn't support FP16 (reads 'x'; writes 't{OUTPUT}')"
    }


def test_the_table_of_data_types_is_folded_into_one_line() -> None:
    words = """     0.0ms [ ERROR ]   <E> Unsupported input/output datatypes requested
     0.0ms [ ERROR ]   <E> Requested I/O datatype set:

   in[0]:QNN_DATATYPE_SFIXED_POINT_16
   out[0]:QNN_DATATYPE_SFIXED_POINT_16

     0.0ms [ ERROR ]   <E> Supported I/O datatype sets for the configuration: INT16
   1:
   in[0]:QNN_DATATYPE_UFIXED_POINT_16
   out[0]:QNN_DATATYPE_UFIXED_POINT_16

     0.0ms [ ERROR ]   <E> Please refer to the supplement for more details
     0.0ms [ ERROR ]   <E> Failed to validate op Conv2d_0 with error 0xc26
"""

    reasons = qnn_log.refusals(words + VALIDATION + REFUSED_NODE, CONV, "SM8650")

    assert (
        "data types SFIXED_POINT_16 -> SFIXED_POINT_16 are not among those it takes "
        "(outputs: UFIXED_POINT_16)"
    ) in reasons[0]


def test_a_refusal_without_a_validator_is_an_op_without_translation() -> None:
    reasons = qnn_log.refusals(REFUSED_NODE, CONV, "SM8650")

    assert reasons[0].startswith("Qualcomm's compiler for SM8650 has no translation of it")


def test_a_log_without_refusals_gives_none() -> None:
    assert qnn_log.refusals("INFO: Partitioned subgraph<0>, selected 1 ops", CONV, "SM8650") == {}


def test_a_figure_is_read_from_the_summary() -> None:
    text = "0.0ms [  INFO ]  spill_bytes=3080192\n0.0ms [  INFO ]  fill_bytes=7\n"

    assert qnn_log.figure(text, "spill_bytes", "SM7550") == 3_080_192


def test_a_missing_figure_is_an_error_and_not_zero() -> None:
    with pytest.raises(DeviceError, match="printed no spill_bytes"):
        qnn_log.figure("total_spill_bytes_of_something=12", "spill_bytes", "SM7550")


def test_the_last_error_of_a_log_is_found() -> None:
    text = "INFO: fine\n 0.0ms [ ERROR ]   <E> first\n 0.0ms [ ERROR ]   <E> second \nINFO: bye"

    assert qnn_log.last_error(text) == "second"


def test_a_log_that_ends_without_an_error_names_the_stage() -> None:
    text = "[TOOLS] Starting Load Model...\n[TOOLS] Starting Partitioning model...\nINFO: bye"

    assert qnn_log.last_error(text) == "it stopped at 'Partitioning model' without a word"
