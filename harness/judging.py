"""Cases judged by the shipped gates, and what their tests are given; knows no pytest.

A shipped gate is a function of what it asks for by name: device, variant, size, budget and so on.
pytest gives it that as fixtures, `judge` gives it that from the case; both take it from here.
"""

import functools
import importlib
import inspect
import pkgutil
import unittest
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType

from harness import accepted_outputs as other_outputs
from harness import baselines, gate, gates, goldens, measures
from harness.accepted_outputs import AcceptedOutput
from harness.baselines import Baseline
from harness.cases import Case, FrameCase, SizedCase
from harness.earlier import Earlier
from harness.errors import BlessedDataError, HarnessError, MeasurementError, StackMissing
from harness.goldens import Golden
from harness.keys import Key
from harness.lab import DeviceUnderTest, Facts
from harness.measures import Measure, Measured
from harness.metrics import Metric
from harness.requests import Request
from harness.results import Record
from harness.roles import Role
from harness.subjects import Subject, Variant
from harness.verdict import Lack, Verdict

NO_EVIDENCE = (MeasurementError, StackMissing)
"""Errors after which there is nothing to rule by: a void measurement, a stack not installed."""
ASKED_SELDOM = frozenset({"further", "clip", "tiling", "before", "earlier"})
"""What a gate's test asks for that few cases have: further measures, clips, tiles, a change."""


@dataclass(frozen=True, kw_only=True)
class Goldens:
    """The goldens of one run, each read once."""

    _known: dict[tuple[Path, str], Golden] = field(default_factory=dict)

    def of(self, case: FrameCase) -> Golden:
        """Return a case's frame with its blessed FP32 output and its sharp target.

        Raises:
            BlessedDataError: there is no frame, or what was blessed of it is missing or stale.
        """
        subject = case.subject
        if not case.frame:
            raise BlessedDataError(
                f"{subject.frames}: holds no <frame>.blurred.png; "
                f"run `harness bless {subject.name}` after adding frames"
            )
        key = (subject.folder, case.frame)
        if key not in self._known:
            self._known[key] = goldens.load(subject, case.frame)
        return self._known[key]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One test of a shipped gate on one case.

    Attributes:
        module: The gate.
        test: Its test.
        case: What is ruled on.
    """

    module: ModuleType
    test: Callable[..., None]
    case: Case

    @property
    def id(self) -> str:
        """Return the test's node id, as pytest has it."""
        return f"{self.module.__name__.split('.')[-1]}.py::{self.test.__name__}[{self.case}]"


def trials(cases: Sequence[Case]) -> list[Trial]:
    """Return the tests of the shipped gates on some cases, gate by gate.

    Raises:
        ConfigError: a subject has neither frames nor budgets.
    """
    return [
        Trial(module=module, test=test, case=one)
        for module in _modules()
        for name, test in vars(module).items()
        if name.startswith("test_")
        for case in cases
        for one in expanded(case, set(inspect.signature(test).parameters), keys=asked_by(module))
    ]


def judge(
    planned: Sequence[Trial], facts: Facts, *, own: Mapping[str, Measured] | None = None
) -> Iterator[Record]:
    """Yield the rulings of some tests, each once all that it asks for is known.

    What keeps a test from ruling is an INCONCLUSIVE ruling that says so.

    Args:
        planned: The tests.
        facts: Of devices.
        own: The team's own measures by name; those of installed packages count too.
    """
    own = {**measures.installed(), **(own or {})}
    # What is missing is said by the test that wants it.
    facts.expect([r for trial in planned for r in requests(trial.module, trial.case)])
    read = Goldens()
    try:
        for trial in planned:
            for verdict in _verdicts(trial, facts, read, own):
                yield Record(**vars(trial.case.key), test=trial.id, verdict=verdict)
    finally:
        facts.close()  # of a caller that stops half way, too


def _verdicts(
    trial: Trial, facts: Facts, read: Goldens, own: Mapping[str, Measured]
) -> list[Verdict]:
    case = trial.case
    found: list[Verdict] = []

    def check(*verdicts: Verdict) -> None:
        found.extend(verdicts)

    offered: dict[str, Callable[[], object]] = {
        "device": lambda: DeviceUnderTest(case.target, facts, subject=case.subject.name),
        "subject": lambda: case.subject,
        "variant": lambda: case.variant,
        "check": lambda: check,
        "before": lambda: before(case),
        "subject_before": lambda: subject_before(case),
        "earlier": lambda: earlier(case),
        "further": lambda: further(case, own),
    }
    if isinstance(case, SizedCase):
        offered |= {
            "size": lambda: case.size,
            "budget": lambda: case.budget,
            "accepted": lambda: accepted(case),
            "baseline": lambda: baseline(case),
        }
    if isinstance(case, FrameCase):
        offered["golden"] = offered["clip"] = lambda: read.of(case)
        offered["accepted_outputs"] = lambda: accepted_outputs(case)
        offered["tiling"] = lambda: case.subject.tiles
    try:
        trial.test(**{name: offered[name]() for name in inspect.signature(trial.test).parameters})
    except unittest.SkipTest:
        pass  # not asked of this subject
    except HarnessError as error:
        found.append(unruled(trial.module.GATE, error))
    return found


