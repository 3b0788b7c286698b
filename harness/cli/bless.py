"""Accept what a subject does now: write its hashes, goldens and baselines."""

import argparse
import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from harness import (
    agreement,
    baselines,
    blessed_outputs,
    cases,
    fidelity,
    files,
    gate,
    goldens,
    measures,
    observations,
    profiles,
    results,
    samples,
    subjects,
)
from harness.baselines import Baseline
from harness.cases import SizedCase
from harness.cli import bless_triage, own_measures, shared
from harness.devices import drift
from harness.devices.drift import Reference
from harness.errors import BlessedDataError, ConfigError, HarnessError
from harness.evidence import sha256_of
from harness.images import Size
from harness.inputs import Values
from harness.lab import DeviceUnderTest, Facts, Lab
from harness.limits import Limits
from harness.measures import Measure, Measured
from harness.observations import Observation
from harness.profiles import Target
from harness.roles import Role
from harness.run_lab import RunLab
from harness.subjects import SUBJECT_FILE, Subject, Variant
from harness.verdict import Outcome


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `harness bless`."""
    parser.add_argument("subject", metavar="SUBJECT")
    parser.add_argument(
        "--device",
        action="append",
        default=[],
        metavar="NAME[:DELEGATE]",
        help="take baselines for these devices only; default every device it ships to",
    )
    parser.add_argument(
        "--from",
        dest="measured",
        type=Path,
        metavar="RUN",
        help="accept what this run measured, such as .results/TIME.jsonl of a phone in the lab, "
        "and measure nothing; default devices: the run's",
    )
    parser.add_argument(
        "--first-outputs",
        action="store_true",
        help="of a subject without an FP32 variant: take today's outputs as the first ones, which "
        "are otherwise kept",
    )
    parser.add_argument(
        "--triage",
        action="store_true",
        help="list what a run (--from, else the newest) found amiss and what may stay until a day, "
        "used, unused or expired; accept single ones with --accept",
    )
    parser.add_argument(
        "--accept",
        action="append",
        default=[],
        metavar="ID",
        help="with --triage: let this deviation stay until --until; repeat it, or `all`",
    )
    parser.add_argument(
        "--drop-expired", action="store_true", help="with --triage: take off what is over"
    )
    parser.add_argument(
        "--until", default="", metavar="DATE", help="last day of it, such as 2026-12-31"
    )
    parser.add_argument("--because", default="", help="why; kept with each baseline")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    shared.add_origin(parser)
    shared.add_golden_dir(parser)
    shared.add_profile_dirs(parser)


def run(options: argparse.Namespace) -> int:
    """Show what would change, ask, and write it."""
    if options.triage:
        return bless_triage.run(options)
    if options.accept or options.until or options.drop_expired:
        raise ConfigError("--accept, --until and --drop-expired are for --triage")
    console = shared.console()
    subject = shared.load_subject(options)
    hashes = {v.sha256: sha256_of(_bytes(v.path)) for v in subject.variants}
    subject = replace(
        subject,
        variants=tuple(replace(v, sha256=hashes[v.sha256]) for v in subject.variants),
    )
    references = {name: _reference(subject, name) for name in samples.names(subject)}
    if not references:
        wanted = "folder of a sample" if subject.inputs else "<frame>.blurred.png"
        raise BlessedDataError(f"{subject.frames}: holds no {wanted} to bless")
    console.print(_reference_changes(subject, references))
    if not options.first_outputs:
        references |= _kept(subject, references)
    blessed = {baseline.key: baseline for baseline in baselines.load(subject)}
    accepted = tuple(
        _unmoved(blessed.get(one.key), one)
        for one in _baselines(console, subject, references, options)
    )
    new, variants = {b.key for b in accepted}, {v.name for v in subject.variants}
    kept = [b for b in blessed.values() if b.key not in new and b.variant in variants]
    changed = _print_baseline_changes(console, blessed, accepted)
    if changed and not options.because:
        raise ConfigError(f"{changed} blessed numbers would change; say why with --because")
    if not shared.confirmed(options.yes, f"this for {subject.name}"):
        console.print("Nothing was written.")
        return 1
    _rewrite_hashes(subject.folder / SUBJECT_FILE, hashes)
    for one in references.values():
        blessed_outputs.store(subject, one.sample, one.outputs, one.last)
    goldens.store_list(subject)
    path = baselines.store(subject, [*kept, *accepted])
    console.print(f"Blessed {subject.name}: {len(references)} goldens, {path.name}.")
    return 0


def _bytes(path: Path) -> bytes:
    return files.read_model(path, error=BlessedDataError)


def _reference(subject: Subject, name: str) -> Reference:
    """Return a sample and what the FP32 variant makes of it on this host."""
    made = drift.reference(subject, name)
    blessed_outputs.refuse_unusable(subject, name, made.outputs)  # now, before anything is written
    return made


def _reference_changes(subject: Subject, references: Mapping[str, Reference]) -> Table:
    title = "FP32 references" if subject.has_fp32 else "First outputs"
    table = Table(title=title, box=None, pad_edge=False, title_justify="left")
    for column in ("frame", "size", "against the blessed one"):
        table.add_column(column)
    for name, one in references.items():
        table.add_row(name, str(one.sample.size), _change(subject, name, one.outputs))
    for name in goldens.expected(subject):
        if name not in references:
            table.add_row(name, "", "its frame is gone, dropped")
    return table


def _kept(subject: Subject, today: Mapping[str, Reference]) -> dict[str, Reference]:
    """Return the first outputs of frames that have some, where no FP32 variant makes others."""
    found = {}
    for name, one in today.items() if not subject.has_fp32 else ():
        with contextlib.suppress(BlessedDataError):  # the frame is new, or has changed
            golden = goldens.load(subject, name)
            outputs = tuple(expected.fp32 for expected in golden.expected)
            found[name] = Reference(sample=one.sample, outputs=outputs, last=golden.last)
    return found


def _change(subject: Subject, name: str, outputs: Sequence[Values]) -> str:
    """Return how far today's outputs are from the blessed ones, whatever made those."""
    blessed = blessed_outputs.known(subject, name)
    if blessed is None or len(blessed) != len(outputs):
        return "new"
    shown = []
    for output, before, spec in zip(outputs, blessed, subject.judged_specs, strict=True):
        if before.shape != output.shape:
            return f"was of shape {list(before.shape)}, replaced"
        if spec.role is Role.IMAGE:
            match = fidelity.compare(output, before, output_range=spec.range)
            shown.append(f"{match.psnr_db:.1f} dB")
        else:
            shown.append(f"relative L2 {agreement.compare(output, before).relative_l2:.2g}")
    try:
        goldens.load(subject, name)
    except BlessedDataError:
        shown.append("stale, replaced")
    return ", ".join(shown)


