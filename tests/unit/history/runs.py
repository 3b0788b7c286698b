"""Make runs for the history."""

from datetime import UTC, datetime, timedelta

from harness.history.entries import FactEntry, RunEntry, SeriesKey

START = datetime(2026, 1, 1, tzinfo=UTC)


def key(index=0, **parts):
    names = {
        "subject": f"net{index}", "variant": "int8_ptq", "profile": "pixel4", "delegate": "nnapi",
        "size": "1280x720", "metric": "median_ms", "evidence": "PHONE", "fingerprint": "coral/29",
    }  # fmt: skip
    return SeriesKey(**(names | parts))


def run(night=0, facts=3, *, host="lab1", name=None, value=10.0, **rest):
    """Return a run of one night, with facts of as many series."""
    return RunEntry(
        id=name or f"{host}-{night}",
        time_utc=(START + timedelta(days=night)).isoformat(),
        commit="c0ffee",
        host=host,
        facts=tuple(
            FactEntry(series=key(index), value=value + index, low=9.5, outcome="PASS", **rest)
            for index in range(facts)
        ),
    )
