"""Decide what is tested: which variant on which device at which size or frame."""

import contextlib
import os
from collections.abc import Collection, Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import pytest

from harness import cases, fact_files, judging, ledger, profiles, shards, subjects
from harness.cases import Case, Plan, Withheld
from harness.devices.connect import Origin, PhoneSetup
from harness.errors import HarnessError
from harness.images import Size
from harness.judging import Goldens
from harness.lab import DeviceUnderTest, Facts, Lab, choose
from harness.plugin import FIXTURES, GATES, against, estimate_pairs, ini, option
from harness.plugin.against import Against, Lookup
from harness.profiles import Target
from harness.requests import Fact, Request
from harness.results import Record
from harness.shards import Shard
from harness.subjects import Subject

CASE = "harness_case"
_Collected = pytest.Item | pytest.Collector | list[pytest.Item | pytest.Collector] | None


@dataclass(kw_only=True)
class Session:
    """What one pytest run tests, and the facts that it has taken."""

    targets: tuple[Target, ...]
    subjects: tuple[Subject, ...]
    plan: Plan
    origin: Origin
    lab: Lab
    root: Path
    withheld: list[Withheld]
    """What does not ship, once a test has asked for variants."""
    taken: list[Fact]
    """Facts that are not written down yet."""
    against: Against | None = None
    """What a change is judged against."""
    shard: str = ""
    """Which part of a larger plan it is, such as `2/4`; or ''."""
    whole: str = ""
    """Hash of that larger plan."""
    facts: Facts = field(init=False)
    goldens: Goldens = field(default_factory=Goldens)

    def __post_init__(self) -> None:
        """Start without facts."""
        self.facts = Facts(self.lab, self._keep)

    def _keep(self, fact: Fact) -> Fact:
        """Put a fact in line to be written down, and a phone's image on disk at once."""
        with contextlib.suppress(HarnessError):  # that the disk is full is said with the records
            fact = fact_files.keep_image(fact, self.root)
        self.taken.append(fact)
        return fact

    def device(self, case: Case | Target) -> DeviceUnderTest:
        """Return what answers for a case, each fact once in a run."""
        if isinstance(case, Target):
            return DeviceUnderTest(case, self.facts)
        return DeviceUnderTest(case.target, self.facts, subject=case.subject.name)

    def close(self) -> list[str]:
        """Release every device, and return what went wrong with any of them."""
        self.facts.close()
        troubles = self.lab.close()
        estimate_pairs.write(self.facts.known(), self.root / ledger.FILE)
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
        groups: dict[tuple[str, str], list[str]] = {}
        for one in self.withheld:
            groups.setdefault((one.target, one.because), []).append(one.variant)
        shown = {}
        for key, labels in groups.items():
            names = [label.partition(".")[0] for label in labels]
            whole = {name for name in names if names.count(name) == sizes[name] > 1}
            short = (
                f"{n}.*" if n in whole else label for n, label in zip(names, labels, strict=True)
            )
            shown[key] = list(dict.fromkeys(short))
        return shown

    def cases(self) -> tuple[Case, ...]:
        """Return the plan's cases, and take note of what it leaves out."""
        self.withheld += [one for one in self.plan.withheld if one not in self.withheld]
        return self.plan.cases


def open_session(config: pytest.Config) -> Session:
    """Read profiles and subjects for a run; a mistake in them ends pytest with one line."""
    try:
        folders = [profiles.shipped_folder(), *ini(config, "profile_dirs")]
        targets = profiles.select(profiles.load_all(folders), option(config, "device"))
        pattern = option(config, "subject")
        folder = golden_dir(config)
        user_tests = config.args_source is pytest.Config.ArgsSource.ARGS
        found = () if user_tests and not folder.is_dir() else subjects.load_all(folder, pattern)
        planned, change = cases.plan(found, targets, pattern), None
        if (revision := option(config, "against") or ini(config, "against")) and found:
            stack = contextlib.ExitStack()
            config.add_cleanup(stack.close)
            where = Lookup(
                golden_dir=folder,
                root=config.rootpath,
                history=option(config, "history") or ini(config, "history"),
                pattern=pattern,
                profile_dirs=folders,
            )
            change = against.read(revision, where, planned, stack)
            planned = change.plan
        whole, named = planned, option(config, "shard") or ""
        if named:
            planned = shards.share(planned, Shard.parse(named))
        origin = Origin(option(config, "origin"))
        lab = _lab(config, origin)
    except HarnessError as error:
        raise pytest.UsageError(str(error)) from None
    return Session(
        targets=targets,
        subjects=found,
        plan=planned,
        against=change,
        shard=str(Shard.parse(named)) if named else "",
        whole=shards.whole_of(whole) if named else "",
        origin=origin,
        lab=lab,
        root=config.rootpath,
        withheld=[],
        taken=[],
    )


