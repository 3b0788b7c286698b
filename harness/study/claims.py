"""The paper's claims, each beside what our subjects show.

A claim about quality is ruled by a paired interval alone: wholly inside what is claimed, wholly
outside, or open. In a claim about designs as such the interval also holds the spread among
trainings with other seeds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable

from harness.errors import BlessedDataError, MeasurementError
from harness.study.facts import ARCHITECTURES, COMPRESSED, FULL_SIZE, OP_GRID, PHONES, SIZES, Study
from harness.study.held_out import PARENT, HeldOut

ONE_FRAME = "1_calibration_frame"  # a setting of `harness study quantization`


@dataclasses.dataclass(frozen=True, kw_only=True)
class Claim:
    """A claim of the paper beside what was found here.

    Attributes:
        claimed: What the paper says.
        found: What our subjects show, in figures.
        agrees: Whether they agree, or None where our evidence cannot say.
        evidence: What the finding rests on.
        subjects: Those whose frame by frame records it rests on.
    """

    claimed: str
    found: str
    agrees: bool | None
    evidence: str
    subjects: tuple[str, ...] = ()


def check(study: Study) -> tuple[Claim, ...]:
    """Hold every claim against our subjects; one whose subjects are not built stays open."""
    checks: tuple[tuple[str, Callable[[Study], Claim | None]], ...] = (
        ("UNet has the best PSNR of the architectures at equal MACs", _unet_is_best),
        ("TRANSPOSE_CONV falls back to the CPU; the other upsamplings do not", _transpose_falls),
        ("8-bit PTQ loses 2 dB", lambda s: _loses(s, "int8_ptq", 2.0)),
        ("8-bit QAT loses 0.8 dB", lambda s: _loses(s, "int8_qat", 0.8)),
        ("8-bit QAT loses less than 8-bit PTQ", _qat_beats_ptq),
        ("16-bit PTQ equals FP32", _sixteen_equals),
        ("Quantized RESIZE_BILINEAR is not supported on Mate30 Pro", _mate_refuses),
        ("30 % fewer MACs give 60 % faster inference on Pixel 4 for 0.5 dB", _pruning_pays),
        ("Latency jumps at 1280x720 on Pixel 4", _jump),
    )
    claims = []
    for claimed, check in checks:
        try:
            found = check(study)
        except (BlessedDataError, MeasurementError) as error:
            found = Claim(claimed="", found=str(error), agrees=None, evidence="none")
        if found is not None:
            claims.append(dataclasses.replace(found, claimed=claimed))
    return tuple(claims)


def _claim(found: str, agrees: bool | None, evidence: str, *subjects: str) -> Claim:
    return Claim(claimed="", found=found, agrees=agrees, evidence=evidence, subjects=subjects)


def _unet_is_best(study: Study) -> Claim:
    """Compare designs as such: over frames and over seeds, all rivals together."""
    unet, *rivals = ARCHITECTURES
    exceeds = {rival: study.exceeds(unet, rival, comparisons=len(rivals)) for rival in rivals}
    found = ", ".join(f"{rival} {one}" for rival, one in exceeds.items())
    counts = ", ".join(f"{name} {len(study.trainings(name))}" for name in ARCHITECTURES)
    spread = study.seed_spread(ARCHITECTURES)
    return _claim(
        f"UNet exceeds {found} dB (together at 95 %), at about 5 GMAC in place of 250; trainings "
        f"of each: {counts}; one of a design differs from another by {spread.deviation_db:.3f} dB "
        "(standard deviation)",
        all_of(one.above_zero for one in exceeds.values()),
        _measured(study.held_out(unet)),
        *ARCHITECTURES,
    )


def _transpose_falls(study: Study) -> Claim:
    counts = {
        subject: [study.on_phone(p, subject, "fp32", FULL_SIZE).cpu_ops for p in PHONES]
        for subject in OP_GRID
        if "fp32" in study.variants(subject)
    }
    if len(counts) < len(OP_GRID):
        raise BlessedDataError(f"only {len(counts)} of {len(OP_GRID)} of the grid are built")
    agrees = all(
        all(numbers) if "transpose_conv" in subject else not any(numbers)
        for subject, numbers in counts.items()
    )
    found = "; ".join(f"{name} {'/'.join(map(str, ops))}" for name, ops in counts.items())
    return _claim(f"ops on the CPU on {'/'.join(PHONES)}: {found}", agrees, "RULES")


def _loses(study: Study, variant: str, claimed_db: float) -> Claim:
    """Call it the paper's loss from half of it to half as much again."""
    record = study.held_out(COMPRESSED)
    drop = study.quality(COMPRESSED, variant).drop
    agrees = drop.inside(0.5 * claimed_db, 1.5 * claimed_db)
    settings = study.settings(COMPRESSED) if variant == "int8_ptq" else None
    few = ""
    if settings is not None and ONE_FRAME in {one.name for one in settings.files}:
        few = f"; {settings.difference(PARENT, ONE_FRAME)} dB after calibration with one frame"
    return _claim(f"{drop} dB lost{few}", agrees, _measured(record), COMPRESSED)


