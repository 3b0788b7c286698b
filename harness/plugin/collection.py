"""Decide what is tested: which variant on which device at which size or frame."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType

import pytest

from harness import baselines, goldens, images, ledger, profiles, subjects
from harness.devices.connect import Origin, PhoneSetup
from harness.errors import ConfigError, HarnessError
from harness.goldens import Golden
from harness.images import Size
from harness.lab import DeviceUnderTest, Facts, LocalLab
from harness.plugin import FIXTURES, GATES, ini, ledgering, option
from harness.profiles import Target
from harness.results import Record
from harness.subjects import Budget, Subject, Variant

CASE = "harness_case"


@dataclass(frozen=True, kw_only=True)
class Case:
    """Name what one test is about.

    Attributes:
        target: Phone and delegate.
        subject: The model, or None for a test that asks for a device only.
        variant: The exported file, or None likewise.
        size: Resolution, for tests that ask for one.
        frame: Golden frame, for tests that ask for one.
        withheld: Why the variant does not ship here, or ''.
    """

    target: Target
    subject: Subject | None = None
    variant: Variant | None = None
    size: Size | None = None
    frame: str = ""
    withheld: str = ""

    def __str__(self) -> str:
        """Return the test's id, `pixel4:nnapi-deblur_unet.int8_ptq-1280x720`."""
        parts = [str(self.target)]
        if self.subject is not None and self.variant is not None:
            parts.append(f"{self.subject.name}.{self.variant.name}")
        if self.size is not None:
            parts.append(str(self.size))
        if self.frame:
            parts.append(self.frame)
        return "-".join(parts)

    @property
    def budget(self) -> Budget | None:
        """Return the budget for the case's size; without one, every op must be accelerated."""
        if self.subject is None or self.variant is None or self.size is None:
            return None
        profile, delegate = self.target.profile.name, self.target.delegate
        for budget in self.subject.budgets_of(profile, delegate, self.variant.name):
            if Size.parse(budget.resolution) == self.size:
                return budget
        return Budget(
            devices=(profile,),
            delegates=(delegate,),
            variants=(self.variant.name,),
            resolution=str(self.size),
            source="no [[budgets]] entry: no latency limit, every op on the accelerator",
        )


@dataclass(kw_only=True)
class Session:
    """Hold what one pytest run tests, and the devices it has opened."""

    targets: tuple[Target, ...]
    subjects: tuple[Subject, ...]
    pattern: str
    origin: Origin
    lab: LocalLab
    facts: Facts
    root: Path
    withheld: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    """Reasons by (target, reason) with the variants that do not ship there."""
    _goldens: dict[tuple[Path, str], Golden] = field(default_factory=dict)

    def device(self, target: Target) -> DeviceUnderTest:
        """Return what answers for a target, each fact once in a run."""
        return DeviceUnderTest(target, self.facts)

    def golden(self, subject: Subject, frame: str) -> Golden:
        """Return a golden, read once in a run."""
        key = (subject.folder, frame)
        if key not in self._goldens:
            self._goldens[key] = goldens.load(subject, frame)
        return self._goldens[key]

    def close(self) -> list[str]:
        """Release every device, and return what went wrong with any of them."""
        troubles = self.lab.close()
        ledgering.write(self.facts.known(), self.root / ledger.FILE)
        return troubles

    def order(self, record: Record) -> tuple[int, int, int, int, str, str]:
        """Return where a record stands in the summary, whatever the order of the tests was."""
        targets = [(target.profile.name, target.delegate) for target in self.targets]
        subject = next((s for s in self.subjects if s.name == record.subject), None)
        variants = [variant.name for variant in subject.variants] if subject else []
        size = Size.parse(record.resolution) if record.resolution else None
        return (
            _position((record.device, record.delegate), targets),
            _position(record.subject, [subject.name for subject in self.subjects]),
            _position(record.variant, variants),
            size.width_px * size.height_px if size else 0,
            record.test,
            record.frame,
        )

    def not_shipped(self) -> dict[tuple[str, str], list[str]]:
        """Return what was not tested by (target, reason), a whole subject as `name.*`."""
        sizes = {subject.name: len(subject.variants) for subject in self.subjects}
        shown = {}
        for key, labels in self.withheld.items():
            names = [label.partition(".")[0] for label in labels]
            whole = {name for name in names if names.count(name) == sizes[name] > 1}
            short = (
                f"{n}.*" if n in whole else label for n, label in zip(names, labels, strict=True)
            )
            shown[key] = list(dict.fromkeys(short))
        return shown

    def cases(self) -> Iterator[Case]:
        """Yield each variant on each device that it ships to, or that is asked for by name."""
        for target in self.targets:
            for subject in self.subjects:
                for variant in subject.variants:
                    asked, by_name = subjects.wanted(variant.name, self.pattern)
                    if not asked:
                        continue
                    because = subject.withheld_because(
                        target.profile.name, target.delegate, variant.name
                    )
                    if because is not None and not by_name:
                        names = self.withheld.setdefault((str(target), because), [])
                        label = f"{subject.name}.{variant.name}"
                        if label not in names:
                            names.append(label)
                        continue
                    yield Case(
                        target=target,
                        subject=subject,
                        variant=variant.on(target.delegate),
                        withheld=because or "",
                    )


