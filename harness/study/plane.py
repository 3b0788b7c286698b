"""The quality-latency plane: what each file's pixels are worth, and what they cost on a phone."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from harness.errors import BlessedDataError, StackMissing
from harness.study.facts import ARCHITECTURES, COMPRESSED, FULL_SIZE, OnPhone, Study
from harness.study.paired import Interval
from harness.study.tables import Table

PLANE_PHONES = ("pixel4", "galaxy_s23", "galaxy_s24")
PRECISIONS = ("fp32", "int8_ptq")
PRUNED = "pruned"


@dataclasses.dataclass(frozen=True, kw_only=True)
class FileOnPhone:
    """One file on one phone.

    Attributes:
        phone: Name of the phone's profile.
        subject: The subject.
        variant: Its variant.
        gain: PSNR above the blurred frames, paired.
        gmacs: MACs of one 1280x720 inference, in 10^9.
        cost: Its estimated latency at 1280x720, and where its ops run.
    """

    phone: str
    subject: str
    variant: str
    gain: Interval
    gmacs: float
    cost: OnPhone

    @property
    def name(self) -> str:
        """Return subject and variant."""
        return f"{self.subject}.{self.variant}"


def points(study: Study) -> tuple[FileOnPhone, ...]:
    """Return a point for each network, precision and phone with an estimate in milliseconds.

    A phone whose profile or software is not here has no points.
    """
    files = [(subject, variant) for subject in ARCHITECTURES for variant in PRECISIONS]
    files += [
        (COMPRESSED, variant)
        for variant in study.variants(COMPRESSED)
        if variant in (*PRECISIONS, "int8_qat") or variant.startswith(PRUNED)
    ]
    found = []
    for phone in [name for name in PLANE_PHONES if name in study.devices]:
        for subject, variant in files:
            try:
                cost = study.on_phone(phone, subject, variant, FULL_SIZE)
                quality = study.quality(subject, variant)
            except (BlessedDataError, StackMissing):
                continue
            if cost.absolute:
                found.append(
                    FileOnPhone(
                        phone=phone,
                        subject=subject,
                        variant=variant,
                        gain=quality.gain,
                        gmacs=quality.gmacs,
                        cost=cost,
                    )
                )
    return tuple(found)


def front(candidates: Sequence[FileOnPhone]) -> tuple[FileOnPhone, ...]:
    """Return the Pareto front of one phone's points, the fastest first.

    A point is on it if none is at least as fast and at least as good, and better in one.
    """
    ordered = sorted(candidates, key=lambda one: (one.cost.estimate_ms, -one.gain.mean_db))
    kept: list[FileOnPhone] = []
    for one in ordered:
        if not kept or one.gain.mean_db > kept[-1].gain.mean_db:
            kept.append(one)
    return tuple(kept)


def plane_table(found: Sequence[FileOnPhone]) -> Table:
    """Return every point, and whether it is on its phone's Pareto front."""
    rows = []
    for phone in dict.fromkeys(one.phone for one in found):
        own = [one for one in found if one.phone == phone]
        best = front(own)
        rows += [
            (
                phone,
                one.name,
                f"{one.gain.mean_db:.3f}",
                f"{one.gain.low_db:.3f}",
                f"{one.gain.high_db:.3f}",
                f"{one.cost.estimate_ms:.2f}",
                f"{one.cost.low_ms:.2f}",
                f"{one.cost.high_ms:.2f}",
                "yes" if one in best else "",
            )
            for one in sorted(own, key=lambda one: one.cost.estimate_ms)
        ]
    return Table(
        name="plane",
        title="Quality against latency at 1280x720",
        header=(
            "phone", "network", "gain dB", "low dB", "high dB", "ms", "low ms", "high ms", "front",
        ),
        rows=tuple(rows),
    )  # fmt: skip


def pruning_table(study: Study, found: Sequence[FileOnPhone]) -> Table:
    """Return what fewer MACs cost in dB and save in ms, with the ops that save nothing."""
    rows = []
    for phone in dict.fromkeys(one.phone for one in found):
        own = {one.variant: one for one in found if (one.phone, one.subject) == (phone, COMPRESSED)}
        whole = own.get("fp32")
        if whole is None:
            continue
        pruned = [
            one for name, one in own.items() if name.startswith(PRUNED) and "int8" not in name
        ]
        for one in (whole, *sorted(pruned, key=lambda point: -point.gmacs)):
            drop = study.quality(COMPRESSED, one.variant).drop
            rows.append(
                (
                    phone,
                    one.name,
                    f"{one.gmacs / whole.gmacs:.0%}",
                    "" if one is whole else str(drop),
                    f"{one.cost.estimate_ms:.2f} ({one.cost.low_ms:.2f} to {one.cost.high_ms:.2f})",
                    f"x{one.cost.estimate_ms / whole.cost.estimate_ms:.2f}",
                    "" if one is whole else saves_nothing(whole.cost, one.cost),
                )
            )
    return Table(
        name="pruning",
        title="Pruning: fewer MACs, dB and estimated time at 1280x720",
        header=("phone", "network", "MACs", "dB lost", "ms", "of FP32", "ops that save least"),
        rows=tuple(rows),
    )


def saves_nothing(before: OnPhone, after: OnPhone, *, most: int = 3) -> str:
    """Return the costliest ops that take at least nine tenths of their time before."""
    kept = {
        op: (before.op_ms[op], ms)
        for op, ms in after.op_ms.items()
        if op in before.op_ms and ms >= 0.9 * before.op_ms[op] and ms >= 0.01 * after.estimate_ms
    }
    costliest = sorted(kept.items(), key=lambda item: -item[1][1])[:most]
    return ", ".join(f"{op} {was:.2g} to {now:.2g} ms" for op, (was, now) in costliest)
