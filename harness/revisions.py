"""What a change made easier to pass: a subject beside its earlier version, from git or a folder."""

import dataclasses
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import accepted_outputs, baselines, child, evidence, files, goldens, metrics, subjects
from harness.budgets import Budget, ChangeAllowance
from harness.errors import ConfigError, DeviceError
from harness.limits import Limits, OutputLimits
from harness.subjects import SUBJECT_FILE, Subject, Variant
from harness.text import line
from harness.verdict import Sense

_GIT_S = 60.0
_AT_LEAST = frozenset(metric.name for metric in metrics.ALL if metric.sense is Sense.AT_LEAST)
_SENSES = {metric.name: metric.sense for metric in metrics.BLESSED}


@dataclass(frozen=True, kw_only=True)
class Loosened:
    """One thing that a change made easier to pass, or that it no longer tests as before.

    Attributes:
        subject: Name of the subject.
        what: What it is, such as `int8_ptq: psnr_db 42 -> 30 in subject.toml`.
    """

    subject: str
    what: str

    def __str__(self) -> str:
        """Return it as one line."""
        return line(f"{self.subject}: {self.what}")


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


def loosened(before: Path, now: Path, targets: Sequence[tuple[str, str]]) -> tuple[Loosened, ...]:
    """Return what is easier to pass in a folder of subjects than it was in another.

    Args:
        before: The folder of the earlier subjects.
        now: Today's.
        targets: Phones and delegates that limits and budgets are asked for.

    Raises:
        ConfigError: a subject of today is wrong.
    """
    names = sorted(path.parent.name for path in before.glob(f"*/{SUBJECT_FILE}"))
    found: list[Loosened] = []
    for name in names:
        if not (now / name / SUBJECT_FILE).exists():
            found.append(Loosened(subject=name, what="the whole subject is gone"))
            continue
        try:
            was = subjects.load(before / name)
        except ConfigError as error:
            what = f"cannot be compared, its earlier subject.toml cannot be read: {error}"
            found.append(Loosened(subject=name, what=what.replace(str(before), "")))
            continue
        lines = of_subject(was, subjects.load(now / name), targets)
        found += [Loosened(subject=name, what=what) for what in lines]
    return tuple(found)


def of_subject(was: Subject, now: Subject, targets: Sequence[tuple[str, str]]) -> list[str]:
    """Return what is easier to pass in a subject than in its earlier version, one line each."""
    found: dict[str, list[str]] = {}

    def add(what: str, where: str = "") -> None:
        found.setdefault(what, []).append(where)

    kept = {variant.name: variant for variant in now.variants}
    for variant in was.variants:
        if variant.name not in kept:
            add(f"variant {variant.name} is gone")
            continue
        for device, delegate in targets:
            _compare_on(was, now, variant, kept[variant.name], device, delegate, add)
    _compare_scaling(was, now, add)
    for what in _weaker(was.change, now.change):
        add(f"[change] {what} in {SUBJECT_FILE}")
    if was.output_range != now.output_range:
        add(f"output_range {list(was.output_range)} -> {list(now.output_range)} in {SUBJECT_FILE}")
    else:
        for what in _outputs(was, now):
            add(what)
    lines = [what + _where(places, len(targets)) for what, places in found.items()]
    return [*lines, *_goldens(was, now), *_baselines(was, now), *_accepted_outputs(was, now)]


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
    if any(_goldens(was, now)) or any(_goldens(now, was)):
        found.append("goldens")
    if _accepted(was, variant, target) != _accepted(now, variant, target):
        found.append("baselines")
    if any(_accepted_outputs(was, now)) or any(_accepted_outputs(now, was)):
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


def _where(places: Sequence[str], targets: int) -> str:
    """Return on which phones and delegates, where it is not on all."""
    named = list(dict.fromkeys(filter(None, places)))
    if not named or len(named) == targets:
        return ""
    return f" on {', '.join(named[:4])}{f' and {len(named) - 4} more' if len(named) > 4 else ''}"


def _compare_on(
    was: Subject,
    now: Subject,
    variant: Variant,
    kept: Variant,
    device: str,
    delegate: str,
    add: Callable[[str, str], None],
) -> None:
    """Compare what counts for a variant on one phone and delegate."""
    where = f"{device}:{delegate}"
    because = now.withheld_because(device, delegate, variant.name)
    if because is not None and was.withheld_because(device, delegate, variant.name) is None:
        add(f"{variant.name} no longer ships: {because}", where)
        return
    for what in _weaker(variant.on(delegate).limits, kept.on(delegate).limits):
        add(f"{variant.name}: {what} in {SUBJECT_FILE}", where)
    budgets = {one.resolution: one for one in now.budgets_of(device, delegate, variant.name)}
    for budget in was.budgets_of(device, delegate, variant.name):
        label = f"{variant.name} at {budget.resolution}"
        if budget.resolution not in budgets:
            add(f"{label}: the budget is gone from {SUBJECT_FILE}", where)
            continue
        for what in _weaker(budget, budgets[budget.resolution]):
            add(f"{label}: {what} in {SUBJECT_FILE}", where)