def _own_failures(
    device: DeviceUnderTest,
    subject: Subject,
    variant: Variant,
    references: Mapping[str, Reference],
    registered: Mapping[str, Measured],
) -> Iterator[str]:
    """Yield how a variant fails the gates that it is blessed for: its pixels and its placement."""
    limits = variant.on(device.delegate).limits
    further = _further(subject, limits, registered)
    found: dict[str, str] = {}
    for one in references.values():
        output = observations.made(device, subject, variant, one.sample)
        made = goldens.judged(subject.output_specs, output.values)
        for spec, values, reference in zip(subject.judged_specs, made, one.outputs, strict=True):
            for verdict in gate.output(
                values, reference, spec, limits, output.provenance, of_fp32=subject.has_fp32
            ):
                if verdict.outcome is Outcome.FAIL:
                    found.setdefault(verdict.metric, str(verdict))
            for measure in further if spec.role is Role.IMAGE else ():
                measured = gate.measured(measure, values, reference, output.provenance)
                for verdict in gate.named([measured], spec):
                    if verdict.outcome is Outcome.FAIL:
                        found.setdefault(verdict.metric, str(verdict))
    budgets = subject.budgets_of(device.profile.name, device.delegate, variant.name)
    for budget in budgets:
        placement = device.place(variant, subject.run_size(Size.parse(budget.resolution)))
        for verdict in gate.residency(placement, budget):
            if verdict.outcome is Outcome.FAIL:
                found.setdefault(f"{verdict.metric} {budget.resolution}", str(verdict))
    about = f"{variant.name} on {device.profile.name}:{device.delegate}"
    yield from (f"{about} fails a gate of its own: {line}" for line in found.values())
    if unasked := sorted(set(limits.own) - set(registered)):
        yield (
            f"{about}: {', '.join(unasked)} not asked, being registered neither by a package nor "
            "by the conftest of this folder"
        )


