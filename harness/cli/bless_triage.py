"""Triage what a run found amiss: let single deviations stay until a day, and say which are over."""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from harness import (
    accepted_outputs,
    baselines,
    evidence,
    fact_files,
    goldens,
    results,
    samples,
    text,
)
from harness.accepted_outputs import AcceptedOutput
from harness.baselines import Baseline
from harness.cli import shared
from harness.errors import ConfigError
from harness.evidence import Provenance, sha256_of
from harness.inputs import Values
from harness.requests import Verb
from harness.results import Record, Results
from harness.subjects import Subject
from harness.verdict import FIDELITY, REGRESSION, Lack, Outcome

ALL = "all"
USED, EXPIRED = "used", "expired"
_CLOSE = "test_output_stays_close_to_the_fp32_golden"
"""The test whose golden an accepted output takes the place of."""


@dataclass(frozen=True, kw_only=True)
class Open:
    """One deviation of a run that nobody has accepted.

    Attributes:
        record: The ruling on it; of an image the first of them.
    """

    record: Record

    @property
    def id(self) -> str:
        """Return its name in `--accept`; the same in each listing of the run."""
        record = self.record
        parts = (record.test, record.frame, record.verdict.metric, record.verdict.gate)
        return sha256_of("\n".join(parts).encode())[:8]

    def __str__(self) -> str:
        """Return it as one line."""
        return text.line(f"{self.id}  {self.record}")


def run(options: argparse.Namespace) -> int:
    """List what is amiss and what was accepted; accept what is named. Ends with 1 if any is left.

    Raises:
        ConfigError: an id is unknown, or what is accepted has no reason or last day.
    """
    console = shared.console()
    subject = shared.load_subject(options)
    found = results.load(options.measured or results.latest(Path()))
    open_ones = {one.id: one for one in _open(found, subject)}
    asked = set(open_ones) if ALL in options.accept else set(options.accept)
    if unknown := asked - set(open_ones):
        known = ", ".join(open_ones) or "none"
        raise ConfigError(f"--accept={min(unknown)}: no such id; open in this run: {known}")
    if asked:
        entries = [_entry(open_ones[one], found, subject, options) for one in sorted(asked)]
    _print(console, "Amiss and not accepted", map(str, open_ones.values()))
    today = evidence.now_utc()[:10]
    if options.drop_expired:
        accepted_outputs.drop_expired(subject, today=today)
        kept = [one for one in baselines.load(subject) if not one.until or one.until >= today]
        baselines.store(subject, kept)
    stand = list(states(found, subject, today=today))
    _print(console, "Accepted until a day", (f"{state}: {line}" for state, line in stand))
    if asked:
        if not shared.confirmed(options.yes, f"the {text.counted(len(asked), 'deviation')}"):
            console.print("Nothing was written.")
            return 1
        _write(subject, entries)
        console.print(f"Accepted until {options.until}: {', '.join(sorted(asked))}.")
    left = set(open_ones) - asked
    return 1 if left or any(state == EXPIRED for state, _ in stand) else 0


def _print(console: Console, title: str, lines: Iterator[str]) -> None:
    shown = list(lines)
    console.print(f"{title}: {len(shown)}", highlight=False)
    for line in shown:
        console.print(f"  {text.line(line)}", soft_wrap=True, markup=False, highlight=False)


def _open(found: Results, subject: Subject) -> Iterator[Open]:
    """Yield what a run ruled amiss of a subject and that can be accepted: numbers and images."""
    seen: set[tuple[str, str]] = set()
    for record in found.records:
        verdict = record.verdict
        if record.subject != subject.name or verdict.observed is None or record.revision:
            continue
        failed = verdict.outcome is Outcome.FAIL
        if verdict.gate == REGRESSION and (failed or verdict.lacks is Lack.BASELINE):
            yield Open(record=record)
        if verdict.gate == FIDELITY and failed and _CLOSE in record.test:
            if (record.test, record.frame) not in seen:
                yield Open(record=record)
            seen.add((record.test, record.frame))


def _entry(
    one: Open, found: Results, subject: Subject, options: argparse.Namespace
) -> Baseline | tuple[AcceptedOutput, Sequence[Values]]:
    """Return what accepts a deviation.

    Raises:
        ConfigError: it has no reason or last day, is of another file, or its image is not kept.
    """
    made = one.record.verdict.provenance
    if not options.because.strip() or not options.until:
        raise ConfigError("a deviation stays for a reason and a time: --because and --until DATE")
    try:
        baselines.check_day(options.until)
    except ValueError as error:
        raise ConfigError(f"--until: {error}") from None
    if options.until < evidence.now_utc()[:10]:
        raise ConfigError(f"--until={options.until} is over")
    file = {variant.name: variant.sha256 for variant in subject.variants}.get(one.record.variant)
    if made is None or made.file_sha256 != file:
        raise ConfigError(f"{one.id}: the run judged another file of {one.record.variant}")
    if one.record.verdict.gate == REGRESSION:
        return _number(one.record, made, found, subject, options)
    return _output(one, made, found, subject, options)


