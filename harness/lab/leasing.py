"""Phones that a host of a farm takes from a lab's own scheduler, and gives back."""

import fnmatch
import json
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from harness import schema, text
from harness.errors import ConfigError, DeviceError, HarnessError
from harness.lab import labgrid
from harness.lab.adb import endpoint
from harness.lab.jumpstarter import JumpstarterLease
from harness.lab.labgrid import LabgridPlaces
from harness.lab.stf import StfPhones
from harness.lab.web import PATIENT, Patience, RefusedError
from harness.profiles import Profile

_LOOK_S = 30.0
"""The scheduler is asked so often what has become free."""


@dataclass(frozen=True, kw_only=True)
class Offer:
    """What a lab's scheduler has.

    Attributes:
        name: Its name there: a serial, a place.
        wanted: Whether it is free, and what this host takes.
        held: Whether this host's user has it.
    """

    name: str
    wanted: bool
    held: bool


class Lender(Protocol):
    """A lab's own scheduler."""

    @property
    def name(self) -> str:
        """Return what messages call it."""

    def offers(self) -> list[Offer]:
        """Return what it has.

        Raises:
            HarnessError: it does not say.
        """

    def take(self, name: str) -> str:
        """Take something; return where adb finds the phone.

        Raises:
            HarnessError: it is not lent, or is no phone that adb reaches.
        """

    def release(self, name: str) -> list[str]:
        """Give something back, held or not; return what went wrong."""

    def close(self) -> None:
        """Leave the scheduler."""


@dataclass(frozen=True, kw_only=True)
class StfLender:
    """The free phones of an STF server that profiles fit."""

    phones: StfPhones
    profiles: Collection[Profile]

    @property
    def name(self) -> str:
        """Return the lab as `--lab` has it."""
        return self.phones.name

    def offers(self) -> list[Offer]:
        """Return the server's phones."""
        return [
            Offer(
                name=row.serial,
                wanted=row.free and any(one.matches(row.model) for one in self.profiles),
                held=row.using,
            )
            for row in self.phones.rows()
        ]

    def take(self, name: str) -> str:
        """Reserve a phone."""
        self.phones.reserve(name)
        return endpoint(self.phones.connect(name))

    def release(self, name: str) -> list[str]:
        """Give a phone back."""
        return self.phones.release(name)

    def close(self) -> None:
        """Leave the server."""
        self.phones.close()


@dataclass(frozen=True, kw_only=True)
class LabgridLender:
    """The free places of a labgrid coordinator whose names fit a pattern."""

    places: LabgridPlaces
    pattern: str

    @property
    def name(self) -> str:
        """Return the coordinator."""
        return self.places.name

    def offers(self) -> list[Offer]:
        """Return the coordinator's places."""
        return [
            Offer(
                name=place.name,
                wanted=not place.holder and fnmatch.fnmatchcase(place.name, self.pattern),
                held=place.holder == self.places.user,
            )
            for place in self.places.rows()
        ]

    def take(self, name: str) -> str:
        """Acquire a place, whose tag says where adb finds its phone."""
        known = {place.name: place for place in self.places.rows()}
        if name not in known:
            raise DeviceError(f"{self.name}: place {name} is gone")
        where = labgrid.address(known[name])
        self.places.acquire(name)
        return where

    def release(self, name: str) -> list[str]:
        """Give a place back."""
        try:
            self.places.release(name)
        except DeviceError as error:
            return [f"{error}; `labgrid-client -p {name} release --kick` frees the place"]
        return []

    def close(self) -> None:
        """Leave nothing open: each question has a connection of its own."""


@dataclass(frozen=True, kw_only=True)
class _Kept:
    serials: tuple[str, ...] = ()


class PhoneLease:
    """The phones that a host holds of a lab's own scheduler.

    What is held is kept in a file of the host's folder, so that a host that was killed gives it
    back when it starts again.
    """

    def __init__(
        self, lender: Lender, *, folder: Path, say: Callable[[str], None], look_s: float = _LOOK_S
    ) -> None:
        """Describe it; nothing is taken yet.

        Args:
            lender: The scheduler.
            folder: The host's.
            say: Takes lines for a person.
            look_s: Seconds between two looks at the scheduler.
        """
        self._lender = lender
        self._say = say
        self._look_s = look_s
        self._looked_s = float("-inf")
        self._path = folder / "leased.json"
        self._held: dict[str, str] = {}
        self._refused: dict[str, str] = {}
        self._begun = False

    def addresses(self) -> tuple[str, ...]:
        """Return where adb finds what is held, after a look at the scheduler now and then."""
        if time.monotonic() - self._looked_s >= self._look_s:
            self._looked_s = time.monotonic()
            try:
                self._look()
            except HarnessError as error:
                self._say(f"{self._lender.name}: {error}")
        return tuple(self._held.values())

    def _look(self) -> None:
        if not self._begun:
            self._give_back_what_was_left()
        offers = self._lender.offers()
        for name in set(self._held) - {offer.name for offer in offers if offer.held}:
            self._say(f"{self._lender.name}: {name} was taken back")
            del self._held[name]
        for offer in offers:
            if offer.wanted:
                self._take(offer.name)
        self._write()

    def _give_back_what_was_left(self) -> None:
        """Release what an earlier host of this folder held when it was killed."""
        left = schema.load_json(_Kept, self._path).serials if self._path.exists() else ()
        for name in left:
            for trouble in self._lender.release(name):
                self._say(trouble)
        self._begun = True

    def _take(self, name: str) -> None:
        self._held[name] = ""
        self._write()  # before it is asked: the answer may be lost
        try:
            self._held[name] = self._lender.take(name)
        except (RefusedError, ConfigError, DeviceError) as error:
            if self._refused.get(name) != str(error):  # it is tried again at each look
                self._refused[name] = str(error)
                self._say(f"{self._lender.name}: {name} is not lent: {error}")
            del self._held[name]
            self._lender.release(name)
        else:
            self._refused.pop(name, None)
            self._say(f"{self._lender.name}: {name} is lent, at {self._held[name]}")

    def close(self) -> None:
        """Give all of it back, and say what went wrong."""
        while self._held:
            name, _ = self._held.popitem()
            for trouble in self._lender.release(name):
                self._say(trouble)
        self._write()
        self._lender.close()

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
) -> PhoneLease | JumpstarterLease:
    """Return what `--lease=LAB:WHAT` names.

    Raises:
        ConfigError: it names nothing that is supported, or there is no token.
        StackMissing: what it needs is not installed.
    """
    kind, _, rest = named.partition(":")
    if kind not in ("stf", "labgrid", "jumpstarter") or not rest:
        raise ConfigError(
            f"--lease={text.line(named, text.NAME)}: write stf:URL, labgrid:PLACE, where * "
            "stands for any letters, or jumpstarter:SELECTOR"
        )
    if kind == "jumpstarter":
        return JumpstarterLease(rest, folder=folder, say=say)
    lender: Lender
    if kind == "stf":
        lender = StfLender(phones=StfPhones(rest, patience=patience), profiles=profiles)
    else:
        lender = LabgridLender(places=LabgridPlaces(), pattern=rest)
    return PhoneLease(lender, folder=folder, say=say, look_s=_LOOK_S * time_scale)
