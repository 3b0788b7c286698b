"""Judge a change: the subjects as they were, beside today's, for `--against`."""

import contextlib
from dataclasses import dataclass, replace
from pathlib import Path

from harness import cases, revisions, subjects
from harness.cases import Plan
from harness.errors import ConfigError
from harness.subjects import SUBJECT_FILE, Subject


@dataclass(frozen=True, kw_only=True)
class Against:
    """What a change is judged against.

    Attributes:
        revision: A git revision or a folder, as it was typed.
        plan: The cases that differ, each with what it was.
        unchanged: How many cases do not differ and are not judged.
        loosened: What the change made easier to pass, one line each.
        new: Names of the subjects that it did not have, judged by their limits alone.
    """

    revision: str
    plan: Plan
    unchanged: int
    loosened: tuple[str, ...]
    new: tuple[str, ...] = ()


def read(folder: Path, revision: str, plan: Plan, stack: contextlib.ExitStack) -> Against:
    """Read the subjects as they were; their files stay for as long as the stack is open.

    Raises:
        ConfigError: there is no such revision or folder.
    """
    was = stack.enter_context(revisions.earlier(folder, revision))
    earlier: dict[str, Subject] = {}
    for path in sorted(was.glob(f"*/{SUBJECT_FILE}")):
        with contextlib.suppress(ConfigError):  # it is said as loosened, and all of it is judged
            earlier[path.parent.name] = subjects.load(path.parent)
    targets = {(case.target.profile.name, case.target.delegate) for case in plan.cases}
    targets |= {tuple(one.target.split(":", 1)) for one in plan.withheld}  # type: ignore[misc]
    names = {case.subject.name for case in plan.cases}
    differ = tuple(
        replace(case, before=cases.before(case, earlier.get(case.subject.name), revision))
        for case in plan.cases
        if case.subject.name not in earlier
        or revisions.differences(
            earlier[case.subject.name],
            case.subject,
            case.variant.name,
            (case.target.profile.name, case.target.delegate),
        )
    )
    had = {path.parent.name for path in was.glob(f"*/{SUBJECT_FILE}")}
    softer = revisions.loosened(was, folder, sorted(targets))
    return Against(
        revision=revision,
        plan=replace(plan, cases=differ),
        unchanged=len(plan.cases) - len(differ),
        loosened=tuple(str(one) for one in softer if one.subject in names or not names),
        new=tuple(sorted(names - had)),
    )
