"""Who can be asked now: the stations of a farm, as its scheduler knows them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness import text
from harness.farm import wire

EMULATED = "emulated"
"""Resource of a station without a phone."""
_OTHER = "harness "
"""What names of versions begin with, in all versions."""
_HOST = "host"


@dataclass(frozen=True, kw_only=True)
class StationState:
    """One station.

    Attributes:
        name: `HOST/SERIAL` or `HOST/emulated-N`.
        kind: Profile of its phone, or `emulated`.
        version: Of its harness, as `wire.VERSION`.
        address: Of its process; another one after a restart.
        answered: Questions that it has answered since it was opened.
        failed: Questions that it has failed.
        busy_s: How long it has been at the present question; None if it is idle.
        queued: Questions that wait for it.
    """

    name: str
    kind: str
    version: str
    address: str = ""
    answered: int = 0
    failed: int = 0
    busy_s: float | None = None
    queued: int = 0

    @property
    def host(self) -> str:
        """Return the host that it is of."""
        return self.name.partition("/")[0]


@dataclass(frozen=True, kw_only=True)
class QuarantinedPhone:
    """A phone that is asked no more for a while."""

    host: str
    serial: str
    kind: str
    why: str
    since_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """All that a scheduler knows of who can be asked.

    Attributes:
        stations: By name.
        quarantined: Phones that are left alone.
        hosts: Address of the process of each host, by name.
    """

    stations: Mapping[str, StationState] = field(default_factory=dict)
    quarantined: tuple[QuarantinedPhone, ...] = ()
    hosts: Mapping[str, str] = field(default_factory=dict)

    def of(self, kind: str) -> tuple[StationState, ...]:
        """Return the stations of a kind that speak this version."""
        found = self.stations.values()
        return tuple(s for s in found if s.kind == kind and s.version == wire.VERSION)

    def others(self, kind: str) -> tuple[StationState, ...]:
        """Return the stations of a kind that speak another version."""
        found = self.stations.values()
        return tuple(s for s in found if s.kind == kind and s.version != wire.VERSION)

    def left_alone(self, kind: str) -> tuple[QuarantinedPhone, ...]:
        """Return the phones of a kind that are in quarantine."""
        return tuple(phone for phone in self.quarantined if phone.kind == kind)

    def why_none(self, kind: str) -> str:
        """Return why nobody of a kind can be asked, for a person."""
        if other := self.others(kind):
            return (
                f"{text.counted(len(other), 'station')} of {kind} run {other[0].version!r}, this "
                f"is {wire.VERSION!r}: install one version on both sides"
            )
        if alone := self.left_alone(kind):
            which = "; ".join(f"{one.host}/{one.serial}: {one.why}" for one in alone[:3])
            return f"every phone of {kind} is in quarantine ({which})"
        kinds = sorted({one.kind for one in self.stations.values()})
        has = ", ".join(f"{text.counted(len(self.of(one)), one)}" for one in kinds)
        return f"no phone of {kind} is there; the farm has {has or 'nothing'}"


def read(workers: Mapping[str, Any]) -> Fleet:
    """Read what the scheduler says of its workers; what is no station of ours is left out."""
    stations: dict[str, StationState] = {}
    quarantined: list[QuarantinedPhone] = []
    hosts: dict[str, str] = {}
    for address, info in workers.items():
        name = text.line(str(info.get("name", "")), text.NAME)
        said = (info.get("metrics") or {}).get("harness")
        said = said if isinstance(said, Mapping) else {}
        if said.get("kind") == _HOST:
            hosts[name] = address
            quarantined += _quarantined(name, said)
            continue
        offered = {
            key: value
            for key, value in (info.get("resources") or {}).items()
            if isinstance(key, str) and isinstance(value, (int, float)) and value >= 1
        }
        kinds = [key for key in offered if not key.startswith(_OTHER)]
        versions = [key for key in offered if key.startswith(_OTHER)]
        if len(kinds) == len(versions) == 1 and info.get("status", "running") == "running":
            stations[name] = StationState(
                name=name,
                kind=text.line(kinds[0], text.NAME),
                version=text.line(versions[0], text.NAME),
                address=address,
                answered=_number(said.get("answered")),
                failed=_number(said.get("failed")),
                busy_s=float(_number(said.get("busy_s"))) if said.get("busy") is True else None,
                queued=_number((info.get("metrics") or {}).get("ready")),
            )
    return Fleet(stations=stations, quarantined=tuple(quarantined), hosts=hosts)


def _quarantined(host: str, said: Mapping[str, Any]) -> list[QuarantinedPhone]:
    phones = said.get("quarantine")
    return [
        QuarantinedPhone(
            host=host,
            serial=text.line(str(serial), text.NAME),
            kind=text.line(str(case.get("profile", "")), text.NAME),
            why=text.line(str(case.get("why", "")), text.NAME),
            since_s=float(_number(case.get("since_s"))),
        )
        for serial, case in (phones.items() if isinstance(phones, Mapping) else ())
        if isinstance(case, Mapping)
    ]


def _number(value: object) -> int:
    known = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1e15
    return int(value) if known else 0  # type: ignore[call-overload]
