"""Judge a change: the subjects as they were, or an earlier run, beside today's, for `--against`."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import cases, revisions, schema, strictness, subjects
from harness.cases import Plan
from harness.errors import ConfigError
from harness.profiles import Profile
from harness.strictness import RuleChange, Strictness
from harness.subjects import SUBJECT_FILE, Subject

if TYPE_CHECKING:
    from harness.earlier_runs import EarlierRun


@dataclass(frozen=True, kw_only=True)
class Against:
    """What a change is judged against.

    Attributes:
        revision: A git revision or a folder, as it was typed; or a run.
        plan: The cases that are judged, each with what it was.
        unchanged: How many cases do not differ and are not judged.
        effects: What the change did to who has to pass, one line each.
        uncompared: What the other side holds nothing of, or ''.
        new: Names of the subjects that it did not have, judged by their limits alone.
    """

    revision: str
    plan: Plan
    unchanged: int
    effects: Mapping[Strictness, tuple[str, ...]]
    uncompared: str = ""
    new: tuple[str, ...] = ()

    @property
    def may_pass_unseen(self) -> bool:
        """Return whether a person has to look, though no case may be judged."""
        return bool(self.effects[Strictness.EASIER] or self.effects[Strictness.OTHER])

    def said(self) -> dict[str, Any]:
        """Return what the plan of a run says of it, by the names of its fields."""
        return {
            "against": self.revision,
            "unchanged": self.unchanged,
            "loosened": self.effects[Strictness.EASIER],
            "tightened": self.effects[Strictness.HARDER],
            "altered": self.effects[Strictness.OTHER],
            "uncompared": self.uncompared,
            "new": self.new,
        }


@dataclass(frozen=True, kw_only=True)
class Lookup:
    """Where a change's other side is looked for.

    Attributes:
        golden_dir: The folder of today's subjects.
        root: The folder whose `.results` holds the runs.
        history: Address of the history, or ''.
        pattern: Which subjects are asked for, as `--subject` has it.
        profile_dirs: The folders of device profiles.
    """

    golden_dir: Path
    root: Path
    history: str
    pattern: str
    profile_dirs: Sequence[Path]


def read(named: str, where: Lookup, plan: Plan, stack: contextlib.ExitStack) -> Against:
    """Read what a change is judged against: a folder, a run, or a git revision.

    Args:
        named: A folder of subjects, a results file, the id of a run, or a git revision.
        where: Where that is looked for.
        plan: Today's cases.
        stack: For as long as it is open, files of a revision stay.

    Raises:
        ConfigError: there is no such folder, run or revision.
    """
    path = Path(named)
    if path.is_dir() or (not path.is_file() and revisions.is_known(where.golden_dir, named)):
        return _of_revision(where, named, plan, stack)
    from harness import earlier_runs  # only where a change is judged against a run

    run = earlier_runs.in_results(where.root, named)
    run = run or earlier_runs.in_history(where.root, named, where.history)
    if run is None:
        raise ConfigError(
            f"--against={named}: no folder of subjects, no git revision of {where.golden_dir} (a "
            "shallow clone has few), no results file, and no run of .results or of the history"
        )
    return _of_run(run, plan, where.pattern)


def _of_run(run: "EarlierRun", plan: Plan, pattern: str) -> Against:
    """Return every case beside what a run found of it: it keeps no limits to tell what differs."""
    judged = tuple(replace(case, earlier=run.of(case)) for case in plan.cases)
    known = {case.subject.name for case in judged if case.earlier is not None}
    return Against(
        revision=run.name,
        plan=replace(plan, cases=judged),
        unchanged=0,
        effects=strictness.sorted_out(list(run.differences(plan.cases, pattern))),
        uncompared=run.uncompared,
        new=tuple(sorted({case.subject.name for case in judged} - known)),
    )


def _of_revision(where: Lookup, revision: str, plan: Plan, stack: contextlib.ExitStack) -> Against:
    """Return the cases that differ from a revision or folder, each beside what it was there.

    What is easier to pass is told of each subject that is asked for, those without a case included:
    they are gone, or ship no more. Both sides are judged by today's profiles, so that a phone whose
    profile changed is judged with all its cases, and named.
    """
    folder = where.golden_dir
    was = stack.enter_context(revisions.earlier(folder, revision))
    earlier: dict[str, Subject] = {}
    for path in sorted(was.glob(f"*/{SUBJECT_FILE}")):
        with contextlib.suppress(ConfigError):  # it is said, and all of it is judged
            earlier[path.parent.name] = subjects.load(path.parent)
    targets = {(case.target.profile.name, case.target.delegate) for case in plan.cases}
    targets |= {tuple(one.target.split(":", 1)) for one in plan.withheld}  # type: ignore[misc]
    names = {case.subject.name for case in plan.cases}
    phones = list(_profiles(where.profile_dirs, revision, {name for name, _ in targets}))
    changed = {one.about for one in phones}
    differ = tuple(
        replace(case, before=cases.before(case, earlier.get(case.subject.name), revision))
        for case in plan.cases
        if case.subject.name not in earlier
        or case.target.profile.name in changed
        or revisions.differences(
            earlier[case.subject.name],
            case.subject,
            case.variant.name,
            (case.target.profile.name, case.target.delegate),
        )
    )
    had = {path.parent.name for path in was.glob(f"*/{SUBJECT_FILE}")}
    between = strictness.between(was, folder, sorted(targets))
    told = [one for one in between if subjects.fits(one.about, where.pattern)]
    return Against(
        revision=revision,
        plan=replace(plan, cases=differ),
        unchanged=len(plan.cases) - len(differ),
        effects=strictness.sorted_out([*phones, *told]),
        new=tuple(sorted(names - had)),
    )


def _profiles(folders: Sequence[Path], revision: str, phones: Set[str]) -> Iterator[RuleChange]:
    """Yield how phones are others than a git revision has them, if it has profiles."""
    for folder in folders:
        files = (Path(name) for name in revisions.changed_files(folder, revision))
        names = sorted({path.stem for path in files if path.suffix == ".toml"} & phones)
        if not names:
            continue
        with revisions.earlier(folder, revision) as was:
            for name in names:
                for effect, what in _of_phone(was / f"{name}.toml", folder / f"{name}.toml"):
                    yield RuleChange(about=name, what=what, effect=effect)


def _of_phone(before: Path, now: Path) -> Iterator[tuple[Strictness, str]]:
    """Yield what changed in a profile; nothing where it says the same in other words."""
    changed = Strictness.OTHER, "its profile changed; both sides are judged by today's"
    try:
        was, today = (schema.load_toml(Profile, path) for path in (before, now))
    except ConfigError:  # of an earlier format, or there was none
        yield changed
        return
    if was != today:
        yield changed
        yield from strictness.of_profile(was, today)
