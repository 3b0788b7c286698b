"""A plan divided among machines, so that all end at about the same time."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Self

from harness import __version__, schema
from harness.cases import Case, Plan
from harness.errors import ConfigError, HarnessError
from harness.evidence import sha256_of
from harness.requests import Request, Verb
from harness.subjects import SUBJECT_FILE

_PATTERN = re.compile(r"([1-9]\d{0,3})/([1-9]\d{0,3})")


@dataclass(frozen=True, kw_only=True)
class Shard:
    """One part of a plan.

    Attributes:
        number: Which, from 1.
        of: How many there are.
    """

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `2/4`.

        Raises:
            ConfigError: it is no such pair, or its number is above its count.
        """
        match = _PATTERN.fullmatch(text.strip())
        if match is None or int(match[1]) > int(match[2]):
            raise ConfigError(f"{text[:40]!r} is no shard; write its number and their count: 2/4")
        return cls(number=int(match[1]), of=int(match[2]))

    def __str__(self) -> str:
        """Return `2/4`."""
        return f"{self.number}/{self.of}"


def whole_of(plan: Plan) -> str:
    """Return a hash of a plan, by which its shards know each other.

    It holds the version, the cases, and all that a case is judged by: files, limits, baselines,
    blessed outputs and profiles.
    """
    lines = {__version__, *(f"{case} {case.variant.sha256}" for case in plan.cases)}
    for profile in {case.target.profile.name: case.target.profile for case in plan.cases}.values():
        lines.add(json.dumps(schema.dump(profile), sort_keys=True))
    for folder in {case.subject.folder for case in plan.cases}:
        for path in (folder / SUBJECT_FILE, *folder.glob("*.json"), *folder.glob("*/*.json")):
            name = path.relative_to(folder.parent).as_posix()
            lines.add(f"{name} {sha256_of(path.read_bytes())}")
    return sha256_of("\n".join(sorted(lines)).encode())


def share(plan: Plan, shard: Shard) -> Plan:
    """Return a shard's cases, in the order of the plan.

    The shards of one plan hold each case once, on whatever machine they are computed. All that is
    asked about a variant on a phone stays together, because its gates share facts.

    Raises:
        ConfigError: there are more shards than cases.
    """
    if shard.of > len(plan.cases) > 0:
        raise ConfigError(
            f"shard {shard}: the plan has {len(plan.cases)} variants on phones, and each shard "
            f"needs one; divide it by {len(plan.cases)} at most"
        )
    parts = divide([(str(case), cost_s(case)) for case in plan.cases], shard.of)
    mine = parts[shard.number - 1]
    return replace(plan, cases=tuple(case for case in plan.cases if str(case) in mine))


def divide(costs_s: Iterable[tuple[str, float]], count: int) -> list[frozenset[str]]:
    """Divide named pieces of work: the longest first, each to who has least.

    No part is longer than 4/3 of what is possible. Source: Graham, Bounds on multiprocessing
    timing anomalies, SIAM Journal on Applied Mathematics 17, 1969.

    Args:
        costs_s: Name and seconds of each piece.
        count: Number of parts.
    """
    loads_s, parts = [0.0] * count, [set[str]() for _ in range(count)]
    for name, seconds in sorted(costs_s, key=lambda piece: (-piece[1], piece[0])):
        least = loads_s.index(min(loads_s))
        loads_s[least] += seconds
        parts[least].add(name)
    return [frozenset(part) for part in parts]


def cost_s(case: Case) -> float:
    """Return about how many seconds a case's facts take, those of its earlier version included."""
    return sum(request.cost_s for request in _requests(case)) + (
        cost_s(case.before) if case.before is not None else 0.0
    )


def _requests(case: Case) -> Iterator[Request]:
    """Yield what the gates ask about a case; what cannot be read is said by its tests."""
    try:
        for sized in case.by_size(blessed=True):
            yield Request.of(sized, Verb.TIME, sized.size)
            yield Request.of(sized, Verb.PLACE, sized.size)
        for framed in case.by_frame():  # running a frame costs what placing its size does
            yield Request.of(framed, Verb.PLACE, framed.size)
    except HarnessError:
        return
