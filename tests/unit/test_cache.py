"""Tests of remembered results."""

import hashlib
import io
import os
import pickle
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import pytest

from harness import cache, profiles

T = TypeVar("T")
_ROUNDS = 40
_PROCESS = """
import sys, time
from harness import cache

while time.time() < float(sys.argv[1]):
    pass
for number in range(int(sys.argv[2])):
    key = cache.key_of("x", number)
    value = cache.remember("race", key, lambda: (number,) * 50_000, kind=tuple[int, ...])
    assert value == (number,) * 50_000
"""


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))


class Counter(Generic[T]):
    """A value, and how often it was computed."""

    def __init__(self, value: T) -> None:
        self.value = value
        self.calls = 0

    def __call__(self) -> T:
        self.calls += 1
        return self.value


def _entries() -> list[Path]:
    return [path for path in cache.root().rglob("*") if path.is_file()]


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A value as stacks keep them."""

    where: Path
    reasons: Mapping[int, str]
    sizes: tuple[int, ...] = ()
    figure: float | None = None


class Evil:
    """An object whose unpickling runs code."""

    def __init__(self, note: Path) -> None:
        self._note = note

    def __reduce__(self) -> object:
        return Path.touch, (self._note,)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (b"\0\xff", bytes),
        ("text", str),
        (1.5, float),
        ((True, False), tuple[bool, ...]),
        (Kept(where=Path("a/b"), reasons={3: "x", 14: "y"}, sizes=(1,), figure=0.25), Kept),
        (Kept(where=Path("a"), reasons={}), Kept),
    ],
)
def test_a_value_is_computed_once_and_comes_back_as_it_was(value: object, kind: object) -> None:
    compute = Counter(value)

    values = [cache.remember("folder", "key1", compute, kind=kind) for _ in range(2)]

    assert values == [value, value]
    assert compute.calls == 1


def test_pixels_come_back_as_they_were() -> None:
    pixels = np.random.default_rng(0).random((1, 4, 5, 3), np.float32)
    compute = Counter(pixels)

    values = [cache.remember("folder", "key", compute, kind=np.ndarray) for _ in range(2)]

    assert compute.calls == 1
    np.testing.assert_array_equal(values[1], pixels)
    assert values[1].dtype == pixels.dtype


def test_several_arrays_come_back_in_order() -> None:
    arrays = (np.arange(6, dtype=np.float32).reshape(2, 3), np.float32([[7.0]]))
    compute = Counter(arrays)

    values = [cache.remember("folder", "key", compute, kind=cache.ARRAYS) for _ in range(2)]

    assert compute.calls == 1
    assert len(values[1]) == 2
    for value, array in zip(values[1], arrays, strict=True):
        np.testing.assert_array_equal(value, array)


def test_rooms_and_keys_are_apart() -> None:
    values = [
        cache.remember(folder, key, Counter(f"{folder} {key}"), kind=str)
        for folder in ("one", "two")
        for key in ("k1", "k2")
    ]

    assert values == ["one k1", "one k2", "two k1", "two k2"]


def test_what_failed_to_compute_is_not_remembered() -> None:
    def fail() -> int:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        cache.remember("folder", "key", fail, kind=int)

    assert cache.remember("folder", "key", Counter(3), kind=int) == 3


@pytest.mark.parametrize("keep", [0, 1, 31, 32, 40, -1])
def test_an_entry_that_was_cut_short_is_computed_again(keep: int) -> None:
    numbers = tuple(range(1000))
    cache.remember("folder", "key", Counter(numbers), kind=tuple[int, ...])
    (entry,) = _entries()
    entry.write_bytes(entry.read_bytes()[:keep])
    compute = Counter(numbers)

    again = cache.remember("folder", "key", compute, kind=tuple[int, ...])

    assert compute.calls == 1
    assert again == numbers
    assert cache.read(entry, tuple[int, ...]) == again


@pytest.mark.parametrize("seed", range(20))
def test_an_entry_with_a_flipped_byte_is_computed_again(seed: int) -> None:
    numbers = (0.5,) * 100
    cache.remember("folder", "key", Counter(numbers), kind=tuple[float, ...])
    (entry,) = _entries()
    data = bytearray(entry.read_bytes())
    random = np.random.default_rng(seed)
    data[int(random.integers(len(data)))] ^= int(random.integers(1, 256))
    entry.write_bytes(data)
    compute = Counter(numbers)

    assert cache.remember("folder", "key", compute, kind=tuple[float, ...]) == numbers
    assert compute.calls == 1


@pytest.mark.parametrize("kind", [np.ndarray, str, Kept])
def test_an_entry_that_another_wrote_is_never_unpickled(kind: object, tmp_path: Path) -> None:
    note = tmp_path / "ran"
    objects = io.BytesIO()
    np.save(objects, np.array([Evil(note)], dtype=object), allow_pickle=True)
    cache.remember("folder", "key", Counter("made"), kind=str)
    (entry,) = _entries()
    for data in (pickle.dumps(Evil(note)), objects.getvalue()):
        entry.write_bytes(hashlib.sha256(data).digest() + data)

        assert cache.read(entry, kind) is None

    assert not note.exists()


@pytest.mark.parametrize("data", [b"[1, 2]", b'{"where": 3, "reasons": {}}', b"{}", b"[" * 5000])
def test_an_entry_of_another_type_is_computed_again(data: bytes) -> None:
    kept = Kept(where=Path("a"), reasons={})
    cache.remember("folder", "key", Counter(kept), kind=Kept)
    (entry,) = _entries()
    entry.write_bytes(hashlib.sha256(data).digest() + data)

    assert cache.remember("folder", "key", Counter(kept), kind=Kept) == kept


def test_two_processes_at_once_leave_whole_entries_and_nothing_else() -> None:
    start = str(time.time() + 0.5)
    command = [sys.executable, "-c", _PROCESS, start, str(_ROUNDS)]

    processes = [subprocess.Popen(command) for _ in range(2)]

    assert [process.wait(timeout=60) for process in processes] == [0, 0]
    entries = _entries()
    assert len(entries) == _ROUNDS
    assert all(cache.read(entry, tuple[int, ...]) is not None for entry in entries)


class TestKey:
    def test_tells_types_and_order_apart(self) -> None:
        parts = ((1, 2), (2, 1), ("1", 2), (12,), ([1, 2],), (1.5,), (True,))
        keys = [cache.key_of("x", *p) for p in parts]

        assert len(set(keys)) == len(keys)
        assert cache.key_of("x", {"a": 1, "b": 2}) == cache.key_of("x", {"b": 2, "a": 1})

    def test_holds_every_field_of_a_profile(self) -> None:
        target = profiles.select(profiles.load_all([profiles.shipped_folder()]), ["galaxy_s24"])[0]
        (unit, *others) = target.profile.accelerators
        edited = replace(target.profile, accelerators=(replace(unit, soc_model="SM9999"), *others))

        assert cache.key_of("x", target) == cache.key_of("x", replace(target))
        assert cache.key_of("x", target) != cache.key_of("x", replace(target, profile=edited))

    def test_holds_the_code_that_makes_the_entry_and_all_that_it_names(
        self, tmp_path: Path
    ) -> None:
        """A copy of the package gives the same keys until a module on the way is edited."""
        copy = tmp_path / "harness"
        shutil.copytree(
            Path(cache.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__")
        )

        def keys() -> list[str]:
            script = (
                "from harness import cache\n"
                "for maker in ('devices.numerics', 'stacks.xnnpack', 'estimate.vendor'):\n"
                "    print(cache.key_of(f'harness.{maker}'))"
            )
            done = subprocess.run(
                [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, check=True
            )
            return done.stdout.decode().split()

        def changed_by(name: str) -> list[bool]:
            before = keys()
            with (copy / name).open("a") as file:
                file.write("# edited\n")
            return [old != new for old, new in zip(before, keys(), strict=True)]

        assert changed_by("gate/ruling.py") == [False, False, False]
        assert changed_by("stacks/xnnpack_worker.py") == [True, True, False]
        assert changed_by("stacks/qnn_log.py") == [True, False, False]
        assert changed_by("estimate/vendor_worker.py") == [False, False, True]
        assert changed_by("graph.py") == [True, True, True]


class TestFolder:
    def ask(self, **environment: str) -> tuple[list[str], str]:
        """Remember one value twice in a process of its own; return how, and what was said."""
        script = (
            "from harness import cache\n"
            "for _ in range(2):\n"
            "    cache.remember('folder', 'key', lambda: print('computed') or 3, kind=int)\n"
            "print(cache.trouble())"
        )
        base = {k: v for k, v in os.environ.items() if k not in ("HARNESS_CACHE", "HOME")}
        done = subprocess.run(
            [sys.executable, "-c", script], env=base | environment, capture_output=True,
            check=True, text=True,
        )  # fmt: skip
        *lines, trouble = done.stdout.splitlines()
        assert done.stderr == ""
        return lines, trouble

    @pytest.mark.parametrize("named", ["/proc/zz", "/dev/null/x"])
    def test_one_that_cannot_be_written_is_said_once_and_work_goes_on(self, named: str) -> None:
        lines, trouble = self.ask(HARNESS_CACHE=named)

        assert lines == ["computed"]
        assert trouble.startswith(f"the cache {named} cannot be written (")

    def test_one_below_a_home_that_cannot_be_written_is_the_same(self) -> None:
        lines, trouble = self.ask(HOME="/proc/nobody")

        assert lines == ["computed"]
        assert "the cache /proc/nobody/.cache/pytest-device-harness cannot be written" in trouble

    @pytest.mark.parametrize("mode", [0o777, 0o770, 0o1777])
    def test_one_that_others_may_write_is_neither_read_nor_written(
        self, mode: int, tmp_path: Path
    ) -> None:
        folder = tmp_path / "shared"
        assert self.ask(HARNESS_CACHE=str(folder)) == (["computed"], "")
        folder.chmod(mode)

        lines, trouble = self.ask(HARNESS_CACHE=str(folder))

        assert lines == ["computed"]
        assert "others may write to it" in trouble
        assert "chmod 700" in trouble

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
    def test_another_users_is_not_used(self, tmp_path: Path) -> None:
        folder = tmp_path / "theirs"
        folder.mkdir(mode=0o755)
        os.chown(folder, 12345, 12345)

        lines, trouble = self.ask(HARNESS_CACHE=str(folder))

        assert lines == ["computed"]
        assert "is another user's" in trouble
        assert list(folder.iterdir()) == []

    def test_a_new_one_is_this_users_alone(self, tmp_path: Path) -> None:
        self.ask(HARNESS_CACHE=str(tmp_path / "a" / "b"))

        assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700

    def test_a_room_that_takes_nothing_more_is_said_and_work_goes_on(self, tmp_path: Path) -> None:
        (tmp_path / "folder").touch()
        tmp_path.chmod(0o700)

        lines, trouble = self.ask(HARNESS_CACHE=str(tmp_path))

        assert lines == ["computed", "computed"]
        assert "takes no more entries" in trouble


def test_the_folder_is_the_users_unless_one_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HARNESS_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))

    assert cache.root() == tmp_path / "xdg" / "pytest-device-harness"
