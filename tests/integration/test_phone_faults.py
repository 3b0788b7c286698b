"""Break a fake phone in every way: one clear error, then it works again and nothing is left.

The soak at the end injects random faults one after the other; $HARNESS_SOAK_ROUNDS sets how
many (`make soak` asks for 500).
"""

import os
import random
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.devices.fake_phone import faults
from harness.devices.fake_phone.faults import Fault
from harness.devices.measured import Phone
from harness.devices.phone.lock import HOME
from harness.errors import DeviceError, HarnessError, MeasurementError
from harness.model import Model
from harness.subjects import Variant
from tests import models, phones
from tests.phones import QUICK, SIZE, Plugged

pytestmark = pytest.mark.slow

LIMITED = replace(QUICK, run_limit_s=3.0)
ROUNDS = int(os.environ.get("HARNESS_SOAK_ROUNDS", "25"))
SERVER_KILLED_SHARE = 0.05
ROUND_LIMIT_S = 45.0
"""Longest that one verb may take: waiting for the phone, three void attempts, one hang."""

GONE = "(it is offline|it is not attached|the connection broke)"

VERBS: dict[str, Callable[[Phone, Variant], object]] = {
    "place": lambda device, variant: device.place(variant.at(SIZE)),
    "run": lambda device, variant: device.run(variant.at(SIZE), phones.frame()),
    "time": lambda device, variant: device.time(variant.at(SIZE)),
}


@pytest.fixture
def variant() -> Model:
    return phones.model(models.conv_net())


def assert_nothing_is_left(plugged: Plugged, settings: dict[str, str]) -> None:
    assert plugged.folder.settings() == settings
    home = plugged.folder.root / HOME.lstrip("/")
    assert {path.name for path in home.iterdir()} <= {"fence", "store"}
    assert plugged.wait_until_quiet()


@pytest.mark.parametrize(
    ("fault", "verb", "words"),
    [
        (Fault.UNPLUGGED_IN_PUSH, "run", rf"pushing .*: {GONE}"),
        (Fault.UNPLUGGED_IN_RUN, "place", rf"placing fp32: {GONE}"),
        (Fault.UNPLUGGED_IN_PULL, "run", rf"fetching output.bin: {GONE}"),
        (Fault.REBOOTS_IN_RUN, "time", rf"timing fp32: {GONE}"),
        (Fault.STORAGE_FULL, "run", r"pushing .*No space left on device"),
        (Fault.READ_ONLY, "run", r"pushing .*Read-only file system"),
        (Fault.TOOL_ABORTS, "place", r"crashed \(SIGABRT\): .*vendor driver"),
        (Fault.TOOL_HANGS, "run", r"hung and was stopped after 3 s"),
        (Fault.TOOL_PRINTS_GARBAGE, "time", r"result"),
        (Fault.TOOL_IS_CUT_OFF, "time", r"result"),
        (Fault.TOOL_WRONG_ABI, "place", r"cannot be run .*arm64-v8a"),
        (Fault.OUTPUT_WRONG_SIZE, "run", r"the output has \d+ bytes, \d+ are expected"),
        (Fault.DELEGATE_FAILS, "place", r"Failed to apply NNAPI delegate"),
    ],
)  # fmt: skip
def test_a_fault_is_one_clear_error_and_then_the_phone_works_again(
    plugged: Plugged, variant: Model, fault: Fault, verb: str, words: str
):
    settings = plugged.folder.settings()
    device = plugged.phone(measuring=LIMITED)
    device.place(variant.at(replace(SIZE, width_px=64)))  # prepared, and something already measured
    faults.plant(plugged.folder, fault)

    with pytest.raises(DeviceError, match=rf"phone {plugged.serial}: .*{words}"):
        VERBS[verb](device, variant)

    faults.clear(plugged.folder)
    VERBS[verb](device, variant)
    device.close()
    assert_nothing_is_left(plugged, settings)


def test_a_tool_that_vanished_from_the_phone_is_pushed_again(plugged: Plugged, variant: Model):
    device = plugged.phone(measuring=LIMITED)
    device.place(variant.at(SIZE))
    for path in (plugged.folder.root / HOME.lstrip("/") / "store").iterdir():
        path.unlink()

    with pytest.raises(DeviceError, match="cannot be run"):
        device.place(variant.at(SIZE))

    device.place(variant.at(SIZE))
    device.close()


def test_a_folder_that_cannot_be_written_is_an_error(plugged: Plugged, variant: Model):
    plugged.folder.write(HOME, "a file in its place")
    device = plugged.phone(measuring=LIMITED)

    with pytest.raises(DeviceError, match="cannot be written"):
        device.place(variant.at(SIZE))
    device.close()


def test_a_setting_that_cannot_be_restored_is_named(plugged: Plugged, variant: Model):
    device = plugged.phone(measuring=LIMITED)
    device.place(variant.at(SIZE))
    program = plugged.folder.path / "bin/settings"
    text = program.read_text()
    program.write_text("#!/bin/sh\nexit 1\n")

    with pytest.raises(DeviceError, match=r"by hand .*screen_off_timeout\|60000"):
        device.close()

    program.write_text(text)
    device.close()
    assert plugged.folder.settings()["settings/system.screen_off_timeout"] == "60000"


