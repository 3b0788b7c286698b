"""An earlier version of the subjects, from git or a folder, and what differs from today's."""

import dataclasses
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness import baselines, child, strictness
from harness.errors import ConfigError, DeviceError
from harness.subjects import Subject
from harness.text import line

_GIT_S = 60.0


@contextmanager
def earlier(golden_dir: Path, revision: str) -> Iterator[Path]:
    """Give a folder of subjects as a git revision has it; the work tree is not touched.

    It is empty where the revision does not have that folder.

    Args:
        golden_dir: The folder today.
        revision: A folder, or a git revision such as `origin/main`.

    Raises:
        ConfigError: it is neither.
    """
    if revision and Path(revision).is_dir():
        yield Path(revision)
        return
    commit = _commit(golden_dir, revision)
    with tempfile.TemporaryDirectory(prefix="harness-revision-") as folder:
        packed = Path(folder) / "golden.zip"
        unpacked = Path(folder) / "golden"
        unpacked.mkdir()
        path = _git(golden_dir, "rev-parse", "--show-prefix").rstrip("/")  # '' at the top
        if path and not _git(golden_dir, "ls-tree", "-d", "--full-tree", commit, path):
            yield unpacked
            return
        _git(golden_dir, "archive", "--format=zip", f"--output={packed}", commit)
        with zipfile.ZipFile(packed) as archive:
            archive.extractall(unpacked)  # it keeps names inside the folder, and makes no links
        yield unpacked


def is_known(golden_dir: Path, revision: str) -> bool:
    """Return whether git knows a revision, in the repository that a folder is in."""
    try:
        return bool(_commit(golden_dir, revision))
    except (ConfigError, DeviceError):  # of a git that is not there
        return False


def changed_files(folder: Path, revision: str) -> frozenset[str]:
    """Return the names of a folder's files that differ from a git revision, if git knows it."""
    try:
        commit = _commit(folder, revision)
    except (ConfigError, DeviceError):  # no folder, no git, or no such revision in it
        return frozenset()
    changed = _git(folder, "diff", "--name-only", "--relative", commit, "--", ".")
    return frozenset(changed.splitlines())


def _commit(folder: Path, revision: str) -> str:
    return _git(folder, "rev-parse", "--verify", "--end-of-options", f"{revision}^{{commit}}")


def _git(folder: Path, *arguments: str) -> str:
    done = child.run(["git", "-C", folder, *arguments], stage="git", timeout_s=_GIT_S)
    if done.exit_code != 0:
        said = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise ConfigError(f"{folder}: git {arguments[0]} {arguments[-1]}: {line(said)}")
    return done.stdout.strip()


def differences(was: Subject, now: Subject, variant: str, target: tuple[str, str]) -> list[str]:
    """Return what differs for a variant on one phone and delegate; nothing is nothing to judge.

    A changed golden or setting of the subject counts for each of its variants. Reasons and sources
    that people wrote do not count.

    Args:
        was: The earlier subject.
        now: Today's.
        variant: Name of the variant.
        target: Phone and delegate.
    """
    device, delegate = target
    kept = {name: {v.name: v for v in s.variants} for name, s in (("was", was), ("now", now))}
    if variant not in kept["was"]:
        return ["it is new"]
    before, after = (kept[name][variant].on(delegate) for name in ("was", "now"))
    parts = {
        "file": (before.sha256, after.sha256),
        "precision": (before.precision, after.precision),
        "limits": tuple(dataclasses.replace(v.limits, source="") for v in (before, after)),
        "budgets": tuple(
            [
                dataclasses.replace(b, source="", devices=(), delegates=(), variants=())
                for b in s.budgets_of(device, delegate, variant)
            ]
            for s in (was, now)
        ),
        "ships": tuple(s.withheld_because(*target, variant) is None for s in (was, now)),
        "settings": (_settings(was), _settings(now)),
    }
    found = [name for name, (old, new) in parts.items() if old != new]
    if any(strictness.of_goldens(was, now)) or any(strictness.of_goldens(now, was)):
        found.append("goldens")
    if _accepted(was, variant, target) != _accepted(now, variant, target):
        found.append("baselines")
    if any(strictness.newly_accepted(was, now)) or any(strictness.newly_accepted(now, was)):
        found.append("accepted outputs")
    return found


def _settings(subject: Subject) -> Subject:
    """Return what a subject states for all its variants."""
    return dataclasses.replace(
        subject,
        variants=(),
        budgets=(),
        ships=(),
        withheld=(),
        source="",
        frames=Path(),
        references=Path(),
        folder=Path(),
        scaling=subject.scaling and dataclasses.replace(subject.scaling, source=""),
        change=dataclasses.replace(subject.change, source=""),
    )


def _accepted(
    subject: Subject, variant: str, target: tuple[str, str]
) -> list[baselines.Baseline] | None:
    try:
        known = baselines.load(subject)
    except ConfigError:
        return None
    return [b for b in known if (b.variant, b.device, b.delegate) == (variant, *target)]
