from dataclasses import replace

import pytest

from harness.errors import ConfigError
from harness.farm.capacity import Workload, simulate

SMALL = Workload(phones=10, hosts=2, requests=1000, failed_share=0.0)


def test_where_nothing_else_is_slow_the_phones_are_what_a_night_waits_for() -> None:
    night = simulate(SMALL)

    assert night.bottleneck == "the phones"
    assert night.phone_share > 0.97
    assert night.makespan_s == pytest.approx(1000 * 60 / 10, rel=0.1)


def test_twice_the_phones_take_half_the_night() -> None:
    one, two = simulate(SMALL), simulate(replace(SMALL, phones=20))

    assert two.makespan_s == pytest.approx(one.makespan_s / 2, rel=0.05)


@pytest.mark.parametrize(
    ("change", "bottleneck"),
    [
        ({"scheduler_s": 10.0}, "the scheduler"),
        ({"host_s": 100.0, "cores": 1}, "the hosts' processors"),
    ],
)
def test_what_is_slowest_is_named_and_bounds_the_night(
    change: dict[str, float], bottleneck: str
) -> None:
    plan = replace(SMALL, **change)  # type: ignore[arg-type]
    night = simulate(plan)

    assert night.bottleneck == bottleneck
    bound_s = max(plan.scheduler_s * 1000, plan.host_s * 1000 / (plan.hosts * plan.cores))
    assert night.makespan_s >= bound_s


def test_failures_are_work_too_and_one_seed_is_one_night() -> None:
    assert simulate(SMALL, seed=3) == simulate(SMALL, seed=3)
    failing = simulate(replace(SMALL, failed_share=0.5))
    assert failing.makespan_s == pytest.approx(1.5 * simulate(SMALL).makespan_s, rel=0.1)


@pytest.mark.parametrize("change", [{"phones": 0}, {"request_s": 0.0}, {"failed_share": 1.0}])
def test_what_is_no_farm_is_refused(change: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        replace(SMALL, **change)  # type: ignore[arg-type]
