"""Offer the fixtures of a gate: device, variant, golden, size, budget, subject, check."""

from collections.abc import Callable

import pytest

from harness import baselines, gate
from harness.baselines import Baseline
from harness.errors import BlessedDataError, GateError, InconclusiveError
from harness.goldens import Golden
from harness.images import Size
from harness.lab import DeviceUnderTest
from harness.plugin.collection import CASE, Case, Session
from harness.results import Record
from harness.subjects import Budget, Subject, Variant
from harness.verdict import Outcome, Verdict, worst

SESSION = pytest.StashKey[Session]()
RECORDS = pytest.StashKey[list[Record]]()


@pytest.fixture
def device(harness_case: Case, request: pytest.FixtureRequest) -> DeviceUnderTest:
    """Return the device under test: a phone, or what stands in for it."""
    return request.config.stash[SESSION].device(harness_case.target)


@pytest.fixture
def subject(harness_case: Case) -> Subject:
    """Return the model under test."""
    assert harness_case.subject is not None
    return harness_case.subject


@pytest.fixture
def variant(harness_case: Case) -> Variant:
    """Return the exported file under test."""
    assert harness_case.variant is not None
    return harness_case.variant


@pytest.fixture
def size(harness_case: Case) -> Size:
    """Return the resolution under test."""
    assert harness_case.size is not None
    return harness_case.size


@pytest.fixture
def budget(harness_case: Case) -> Budget | None:
    """Return what the variant may cost on the device at the size."""
    return harness_case.budget


@pytest.fixture
def golden(harness_case: Case, request: pytest.FixtureRequest) -> Golden:
    """Return a frame with its blessed FP32 output and its sharp target."""
    assert harness_case.subject is not None
    if harness_case.frame == "no_frame":
        raise BlessedDataError(
            f"{harness_case.subject.frames}: holds no <frame>.blurred.png; "
            f"run `harness bless {harness_case.subject.name}` after adding frames"
        )
    session = request.config.stash[SESSION]
    return session.golden(harness_case.subject, harness_case.frame)


@pytest.fixture
def accepted(harness_case: Case) -> tuple[Baseline, ...]:
    """Return all that a person accepted for this variant on this device at this size."""
    case = harness_case
    assert case.subject is not None
    assert case.variant is not None
    found = baselines.load(case.subject)
    gone = {b.variant for b in found} - {variant.name for variant in case.subject.variants}
    if gone:
        raise BlessedDataError(
            f"{baselines.path_of(case.subject)}: {', '.join(sorted(gone))} was blessed and is no "
            f"variant of subject.toml; put it back, or run `harness bless {case.subject.name}`"
        )
    key = (case.variant.name, case.target.profile.name, case.target.delegate, str(case.size))
    return tuple(b for b in found if b.key[: len(key)] == key)


@pytest.fixture
def baseline(harness_case: Case) -> Callable[[str, str], Baseline | None]:
    """Return a look-up of what a person accepted, by metric and evidence, for this case."""
    assert harness_case.subject is not None
    known = {b.key: b for b in baselines.load(harness_case.subject)}
    case = harness_case

    def find(metric: str, evidence: str) -> Baseline | None:
        assert case.variant is not None
        profile, delegate = case.target.profile.name, case.target.delegate
        key = (case.variant.name, profile, delegate, str(case.size), evidence, metric)
        return known.get(key)

    return find


@pytest.fixture
def check(harness_case: Case, request: pytest.FixtureRequest) -> gate.Check:
    """Return a function that records verdicts and then fails once if any does not pass."""
    item = request.node

    def check(*verdicts: Verdict) -> None:
        for verdict in verdicts:
            item.stash.setdefault(RECORDS, []).append(record_of(item, verdict))
            item.user_properties.append((property_name(verdict), _property(verdict)))
        outcome = worst([verdict.outcome for verdict in verdicts])
        if outcome is Outcome.PASS:
            return
        lines = [str(v) for v in verdicts if v.outcome is not Outcome.PASS]
        lines = lines or ["INCONCLUSIVE: the test gave check() no verdict"]
        if harness_case.withheld:
            lines.append(f"It does not ship to {harness_case.target}: {harness_case.withheld}")
        raise (GateError if outcome is Outcome.FAIL else InconclusiveError)("\n".join(lines))

    return check


def record_of(item: pytest.Item, verdict: Verdict) -> Record:
    """Return a verdict with what its test is about."""
    case: Case = item.callspec.params[CASE]  # type: ignore[attr-defined]
    golden_size = item.funcargs["golden"].size if "golden" in item.funcargs else None  # type: ignore[attr-defined]
    resolution = case.size or golden_size
    return Record(
        test=item.nodeid,
        subject=case.subject.name if case.subject else "",
        variant=case.variant.name if case.variant else "",
        device=case.target.profile.name,
        delegate=case.target.delegate,
        resolution=str(resolution) if resolution else "",
        verdict=verdict,
        frame=case.frame,
    )


def property_name(verdict: Verdict) -> str:
    """Return the name of a verdict's JUnit property."""
    return f"{verdict.gate}.{verdict.metric}"


def _property(verdict: Verdict) -> str:
    """Return a verdict as one JUnit property value."""
    if verdict.observed is None:
        return verdict.outcome.value
    limit = "no limit" if verdict.limit is None else f"{verdict.sense.value} {verdict.limit:.6g}"
    ground = verdict.evidence.value if verdict.evidence else "no evidence"
    return f"{verdict.outcome.value} {verdict.observed:.6g} ({limit}) [{ground}]"
