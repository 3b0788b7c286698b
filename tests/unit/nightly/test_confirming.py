"""Choose what is measured again in the same night, and keep both measurements."""

import pytest

from harness.history.entries import FactEntry, RunEntry, SeriesKey
from harness.nightly import confirming


def key(index: int = 0, *, metric: str = "latency_ms", evidence: str = "PHONE") -> SeriesKey:
    return SeriesKey(
        subject=f"net{index}", variant="int8", profile="pixel4", delegate="nnapi", metric=metric,
        evidence=evidence, fingerprint="one" if evidence == "PHONE" else "",
    )  # fmt: skip


def run(night: int, *facts: tuple[SeriesKey, float]) -> RunEntry:
    return RunEntry(
        id=f"run{night}", time_utc=f"2026-01-{night + 1:02d}T00:00:00+00:00",
        facts=tuple(FactEntry(series=series, value=value) for series, value in facts),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("tonight", "is_off"), [(10.7, False), (10.9, True), (9.3, False), (9.1, True)]
)
def test_a_phones_number_more_than_8_percent_off_the_median_of_five_nights_is_off(
    tonight: float, is_off: bool
) -> None:
    nights = [run(n, (key(), value)) for n, value in enumerate([50, 10, 10, 10.1, 9.9, 10])]

    found = confirming.off_level(run(9, (key(), tonight)), nights)

    assert found == ({key()} if is_off else set())


@pytest.mark.parametrize(
    "series", [key(evidence="MODEL"), key(metric="cpu_ops"), key(evidence="HOST")]
)
def test_what_repeats_and_counts_of_ops_are_not_measured_again(series: SeriesKey) -> None:
    nights = [run(n, (series, 10.0)) for n in range(3)]

    assert confirming.off_level(run(9, (series, 20.0)), nights) == frozenset()


def test_a_new_series_has_no_level_and_a_night_is_no_level_of_its_own() -> None:
    tonight = run(9, (key(), 20.0))

    assert confirming.off_level(tonight, [run(0), tonight]) == frozenset()


def test_both_measurements_are_kept_as_attempts_and_of_the_others_one() -> None:
    first = run(0, (key(0), 20.0), (key(1), 5.0))
    second = run(1, (key(0), 21.0), (key(1), 6.0))

    both = confirming.confirmed(first, second, {key(0)})

    assert both.id == "run0"
    assert [(f.series, f.attempt, f.value) for f in both.facts] == [
        (key(0), 0, 20.0), (key(1), 0, 5.0), (key(0), 1, 21.0),
    ]  # fmt: skip
