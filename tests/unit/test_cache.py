"""Tests of remembered results."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from harness import cache

_ROUNDS = 40
_PROCESS = """
import sys, time
from harness import cache

while time.time() < float(sys.argv[1]):
    pass
for number in range(int(sys.argv[2])):
    value = cache.remember("race", cache.key_of(number), lambda: [number] * 50_000)
    assert value == [number] * 50_000
"""


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))


class Counter:
    """Count how often a value is computed."""

    def __init__(self, value: object) -> None:
        self.value = value
        self.calls = 0

    def __call__(self) -> object:
        self.calls += 1
        return self.value


def _entries() -> list[Path]:
    return [path for path in cache.root().rglob("*") if path.is_file()]


def test_a_value_is_computed_once() -> None:
    compute = Counter({"a": np.arange(3)})

    first = cache.remember("room", "key1", compute)
    second = cache.remember("room", "key1", compute)

    assert compute.calls == 1
    np.testing.assert_array_equal(first["a"], second["a"])


def test_rooms_and_keys_are_apart() -> None:
    values = [
        cache.remember(room, key, Counter(f"{room} {key}"))
        for room in ("one", "two")
        for key in ("k1", "k2")
    ]

    assert values == ["one k1", "one k2", "two k1", "two k2"]


def test_what_failed_to_compute_is_not_remembered() -> None:
    def fail() -> object:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        cache.remember("room", "key", fail)

    assert cache.remember("room", "key", Counter(3)) == 3


@pytest.mark.parametrize("keep", [0, 1, 31, 32, 40, -1])
def test_an_entry_that_was_cut_short_is_computed_again(keep: int) -> None:
    cache.remember("room", "key", Counter(list(range(1000))))
    (entry,) = _entries()
    entry.write_bytes(entry.read_bytes()[:keep])
    compute = Counter(list(range(1000)))

    again = cache.remember("room", "key", compute)

    assert compute.calls == 1
    assert again == list(range(1000))
    assert cache.read(entry) == again


@pytest.mark.parametrize("seed", range(20))
def test_an_entry_with_a_flipped_byte_is_computed_again(seed: int) -> None:
    cache.remember("room", "key", Counter([0.5] * 100))
    (entry,) = _entries()
    data = bytearray(entry.read_bytes())
    random = np.random.default_rng(seed)
    data[int(random.integers(len(data)))] ^= int(random.integers(1, 256))
    entry.write_bytes(data)
    compute = Counter([0.5] * 100)

    assert cache.remember("room", "key", compute) == [0.5] * 100
    assert compute.calls == 1


def test_two_processes_at_once_leave_whole_entries_and_nothing_else() -> None:
    start = str(time.time() + 0.5)
    command = [sys.executable, "-c", _PROCESS, start, str(_ROUNDS)]

    processes = [subprocess.Popen(command) for _ in range(2)]

    assert [process.wait(timeout=60) for process in processes] == [0, 0]
    entries = _entries()
    assert len(entries) == _ROUNDS
    assert all(cache.read(entry) is not None for entry in entries)


def test_keys_tell_types_and_order_apart() -> None:
    keys = [cache.key_of(*p) for p in ((1, 2), (2, 1), ("1", 2), (12,), ([1, 2],), (1.5,), (True,))]

    assert len(set(keys)) == len(keys)
    assert cache.key_of({"a": 1, "b": 2}) == cache.key_of({"b": 2, "a": 1})


def test_the_folder_is_the_users_unless_one_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HARNESS_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))

    assert cache.root() == tmp_path / "xdg" / "pytest-device-harness"