def test_a_clock_that_jumps_voids_the_run_and_it_is_run_again(plugged: Plugged, variant: Model):
    device = plugged.phone(measuring=LIMITED)
    faults.plant(plugged.folder, Fault.CLOCK_JUMPS)

    latency = device.time(variant.at(SIZE))
    device.close()

    assert 0 < latency.median_ms < 1000


def test_a_clock_that_jumps_every_time_is_a_void_measurement(plugged: Plugged, variant: Model):
    device = plugged.phone(measuring=LIMITED)
    jumps = iter(range(100))

    def jump() -> None:
        (plugged.folder.state / "clock_offset_s").write_text(str(-3600 * next(jumps)))
        plugged.loop.call_later(0.15, jump)

    plugged.loop.call_soon_threadsafe(jump)

    with pytest.raises(MeasurementError, match="clock jumped"):
        device.time(variant.at(SIZE))
    device.close()


def test_a_phone_that_stays_away_is_an_error_within_the_limit(plugged: Plugged, variant: Model):
    device = plugged.phone(measuring=replace(LIMITED, recover_s=1.0))
    device.place(variant.at(SIZE))
    plugged.do(plugged.daemon.unplug())
    plugged.wait_until_seen_gone()

    with pytest.raises(DeviceError, match=r"offline|not attached"):
        device.place(variant.at(SIZE))
    with pytest.raises(DeviceError, match=r"offline|not attached"):
        device.close()

    plugged.do(plugged.daemon.plug_in())
    device.place(variant.at(SIZE))
    device.close()


def test_an_adb_server_that_was_killed_is_one_error_at_most(plugged: Plugged, variant: Model):
    device = plugged.phone(measuring=LIMITED)
    device.place(variant.at(SIZE))

    phones.stop_server(plugged.server)

    with pytest.raises(DeviceError, match="not attached"):
        device.place(variant.at(SIZE))
    device.place(variant.at(SIZE))
    device.close()


def test_another_phone_goes_on_while_one_is_away(plugged: Plugged, variant: Model, tmp_path: Path):
    with phones.plugged(tmp_path / "second", plugged.server) as second:
        away, going_on = plugged.phone(measuring=LIMITED), second.phone(measuring=LIMITED)
        faults.plant(plugged.folder, Fault.REBOOTS_IN_RUN)

        with pytest.raises(DeviceError, match=plugged.serial):
            away.place(variant.at(SIZE))
        placement = going_on.place(variant.at(SIZE))

        for device in (away, going_on):
            device.close()
    assert placement.provenance.device.startswith(f"Pixel 4 ({second.serial})")


def test_a_tool_that_outlived_its_cable_is_stopped_before_the_next_run(
    plugged: Plugged, variant: Model
):
    device = plugged.phone(measuring=replace(LIMITED, run_limit_s=60.0))
    device.place(variant.at(SIZE))
    faults.plant(plugged.folder, Fault.TOOL_HANGS)
    faults.plant(plugged.folder, Fault.UNPLUGGED_IN_RUN)
    with pytest.raises(DeviceError, match="placing"):
        device.place(variant.at(SIZE))

    while faults.present(plugged.folder, Fault.TOOL_HANGS):
        time.sleep(0.02)  # the tool has not come to hang yet
    owner = plugged.folder.root / HOME.lstrip("/") / "lock/owner"
    owner.write_text("x 1 " + owner.read_text().split(maxsplit=2)[2])  # this harness crashes
    following = plugged.phone(measuring=LIMITED)
    following.place(variant.at(SIZE))
    following.close()

    assert plugged.wait_until_quiet()


def test_random_faults_in_a_row_lose_no_verdict_and_leave_nothing(plugged: Plugged, variant: Model):
    chance = random.Random(2026)
    settings = plugged.folder.settings()
    device = plugged.phone(measuring=replace(LIMITED, run_limit_s=2.0))
    verdicts: list[object] = []

    for number in range(ROUNDS):
        for fault in chance.sample(list(Fault), k=chance.choice([0, 1, 1, 2])):
            faults.plant(plugged.folder, fault)
        if chance.random() < SERVER_KILLED_SHARE:
            phones.stop_server(plugged.server)
        verb = chance.choice(list(VERBS))
        start = time.monotonic()
        try:
            verdicts.append(VERBS[verb](device, variant))
        except HarnessError as error:
            verdicts.append(error)
        took_s = time.monotonic() - start
        assert took_s < ROUND_LIMIT_S, f"round {number}: {verb} took {took_s:.0f} s"
        faults.clear(plugged.folder)
        if number % 10 == 9 or number == ROUNDS - 1:
            plugged.connection.wait_ready(timeout_s=20)
            device.close()
            assert_nothing_is_left(plugged, settings)

    assert len(verdicts) == ROUNDS
    assert any(not isinstance(verdict, HarnessError) for verdict in verdicts)
    assert any(isinstance(verdict, HarnessError) for verdict in verdicts)
