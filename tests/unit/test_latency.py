"""Tests of summaries of timed inferences."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import latency
from harness.errors import MeasurementError
from harness.evidence import Evidence, Provenance

MADE = Provenance(evidence=Evidence.PHONE, device="d", variant_sha256="")
_SAMPLES = st.lists(st.floats(1e-3, 1e4), min_size=1, max_size=50)


def summarize(samples: list[float]) -> latency.Latency:
    return latency.summarize(samples, first_ms=9.0, init_ms=8.0, provenance=MADE)


def test_a_summary_of_known_samples() -> None:
    found = summarize([4.0, 1.0, 3.0, 2.0])

    assert found.median_ms == 2.5
    assert found.mean_ms == 2.5
    assert found.min_ms == 1.0
    assert found.p95_ms == pytest.approx(3.85)
    assert found.stddev_ms == pytest.approx(1.25**0.5)
    assert (found.runs, found.first_ms, found.init_ms) == (4, 9.0, 8.0)


@given(samples=_SAMPLES)
def test_the_median_and_percentile_are_those_of_numpy(samples: list[float]) -> None:
    found = summarize(samples)

    assert found.median_ms == pytest.approx(float(np.median(samples)))
    assert found.p95_ms == pytest.approx(float(np.percentile(samples, 95)))


@given(samples=_SAMPLES)
def test_figures_stand_in_their_order(samples: list[float]) -> None:
    found = summarize(samples)

    assert found.min_ms <= found.median_ms <= found.p95_ms <= max(samples)


@pytest.mark.parametrize(
    "samples", [[], [0.0], [-1.0, 2.0], [1.0, float("nan")], [1.0, float("inf")]]
)
def test_samples_that_no_clock_gives_are_void(samples: list[float]) -> None:
    with pytest.raises(MeasurementError):
        summarize(samples)
