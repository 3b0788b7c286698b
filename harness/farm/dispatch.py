"""Which question goes out next, to whom, and what an answer, an error or silence means.

Knows no engine and no clock: it is told who is there, what came back and what time it is.

* The longest goes first; a run for a pull request goes before a nightly one, which has a share of
  the front places, so that it never starves.
* What one phone failed goes to another of its profile. Where that one answers, the phone is the
  finding; where none does, the model is.
* A model that ends the process that answers on two stations is asked no more.
* A worker that is lost takes nothing with it: what it had goes out again, so many times.
* An answer counts once, and only if nobody has taken its phone in between.
"""

import secrets
from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from harness.devices.connect import Origin
from harness.errors import ConfigError, DeviceError, HarnessError, MeasurementError
from harness.farm import wire
from harness.farm.fleet import EMULATED, Fleet
from harness.farm.wire import FarmReply
from harness.requests import Fact, Request
from harness.text import counted

NIGHTLY, PULL_REQUEST = 0, 10
"""Priorities; the engine takes the higher first, and of equals the older."""
_FAIR_EVERY = 5
"""Of a nightly run's questions each so many goes out with a pull request's priority."""
_SEARCH_S = 1.0
"""All that waits is searched so often for what is to be given up."""
_WINDOW = 2
"""Questions that are out for each station: one is worked on, one waits at the station."""


@dataclass(frozen=True, kw_only=True)
class Policy:
    """How a run uses a farm.

    Attributes:
        nightly: Whether it gives way to others.
        budget_s: Time after which nothing more is sent out; None for no end.
        stations: Most stations that one question is asked of.
        losses: Most workers that may be lost at one question.
        returns: How often a question may come back that nobody has taken.
        pause_s: Time after a loss in which the question stays here; it grows with their number.
        crashes: Stations whose process a model may end before it is asked no more.
        patience_s: Longest that a run waits for a phone of a profile that had one, or for the
            scheduler.
    """

    nightly: bool = False
    budget_s: float | None = None
    stations: int = 3
    losses: int = 4
    returns: int = 50
    pause_s: float = 1.0
    crashes: int = 2
    patience_s: float = 300.0


@dataclass(frozen=True, kw_only=True)
class Sending:
    """A question on its way.

    Attributes:
        nonce: Its name.
        request: What is asked.
        kind: Resource that who answers must have.
        only: Names of the stations that may be asked; none for any of the kind.
        priority: Higher goes first.
    """

    nonce: str
    request: Request
    kind: str
    only: tuple[str, ...]
    priority: int


@dataclass(kw_only=True)
class _Work:
    request: Request
    cost_s: float
    origin: Origin
    kind: str
    failures: dict[str, HarnessError] = field(default_factory=dict)
    losses: int = 0
    returns: int = 0
    failed_s: float = float("-inf")
    not_before_s: float = float("-inf")


