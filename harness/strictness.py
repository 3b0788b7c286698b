"""What a change made easier or harder to pass: a subject or a phone beside its earlier version."""

import dataclasses
import enum
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import accepted_outputs, baselines, evidence, files, goldens, metrics, subjects
from harness.budgets import Budget, ChangeAllowance
from harness.errors import ConfigError
from harness.limits import Limits, OutputLimits
from harness.profiles import Profile, Refusal
from harness.subjects import SUBJECT_FILE, Subject, Variant
from harness.text import line
from harness.verdict import Sense

_AT_LEAST = frozenset(metric.name for metric in metrics.ALL if metric.sense is Sense.AT_LEAST)


class Strictness(enum.Enum):
    """What a difference does to who has to pass."""

    EASIER = "easier"
    """It allows more, or something is tested no more."""
    HARDER = "harder"
    """It allows less."""
    OTHER = "other"
    """What is judged is another, and may be either."""


@dataclass(frozen=True, kw_only=True)
class RuleChange:
    """One thing in which a subject or a phone is judged otherwise than before.

    Attributes:
        about: Name of the subject or the phone.
        what: What it is, such as `int8_ptq: psnr_db 42 -> 30 in subject.toml`.
        effect: What that does.
    """

    about: str
    what: str
    effect: Strictness

    def __str__(self) -> str:
        """Return it as one line."""
        return line(f"{self.about}: {self.what}")


_Told = Iterator[tuple[Strictness, str]]


def sorted_out(found: Sequence[RuleChange]) -> dict[Strictness, tuple[str, ...]]:
    """Return the lines of differences by what they do, each line once."""
    return {
        effect: tuple(dict.fromkeys(str(one) for one in found if one.effect is effect))
        for effect in Strictness
    }


def between(before: Path, now: Path, targets: Sequence[tuple[str, str]]) -> tuple[RuleChange, ...]:
    """Return how a folder of subjects is judged otherwise than another.

    Args:
        before: The folder of the earlier subjects.
        now: Today's.
        targets: Phones and delegates that limits and budgets are asked for.

    Raises:
        ConfigError: a subject of today is wrong.
    """
    names = sorted(path.parent.name for path in before.glob(f"*/{SUBJECT_FILE}"))
    found: list[RuleChange] = []

    def add(name: str, effect: Strictness, what: str) -> None:
        found.append(RuleChange(about=name, what=what, effect=effect))

    for name in names:
        if not (now / name / SUBJECT_FILE).exists():
            add(name, Strictness.EASIER, "the whole subject is gone")
            continue
        try:
            was = subjects.load(before / name)
        except ConfigError as error:
            what = f"cannot be compared, its earlier subject.toml cannot be read: {error}"
            add(name, Strictness.OTHER, what.replace(str(before), ""))
            continue
        for effect, what in of_subject(was, subjects.load(now / name), targets):
            add(name, effect, what)
    return tuple(found)


def of_subject(was: Subject, now: Subject, targets: Sequence[tuple[str, str]]) -> _Told:
    """Yield how a subject is judged otherwise than its earlier version, one line each."""
    found: dict[tuple[Strictness, str], list[str]] = {}
    kept = {variant.name: variant for variant in now.variants}
    for variant in was.variants:
        if variant.name not in kept:
            found[Strictness.EASIER, f"variant {variant.name} is gone"] = []
            continue
        for device, delegate in targets:
            for told in _on(was, now, variant, kept[variant.name], device, delegate):
                found.setdefault(told, []).append(f"{device}:{delegate}")
    for (effect, what), places in found.items():
        yield effect, what + where(places, len(targets))
    yield from _scaling(was, now)
    for effect, what in _numbers(was.change, now.change):
        yield effect, f"[change] {what} in {SUBJECT_FILE}"
    if was.output_range != now.output_range:
        ranges = f"{list(was.output_range)} -> {list(now.output_range)}"
        yield Strictness.OTHER, f"output_range {ranges} in {SUBJECT_FILE}"
    else:
        yield from _outputs(was, now)
    yield from of_goldens(was, now)
    yield from _baselines(was, now)
    for what in newly_accepted(was, now):
        yield Strictness.EASIER, what


def where(places: Sequence[str], targets: int) -> str:
    """Return on which phones and delegates, where it is not on all."""
    named = list(dict.fromkeys(filter(None, places)))
    if not named or len(named) == targets:
        return ""
    return f" on {', '.join(named[:4])}{f' and {len(named) - 4} more' if len(named) > 4 else ''}"


