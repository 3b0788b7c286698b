"""Simulate how a phone is judged: A B B A comparisons, and timings against a limit.

The noise is that of the decision-rule study: a run is 50 inferences with 4 % spread and 5 %
outliers of 1.5x; between runs 3 % (phone), or a slow drift AR(1) 0.9 with 5 % (drift).
"""

import math
from collections.abc import Iterator

import numpy as np
import pytest

from harness import sequential
from harness.devices.benchmark import timing
from harness.sequential import Comparison, Decision, StoppingRule

TRIALS = 4000
INFERENCES = 50


def run_levels(noise: str, random: np.random.Generator) -> Iterator[float]:
    """Yield the level of each run relative to the phone's usual one."""
    drift = random.normal(0, 0.05)
    while True:
        if noise == "phone":
            yield math.exp(random.normal(0, 0.03))
        else:
            drift = 0.9 * drift + random.normal(0, 0.05 * math.sqrt(1 - 0.81))
            yield math.exp(drift)


def simulate(effect: float, noise: str, random: np.random.Generator) -> Comparison:
    """Return how the rule ends for a candidate that is slower by `effect`."""
    plan, order, levels = StoppingRule(), sequential.order(), run_levels(noise, random)
    times: dict[str, list[float]] = {"baseline": [], "candidate": []}
    while True:
        for name in (next(order), next(order)):
            inferences = 1 + random.normal(0, 0.04, INFERENCES)
            inferences[random.random(INFERENCES) < 0.05] *= 1.5
            factor = 1 + effect if name == "candidate" else 1.0
            times[name].append(float(np.median(inferences)) * next(levels) * factor)
        found = sequential.compare(times["baseline"], times["candidate"], plan)
        if found and (found.ruling is not Decision.UNDECIDED or found.pairs == plan.looks[-1]):
            return found


@pytest.mark.parametrize("noise", ["phone", "drift"])
def test_false_alarms_stay_within_half_a_percent_and_five_percent_is_found_and_not_hidden(
    noise: str, benchmark: pytest.FixtureRequest
):
    random = np.random.default_rng(20261124)

    def trial() -> tuple[list[Comparison], list[Comparison]]:
        return (
            [simulate(0.0, noise, random) for _ in range(TRIALS)],
            [simulate(0.05, noise, random) for _ in range(TRIALS)],
        )

    same, slower = benchmark.pedantic(trial, rounds=1)  # type: ignore[attr-defined]

    alarms = sum(c.ruling is Decision.SLOWER for c in same) / TRIALS
    found = sum(c.ruling is Decision.SLOWER for c in slower) / TRIALS
    hidden = sum(c.ruling is Decision.ALIKE for c in slower) / TRIALS
    undecided = sum(c.ruling is Decision.UNDECIDED for c in same) / TRIALS
    runs_a_side = float(np.mean([c.pairs for c in same + slower]))
    benchmark.extra_info.update(  # type: ignore[attr-defined]
        false_alarm_share=alarms, detection_of_5_percent=found, runs_a_side=runs_a_side,
        hidden_5_percent=hidden, undecided_share=undecided,
        runs_a_side_when_slower=float(np.mean([c.pairs for c in slower])),
    )  # fmt: skip
    assert alarms <= 0.005
    assert found >= 0.95
    # In 20,000 trials it was 1.02 %; two standard errors are the own spread of so many as here.
    assert hidden <= 0.01 + 2 * math.sqrt(0.01 * 0.99 / TRIALS)
    assert undecided <= 0.01
    assert runs_a_side <= 17


@pytest.mark.parametrize("level", [0.8, 0.95, 1.0, 1.001, 1.05, 1.2])
def test_a_limit_is_ruled_wrongly_in_at_most_one_percent(
    level: float, benchmark: pytest.FixtureRequest
):
    """Time a model whose true median is `level` of its limit, with 3 % between runs."""
    random = np.random.default_rng(20261124)
    effort = timing.Effort()

    def trial() -> list[tuple[timing.MedianInterval, int]]:
        found: list[tuple[timing.MedianInterval, int]] = []
        for _ in range(TRIALS):
            medians: list[float] = []
            interval = None
            while interval is None:
                medians.append(level * math.exp(random.normal(0, 0.03)))
                interval = timing.judge(medians, limits_ms=[1.0], effort=effort)
            found.append((interval, len(medians)))
        return found

    found = benchmark.pedantic(trial, rounds=1)  # type: ignore[attr-defined]

    passed = sum(i.decided and i.high_ms <= 1.0 for i, _ in found) / TRIALS
    failed = sum(i.decided and i.low_ms > 1.0 for i, _ in found) / TRIALS
    benchmark.extra_info.update(  # type: ignore[attr-defined]
        wrong_share=failed if level <= 1.0 else passed,
        undecided_share=1 - passed - failed,
        runs=float(np.mean([runs for _, runs in found])),
    )
    assert (failed if level <= 1.0 else passed) <= 0.01
