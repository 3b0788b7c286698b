"""The lab that is a farm: asks its scheduler, sends hosts what they lack, takes facts back.

The engine is a means of transport here. What is out, what came back and what is sent again is
kept on this side, so that the end of a worker, of a host or of the scheduler costs only the
questions that were under way.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from harness.devices.connect import Origin
from harness.devices.emulated import Emulated
from harness.errors import ConfigError, DeviceError, HarnessError
from harness.farm import engine
from harness.farm.dispatch import Dispatcher, Policy
from harness.farm.engine import AwayError
from harness.farm.fleet import Fleet
from harness.farm.links import Address
from harness.farm.rounds import Round
from harness.profiles import Target
from harness.requests import Fact, Request

_LOOK_S = 1.0
"""The scheduler is asked who is there so often."""
_PAUSE_S = 0.2


@dataclass(frozen=True, kw_only=True)
class FarmAddress:
    """What `farm:ADDRESS[?lane=nightly&hours=8]` says.

    Attributes:
        address: Of the scheduler.
        policy: How the farm is used.
    """

    address: Address
    policy: Policy = field(default_factory=Policy)

    @classmethod
    def parse(cls, text: str) -> "FarmAddress":
        """Read it.

        Raises:
            ConfigError: the address, a key or a value is unknown.
        """
        address, _, rest = text.partition("?")
        said = parse_qs(rest, keep_blank_values=True)
        unknown = set(said) - {"lane", "hours", "patience"}
        lane = said.get("lane", ["pull-request"])[0]
        if unknown or lane not in ("pull-request", "nightly"):
            raise ConfigError(
                f"farm:{text}: write farm:ADDRESS, and after it ?lane=nightly&hours=8&patience=300 "
                "where the run gives way to others, ends after so many hours, or waits so many "
                "seconds for a phone"
            )
        return cls(
            address=Address.parse(address),
            policy=Policy(
                nightly=lane == "nightly",
                budget_s=_positive(said, "hours", 3600.0),
                patience_s=_positive(said, "patience", 1.0) or Policy.patience_s,
            ),
        )


def _positive(said: dict[str, list[str]], name: str, unit: float) -> float | None:
    if name not in said:
        return None
    try:
        value = float(said[name][0])
    except ValueError:
        value = 0.0
    if not 0.0 < value < 1e6:
        raise ConfigError(f"farm: {name}={said[name][0]!r:.40} is no positive number")
    return value * unit


class FarmLab:
    """The phones of a farm, and its hosts' software where a profile has no phone there."""

    def __init__(self, argument: str, *, origin: Origin, certs: Path | None = None) -> None:
        """Describe a farm; nothing is sent yet.

        Args:
            argument: `ADDRESS[?lane=..]`, see `FarmAddress`.
            origin: Where facts may come from.
            certs: Folder of certificates; by default $HARNESS_FARM_CERTS.

        Raises:
            ConfigError: the argument cannot be read.
        """
        self._where = FarmAddress.parse(argument)
        self._origin = origin
        self._certs = certs
        self._engine: Any = None
        self._findings: list[str] = []
        self.spent_s: dict[str, float] = {}
        """Seconds that each station was at requests of this run, as it says."""
        self.name = f"farm:{argument}"

    def open(self) -> None:
        """Reach the scheduler.

        Raises:
            HarnessError: it cannot be reached, or does not trust this client.
        """
        self._connected()

    def answer(self, requests: Sequence[Request]) -> Iterator[Fact]:
        """Yield a fact for each request, as they come."""
        try:
            first = self._fleet()
        except HarnessError as error:
            why = str(error)
            yield from (Fact(request=one, error=DeviceError(f"{one}: {why}")) for one in requests)
            return
        dispatcher = Dispatcher(
            requests,
            first,
            origin=self._origin,
            policy=self._where.policy,
            now_s=time.monotonic(),
        )
        round_ = Round(dispatcher)
        try:
            yield from dispatcher.facts()
            while dispatcher.left:
                self._step(dispatcher, round_)
                yield from dispatcher.facts()
        finally:
            round_.cancel()
            self._findings += dispatcher.findings()
            for station, seconds in dispatcher.spent_s.items():
                self.spent_s[station] = self.spent_s.get(station, 0.0) + seconds

    def _step(self, dispatcher: Dispatcher, round_: Round) -> None:
        """Send what can go out, and take in what has come back."""
        try:
            client = self._connected()
            now_s = time.monotonic()
            round_.use(client, now_s)
            if now_s - round_.looked_s >= _LOOK_S:
                round_.fleet, round_.looked_s = self._fleet(), now_s
                round_.note_well(time.monotonic())
                round_.check_progress(now_s)
            for sending in dispatcher.sends(round_.fleet, now_s=now_s):
                round_.send(client, sending)
            round_.take_in(client)
        except AwayError as error:
            self._drop()
            round_.drop()
            if round_.trouble_s(time.monotonic()) > self._where.policy.patience_s:
                dispatcher.give_up(f"the scheduler at {self._where.address} is away: {error}")
            time.sleep(_PAUSE_S)
        except HarnessError as error:
            dispatcher.give_up(str(error))

    def _connected(self) -> Any:
        """Return the engine's client, connected.

        Raises:
            AwayError: the scheduler does not answer.
            ConfigError: TLS is not set up, or the other side does not trust it.
        """
        if self._engine is not None and self._engine.status == "running":
            return self._engine
        self._drop()
        self._engine = engine.connect(self._where.address, self._certs)
        return self._engine

    def _fleet(self) -> Fleet:
        return engine.look(self._connected())

    def _drop(self) -> None:
        client, self._engine = self._engine, None
        if client is not None:
            engine.close(client)

    def fingerprint(self, target: Target) -> str:
        """Return what identifies who answers: this software, or that it is a phone of the farm."""
        measured = self._origin is not Origin.EMULATED and self._fleet().of(target.profile.name)
        if measured:
            return f"{target} of {self.name}"
        return Emulated(target).fingerprint

    def findings(self) -> list[str]:
        """Return what was found about the farm's phones so far."""
        return list(self._findings)

    def close(self) -> list[str]:
        """Leave the farm; its hosts give their phones back by themselves."""
        self._drop()
        return []
