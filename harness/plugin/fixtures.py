"""Offer the fixtures of a gate: device, variant, golden, size, budget, subject, check."""

from collections.abc import Callable

import pytest

from harness import gate, judging, measures
from harness.accepted_outputs import AcceptedOutput
from harness.baselines import Baseline
from harness.budgets import Budget, Tiling
from harness.cases import Case, FrameCase, SizedCase
from harness.earlier import Earlier
from harness.errors import GateError, InconclusiveError
from harness.goldens import Golden
from harness.images import Size
from harness.keys import Key
from harness.lab import DeviceUnderTest
from harness.measures import Measure, Measured
from harness.plugin.collection import Session, case_of
from harness.profiles import Target
from harness.results import Record
from harness.subjects import Subject, Variant
from harness.verdict import Outcome, Verdict, worst

SESSION = pytest.StashKey[Session]()
RECORDS = pytest.StashKey[list[Record]]()


@pytest.fixture
def device(harness_case: Case | Target, request: pytest.FixtureRequest) -> DeviceUnderTest:
    """Return the device under test: a phone, or what stands in for it."""
    return request.config.stash[SESSION].device(harness_case)


@pytest.fixture
def subject(harness_case: Case) -> Subject:
    """Return the model under test."""
    return harness_case.subject


@pytest.fixture
def variant(harness_case: Case) -> Variant:
    """Return the exported file under test."""
    return harness_case.variant


@pytest.fixture
def before(harness_case: Case) -> Variant:
    """Return the exported file as it was before the change, where `--against` names that."""
    return judging.before(harness_case)


@pytest.fixture
def subject_before(harness_case: Case) -> Subject:
    """Return the model as it was before the change, likewise."""
    return judging.subject_before(harness_case)


@pytest.fixture
def earlier(harness_case: Case) -> Earlier:
    """Return what an earlier run found, where `--against` names that."""
    return judging.earlier(harness_case)


@pytest.fixture
def size(harness_case: SizedCase) -> Size:
    """Return the resolution under test."""
    return harness_case.size


@pytest.fixture
def budget(harness_case: SizedCase) -> Budget:
    """Return what the variant may cost on the device at the size."""
    return harness_case.budget


@pytest.fixture
def golden(harness_case: FrameCase, request: pytest.FixtureRequest) -> Golden:
    """Return a frame with its blessed FP32 output and its sharp target."""
    return request.config.stash[SESSION].goldens.of(harness_case)


@pytest.fixture
def clip(golden: Golden) -> Golden:
    """Return the frame, of a subject that hands on a state, with the frames that come after it."""
    return golden


@pytest.fixture
def further(harness_case: FrameCase, request: pytest.FixtureRequest) -> tuple[Measure, ...]:
    """Return the measures that the variant's limits ask for beyond those of every variant."""
    return judging.further(harness_case, own_measures(request.config))


@pytest.fixture
def accepted_outputs(harness_case: FrameCase) -> tuple[AcceptedOutput, ...]:
    """Return what a person lets the variant make of the frame on this device."""
    return judging.accepted_outputs(harness_case)


@pytest.fixture
def tiling(harness_case: FrameCase) -> Tiling | None:
    """Return how photographs are cut into tiles."""
    return harness_case.subject.tiles


@pytest.fixture
def accepted(harness_case: SizedCase) -> tuple[Baseline, ...]:
    """Return all that a person accepted for this variant on this device at this size."""
    return judging.accepted(harness_case)


@pytest.fixture
def baseline(harness_case: SizedCase) -> Callable[[str, str], Baseline | None]:
    """Return a look-up of what a person accepted, by metric and evidence, for this case."""
    return judging.baseline(harness_case)


@pytest.fixture
def check(harness_case: Case | Target, request: pytest.FixtureRequest) -> gate.Check:
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
        if isinstance(harness_case, Case) and harness_case.withheld:
            lines.append(f"It does not ship to {harness_case.target}: {harness_case.withheld}")
        raise (GateError if outcome is Outcome.FAIL else InconclusiveError)("\n".join(lines))

    return check


def own_measures(config: pytest.Config) -> dict[str, Measured]:
    """Return the team's own measures: of installed packages, then those of its conftests."""
    own = dict(measures.installed())
    for named in config.hook.pytest_harness_measures():
        own.update(named)
    return own


def record_of(item: pytest.Item, verdict: Verdict) -> Record:
    """Return a verdict with what its test is about."""
    case = case_of(item)
    if isinstance(case, Case):
        about = case.key
    else:
        assert case is not None
        about = Key(device=case.profile.name, delegate=case.delegate)
    return Record(**vars(about), test=item.nodeid, verdict=verdict)


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