@functools.cache
def _modules() -> tuple[ModuleType, ...]:
    """Return the shipped gates in the order in which pytest runs them."""
    names = sorted(one.name for one in pkgutil.iter_modules(gates.__path__))
    return tuple(importlib.import_module(f"{gates.__name__}.{name}") for name in names)


def asked_by(module: ModuleType | None) -> Collection[str]:
    """Return the keys of a budget of which a module's tests need one; none if they need none."""
    return getattr(module, "ASKED_BY", ())


def expanded(case: Case, names: Collection[str], *, keys: Collection[str] = ()) -> Sequence[Case]:
    """Return a case by frame or by size, as what a test asks for by name wants it.

    Args:
        case: A variant on a target.
        names: What the test asks for.
        keys: Keys of a budget of which a case needs one, or none.
    """
    found: Sequence[Case] = [case]
    if "before" in names and (
        case.before is None or case.before.variant.sha256 == case.variant.sha256
    ):
        return ()
    if "earlier" in names and case.earlier is None:
        return ()
    if "further" in names and not measures.asks(case.variant.limits):
        return ()
    if "clip" in names and not any(one.role is Role.STATE for one in case.subject.inputs):
        return ()
    if "tiling" in names and case.subject.tiles is None:
        return ()
    if "golden" in names or "clip" in names:
        found = case.by_frame()
    elif "size" in names or "budget" in names:
        found = case.by_size(blessed="accepted" in names)
    if not keys:
        return found
    return [one for one in found if isinstance(one, SizedCase) and one.budget.sets(keys)]


def before(case: Case) -> Variant:
    """Return the variant of a case as it was before a change; `expanded` gives no others."""
    assert case.before is not None
    return case.before.variant


def subject_before(case: Case) -> Subject:
    """Return the subject of a case as it was before a change; `expanded` gives no others."""
    assert case.before is not None
    return case.before.subject


def earlier(case: Case) -> Earlier:
    """Return what an earlier run found of a case; `expanded` gives no others."""
    assert case.earlier is not None
    return case.earlier


def further(case: Case, own: Mapping[str, Measured]) -> tuple[Measure, ...]:
    """Return the measures that a variant's limits ask for beyond those of every variant.

    Args:
        case: A variant on a target.
        own: The team's own measures by name.

    Raises:
        ConfigError: a measure of the team's own is not registered.
    """
    output_range = case.subject.image_range
    return tuple(measures.asked(case.variant.limits, own, output_range=output_range))


def requests(module: ModuleType | None, case: Case) -> list[Request]:
    """Return what a test of a module says it will ask about a case.

    What cannot be read is left out: the test itself says so.
    """
    asks = getattr(module, "asks", None)
    if asks is None:
        return []
    try:
        return list(asks(case))
    except HarnessError:
        return []


def accepted(case: SizedCase) -> tuple[Baseline, ...]:
    """Return all that a person accepted for a variant on a device at a size.

    Raises:
        BlessedDataError: something was accepted for a variant that is gone.
        ConfigError: the baselines cannot be read.
    """
    found = baselines.load(case.subject)
    gone = {b.variant for b in found} - {variant.name for variant in case.subject.variants}
    if gone:
        raise BlessedDataError(
            f"{baselines.path_of(case.subject)}: {', '.join(sorted(gone))} was blessed and is no "
            f"variant of subject.toml; put it back, or run `harness bless {case.subject.name}`"
        )
    about = _about(case)
    return tuple(b for b in found if b.about == about)


def accepted_outputs(case: FrameCase) -> tuple[AcceptedOutput, ...]:
    """Return what a person lets a variant make of a frame on a device, expired ones included.

    Raises:
        ConfigError: the list of a subject's accepted outputs is wrong.
    """
    key = case.key
    about = (case.frame, key.variant, key.device, key.delegate)
    return tuple(
        one
        for one in other_outputs.load(case.subject)
        if (one.frame, one.variant, one.device, one.delegate) == about
    )


def baseline(case: SizedCase) -> Callable[[str, str], Baseline | None]:
    """Return a look-up of what a person blessed for a case, by metric and evidence.

    Of several phones it gives one; deviations that may stay for a time are not among them.

    Raises:
        ConfigError: the baselines cannot be read.
    """
    about = _about(case)
    known = {
        (b.metric, b.evidence.value): b
        for b in baselines.load(case.subject)
        if b.about == about and not b.until
    }
    return lambda metric, evidence: known.get((metric, evidence))


def _about(case: SizedCase) -> Key:
    """Return the names that a baseline of a case has in its subject's file."""
    return replace(case.key, subject="", frame="")


def unruled(gate_name: str, error: HarnessError) -> Verdict:
    """Return the ruling of a test that could not rule, and why."""
    metric = "no_evidence" if isinstance(error, NO_EVIDENCE) else "error"
    lacks = Lack.FACT
    if isinstance(error, NO_EVIDENCE):
        lacks = Lack.STACK if isinstance(error, StackMissing) else Lack.STATE
    return gate.inconclusive(
        Metric(gate=gate_name, name=metric), lacks, f"{type(error).__name__}: {error}"
    )
