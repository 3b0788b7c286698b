"""Read the NNAPI runtime's log, with everything the phone's logger does to it."""

from hypothesis import given
from hypothesis import strategies as st

from harness.devices.traces import nnapi_log

STAMP = "08-17 21:47:49.162 29423 29423 I "
LOG = f"""--------- beginning of main
{STAMP}Manager : Found interface google-edgetpu (version = 2.0)
{STAMP}ExecutionPlan: ModelBuilder::partitionTheWork: sourceModelIndex = 0, deviceCount = 1, operationCount = 8
{STAMP}ExecutionPlan: Device google-edgetpu can't do operation TRANSPOSE_CONV_2D
{STAMP}ExecutionPlan: ModelBuilder::findBestDeviceForEachOperation(CONV_2D) = 0 (google-edgetpu)
{STAMP}chatty  : uid=2000(shell) /data/local/tmp/benchmark_model identical 4 lines
{STAMP}ExecutionPlan: ModelBuilder::findBestDeviceForEachOperation(ADD) = 1 (nnapi-reference)
08-17 21:47:49.163 29423 31 I ExecutionPlan: ModelBuilder::partitionTheWork: only one best device: 0 = google-edgetpu
{STAMP}ExecutionPlan: ModelBuilder::findBestDeviceForEachOperation(MUL) = 0 (google-edgetpu)
{STAMP}chatty  : uid=2000(shell) /data/local/tmp/benchmark_model identical 1 line
{STAMP}ExecutionPlan: No driver can do operation FLOOR
"""  # noqa: E501


def test_each_operation_has_its_device_and_repeats_are_counted():
    log = nnapi_log.parse(LOG)

    assert log.devices_of("CONV_2D") == ("google-edgetpu",) * 5
    assert log.devices_of("ADD") == ("nnapi-reference",)
    assert len(log.devices_of("MUL")) == 2
    assert log.complete


def test_refusals_drivers_and_impossible_operations_are_kept():
    log = nnapi_log.parse(LOG)

    assert log.refused_by("TRANSPOSE_CONV_2D") == ("google-edgetpu",)
    assert log.drivers == ("google-edgetpu",)
    assert log.only_devices == ("google-edgetpu",)
    assert log.unwanted == ("FLOOR",)


def test_the_brief_layout_is_read():
    line = "I/ExecutionPlan( 2942): ModelBuilder::findBestDeviceForEachOperation(PAD) = 0 (qti-dsp)"

    assert nnapi_log.parse(line).chosen == (("PAD", "qti-dsp"),)


def test_lines_that_the_logger_dropped_make_the_log_incomplete():
    log = nnapi_log.parse(LOG + f"{STAMP}chatty  : uid=2000(shell) tool expire 7 lines\n")

    assert log.lost_lines == 7
    assert not log.complete


def test_a_repeat_is_of_the_same_threads_last_line():
    other = "08-17 21:47:49.164 29423 99 I ExecutionPlan: ModelBuilder::findBestDeviceForEachOperation(RELU) = 0 (qti-dsp)\n"  # noqa: E501
    own = f"{STAMP}ExecutionPlan: ModelBuilder::findBestDeviceForEachOperation(CONV_2D) = 0 (qti-dsp)\n"  # noqa: E501
    chatty = f"{STAMP}chatty  : uid=2000(shell) tool identical 2 lines\n"

    log = nnapi_log.parse(own + other + chatty)

    assert len(log.devices_of("CONV_2D")) == 3
    assert len(log.devices_of("RELU")) == 1


def test_an_old_build_prints_only_the_devices_number():
    line = f"{STAMP}ExecutionPlan: ModelBuilder::findBestDeviceForEachOperation(CONV_2D) = 0"

    assert nnapi_log.parse(line).chosen == (("CONV_2D", ""),)


@given(st.lists(st.sampled_from([*LOG.splitlines(), "", "nonsense", STAMP])), st.text())
def test_any_log_is_read_without_an_error(lines: list[str], rest: str):
    log = nnapi_log.parse("\n".join([*lines, rest]))

    assert log.lost_lines >= 0