def _number(
    record: Record,
    made: Provenance,
    found: Results,
    subject: Subject,
    options: argparse.Namespace,
) -> Baseline:
    verdict = record.verdict
    assert verdict.observed is not None
    kin = [b for b in baselines.load(subject) if b.metric == verdict.metric and not b.until]
    about = (record.variant, record.device, record.delegate, record.resolution)
    mine = [b for b in kin if (b.variant, b.device, b.delegate, b.resolution) == about]
    width = 0.0 if verdict.high is None else max(0.0, verdict.high - verdict.observed)
    return Baseline(
        variant=record.variant,
        file_sha256=made.file_sha256,
        device=record.device,
        delegate=record.delegate,
        resolution=record.resolution,
        evidence=made.evidence,
        metric=verdict.metric,
        value=verdict.observed,
        spread=max([width, *(b.spread for b in mine if b.evidence is made.evidence)]),
        because=options.because,
        low=verdict.low,
        high=verdict.high,
        fingerprint=None if made.evidence.repeats else made.device,
        until=options.until,
        run=found.run.id,
    )


def _output(
    one: Open, made: Provenance, found: Results, subject: Subject, options: argparse.Namespace
) -> tuple[AcceptedOutput, Sequence[Values]]:
    record = one.record
    if record.frame not in samples.names(subject):
        raise ConfigError(f"{one.id}: {subject.name} has no frame {record.frame!r:.80}")
    given = samples.load(subject, record.frame).inputs.sha256
    for taken in found.facts:
        names = (taken.verb, taken.device, taken.delegate, taken.variant, taken.subject)
        about = (Verb.RUN.value, record.device, record.delegate, record.variant, record.subject)
        if names != about or taken.revision or taken.answer.get("inputs_sha256") != given:
            continue
        shown = fact_files.shown_images(taken, found.path.resolve().parent.parent)
        if shown is not None:
            accepted = AcceptedOutput(
                frame=record.frame,
                variant=record.variant,
                file_sha256=made.file_sha256,
                device=record.device,
                delegate=record.delegate,
                evidence=made.evidence,
                image_sha256="",
                because=options.because,
                until=options.until,
                fingerprint=None if made.evidence.repeats else made.device,
                run=found.run.id,
            )
            return accepted, goldens.judged(subject.output_specs, shown)
    raise ConfigError(f"{one.id}: run {found.run.id} keeps no image of frame {record.frame}")


def _write(
    subject: Subject, entries: Sequence[Baseline | tuple[AcceptedOutput, Sequence[Values]]]
) -> None:
    numbers = [one for one in entries if isinstance(one, Baseline)]
    if images := [one for one in entries if not isinstance(one, Baseline)]:
        accepted_outputs.store(subject, images)
    if numbers:
        new = {one.key for one in numbers}
        kept = [one for one in baselines.load(subject) if one.key not in new]
        baselines.store(subject, [*kept, *numbers])


def states(found: Results, subject: Subject, *, today: str) -> Iterator[tuple[str, str]]:
    """Yield how each accepted deviation of a subject stands by a run, and the line on it.

    Raises:
        ConfigError: what was accepted cannot be read.
    """
    for number in (one for one in baselines.load(subject) if one.until):
        about = (number.variant, number.device, number.delegate, number.resolution, number.metric)
        ruled = [
            record
            for record in found.records
            if record.verdict.gate == REGRESSION
            and record.subject == subject.name
            and record.verdict.evidence is number.evidence
            and about
            == (record.variant, record.device, record.delegate, record.resolution,
                record.verdict.metric)
        ]  # fmt: skip
        line = (
            f"{number.variant} on {number.device}:{number.delegate} {number.resolution} "
            f"{number.metric} {number.value:.4g}"
        )
        yield _state(ruled, number.until, today), f"{line} until {number.until}: {number.because}"
    for output in accepted_outputs.load(subject):
        ruled = [
            record
            for record in found.records
            if record.verdict.gate == FIDELITY
            and (record.subject, record.frame, record.variant)
            == (subject.name, output.frame, output.variant)
            and (record.device, record.delegate) == (output.device, output.delegate)
        ]
        line = f"output of {output.variant} on {output.device}:{output.delegate}, {output.frame}"
        yield _state(ruled, output.until, today), f"{line} until {output.until}: {output.because}"


def _state(ruled: Sequence[Record], until: str, today: str) -> str:
    if until < today:
        return EXPIRED
    if not ruled:
        return "unused, not tested by this run"
    used = any(record.verdict.accepted.startswith(f"until {until}") for record in ruled)
    return USED if used else "unused, the run passed without it or failed with it"