def open_session(config: pytest.Config) -> Session:
    """Read profiles and subjects for a run; a mistake in them ends pytest with one line."""
    try:
        folders = [profiles.shipped_folder(), *ini(config, "profile_dirs")]
        targets = profiles.select(profiles.load_all(folders), option(config, "device"))
        pattern = option(config, "subject")
        folder = golden_dir(config)
        user_tests = config.args_source is pytest.Config.ArgsSource.ARGS
        found = () if user_tests and not folder.is_dir() else subjects.load_all(folder, pattern)
    except HarnessError as error:
        raise pytest.UsageError(str(error)) from None
    origin = Origin(option(config, "origin"))
    lab = LocalLab(
        origin=origin,
        serial=option(config, "serial") or "",
        phone_setup=PhoneSetup(
            benchmark_tool=ini(config, "benchmark_tool"),
            benchmark_preset=ini(config, "benchmark_preset"),
            external_delegates=tuple(ini(config, "external_delegates")),
        ),
        parallel=int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")) > 1,
    )
    return Session(
        targets=targets,
        subjects=found,
        pattern=pattern,
        origin=origin,
        lab=lab,
        facts=Facts(lab),
        root=config.rootpath,
    )


def golden_dir(config: pytest.Config) -> Path:
    """Return the folder of subjects: ini `golden_dir` beside the ini file, else ./golden."""
    named: str = ini(config, "golden_dir")
    if not named:
        return config.invocation_params.dir / "golden"
    return (config.inipath.parent if config.inipath else config.invocation_params.dir) / named


class Collector:
    """Parametrize tests by case, and give the shipped gates short node ids."""

    def __init__(self, session: Session, fixtures: ModuleType) -> None:
        """Collect for a session, with the module that holds the fixtures of the gates."""
        self._session = session
        self._fixtures = {name: getattr(fixtures, name) for name in FIXTURES}

    @pytest.hookimpl(tryfirst=True)
    def pytest_pycollect_makemodule(
        self, module_path: Path, parent: pytest.Collector
    ) -> pytest.Module | None:
        """Name the shipped gates `test_latency.py::...` wherever the package is installed.

        They get the fixtures of the gates as their own, which go before those that a project
        defines under the same names, such as a `device` of PyTorch.
        """
        if module_path.parent != GATES:
            return None
        module: pytest.Module = pytest.Module.from_parent(
            parent, path=module_path, nodeid=module_path.name
        )
        vars(module.obj).update(self._fixtures)
        return module

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Make one test per case, and per size or frame for tests that ask for those."""
        names = set(metafunc.fixturenames)
        if CASE not in names:
            return
        if not names & {"subject", "variant", "golden", "budget", "size"}:
            cases = [Case(target=target) for target in self._session.targets]
        elif not self._session.subjects:
            raise pytest.UsageError(
                f"{metafunc.definition.nodeid} asks for a variant, and there is no golden folder; "
                "make one with `harness init MODEL.tflite` or name it with the ini key `golden_dir`"
            )
        elif "golden" in names:
            cases = [case for base in self._session.cases() for case in _by_frame(base)]
        elif names & {"size", "budget"}:
            blessed = "accepted" in names
            cases = [c for base in self._session.cases() for c in _by_size(base, blessed=blessed)]
        else:
            cases = list(self._session.cases())
        metafunc.parametrize(CASE, cases, ids=[str(case) for case in cases])

    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        """Deselect tests without a case, so that a run that tests nothing ends with code 5."""
        empty = [item for item in items if not _tests_something(item)]
        if empty:
            config.hook.pytest_deselected(items=empty)
            items[:] = [item for item in items if _tests_something(item)]


def _position(item: object, items: Sequence[object]) -> int:
    """Return the index of an item, or that after the last one."""
    return items.index(item) if item in items else len(items)


def _tests_something(item: pytest.Item) -> bool:
    """Return False for the skipped placeholder that pytest makes where there is no case."""
    callspec = getattr(item, "callspec", None)
    return callspec is None or isinstance(callspec.params.get(CASE), (Case, type(None)))


def _by_frame(case: Case) -> list[Case]:
    """Return a case per golden frame; one without a frame where there are none, to say so."""
    assert case.subject is not None
    names = goldens.expected(case.subject)
    return [replace(case, frame=name) for name in names] or [replace(case, frame="no_frame")]


def _by_size(case: Case, *, blessed: bool = False) -> list[Case]:
    """Return a case per resolution that has a budget; else the sizes of any budget or frame.

    Args:
        case: A variant on a target.
        blessed: Whether to add the resolutions that have baselines.
    """
    assert case.subject is not None
    assert case.variant is not None
    profile, delegate = case.target.profile.name, case.target.delegate
    budgets = case.subject.budgets_of(profile, delegate, case.variant.name)
    sizes = {Size.parse(b.resolution) for b in budgets or case.subject.budgets}
    if not sizes:
        names = goldens.names(case.subject)
        sizes = {images.size_of(case.subject.frames / f"{name}.blurred.png") for name in names}
    if blessed:
        sizes |= _blessed_sizes(case)
    return [replace(case, size=size) for size in sorted(sizes, key=lambda s: s.megapixels)]


def _blessed_sizes(case: Case) -> set[Size]:
    """Return the resolutions at which something was accepted for a case."""
    assert case.subject is not None
    assert case.variant is not None
    about = (case.variant.name, case.target.profile.name, case.target.delegate)
    try:
        accepted = baselines.load(case.subject)
    except ConfigError:
        return set()  # each test that asks for baselines says what is wrong with them
    return {Size.parse(b.resolution) for b in accepted if b.key[: len(about)] == about}