def _qat_beats_ptq(study: Study) -> Claim:
    """Compare on every subject that has both; the claim needs all, and falls with one."""
    both = [
        subject
        for subject in (COMPRESSED, *ARCHITECTURES)
        if {"int8_qat", "int8_ptq"} <= set(study.variants(subject))
    ]
    if not both:
        raise BlessedDataError(f"{COMPRESSED}.int8_qat was not built; run `harness build`")
    regained = {
        subject: study.held_out(subject).difference("int8_qat", "int8_ptq", comparisons=len(both))
        for subject in both
    }
    found = "; ".join(f"{subject} {one}" for subject, one in regained.items())
    return _claim(
        f"dB that QAT has above PTQ: {found}",
        all_of(one.above_zero for one in regained.values()),
        _measured(study.held_out(both[0])),
        *both,
    )


def all_of(answers: Iterable[bool | None]) -> bool | None:
    """Return whether all are true: False with one that is not, None with one that is open."""
    known = tuple(answers)
    if any(answer is False for answer in known):
        return False
    return None if any(answer is None for answer in known) else True


def _sixteen_equals(study: Study) -> Claim:
    """Call it equal within a tenth of a decibel."""
    drop = study.quality(COMPRESSED, "int16_ptq").drop
    evidence = _measured(study.held_out(COMPRESSED))
    return _claim(f"{drop} dB lost", drop.inside(-0.1, 0.1), evidence, COMPRESSED)


def _measured(record: HeldOut) -> str:
    """Return what a claim about quality rests on."""
    photographs = len(set(record.photographs))
    frames = f"{len(record.photographs)} frames of {photographs} photographs"
    return f"HOST, LiteRT kernels; {frames}; by {record.command}"


def _mate_refuses(study: Study) -> Claim:
    found = study.on_phone("mate30pro", COMPRESSED, "int8_ptq", FULL_SIZE)
    kinds = ", ".join(found.kinds) or "none"
    evidence = found.placed_by.value
    return _claim(f"ops on the CPU: {kinds}", found.kinds == ("RESIZE_BILINEAR",), evidence)


def _pruning_pays(study: Study) -> Claim:
    whole, pruned = (study.quality(COMPRESSED, name) for name in ("fp32", "pruned70"))
    before, after = (
        study.on_phone("pixel4", COMPRESSED, name, FULL_SIZE).estimate_ms
        for name in ("fp32", "pruned70")
    )
    found = (
        f"{1 - pruned.gmacs / whole.gmacs:.0%} fewer MACs, estimate {before / after - 1:.0%} "
        f"faster, {pruned.drop} dB lost"
    )
    evidence = (
        f"MODEL for latency, which cannot settle this; {_measured(study.held_out(COMPRESSED))}"
    )
    return _claim(found, None, evidence, COMPRESSED)


def _jump(study: Study) -> Claim:
    small, large = (
        study.on_phone("pixel4", COMPRESSED, "fp32", size) for size in (SIZES[-2], SIZES[-1])
    )
    ratio = large.estimate_ms / small.estimate_ms
    pixels = SIZES[-1].megapixels / SIZES[-2].megapixels
    found = f"x{ratio:.2f} from {SIZES[-2]} to {SIZES[-1]}, for x{pixels:.2f} pixels"
    return _claim(found, None, "MODEL, which has no such jump in it")