def _weaker(
    was: Limits | Budget | ChangeAllowance, now: Limits | Budget | ChangeAllowance
) -> Iterator[str]:
    """Yield each number that allows more than it did, or that is gone."""
    for part in dataclasses.fields(was):
        before, after = getattr(was, part.name), getattr(now, part.name)
        if isinstance(before, int | float):
            yield from looser(part.name, before, after, at_least=part.name in _AT_LEAST)
    if not (isinstance(was, Limits) and isinstance(now, Limits)):
        return
    for name, limit in was.own.items():
        for end in ("at_least", "at_most"):
            before, after = getattr(limit, end), getattr(now.own.get(name), end, None)
            if before is not None:
                yield from looser(f"own.{name}", before, after, at_least=end == "at_least")
    for name in dict.fromkeys(one.name for one in (*was.outputs, *now.outputs)):
        for part in dataclasses.fields(OutputLimits):
            before, after = (_limit_of(limits, name, part.name) for limits in (was, now))
            if isinstance(before, int | float):
                at_least = part.name in _AT_LEAST
                yield from looser(f"{name}/{part.name}", before, after, at_least=at_least)


def _limit_of(limits: Limits, output: str, name: str) -> Any:
    """Return a limit of one output; where it has none of its own, that of the variant."""
    own = getattr(limits.of(output), name)
    return own if own is not None else getattr(limits, name, None)


def looser(name: str, before: float, after: float | None, *, at_least: bool) -> Iterator[str]:
    """Yield a line where a limit allows more than it did, or is gone."""
    if after is None:
        yield f"{name} {before:g} -> no limit"
    elif (after < before) if at_least else (after > before):
        yield f"{name} {before:g} -> {after:g}"


def _outputs(was: Subject, now: Subject) -> Iterator[str]:
    """Yield each output that is judged no more, or as something else; one alone has any name."""
    after = {spec.name: spec for spec in now.judged_specs}
    for spec in was.judged_specs:
        only = len(was.judged_specs) == len(after) == 1
        other = next(iter(after.values())) if only else after.get(spec.name)
        label = f"output {spec.name}" if spec.name else "the output"
        if other is None:
            yield f"{label} is judged no more"
            continue
        for part in ("role", "range", "mean", "std"):
            before, today = (_plain(getattr(one, part)) for one in (spec, other))
            if before != today:
                yield f"{label}: {part} {before} -> {today} in {SUBJECT_FILE}"


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def _compare_scaling(was: Subject, now: Subject, add: Callable[[str], None]) -> None:
    if was.scaling is None:
        return
    if now.scaling is None:
        add(f"[scaling] is gone from {SUBJECT_FILE}")
        return
    for name in ("exponent", "cliff_ratio"):
        before, after = getattr(was.scaling, name), getattr(now.scaling, name)
        for what in looser(name, before, after, at_least=False):
            add(f"scaling {what} in {SUBJECT_FILE}")
    for gone in sorted(set(was.scaling.resolutions) - set(now.scaling.resolutions)):
        add(f"scaling no longer asks for {gone}")


def _goldens(was: Subject, now: Subject) -> Iterator[str]:
    """Yield each golden that is gone or another."""
    before, after = goldens.blessed(was), goldens.blessed(now)
    for name, frame in before.items():
        if name not in after:
            yield f"golden {name} is gone"
        elif frame.frame_sha256 != after[name].frame_sha256:
            yield f"golden {name}: another frame"
        elif frame.target_sha256 != after[name].target_sha256:
            yield f"golden {name}: another sharp target"
        elif _hash(was.references / f"{name}.npz") != _hash(now.references / f"{name}.npz"):
            yield f"golden {name}: another FP32 output"


def _hash(path: Path) -> str:
    if not path.exists():
        return ""
    data = files.read(path, at_most_bytes=files.IMAGE_BYTES_MAX, error=ConfigError)
    return evidence.sha256_of(data)


def _label(one: baselines.Baseline) -> str:
    return f"baseline {one.variant} {one.device}:{one.delegate} {one.resolution} {one.metric}"


def _baselines(was: Subject, now: Subject) -> Iterator[str]:
    """Yield each baseline that is gone, worse, or allows more."""
    try:
        before = _by_key(was)
    except ConfigError:
        yield "baselines cannot be compared: the earlier ones cannot be read by this version"
        return
    after = _by_key(now)
    for key, one in before.items():
        label = _label(one)
        if one.until:
            continue  # what might stay for a time and may not is stricter
        if key not in after:
            yield f"{label} [{one.evidence.value}] is gone"
            continue
        other = after[key]
        at_least = _SENSES.get(one.metric) is Sense.AT_LEAST
        for what in looser(label, one.value, other.value, at_least=at_least):
            yield f"{what} because {other.because!r}"
        yield from looser(f"{label}: spread", one.spread, other.spread, at_least=False)
    for key, one in after.items():
        was_let = before.get(key)
        if one.until and (was_let is None or was_let.value != one.value):
            yield (
                f"{_label(one)} {one.value:g} may stay until {one.until} because {one.because!r}"
            )


def _accepted_outputs(was: Subject, now: Subject) -> Iterator[str]:
    """Yield each output that may stay now, and might not before."""
    try:
        before = {(*one.key, one.until) for one in accepted_outputs.load(was)}
    except ConfigError:
        before = set()
    for one in accepted_outputs.load(now):
        if (*one.key, one.until) not in before:
            yield (
                f"golden {one.frame}: {one.variant} on {one.device}:{one.delegate} may make "
                f"another output until {one.until} because {one.because!r}"
            )


def _by_key(subject: Subject) -> Mapping[tuple[str, ...], baselines.Baseline]:
    return {one.key: one for one in baselines.load(subject)}
