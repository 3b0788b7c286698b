"""What is known of the pixels of a model that `harness inspect` shows: its worst PSNR to FP32."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import cases, judging, metrics, subjects
from harness.devices.connect import Origin, PhoneSetup
from harness.errors import HarnessError
from harness.evidence import Evidence
from harness.images import Size
from harness.lab import Facts, choose
from harness.profiles import Target
from harness.results import Record
from harness.subjects import SUBJECT_FILE, Subject, Variant
from harness.verdict import FIDELITY

TARGETS_MAX = 4
"""Most phones whose arithmetic is run for a look at a model."""


@dataclass(frozen=True, kw_only=True)
class Match:
    """How far the output of a variant is from the blessed FP32 output.

    Attributes:
        psnr_db: The worst of all frames.
        frame: The frame that it is of.
        frames: How many frames were compared.
        evidence: How it is known.
    """

    psnr_db: float
    frame: str
    frames: int
    evidence: Evidence


def variant_of(model: Path) -> tuple[Subject, Variant] | None:
    """Return the subject and variant that a file is of, or None where nobody has blessed it.

    Raises:
        ConfigError: the subject.toml beside it cannot be read.
    """
    folder = model.resolve().parent
    if not (folder / SUBJECT_FILE).is_file():
        return None
    subject = subjects.load(folder)
    found = (variant for variant in subject.variants if variant.path.resolve() == model.resolve())
    return next(((subject, variant) for variant in found), None)


def matches(
    subject: Subject, variant: Variant, targets: Sequence[Target], size: Size
) -> Mapping[str, Match | str]:
    """Return the worst PSNR by phone and delegate over the golden frames of one size, or why none.

    The outputs are those that the fidelity gate judges; the cache has them where it has run.

    Args:
        subject: The subject.
        variant: One of its variants.
        targets: Phones with delegates.
        size: Resolution of the frames.
    """
    planned = cases.plan((subject,), targets, f"{subject.name}.{variant.name}").cases
    trials = [
        trial
        for trial in judging.trials(planned)
        if getattr(trial.module, "GATE", "") == FIDELITY and trial.case.key.resolution == str(size)
    ]
    lab = choose([], origin=Origin.EMULATED, phone_setup=PhoneSetup.of_project())
    try:
        lab.open()
        records = list(judging.judge(trials, Facts(lab)))
    finally:
        lab.close()
    return {str(target): _worst(target, records) for target in targets}


def _worst(target: Target, records: Sequence[Record]) -> Match | str:
    here = [r for r in records if f"{r.device}:{r.delegate}" == str(target)]
    known = [
        (record.verdict.observed, record.frame, record.verdict.evidence)
        for record in here
        if record.verdict.metric == metrics.PSNR_DB.name
    ]
    told = [(db, frame, how) for db, frame, how in known if db is not None and how is not None]
    if not told:
        whys = [record.verdict.because for record in here if record.verdict.cause]
        return whys[0] if whys else "no golden frame has this resolution"
    psnr_db, frame, evidence = min(told, key=lambda one: one[0])
    frames = len({frame for _, frame, _ in told})
    return Match(psnr_db=psnr_db, frame=frame, frames=frames, evidence=evidence)


def known(model: Path, targets: Sequence[Target], size: Size) -> Mapping[str, Match | str]:
    """Return what is known of a file's pixels by phone and delegate; nothing where that is none.

    Args:
        model: The file.
        targets: Phones with delegates; of more than `TARGETS_MAX` nothing is asked.
        size: Resolution of the frames.
    """
    if not 0 < len(targets) <= TARGETS_MAX:
        return {}
    try:
        found = variant_of(model)
        return matches(*found, targets, size) if found else {}
    except HarnessError as error:
        return {str(target): str(error) for target in targets}