def _further(
    subject: Subject, limits: Limits, registered: Mapping[str, Measured]
) -> tuple[Measure, ...]:
    """Return the measures that limits ask for, those that are registered here."""
    known = {name: limit for name, limit in limits.own.items() if name in registered}
    here = replace(limits, own=known)
    return tuple(measures.asked(here, registered, output_range=subject.image_range))


def _baselines(
    console: Console,
    subject: Subject,
    references: Mapping[str, Reference],
    options: argparse.Namespace,
) -> Iterator[Baseline]:
    """Yield today's facts about each variant on each device that it ships to; say what fails."""
    known = shared.load_profiles(options)
    registered = own_measures.registered({n for v in subject.variants for n in v.limits.own})
    outputs = {name: one.outputs for name, one in references.items()}
    with _lab(options) as lab:
        named = options.device or (list(lab.devices) if isinstance(lab, RunLab) else [])
        targets = tuple(
            profiles.select(known, named)
            if named
            else (Target(profile=one, delegate=one.default_delegate) for one in known.values())
        )
        facts = Facts(lab)
        planned = cases.plan([subject], targets).cases
        sizes = [sized for case in planned for sized in case.by_budget()]
        for _ in facts.take([one for sized in sizes for one in observations.asks(sized)]):
            pass  # asked at once, so that a lab needs few jobs; what failed is said below
        for case in planned:
            device = DeviceUnderTest(case.target, facts, subject=subject.name)
            for line in _own_failures(device, subject, case.variant, references, registered):
                console.print(line)
            for sized in case.by_budget():
                about = (device, subject, case.variant, sized.size)
                further = _further(subject, case.variant.limits, registered)
                observed = observations.of(*about)
                for one in (*observed, *observations.own(*about, further, outputs)):
                    yield _baseline(sized, one, options.because or "blessed")


@contextlib.contextmanager
def _lab(options: argparse.Namespace) -> Iterator[Lab]:
    """Open what answers: a run that is over, a lab, or this host and its phones."""
    if options.measured is not None:
        yield RunLab(results.load(options.measured))
        return
    with shared.open_lab(options, origin=shared.origin(options)) as lab:
        yield lab


def _baseline(case: SizedCase, observed: Observation, because: str) -> Baseline:
    key = case.key
    return Baseline(
        variant=key.variant,
        file_sha256=case.variant.sha256,
        device=key.device,
        delegate=key.delegate,
        resolution=key.resolution,
        evidence=observed.provenance.evidence,
        metric=observed.metric.name,
        value=observed.value,
        spread=observed.spread,
        low=observed.low,
        high=observed.high,
        fingerprint=observed.fingerprint,
        because=because,
    )


def _unmoved(was: Baseline | None, now: Baseline) -> Baseline:
    """Return the blessed number where today's is within its noise, else today's.

    Else blessing again and again would let a number creep without anyone being asked.
    """
    if was is None or abs(was.value - now.value) > was.spread:
        return now
    return replace(was, file_sha256=now.file_sha256)


def _print_baseline_changes(
    console: Console, before: Mapping[tuple[str, ...], Baseline], new: Sequence[Baseline]
) -> int:
    """Print what is new or changed, and return how many blessed numbers would change."""
    changes = 0
    replaced = 0
    for baseline in new:
        was = before.get(baseline.key)
        if was is not None and was.value == baseline.value:
            continue
        changes += 1
        replaced += was is not None
        about = (
            f"{baseline.variant} {baseline.device}:{baseline.delegate} {baseline.resolution} "
            f"{baseline.metric}"
        )
        text = (
            f"{baseline.value:.6g}" if was is None else f"{was.value:.6g} -> {baseline.value:.6g}"
        )
        console.print(f"{about}: {text}{' (new)' if was is None else ''}")
    console.print(f"Baselines: {len(new)} taken, {changes} new or changed.")
    return replaced


def _rewrite_hashes(path: Path, hashes: dict[str, str]) -> None:
    """Replace old hashes in subject.toml, leaving every other byte as a person wrote it."""
    text = files.read_text(path, error=ConfigError)
    for old, new in hashes.items():
        if old != new:
            if text.count(old) != 1:
                raise HarnessError(f"{path}: {old[:12]} stands there more than once; edit by hand")
            text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")
    subjects.load(path.parent)
