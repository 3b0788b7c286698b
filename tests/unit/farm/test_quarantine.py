from pathlib import Path

import pytest

from harness.devices.phone.device_state import Contract
from harness.errors import ConfigError
from harness.farm import health
from harness.farm.links import Address
from harness.farm.quarantine import FIRST_S, GOOD_LOOKS, LONGEST_S, Quarantine


def test_a_phone_comes_back_after_good_looks_in_a_row(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path)
    case = quarantine.put("A", "hot", now_s=0.0)
    assert quarantine.due(now_s=case.next_s - 1) == []
    assert quarantine.due(now_s=case.next_s) == ["A"]

    back = [quarantine.looked("A", why, now_s=100.0) for why in ("", "hot", *[""] * GOOD_LOOKS)]

    assert back == [False, False, *[False] * (GOOD_LOOKS - 1), True]
    assert quarantine.of("A") is None


def test_one_that_falls_ill_again_stays_longer_each_time(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path)
    waits = []
    for turn in range(10):
        case = quarantine.put("A", "hot", now_s=10.0 * turn)
        waits.append(case.next_s - case.since_s)
        quarantine.release("A", now_s=10.0 * turn + 1)

    assert waits[:3] == [FIRST_S, 2 * FIRST_S, 4 * FIRST_S]
    assert waits[-1] == LONGEST_S
    assert quarantine.put("A", "hot", now_s=1e7).times == 1


def test_it_outlives_the_host(tmp_path: Path) -> None:
    Quarantine(tmp_path).put("A", "\x1b[31mhot", now_s=1.0)

    kept = Quarantine(tmp_path).of("A")

    assert kept is not None
    assert kept.why == "\\x1b[31mhot"


def test_what_a_person_put_there_does_not_come_back_by_itself(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path)
    quarantine.put("A", "its screen is broken", now_s=0.0, by_hand=True)

    assert quarantine.due(now_s=1e9) == []
    assert quarantine.release("A", now_s=2.0)
    assert not quarantine.release("A", now_s=3.0)


def test_a_persons_word_stays_whatever_the_host_finds(tmp_path: Path) -> None:
    host, person = Quarantine(tmp_path), Quarantine(tmp_path)
    host.put("A", "hot", now_s=0.0)
    person.put("A", "its screen is broken", now_s=1.0, by_hand=True)

    case = host.put("A", "it failed 3 times", now_s=2.0)

    assert case.by_hand
    assert not host.looked("A", "", now_s=3.0)
    assert not host.looked("A", "", now_s=4.0)
    assert host.of("A") == case


def test_what_host_and_person_write_at_one_time_is_all_kept(tmp_path: Path) -> None:
    host, person = Quarantine(tmp_path), Quarantine(tmp_path)
    host.put("A", "hot", now_s=0.0)

    person.put("B", "lent out", now_s=1.0, by_hand=True)
    host.looked("A", "still hot", now_s=2.0)

    assert set(Quarantine(tmp_path).cases()) == {"A", "B"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Thermal Status: 3", "throttles"),
        ("  level: 3\n", "battery"),
        ("", ""),
    ],
)
def test_a_phone_says_itself_why_it_is_unfit(text: str, said: str) -> None:
    parts = {"thermal": text} if "Thermal" in text else {"battery": text}
    printed = "".join(f"{health.device_state.MARK}{name}\n{body}\n" for name, body in parts.items())

    found = health._judged(printed, Contract())

    assert said in found
    assert bool(found) is bool(said)


def test_a_phone_without_room_for_a_model_is_unfit() -> None:
    printed = (
        f"{health.device_state.MARK}room\nFilesystem 1K-blocks Used Available Use% Mounted on\n"
        "/dev/block/dm-8 112233 111000 102400 99% /data\n"
    )

    assert "100 MiB of storage" in health._judged(printed, Contract())


@pytest.mark.parametrize(
    "text", ["tcp://10.0.0.7:8786", "tcp://lab", "lab:8786", "tls://", "tls://a b", "tls://h:99999"]
)
def test_an_address_that_would_send_data_in_the_clear_or_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        Address.parse(text)


@pytest.mark.parametrize(
    "text", ["tcp://127.0.0.1:8786", "tls://lab.example:8786", "tls://[::1]:1"]
)
def test_an_address_is_written_as_it_was_read(text: str) -> None:
    assert str(Address.parse(text)) == text
