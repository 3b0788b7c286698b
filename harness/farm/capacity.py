"""What a farm of a size can do in a night, by simulating its queues.

Each phone asks the scheduler for a question, its host prepares it and checks the answer, and the
phone is busy in between. The scheduler is one server, a host has as many as cores; who waits, waits
in order. What is simulated is the way of a question, not the engine.
"""

import heapq
import math
import random
from dataclasses import dataclass

from harness.errors import ConfigError

SCHEDULER_S = 0.002
"""What the scheduler's process computes for one question: submitting, placing, fetching.

Source: `python -m tests.farm_tasks`, docs/farm.md.
"""
HOST_S = 0.1
"""What a host's processes compute for one question: the adb server, hashing, parsing.

Source: 0.03 and 0.09 s in two trials of 100 runs of 8x8 frames on 2 x 2 fake phones, all processes
of both hosts counted; a model of many MiB costs more. docs/farm.md.
"""
_SPREAD = 0.6
"""Standard deviation of the logarithm of a question's time: a timing is ten times a placement."""


@dataclass(frozen=True, kw_only=True)
class Workload:
    """A farm and a night's work.

    Attributes:
        phones: How many phones.
        hosts: How many machines they are attached to, evenly.
        requests: How many questions.
        request_s: Mean time that a phone is busy with one.
        cores: Cores of a host.
        failed_share: Share of questions that are asked once more (0..1).
        scheduler_s: Time of the scheduler for one question.
        host_s: Time of one core of a host for one question.
    """

    phones: int
    hosts: int
    requests: int
    request_s: float = 60.0
    cores: int = 4
    failed_share: float = 0.02
    scheduler_s: float = SCHEDULER_S
    host_s: float = HOST_S

    def __post_init__(self) -> None:
        """Refuse what is no farm.

        Raises:
            ConfigError: a number is not positive, or a share is none.
        """
        counts = (self.phones, self.hosts, self.requests, self.cores)
        if min(counts) < 1 or self.request_s <= 0 or not 0 <= self.failed_share < 1:
            raise ConfigError(
                "a farm has phones, hosts, cores and requests, 1 or more of each, requests that "
                "take some time, and a share of failures below 1"
            )


@dataclass(frozen=True, kw_only=True)
class SimulatedNight:
    """What came of a simulated night.

    Attributes:
        makespan_s: From the first question to the last answer.
        phone_share: Time that phones were busy, of all their time (0..1).
        scheduler_share: Time that the scheduler was busy (0..1).
        host_share: Time that the cores of the busiest host were busy (0..1).
    """

    makespan_s: float
    phone_share: float
    scheduler_share: float
    host_share: float

    @property
    def bottleneck(self) -> str:
        """Return what was busiest, and so breaks first."""
        shares = {
            "the phones": self.phone_share,
            "the scheduler": self.scheduler_share,
            "the hosts' processors": self.host_share,
        }
        return max(shares, key=lambda name: shares[name])


class _Servers:
    """Some equal servers with one queue, served in the order of arrival."""

    def __init__(self, count: int) -> None:
        self._free_s = [0.0] * count
        self.busy_s = 0.0

    def serve(self, now_s: float, for_s: float) -> float:
        """Return when work that arrives now is done."""
        start_s = max(now_s, heapq.heappop(self._free_s))
        heapq.heappush(self._free_s, start_s + for_s)
        self.busy_s += for_s
        return start_s + for_s


def simulate(plan: Workload, *, seed: int = 0) -> SimulatedNight:
    """Simulate a night.

    Args:
        plan: The farm and its work.
        seed: Of the questions' times; the same one gives the same night.
    """
    chance = random.Random(seed)
    mean = math.log(plan.request_s) - _SPREAD**2 / 2
    questions = plan.requests + round(plan.requests * plan.failed_share)
    times_s = sorted((chance.lognormvariate(mean, _SPREAD) for _ in range(questions)), reverse=True)
    scheduler = _Servers(1)
    hosts = [_Servers(plan.cores) for _ in range(min(plan.hosts, plan.phones))]
    # Events in the order of time: a phone that is free, or an answer that its host has to check.
    events = [(0.0, phone, False) for phone in range(plan.phones)]
    end_s = 0.0
    queue = iter(times_s)
    while events:
        now_s, phone, answered = heapq.heappop(events)
        host = hosts[phone % len(hosts)]
        if answered:
            checked_s = host.serve(now_s, plan.host_s / 2)
            end_s = max(end_s, checked_s)
            heapq.heappush(events, (checked_s, phone, False))
            continue
        question_s = next(queue, None)
        if question_s is None:
            continue
        sent_s = scheduler.serve(now_s, plan.scheduler_s)
        ready_s = host.serve(sent_s, plan.host_s / 2)
        heapq.heappush(events, (ready_s + question_s, phone, True))
    return SimulatedNight(
        makespan_s=end_s,
        phone_share=sum(times_s) / (plan.phones * end_s),
        scheduler_share=scheduler.busy_s / end_s,
        host_share=max(host.busy_s for host in hosts) / (plan.cores * end_s),
    )