def _on(
    was: Subject, now: Subject, variant: Variant, kept: Variant, device: str, delegate: str
) -> _Told:
    """Yield what counts otherwise for a variant on one phone and delegate."""
    because = now.withheld_because(device, delegate, variant.name)
    if because is not None and was.withheld_because(device, delegate, variant.name) is None:
        yield Strictness.EASIER, f"{variant.name} no longer ships: {because}"
        return
    for effect, what in _numbers(variant.on(delegate).limits, kept.on(delegate).limits):
        yield effect, f"{variant.name}: {what} in {SUBJECT_FILE}"
    budgets = {one.resolution: one for one in now.budgets_of(device, delegate, variant.name)}
    for budget in was.budgets_of(device, delegate, variant.name):
        label = f"{variant.name} at {budget.resolution}"
        if budget.resolution not in budgets:
            yield Strictness.EASIER, f"{label}: the budget is gone from {SUBJECT_FILE}"
            continue
        for effect, what in _numbers(budget, budgets[budget.resolution]):
            yield effect, f"{label}: {what} in {SUBJECT_FILE}"


def _numbers(
    was: Limits | Budget | ChangeAllowance, now: Limits | Budget | ChangeAllowance
) -> _Told:
    """Yield each number that allows more or less than it did, that is gone or that is new."""
    for part in dataclasses.fields(was):
        before, after = getattr(was, part.name), getattr(now, part.name)
        if isinstance(before, int | float) or isinstance(after, int | float):
            yield from of_limit(part.name, before, after, at_least=part.name in _AT_LEAST)
    if not (isinstance(was, Limits) and isinstance(now, Limits)):
        return
    for name in dict.fromkeys((*was.own, *now.own)):
        for end in ("at_least", "at_most"):
            before, after = (getattr(one.own.get(name), end, None) for one in (was, now))
            yield from of_limit(f"own.{name}", before, after, at_least=end == "at_least")
    for name in dict.fromkeys(one.name for one in (*was.outputs, *now.outputs)):
        for part in dataclasses.fields(OutputLimits):
            before, after = (limit_of(limits, name, part.name) for limits in (was, now))
            if isinstance(before, int | float) or isinstance(after, int | float):
                at_least = part.name in _AT_LEAST
                yield from of_limit(f"{name}/{part.name}", before, after, at_least=at_least)


def limit_of(limits: Limits, output: str, name: str) -> Any:
    """Return a limit of one output; where it has none of its own, that of the variant."""
    own = getattr(limits.of(output), name)
    return own if own is not None else getattr(limits, name, None)


def of_limit(name: str, before: float | None, after: float | None, *, at_least: bool) -> _Told:
    """Yield a line where a limit allows more or less than it did, is gone, or is new."""
    if before == after:
        return
    was, now = ("no limit" if one is None else f"{one:g}" for one in (before, after))
    looser = after is None or (
        before is not None and ((after < before) if at_least else (after > before))
    )
    yield (Strictness.EASIER if looser else Strictness.HARDER), f"{name} {was} -> {now}"


def _outputs(was: Subject, now: Subject) -> _Told:
    """Yield each output that is judged no more, or as something else; one alone has any name."""
    after = {spec.name: spec for spec in now.judged_specs}
    for spec in was.judged_specs:
        only = len(was.judged_specs) == len(after) == 1
        other = next(iter(after.values())) if only else after.get(spec.name)
        label = f"output {spec.name}" if spec.name else "the output"
        if other is None:
            yield Strictness.EASIER, f"{label} is judged no more"
            continue
        for part in ("role", "range", "mean", "std"):
            before, today = (_plain(getattr(one, part)) for one in (spec, other))
            if before != today:
                yield Strictness.OTHER, f"{label}: {part} {before} -> {today} in {SUBJECT_FILE}"


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def _scaling(was: Subject, now: Subject) -> _Told:
    if was.scaling is None:
        return
    if now.scaling is None:
        yield Strictness.EASIER, f"[scaling] is gone from {SUBJECT_FILE}"
        return
    for name in ("exponent", "cliff_ratio"):
        before, after = getattr(was.scaling, name), getattr(now.scaling, name)
        for effect, what in of_limit(name, before, after, at_least=False):
            yield effect, f"scaling {what} in {SUBJECT_FILE}"
    for gone in sorted(set(was.scaling.resolutions) - set(now.scaling.resolutions)):
        yield Strictness.EASIER, f"scaling no longer asks for {gone}"


