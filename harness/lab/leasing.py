"""Phones that a host of a farm takes from a lab's own scheduler, and gives back."""

import json
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from harness import schema, text
from harness.errors import ConfigError, DeviceError, HarnessError
from harness.lab.adb import endpoint
from harness.lab.stf import StfPhones
from harness.lab.web import PATIENT, Patience, RefusedError
from harness.profiles import Profile

_LOOK_S = 30.0
"""The server is asked so often what has become free."""
_OTHERS = {
    "labgrid": "its coordinator lends places, and has no resource for adb",
    "jumpstarter": "it lends an adb server, not a phone",
}


@dataclass(frozen=True, kw_only=True)
class _Kept:
    serials: tuple[str, ...] = ()


class StfLease:
    """The phones of an STF server that a host holds: all free ones that its profiles fit.

    What is held is kept in a file of the host's folder, so that a host that was killed gives it
    back when it starts again; the server takes back what has been idle for 15 minutes.
    """

    def __init__(
        self,
        phones: StfPhones,
        profiles: Collection[Profile],
        *,
        folder: Path,
        say: Callable[[str], None],
        look_s: float = _LOOK_S,
    ) -> None:
        """Describe it; nothing is taken yet.

        Args:
            phones: The server.
            profiles: What is taken.
            folder: The host's.
            say: Takes lines for a person.
            look_s: Seconds between two looks at the server.
        """
        self._phones = phones
        self._profiles = profiles
        self._say = say
        self._look_s = look_s
        self._looked_s = float("-inf")
        self._path = folder / "leased.json"
        self._held: dict[str, str] = {}
        self._begun = False

    def addresses(self) -> tuple[str, ...]:
        """Return where adb finds what is held, after a look at the server now and then."""
        if time.monotonic() - self._looked_s >= self._look_s:
            self._looked_s = time.monotonic()
            try:
                self._look()
            except HarnessError as error:
                self._say(f"{self._phones.name}: {error}")
        return tuple(self._held.values())

    def _look(self) -> None:
        if not self._begun:
            self._give_back_what_was_left()
        rows = self._phones.rows()
        using = {row.serial for row in rows if row.using}
        for serial in set(self._held) - using:
            self._say(f"{self._phones.name}: {serial} was taken back")
            del self._held[serial]
        for row in rows:
            if row.free and any(profile.matches(row.model) for profile in self._profiles):
                self._take(row.serial)
        self._write()

    def _give_back_what_was_left(self) -> None:
        """Release what an earlier host of this folder held when it was killed."""
        left = schema.load_json(_Kept, self._path).serials if self._path.exists() else ()
        for serial in left:
            for trouble in self._phones.release(serial):
                self._say(trouble)
        self._begun = True

    def _take(self, serial: str) -> None:
        self._held[serial] = ""
        self._write()  # before it is asked: the answer may be lost
        try:
            self._phones.reserve(serial)
            self._held[serial] = endpoint(self._phones.connect(serial))
        except (RefusedError, ConfigError, DeviceError) as error:
            self._say(f"{self._phones.name}: {serial} is not lent: {error}")
            del self._held[serial]
            self._phones.release(serial)
        else:
            self._say(f"{self._phones.name}: {serial} is lent, at {self._held[serial]}")

    def close(self) -> None:
        """Give all of it back, and say what went wrong."""
        while self._held:
            serial, _ = self._held.popitem()
            for trouble in self._phones.release(serial):
                self._say(trouble)
        self._write()
        self._phones.close()

    def _write(self) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._path.write_text(json.dumps({"serials": sorted(self._held)}), encoding="utf-8")
        except OSError as error:
            raise HarnessError(f"{self._path}: cannot be written ({error.strerror})") from None


def lease(
    named: str,
    profiles: Collection[Profile],
    *,
    folder: Path,
    say: Callable[[str], None],
    time_scale: float = 1.0,
    patience: Patience = PATIENT,
) -> StfLease:
    """Return what `--lease=stf:URL` names.

    Raises:
        ConfigError: it names nothing that is supported, or there is no token.
    """
    kind, _, rest = named.partition(":")
    if kind in _OTHERS:
        raise ConfigError(f"--lease={kind}: is not supported: {_OTHERS[kind]}")
    if kind != "stf" or not rest:
        raise ConfigError(f"--lease={text.line(named, text.NAME)}: write stf:URL")
    phones = StfPhones(rest, patience=patience)
    return StfLease(phones, profiles, folder=folder, say=say, look_s=_LOOK_S * time_scale)
