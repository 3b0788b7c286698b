"""Hold a phone: of many harnesses at once one wins, and odd settings come back as they were."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.devices.phone.lock import HOME, PhoneLock, SettingChange
from harness.errors import DeviceError
from tests import phones
from tests.phones import Plugged


@pytest.fixture(scope="module")
def plugged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plugged]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        with (
            phones.server() as server,
            phones.plugged(tmp_path_factory.mktemp("phones") / "phone", server) as fake,
        ):
            fake.connection.wait_ready(timeout_s=10)
            yield fake


def lock_on(plugged: Plugged) -> PhoneLock:
    return PhoneLock(plugged.connection, lease_s=60)


@pytest.mark.parametrize("expired", [False, True])
def test_of_many_harnesses_at_once_exactly_one_takes_the_phone(plugged: Plugged, expired: bool):
    if expired:
        boot_id = plugged.folder.read("/proc/sys/kernel/random/boot_id").strip()
        plugged.folder.write(f"{HOME}/lock/owner", f"gone.1 1 {boot_id} a crashed harness\n")
    rivals = [lock_on(plugged) for _ in range(8)]

    def attempt(rival: PhoneLock) -> bool:
        try:
            return rival.enter()
        except DeviceError as error:
            assert "in use by another harness" in str(error)  # noqa: PT017
            return False

    with ThreadPoolExecutor(len(rivals)) as pool:
        won = list(pool.map(attempt, rivals))

    for rival in rivals:
        rival.leave()
    assert won.count(True) == 1
    assert not (plugged.folder.root / HOME.lstrip("/") / "lock").exists()


def test_a_lock_that_ran_out_can_run_out_again(plugged: Plugged):
    boot_id = plugged.folder.read("/proc/sys/kernel/random/boot_id").strip()
    for _ in range(3):
        plugged.folder.write(f"{HOME}/lock/owner", f"gone.1 1 {boot_id} a crashed harness\n")
        successor = lock_on(plugged)
        assert successor.enter()
        successor.leave()


def test_an_owner_who_slept_past_the_end_takes_the_lock_again(plugged: Plugged):
    owner = lock_on(plugged)
    owner.enter()
    path = f"{HOME}/lock/owner"
    for _ in range(2):
        entry, _, boot_id, label = plugged.folder.read(path).split(maxsplit=3)
        plugged.folder.write(path, f"{entry} 1 {boot_id} {label}")

        assert not owner.enter()

    owner.leave()


def test_a_lock_that_was_never_signed_is_taken_after_a_while(plugged: Plugged):
    (plugged.folder.root / HOME.lstrip("/") / "lock").mkdir(parents=True)
    successor = lock_on(plugged)

    assert successor.enter()

    successor.leave()


def test_a_lock_is_renewed_by_its_owner(plugged: Plugged):
    owner = lock_on(plugged)

    assert [owner.enter(), owner.enter()] == [True, False]

    owner.leave()
    assert not owner.held


@pytest.mark.parametrize(
    "old", ["plain", "with spaces  inside", "a|b|c", "$HOME `id` \"x\" 'y' \\n", "ü"]
)
def test_a_property_comes_back_as_it_was(plugged: Plugged, old: str):
    plugged.folder.setprop("debug.test", old)
    holder = lock_on(plugged)
    holder.enter()

    holder.change([SettingChange(kind="prop", name="debug.test", value="changed")])
    holder.change([SettingChange(kind="prop", name="debug.test", value="changed again")])
    during = plugged.folder.getprop("debug.test")
    holder.leave()

    assert during == "changed again"
    assert plugged.folder.getprop("debug.test") == old


def test_what_was_not_set_is_not_set_again(plugged: Plugged):
    holder = lock_on(plugged)
    holder.enter()

    holder.change([
        SettingChange(kind="prop", name="debug.unset", value="1"),
        SettingChange(kind="setting", name="global unset_key", value="1"),
    ])  # fmt: skip
    holder.leave()

    assert plugged.folder.getprop("debug.unset") == ""
    assert "settings/global.unset_key" not in plugged.folder.settings()


def test_a_reboot_between_two_verbs_restores_before_it_prepares_again(plugged: Plugged):
    holder = lock_on(plugged)
    holder.enter()
    holder.change([SettingChange(kind="setting", name="global some_key", value="1")])

    plugged.folder.reboot()

    assert holder.enter()
    assert "settings/global.some_key" not in plugged.folder.settings()
    holder.leave()


def test_each_taking_raises_the_fence_and_a_renewal_leaves_it(plugged: Plugged):
    lock, next_lock = lock_on(plugged), lock_on(plugged)
    lock.enter()
    first = lock.fence
    lock.enter()
    renewed = lock.fence
    lock.leave()

    next_lock.enter()

    next_lock.leave()
    assert renewed == first
    assert next_lock.fence == first + 1


def test_an_owner_takes_over_at_once_what_its_dead_process_left(plugged: Plugged):
    dead = PhoneLock(plugged.connection, lease_s=60, owner="c0ffee")
    dead.enter()
    dead.change([SettingChange(kind="setting", name="system font_scale", value="2.0")])
    before = dead.fence

    restarted = PhoneLock(plugged.connection, lease_s=60, owner="c0ffee")
    restarted.enter()
    dead.leave()  # it wakes up late, and what another holds is not its own to give back

    assert restarted.fence == before + 1
    assert (plugged.folder.root / HOME.lstrip("/") / "lock").exists()
    assert "settings/system.font_scale" not in plugged.folder.settings()
    restarted.leave()


def test_a_harness_that_may_wait_gets_the_phone_when_it_is_given_back(plugged: Plugged):
    holder = lock_on(plugged)
    holder.enter()
    patient = PhoneLock(plugged.connection, lease_s=60, wait_s=20)

    with ThreadPoolExecutor(1) as pool:
        taken = pool.submit(patient.enter)
        waits = not taken.done()
        holder.leave()
        got = taken.result(timeout=20)

    patient.leave()
    assert waits
    assert got