class Dispatcher:
    """The questions of one run, each of which ends with one fact."""

    def __init__(
        self, requests: Sequence[Request], fleet: Fleet, *, origin: Origin, policy: Policy,
        now_s: float,
    ) -> None:  # fmt: skip
        """Take in requests; what nobody there can answer is an error at once.

        Args:
            requests: Each once, by its key.
            fleet: Who is there.
            origin: Where facts may come from; AUTO asks phones of profiles that have some there.
            policy: How the farm is used.
            now_s: Present time.
        """
        self._policy = policy
        self._start_s = self._now_s = now_s
        self._done: deque[Fact] = deque()
        self._waiting: list[_Work] = []
        self._out: dict[str, _Work] = {}
        self._searched_s = float("-inf")
        self._seen_s: dict[str, float] = {}
        self._met_s: defaultdict[str, dict[str, float]] = defaultdict(dict)
        self._fences: dict[str, int] = {}
        self._crashes: defaultdict[tuple[str, str], dict[str, str]] = defaultdict(dict)
        self._bad_phones: Counter[str] = Counter()
        self._examples: dict[str, str] = {}
        self._sent = 0
        self.left = len(requests)
        """Facts that are still to come."""
        self.spent_s: defaultdict[str, float] = defaultdict(float)
        """Seconds that each station has said it was at requests."""
        for request in requests:
            self._plan(request, fleet, origin, now_s)
        self._waiting.sort(key=lambda work: -work.cost_s)

    def _plan(self, request: Request, fleet: Fleet, origin: Origin, now_s: float) -> None:
        profile = request.target.profile.name
        here = bool(fleet.of(profile) or fleet.left_alone(profile))
        phone = origin is Origin.PHONE or (origin is Origin.AUTO and here)
        kind = profile if phone else EMULATED
        work = _Work(
            request=request,
            cost_s=request.cost_s,
            origin=Origin.PHONE if phone else Origin.EMULATED,
            kind=kind,
        )
        if fleet.of(kind) or fleet.left_alone(kind):
            self._seen_s[kind] = now_s
            self._waiting.append(work)
        else:
            error = ConfigError if fleet.others(kind) else DeviceError
            self._settle(work, error=error(f"{request}: {fleet.why_none(kind)}"))

    def skip(self, seconds: float) -> None:
        """Leave some time out of all patience: the scheduler was away, and nobody to be seen."""
        for seen_s in (self._seen_s, *self._met_s.values()):
            for name in seen_s:
                seen_s[name] += seconds
        for work in (*self._waiting, *self._out.values()):
            work.failed_s += seconds

    def sends(self, fleet: Fleet, *, now_s: float) -> list[Sending]:
        """Return what is to go out now, and give up what has waited too long.

        Args:
            fleet: Who is there.
            now_s: Present time.
        """
        self._now_s = now_s
        if self._policy.budget_s is not None and now_s - self._start_s > self._policy.budget_s:
            self._stop()
            return []
        for kind in self._seen_s:
            for station in fleet.of(kind):
                self._seen_s[kind] = self._met_s[kind][station.name] = now_s
        free = {
            kind: _WINDOW * len(fleet.of(kind)) - out
            for kind, out in self._counts(set(self._seen_s)).items()
        }
        look_at_all = now_s - self._searched_s >= _SEARCH_S
        if look_at_all:
            self._searched_s = now_s
        found: list[Sending] = []
        kept: list[_Work] = []
        for index, work in enumerate(self._waiting):
            if not look_at_all and max(free.values()) <= 0:
                kept += self._waiting[index:]  # thousands wait: each is looked at now and then
                break
            if self._is_given_up(work, fleet, now_s):
                continue
            if free[work.kind] <= 0 or now_s < work.not_before_s:
                kept.append(work)
                continue
            only = self._only(work, fleet)
            if work.failures and not only:
                if self._may_come(work, fleet, now_s):
                    kept.append(work)
                else:
                    self._fail(work)
                continue
            free[work.kind] -= 1
            found.append(self._send(work, only))
        self._waiting = kept
        return found

    def _counts(self, kinds: set[str]) -> dict[str, int]:
        out = Counter(work.kind for work in self._out.values())
        return {kind: out[kind] for kind in kinds}

    def _is_given_up(self, work: _Work, fleet: Fleet, now_s: float) -> bool:
        poison = self._poison(work)
        if poison:
            self._settle(work, error=DeviceError(f"{work.request}: {poison}"))
            return True
        waited_s = now_s - self._seen_s[work.kind]
        if not fleet.of(work.kind) and waited_s > self._policy.patience_s:
            why = f"{fleet.why_none(work.kind)} (waited {waited_s:.0f} s)"
            self._settle(work, error=DeviceError(f"{work.request}: {why}"))
            return True
        return False

    def _poison(self, work: _Work) -> str:
        ended = self._crashes.get((work.kind, work.request.model.sha256), {})
        if len(ended) < self._policy.crashes:
            return ""
        which = ", ".join(ended)
        return (
            f"{work.request.model.name} has ended the process that answers on {which} "
            f"({next(iter(ended.values()))}); it is asked no more"
        )

    def _only(self, work: _Work, fleet: Fleet) -> tuple[str, ...]:
        """Return who may be asked, () for all of the kind or nobody."""
        if not work.failures:
            return ()
        return tuple(one.name for one in fleet.of(work.kind) if one.name not in work.failures)

    def _may_come(self, work: _Work, fleet: Fleet, now_s: float) -> bool:
        """Return whether a phone that has not been asked is only away for now."""
        since_s = now_s - self._policy.patience_s
        if work.failed_s < since_s:
            return False
        alone = {f"{one.host}/{one.serial}" for one in fleet.left_alone(work.kind)}
        seen = {name for name, at_s in self._met_s[work.kind].items() if at_s >= since_s}
        return bool((seen | alone) - set(work.failures))

    def _send(self, work: _Work, only: tuple[str, ...]) -> Sending:
        nonce = secrets.token_hex(12)
        self._out[nonce] = work
        self._sent += 1
        fair = self._sent % _FAIR_EVERY == 0
        return Sending(
            nonce=nonce,
            request=work.request,
            kind=work.kind,
            only=only,
            priority=NIGHTLY if self._policy.nightly and not fair else PULL_REQUEST,
        )

    def origin_of(self, nonce: str) -> Origin:
        """Return whether a question that is out is for a phone."""
        return self._out[nonce].origin

    def take(self, nonce: str, said: object) -> FarmReply | None:
        """Take in what came back of a question.

        Returns:
            The reply where it only says what the host lacks: it is to be sent there, and the
            question waits until `again`. None where it was an answer, or is no reply at all.
        """
        work = self._out[nonce]
        try:
            reply, pixels = wire.read_reply(said, nonce=nonce)
            if reply.lacks:
                known = set(wire.contents(work.request))
                if not set(reply.lacks) <= known:
                    raise ConfigError("reply: lacks what was not asked about")
                return reply
            fact = wire.read_fact(reply, pixels, work.request, work.origin)
            # An error has no fence: it is no measurement that another could have disturbed.
            if fact.error is None and reply.fence < self._fences.get(reply.station, 0):
                raise ConfigError("reply: its phone was taken by another in between")
        except ConfigError as error:
            self.lost(nonce, str(error))
            return None
        self.spent_s[reply.station] += max(0.0, reply.seconds)
        self._fences[reply.station] = max(reply.fence, self._fences.get(reply.station, 0))
        del self._out[nonce]
        self._judge(work, reply, fact)
        return None

    def _judge(self, work: _Work, reply: FarmReply, fact: Fact) -> None:
        if fact.error is None or not reply.failure:
            self._settle(work, fact=fact)
            return
        if reply.failure == "unfit":  # found before anything was run: it says nothing of a model
            self._put_back(work, str(fact.error))
            return
        work.failures[reply.station] = fact.error
        work.failed_s = self._now_s
        if reply.failure in ("crash", "hang"):
            key = (work.kind, work.request.model.sha256)
            self._crashes[key][reply.station] = str(fact.error)
        if len(work.failures) >= self._policy.stations:
            self._fail(work)
        else:
            self._waiting.insert(0, work)

    def again(self, nonce: str, why: str = "") -> None:
        """Put a question back that nobody has taken.

        Args:
            nonce: Its name.
            why: What was in the way, so that it waits a moment; '' where nothing was.
        """
        self._put_back(self._out.pop(nonce), why)

    def _put_back(self, work: _Work, why: str) -> None:
        work.returns += 1
        if work.returns >= self._policy.returns:
            error = f"{work.request}: was sent out {work.returns} times for nothing, the last: "
            self._settle(work, error=DeviceError(error + (why or "its host lacked a file")))
            return
        if why:
            work.not_before_s = self._now_s + self._policy.pause_s
        self._waiting.insert(0, work)

    def lost(self, nonce: str, why: str) -> None:
        """Take note that a question got no answer: its worker is lost, or what it said is none."""
        work = self._out.pop(nonce)
        work.losses += 1
        if work.losses >= self._policy.losses:
            where = counted(work.losses, "worker")
            self._settle(work, error=DeviceError(f"{work.request}: lost {where} at it: {why}"))
        else:
            work.not_before_s = self._now_s + self._policy.pause_s * work.losses
            self._waiting.insert(0, work)

    def give_up(self, why: str) -> None:
        """End everything that has no answer yet, with one reason."""
        for work in (*self._waiting, *self._out.values()):
            self._settle(work, error=DeviceError(f"{work.request}: {why}"))
        self._waiting.clear()
        self._out.clear()

    def _stop(self) -> None:
        assert self._policy.budget_s is not None
        spent = f"the run's {self._policy.budget_s / 3600:.3g} h on the farm are spent"
        for work in self._waiting:
            error = MeasurementError(f"{work.request}: left out, {spent}")
            self._settle(work, error=error)
        self._waiting.clear()

    def _fail(self, work: _Work) -> None:
        """Settle what every phone that was asked has failed."""
        error = list(work.failures.values())[-1]
        if len(work.failures) > 1:
            who = f"{len(work.failures)} stations failed it ({', '.join(work.failures)})"
            error = type(error)(f"{who}, the last: {error}")
        self._settle(work, error=error)

    def _settle(
        self, work: _Work, *, fact: Fact | None = None, error: HarnessError | None = None
    ) -> None:
        self.left -= 1
        self._done.append(fact or Fact(request=work.request, error=error))
        if fact is not None and fact.error is None:
            asked = len(work.failures) + 1
            for station, why in work.failures.items():
                self._bad_phones[station] += 1
                said = f"{work.request} failed on {len(work.failures)} of {asked} stations: {why}"
                self._examples.setdefault(station, said)

    def facts(self) -> Iterator[Fact]:
        """Yield the facts that have come since the last time."""
        while self._done:
            yield self._done.popleft()

    def findings(self) -> list[str]:
        """Return what was found about phones: what one failed that another has answered."""
        return [
            f"{station}: failed {counted(number, 'request')} that another {self._kind_of(station)}"
            f"answered; the first: {self._examples[station]}"
            for station, number in self._bad_phones.most_common()
        ]

    @staticmethod
    def _kind_of(station: str) -> str:
        return "station " if f"/{EMULATED}" in station else "phone "
