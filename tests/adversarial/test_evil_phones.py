"""Phones that lie, flood or claim the impossible: one clear error, and the host stays well."""

import resource
from dataclasses import replace

import pytest

from harness.devices.connect import PhoneSetup
from harness.devices.fake_phone import faults
from harness.devices.fake_phone.faults import Fault
from harness.devices.phone import device_state
from harness.devices.phone.device_state import Contract
from harness.devices.phone.lock import HOME, PhoneLock, SettingChange
from harness.devices.traces import nnapi_log
from harness.errors import ConfigError, DeviceError, HarnessError, MeasurementError
from harness.model import Model
from tests import models, phones
from tests.phones import QUICK, SIZE, Plugged

pytestmark = pytest.mark.slow

STAMP = "03-14 15:09:26.535  2718  2818 I "
UNTIL_PRINTED_S = replace(QUICK, run_limit_s=15.0)


@pytest.fixture
def variant() -> Model:
    return phones.model(models.conv_net()).at(SIZE)


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def test_output_without_end_is_refused_long_before_it_fills_the_host(
    plugged: Plugged, variant: Model
) -> None:
    device = plugged.phone(measuring=UNTIL_PRINTED_S)
    device.place(variant)
    faults.plant(plugged.folder, Fault.TOOL_PRINTS_FOR_EVER)
    before_mib = peak_mib()

    with pytest.raises(DeviceError, match=r"timing fp32: it printed more than 16 MiB"):
        device.time(variant)

    faults.clear(plugged.folder)
    assert peak_mib() - before_mib < 200
    assert plugged.wait_until_quiet(20.0)
    device.close()


def test_output_without_end_of_any_command_is_refused(plugged: Plugged) -> None:
    with pytest.raises(DeviceError, match="asking: it printed more than 16 MiB"):
        plugged.connection.shell("head -c 50000000 /dev/zero", stage="asking", timeout_s=20.0)

    assert plugged.wait_until_quiet(20.0)


def test_a_log_that_claims_repeats_without_end_is_refused(plugged: Plugged, variant: Model) -> None:
    device = plugged.phone()
    faults.plant(plugged.folder, Fault.LOG_CLAIMS_REPEATS)

    with pytest.raises(DeviceError, match="placing fp32: the phone's log claims 9999"):
        device.place(variant)

    device.place(variant)
    device.close()


@pytest.mark.parametrize(
    "line",
    [
        "chatty  : uid=2000(shell) benchmark_model identical 999999999 lines",
        f"chatty  : uid=2000(shell) benchmark_model identical {'9' * 5000} lines",
        f"chatty  : uid=2000(shell) benchmark_model expire {'9' * 5000} lines",
        f"ExecutionPlan: operationCount = {'9' * 5000}",
    ],
)
def test_a_log_that_claims_more_than_a_log_has_is_refused(line: str) -> None:
    log = f"{STAMP}Manager : Found interface x\n{STAMP}{line}\n"

    with pytest.raises(DeviceError, match="the phone's log claims"):
        nnapi_log.parse(log)


def test_many_small_claims_add_up() -> None:
    repeats = f"{STAMP}chatty  : uid=2000(shell) benchmark_model identical 300000 lines\n" * 4

    with pytest.raises(DeviceError, match="the phone's log claims 300000 identical lines"):
        nnapi_log.parse(f"{STAMP}Manager : Found interface x\n{repeats}")


def test_a_tool_that_stops_early_is_void(plugged: Plugged, variant: Model) -> None:
    device = plugged.phone()
    device.place(variant)
    faults.plant(plugged.folder, Fault.TOOL_STOPS_EARLY)

    with pytest.raises(MeasurementError, match="made 1 of the 5 inferences asked for"):
        device.time(variant)

    assert device.time(variant).runs >= 15
    device.close()