def _lab(config: pytest.Config, origin: Origin) -> Lab:
    """Return the lab that is named, else the phones and the software of this host."""
    serial = option(config, "serial") or ""
    workers = len(getattr(config.option, "tx", None) or ())  # where pytest-xdist takes part
    processes = int(getattr(config, "workerinput", {}).get("workercount", max(1, workers)))
    of_ini = [] if origin is Origin.EMULATED or serial else ini(config, "labs")
    return choose(
        option(config, "lab") or of_ini,
        origin=origin,
        serial=serial,
        phone_setup=phone_setup(config),
        consent=["all"] if option(config, "yes") else ini(config, "lab_consent"),
        resume=bool(option(config, "resume")),
        parallel=processes > 1,
        jobs=1 if processes > 1 else option(config, "jobs") or os.cpu_count() or 1,
    )


def phone_setup(config: pytest.Config) -> PhoneSetup:
    """Return what the ini keys set for measuring on phones."""
    return PhoneSetup(
        benchmark_tool=ini(config, "benchmark_tool"),
        benchmark_preset=ini(config, "benchmark_preset"),
        external_delegates=tuple(ini(config, "external_delegates")),
        litert_tools=ini(config, "litert_tools"),
        npu_libraries=tuple(ini(config, "npu_libraries")),
    )


def golden_dir(config: pytest.Config) -> Path:
    """Return the folder of subjects: ini `golden_dir` beside the ini file, else ./golden."""
    named: str = ini(config, "golden_dir")
    if not named:
        return config.invocation_params.dir / "golden"
    return (config.inipath.parent if config.inipath else config.invocation_params.dir) / named


class Collector:
    """The hooks that parametrize tests by case and give the shipped gates short node ids."""

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

    @pytest.hookimpl(wrapper=True)
    def pytest_pycollect_makeitem(
        self, collector: pytest.Module | pytest.Class
    ) -> Generator[None, _Collected, _Collected]:
        """Collect nothing of a test that few cases ask for, where no case does.

        That is one of a module whose `ASKED_BY` names keys that no budget sets, or one that asks
        for something of `judging.ASKED_SELDOM`.
        """
        keys = judging.asked_by(_module(collector))
        budgets = [budget for subject in self._session.subjects for budget in subject.budgets]
        try:
            asked = not keys or any(budget.sets(keys) for budget in budgets)
        except HarnessError as error:
            raise pytest.UsageError(f"{collector.nodeid}: ASKED_BY: {error}") from None
        made = yield
        if not isinstance(made, list):
            return made
        if not asked:
            return []
        return [
            node
            for node in made
            if not isinstance(node, pytest.Item)
            or _tests_something(node)
            or not (keys or judging.ASKED_SELDOM & set(_fixtures(node)))
        ]

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Make one test per case, and per size or frame for tests that ask for those."""
        names = set(metafunc.fixturenames)
        if CASE not in names:
            return
        if not names & {"subject", "variant", "golden", "clip", "budget", "size"}:
            metafunc.parametrize(CASE, self._session.targets, ids=str)
            return
        if not self._session.subjects:
            raise pytest.UsageError(
                f"{metafunc.definition.nodeid} asks for a variant, and there is no golden folder; "
                "make one with `harness init MODEL.tflite` or name it with the ini key `golden_dir`"
            )
        try:
            keys = judging.asked_by(_module(metafunc.definition))
            found = [
                one
                for case in self._session.cases()
                for one in judging.expanded(case, names, keys=keys)
            ]
        except HarnessError as error:
            raise pytest.UsageError(str(error)) from None
        metafunc.parametrize(CASE, found, ids=str)

    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        """Deselect tests without a case, so that a run that tests nothing ends with code 5."""
        if empty := [item for item in items if not _tests_something(item)]:
            config.hook.pytest_deselected(items=empty)
        items[:] = [item for item in items if _tests_something(item)]


def _module(node: pytest.Item | pytest.Collector) -> ModuleType | None:
    """Return the module that a node is of."""
    module = node.getparent(pytest.Module)
    return module.obj if module else None


def _position(item: object, items: Sequence[object]) -> int:
    """Return the index of an item, or that after the last one."""
    return items.index(item) if item in items else len(items)


def _tests_something(item: pytest.Item) -> bool:
    """Return False for the skipped placeholder that pytest makes where there is no case."""
    callspec = getattr(item, "callspec", None)
    return callspec is None or CASE not in callspec.params or case_of(item) is not None


def case_of(item: pytest.Item) -> Case | Target | None:
    """Return what a test is about, or None for one that is not about a phone."""
    case = getattr(getattr(item, "callspec", None), "params", {}).get(CASE)
    return case if isinstance(case, (Case, Target)) else None


def rules(item: pytest.Item) -> bool:
    """Return whether a test is about a phone and gives verdicts."""
    return case_of(item) is not None and "check" in _fixtures(item)


def _fixtures(item: pytest.Item) -> Collection[str]:
    """Return the names of what a test asks for."""
    names: Collection[str] = getattr(item, "fixturenames", ())
    return names


def requests(item: pytest.Item) -> list[Request]:
    """Return what a test says it will ask; what cannot be read is said by the test itself."""
    case = case_of(item)
    return judging.requests(getattr(item, "module", None), case) if isinstance(case, Case) else []
