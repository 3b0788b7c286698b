"""Phones that are asked no more for a while: why, since when, and when they are looked at again."""

import contextlib
import fcntl
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness import files, schema, text
from harness.errors import HarnessError

FIRST_S = 60.0
"""Time that a phone is left alone at first; it doubles each time that it comes back ill."""
LONGEST_S = 3600.0
GOOD_LOOKS = 2
"""Looks in a row that must find nothing before a phone comes back by itself."""
_FILE = "quarantine.json"
_AGAIN_S = 24 * 3600.0
"""A phone that was well for so long starts over with the shortest time."""


@dataclass(frozen=True, kw_only=True)
class Suspension:
    """A phone's time in quarantine.

    Attributes:
        why: What was found.
        since_s: When, in seconds since 1970.
        next_s: When it is looked at again.
        times: How often it has been here within a day.
        good_looks: Looks in a row that found nothing.
        by_hand: Whether a person has put it here, who alone lets it out.
        over_s: When it came back, in seconds since 1970; None while it is here.
    """

    why: str
    since_s: float
    next_s: float
    times: int = 1
    good_looks: int = 0
    by_hand: bool = False
    over_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class _Kept:
    phones: Mapping[str, Suspension] = field(default_factory=dict)


class Quarantine:
    """The phones of one host that are in quarantine, kept in a file of the host's folder.

    The host and a person at `harness farm quarantine` change the file in turns.
    """

    def __init__(self, folder: Path, *, time_scale: float = 1.0) -> None:
        """Read what was kept.

        Raises:
            ConfigError: the file was damaged.
        """
        self._path = folder / _FILE
        self._scale = time_scale
        kept = schema.load_json(_Kept, self._path) if self._path.exists() else _Kept()
        self._cases = dict(kept.phones)

    def put(self, serial: str, why: str, *, now_s: float, by_hand: bool = False) -> Suspension:
        """Put a phone in, or keep it longer; return its case."""
        with self._changing():
            case = self._cases[serial] = self._put(serial, why, now_s=now_s, by_hand=by_hand)
        return case

    def _put(self, serial: str, why: str, *, now_s: float, by_hand: bool) -> Suspension:
        before = self._cases.get(serial)
        if before is not None and before.over_s is None and before.by_hand and not by_hand:
            return before  # a person's word stays
        again = before is not None and (
            before.over_s is None or now_s - before.over_s < _AGAIN_S * self._scale
        )
        times = before.times + 1 if before is not None and again else 1
        wait_s = min(FIRST_S * 2 ** min(times - 1, 16), LONGEST_S) * self._scale
        return Suspension(
            why=text.line(why, text.NAME),
            since_s=now_s,
            next_s=now_s + wait_s,
            times=times,
            by_hand=by_hand,
        )

    def of(self, serial: str) -> Suspension | None:
        """Return the case of a phone that is in now, or None."""
        case = self._cases.get(serial)
        return case if case is not None and case.over_s is None else None

    def due(self, *, now_s: float) -> list[str]:
        """Return the phones to look at now."""
        return [
            serial
            for serial, case in self._cases.items()
            if case.over_s is None and not case.by_hand and case.next_s <= now_s
        ]

    def looked(self, serial: str, why: str, *, now_s: float) -> bool:
        """Take note of a look at a phone; return whether it comes back.

        Args:
            serial: The phone, which is in.
            why: What was found, '' for nothing.
            now_s: Seconds since 1970.
        """
        with self._changing():
            case = self._cases[serial]
            if case.by_hand or case.over_s is not None:
                return False  # a person has changed it in between
            self._cases[serial] = self._seen(case, why, now_s)
        return self._cases[serial].over_s is not None

    def _seen(self, case: Suspension, why: str, now_s: float) -> Suspension:
        if why:
            wait_s = min(FIRST_S * 2 ** min(case.times - 1, 16), LONGEST_S) * self._scale
            line = text.line(why, text.NAME)
            return replace(case, why=line, next_s=now_s + wait_s, good_looks=0)
        looks = case.good_looks + 1
        over_s = now_s if looks >= GOOD_LOOKS else None
        next_s = now_s + FIRST_S / 10 * self._scale
        return replace(case, good_looks=looks, over_s=over_s, next_s=next_s)

    def release(self, serial: str, *, now_s: float) -> bool:
        """Let a phone out; return whether it was in."""
        with self._changing():
            case = self.of(serial)
            if case is None:
                return False
            self._cases[serial] = replace(case, over_s=now_s)
        return True

    def cases(self) -> dict[str, Suspension]:
        """Return the phones that are in now, by serial."""
        return {serial: case for serial, case in self._cases.items() if case.over_s is None}

    def reload(self) -> None:
        """Read what a person has changed by `harness farm quarantine`.

        Raises:
            ConfigError: the file was damaged.
        """
        if self._path.exists():
            self._cases = dict(schema.load_json(_Kept, self._path).phones)

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        """Let what is in the file be changed, and nobody else change it meanwhile.

        Raises:
            HarnessError: nothing can be written there.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = self._path.with_suffix(".lock").open("a", encoding="utf-8")
        except OSError as error:
            raise HarnessError(f"{self._path}: cannot be written ({error.strerror})") from None
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.reload()
            yield
            self._write()

    def _write(self) -> None:
        kept = json.dumps(schema.dump(_Kept(phones=self._cases)))
        try:
            files.write_whole(self._path, kept.encode())
        except OSError as error:
            raise HarnessError(f"{self._path}: cannot be written ({error.strerror})") from None