@pytest.mark.parametrize("seconds", [str(3000 * 366 * 86_400), "9" * 40, "90000"])
def test_a_lock_into_the_far_future_is_an_error_that_says_what_to_do(
    plugged: Plugged, seconds: str
) -> None:
    boot_id = plugged.folder.read("/proc/sys/kernel/random/boot_id").strip()
    uptime_s = float(plugged.folder.read("/proc/uptime").split()[0])
    expiry = int(uptime_s) + int(seconds)
    plugged.folder.write(f"{HOME}/lock/owner", f"them.1 {expiry} {boot_id} another harness\n")

    with pytest.raises(DeviceError, match=rf"its lock is damaged.*rm -rf {HOME}/lock"):
        PhoneLock(plugged.connection, lease_s=60).enter()


@pytest.mark.parametrize("expiry", ["soon", "$(touch note)", "a[$(touch${IFS}note)]", "-5"])
def test_a_lock_without_a_number_runs_nothing_and_has_run_out(
    plugged: Plugged, expiry: str
) -> None:
    boot_id = plugged.folder.read("/proc/sys/kernel/random/boot_id").strip()
    plugged.folder.write(f"{HOME}/lock/owner", f"them.1 {expiry} {boot_id} another harness\n")
    successor = PhoneLock(plugged.connection, lease_s=60)

    assert successor.enter()

    successor.leave()
    assert not list(plugged.folder.path.rglob("note"))


@pytest.mark.parametrize(
    "old",
    [
        "one\ntwo\nthree",
        "one\n\nthree",
        "back\\slash \\n \\\\ \\x41 \\c stays",
        "a|b|c d",
        " spaces ",
        "%s %b $HOME `id` 'quoted' \"too\"",
        "null\nnull",
    ],
)
@pytest.mark.parametrize("kind", ["prop", "setting"])
def test_an_old_setting_comes_back_as_it_was(plugged: Plugged, kind: str, old: str) -> None:
    name, path = {
        "prop": ("debug.nn.vlog", plugged.folder.state / "props" / "debug.nn.vlog"),
        "setting": ("system odd", plugged.folder.state / "settings" / "system.odd"),
    }[kind]
    path.write_text(old)
    keeper = PhoneLock(plugged.connection, lease_s=60)
    keeper.enter()
    keeper.change([SettingChange(kind=kind, name=name, value="1")])
    assert path.read_text().strip() == "1"
    keeper.change([SettingChange(kind=kind, name=name, value="2")])

    keeper.leave()

    assert path.read_text().removesuffix("\n") == old


@pytest.mark.parametrize(
    "text",
    [
        f"@@thermal\nThermal Status: {'9' * 5000}\n",
        f"@@battery\n  level: {'9' * 5000}\n  temperature: {'9' * 5000}\n",
        f"@@load\n{'9' * 5000}\n",
        f"@@uptime\n{'9' * 5000} 1\n{'9' * 5000}\n",
        "@@cpu\n999999999|1800000|1800000|1800000\n",
        f"@@cpu\n0 1|{'9' * 5000}|1|1\n",
        f"@@zones\ncpu {'9' * 5000}\n",
        f"@@sentinel\n{'9' * 5000}\n",
    ],
)
def test_a_state_of_impossible_numbers_is_absent_and_never_good(text: str) -> None:
    state = device_state.parse(text)

    assert state.policies == ()
    assert [state.battery_percent, state.load, state.temperature_c] == [None] * 3
    assert [state.uptime_s, state.clock_offset_s, state.sentinel] == [None] * 3
    assert device_state.breaches(state, Contract())
    assert device_state.changes(state, state, Contract()) == ["the phone's clock cannot be read"]
    assert device_state.affinity_mask(phones.PIXEL_4, state.policies) == "f0"


@pytest.mark.parametrize("line", ["", "   ", "qnn", "qnn a b c"])
def test_a_line_of_external_delegates_that_names_no_library_is_refused(line: str) -> None:
    with pytest.raises(ConfigError, match=r"external_delegates .*: write DELEGATE PATH"):
        PhoneSetup(external_delegates=(line,)).measuring("qnn")


@pytest.mark.parametrize(
    "level", ["9" * 5000, "33.5", "", "-1", "１２", "x"], ids=lambda level: level[:5]
)
def test_a_phone_of_an_impossible_api_level_is_refused(plugged: Plugged, level: str) -> None:
    (plugged.folder.state / "props" / "ro.build.version.sdk").write_text(level)

    with pytest.raises(HarnessError, match="does not say what it is"):
        plugged.phone()
