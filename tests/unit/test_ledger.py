"""The ledger keeps estimates honest against phones."""

from dataclasses import replace
from pathlib import Path

import pytest

from harness import ledger
from harness.errors import ConfigError
from harness.evidence import Evidence, Provenance
from harness.keys import Key
from harness.latency import Estimate, Latency, summarize
from harness.ledger import Entry

ABOUT = Key(device="brick", delegate="nnapi", subject="unet", variant="fp32", resolution="256x256")


def provenance(evidence: Evidence, sha256: str = "a") -> Provenance:
    return Provenance(evidence=evidence, device="brick", variant_sha256=sha256)


def estimated(ms: float = 10.0, *, absolute: bool = True) -> Estimate:
    return Estimate(
        estimate_ms=ms, low_ms=ms / 1.25, high_ms=ms * 1.25, basis="test", absolute=absolute,
        provenance=provenance(Evidence.MODEL),
    )  # fmt: skip


def measured(ms: float = 10.0, *, evidence: Evidence = Evidence.PHONE, sha: str = "a") -> Latency:
    return summarize([ms], first_ms=ms, init_ms=1.0, provenance=provenance(evidence, sha))


def entries(*ratios: float) -> list[Entry]:
    """Return one entry per ratio of estimate to measurement."""
    whole = ledger.pair(ABOUT, estimated=estimated(), measured=measured())
    return [replace(whole, measured_ms=10.0 / ratio) for ratio in ratios]


def test_entries_come_back_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "new" / "ledger.jsonl"
    first, second = entries(1.0, 1.2)

    ledger.append(path, first)
    ledger.append(path, second)

    assert ledger.read(path) == (first, second)
    assert ledger.read(tmp_path / "none.jsonl") == ()


def test_a_line_that_names_its_resolution_size_is_still_read(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    (entry,) = entries(1.0)
    ledger.append(path, entry)
    path.write_text(path.read_text().replace('"resolution"', '"size"'))

    assert '"size"' in path.read_text()
    assert ledger.read(path) == (entry,)


def test_an_account_tells_bias_error_and_coverage() -> None:
    (account,) = ledger.accounts(entries(1.0, 1.1, 1.1, 1.2, 2.0))

    assert account.bias == pytest.approx(0.1)
    assert account.median_error == pytest.approx(0.1)
    assert account.coverage == pytest.approx(0.8)
    assert account.warning == ""


def test_a_profile_that_is_too_slow_is_named_with_the_remedy() -> None:
    (account,) = ledger.accounts(entries(1.2, 1.2, 1.2, 1.2, 1.2))

    assert account.warning == (
        "brick:nnapi has drifted: estimates are 20% too slow; "
        "fit it again with `harness calibrate` on this phone"
    )


def test_intervals_that_miss_are_named() -> None:
    (account,) = ledger.accounts(entries(0.6, 1.0, 1.0, 1.7, 1.7))

    assert "only 40% of measurements" in account.warning


def test_few_entries_say_nothing_of_drift() -> None:
    (account,) = ledger.accounts(entries(3.0, 3.0, 3.0, 3.0))

    assert account.warning == ""


@pytest.mark.parametrize(
    ("estimate", "measurement", "message"),
    [
        (estimated(absolute=False), measured(), "relative estimate"),
        (estimated(), measured(evidence=Evidence.FAKE), "not of FAKE"),
        (estimated(), measured(sha="b"), "different files"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    estimate: Estimate, measurement: Latency, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        ledger.pair(ABOUT, estimated=estimate, measured=measurement)


@pytest.mark.parametrize("line", ["{", "{}", "[]", '{"device": "x"}'])
def test_a_damaged_line_is_an_error_with_its_number(tmp_path: Path, line: str) -> None:
    path = tmp_path / "ledger.jsonl"
    ledger.append(path, entries(1.0)[0])
    with path.open("a") as file:
        file.write(line + "\n")

    with pytest.raises(ConfigError, match="line 2"):
        ledger.read(path)
