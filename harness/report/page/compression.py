"""The compression rows of the page: what each variant of a subject saves, and what it costs."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import metrics, subjects
from harness.errors import HarnessError
from harness.keys import Key
from harness.report.page.cells import names, pixels
from harness.report.page.merging import Merged
from harness.report.page.pictures import Frame
from harness.report.page.timings import Timing
from harness.subjects import SUBJECT_FILE

_KIB = 2**10
_MIB = 2**20


@dataclass(frozen=True, kw_only=True)
class Shrunk:
    """A variant in a row, as texts; '' where it is not known.

    Attributes:
        size: Of the exported file.
        psnr: Mean PSNR of the frames to their sharp targets.
        lost: Mean of what the frames lose of it to FP32.
        latency: On the phone of the row.
    """

    size: str
    psnr: str
    lost: str
    latency: str

    @property
    def lines(self) -> tuple[str, ...]:
        """Return what is known, one line each."""
        return tuple(filter(None, (self.size, self.psnr, self.lost, self.latency)))


@dataclass(frozen=True, kw_only=True)
class CompressionRow:
    """A subject on a phone at a resolution.

    Attributes:
        subject: Its name.
        target: Phone and delegate.
        resolution: Of latency and frames.
        variants: By name.
    """

    subject: str
    target: str
    resolution: str
    variants: Mapping[str, Shrunk]


def rows(
    merged: Merged, timings: Sequence[Timing], frames: Sequence[Frame], golden_dir: Path
) -> tuple[CompressionRow, ...]:
    """Return a row for each subject of several variants and each phone.

    Of several resolutions it is the one whose frames are ruled on, the largest of those.

    Args:
        merged: What the runs know.
        timings: Their latencies.
        frames: What variants made of frames, for the PSNR to sharp targets.
        golden_dir: Folder of the subjects, for the size of files of the same hash.
    """
    lost = _means(merged, metrics.QUALITY_DROP_DB.name)
    known_db = _means(merged, metrics.QUALITY_DB.name)
    psnr = known_db | _psnr(frames)
    sizes = _sizes(merged, golden_dir)
    groups: dict[tuple[str, str], dict[str, dict[str, Timing]]] = {}
    for timing in timings:
        about = timing.about
        sized = groups.setdefault((about.subject, f"{about.device}:{about.delegate}"), {})
        sized.setdefault(about.resolution, {})[about.variant] = timing
    judged = {about.resolution for about in (*lost, *psnr)}
    found = []
    for (subject, target), sized in groups.items():
        at = max(sized, key=lambda one: (one in judged, pixels(one)))
        if len(sized[at]) > 1:
            variants = {
                name: _shrunk(timing, sizes.get((subject, name)), psnr, lost)
                for name, timing in sized[at].items()
            }
            found.append(
                CompressionRow(subject=subject, target=target, resolution=at, variants=variants)
            )
    return tuple(found)


def _shrunk(
    timing: Timing, size_bytes: float | None, psnr: Mapping[Key, float], lost: Mapping[Key, float]
) -> Shrunk:
    about = timing.about
    size = ""
    if size_bytes is not None:
        mib = f"{size_bytes / _MIB:.3g} MiB"
        size = mib if size_bytes >= _MIB else f"{size_bytes / _KIB:.0f} KiB"
    measure = "relative " if timing.relative else ""
    return Shrunk(
        size=size,
        psnr=f"{psnr[about]:.2f} dB" if about in psnr else "",
        lost=f"{round(lost[about], 2) + 0.0:.2f} dB lost" if about in lost else "",
        latency=f"{timing.ms:.3g} ms {measure}{timing.evidence.value}",
    )


def _means(merged: Merged, metric: str) -> dict[Key, float]:
    """Return the mean of a metric over the frames, by what it is about."""
    values: dict[Key, list[float]] = {}
    for record in merged.records:
        seen = record.verdict.observed
        if record.verdict.metric == metric and seen is not None and math.isfinite(seen):
            values.setdefault(names(record), []).append(seen)
    return {about: statistics.fmean(all_) for about, all_ in values.items()}


def _psnr(frames: Sequence[Frame]) -> dict[Key, float]:
    """Return the mean PSNR to the sharp targets of frames of one size, by what it is about."""
    values: dict[Key, list[float]] = {}
    for frame in frames:
        for look in frame.looks:
            for target in look.targets:
                device, _, delegate = target.partition(":")
                about = Key(
                    device=device,
                    delegate=delegate,
                    subject=frame.subject,
                    variant=look.variant,
                    resolution=frame.resolution,
                )
                if look.sharp_db is not None:
                    values.setdefault(about, []).append(look.sharp_db)
    return {about: statistics.fmean(all_) for about, all_ in values.items()}


def _sizes(merged: Merged, golden_dir: Path) -> dict[tuple[str, str], float]:
    """Return the bytes of the files that were run, by subject and variant, where they are known."""
    hashes: dict[tuple[str, str], set[str]] = {}
    for fact in merged.facts:
        hashes.setdefault((fact.subject, fact.variant), set()).add(fact.file_sha256)
    found: dict[tuple[str, str], float] = {}
    for subject in dict.fromkeys(subject for subject, _ in hashes):
        if not subject or not (golden_dir / subject / SUBJECT_FILE).is_file():
            continue
        try:
            loaded = subjects.load(golden_dir / subject)
        except HarnessError:
            continue  # the gallery says why it cannot be read
        for variant in loaded.variants:
            key = (subject, variant.name)
            if {variant.sha256} == hashes.get(key) and variant.path.is_file():
                found[key] = variant.path.stat().st_size
    for record in merged.records:
        verdict = record.verdict
        if verdict.metric == metrics.FILE_SIZE_MIB.name and verdict.observed is not None:
            found[record.subject, record.variant] = verdict.observed * _MIB
    return found