def of_goldens(was: Subject, now: Subject) -> _Told:
    """Yield each golden that is gone or another."""
    before, after = goldens.blessed(was), goldens.blessed(now)
    for name, frame in before.items():
        if name not in after:
            yield Strictness.EASIER, f"golden {name} is gone"
        elif frame.frame_sha256 != after[name].frame_sha256:
            yield Strictness.OTHER, f"golden {name}: another frame"
        elif frame.target_sha256 != after[name].target_sha256:
            yield Strictness.OTHER, f"golden {name}: another sharp target"
        elif _hash(was.references / f"{name}.npz") != _hash(now.references / f"{name}.npz"):
            yield Strictness.OTHER, f"golden {name}: another FP32 output"


def _hash(path: Path) -> str:
    if not path.exists():
        return ""
    data = files.read(path, at_most_bytes=files.IMAGE_BYTES_MAX, error=ConfigError)
    return evidence.sha256_of(data)


def _label(one: baselines.Baseline) -> str:
    return f"baseline {one.variant} {one.device}:{one.delegate} {one.resolution} {one.metric}"


def _baselines(was: Subject, now: Subject) -> _Told:
    """Yield each baseline that is gone, worse or better, or allows more or less."""
    try:
        before = _by_key(was)
    except ConfigError:
        yield (
            Strictness.OTHER,
            "baselines cannot be compared: the earlier ones cannot be read by this version",
        )
        return
    after = _by_key(now)
    for key, one in before.items():
        label = _label(one)
        if one.until:
            continue  # what might stay for a time and may not is stricter
        if key not in after:
            yield Strictness.EASIER, f"{label} [{one.evidence.value}] is gone"
            continue
        other, at_least = after[key], is_at_least(now, one)
        for effect, what in of_limit(label, one.value, other.value, at_least=at_least):
            yield effect, f"{what} because {other.because!r}"
        yield from of_limit(f"{label}: spread", one.spread, other.spread, at_least=False)
    for key, one in after.items():
        was_let = before.get(key)
        if one.until and (was_let is None or was_let.value != one.value):
            until = f"may stay until {one.until} because {one.because!r}"
            yield Strictness.EASIER, f"{_label(one)} {one.value:g} {until}"


def is_at_least(subject: Subject, one: baselines.Baseline) -> bool:
    """Return whether more is better of what was blessed; a team's own measure says it by limits."""
    for variant in subject.variants:
        own = variant.on(one.delegate).limits.own.get(one.metric)
        if variant.name == one.variant and own is not None:
            return own.at_least is not None
    return one.metric in _AT_LEAST


def newly_accepted(was: Subject, now: Subject) -> Iterator[str]:
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


def of_profile(was: Profile, now: Profile) -> _Told:
    """Yield what a phone refuses, takes or is otherwise than before, one line each.

    An op that is refused runs on the CPU, which a budget limits.
    """
    before, after = (_refused(one) for one in (was, now))
    for key in [*before, *after]:
        if (key in before) is not (key in after):
            gone = key in before
            says = "no longer refuses" if gone else "now refuses"
            yield (
                (Strictness.EASIER if gone else Strictness.HARDER),
                f"{key[0]} {says} {' '.join(key[1:])}",
            )
    lost = {one.delegate for one in was.accelerators} - {one.delegate for one in now.accelerators}
    for delegate in sorted(lost):
        yield Strictness.EASIER, f"has no {delegate} any more"
    level, level_was = now.driver_feature_level, was.driver_feature_level
    for effect, what in of_limit("driver_feature_level", level_was, level, at_least=False):
        if level is not None and level_was is not None:
            yield effect, f"{what}, by which its rules take ops"
    parts = [field.name for field in dataclasses.fields(now) if field.name not in _UNJUDGED]
    others = [name for name in parts if _bare(was, name) != _bare(now, name)]
    if others:
        yield Strictness.OTHER, f"its {', '.join(others)} changed"


_UNJUDGED = frozenset({"name", "title", "source", "unknown", "match", "driver_feature_level"})
"""Fields of a profile that no ruling rests on, or that are told by themselves."""


def _refused(profile: Profile) -> dict[tuple[str, ...], Refusal]:
    return {
        (f"{unit.delegate} ({unit.name})", one.op, *one.dtypes): one
        for unit in profile.accelerators
        for one in unit.refusals
    }


def _bare(profile: Profile, name: str) -> Any:
    """Return a field without the refusals, which are told one by one."""
    value = getattr(profile, name)
    if name != "accelerators":
        return value
    return [dataclasses.replace(one, refusals=(), source="") for one in value]
