"""The paper's four tables, on our subjects."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Sequence

from harness import text
from harness.errors import BlessedDataError, MeasurementError
from harness.study.facts import (
    ARCHITECTURES,
    COMPRESSED,
    FULL_SIZE,
    OP_GRID,
    PHONES,
    SIZES,
    OnPhone,
    Quality,
    Study,
)
from harness.study.held_out import PAPER_SIZE_RECORD, PARENT, SETTINGS_RECORD

AS_BUILT = "as_built"  # the setting by which subjects are built
TUNED = "+qat"  # ends the name of a setting whose network was also fine-tuned


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
    """A table of text cells.

    Attributes:
        name: File name of its CSV.
        title: Title in the report.
        header: Column names, with units.
        rows: Cells as text.
    """

    name: str
    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def csv(self) -> str:
        """Return the table as CSV."""
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerows([self.header, *self.rows])
        return out.getvalue()

    def markdown(self) -> str:
        """Return the table as Markdown."""
        cells = [tuple(map(text.markdown, row)) for row in (self.header, *self.rows)]
        lines = [cells[0], tuple("---" for _ in self.header), *cells[1:]]
        return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def draw(study: Study) -> tuple[Table, ...]:
    """Return the four tables; what is not built says so."""
    return (
        _quality_table(
            study,
            name="architectures",
            title="Architectures: one data set, one budget of training, FP32",
            chosen=[(subject, "fp32") for subject in ARCHITECTURES],
        ),
        _quality_table(
            study,
            name="op_grid",
            title="UNet by upsampling and activation",
            chosen=[(s, v) for s in OP_GRID for v in ("fp32", "int8_ptq", "int16_ptq")],
        ),
        _quality_table(
            study,
            name="compression",
            title="Compression of UNet, RESIZE_BILINEAR, PReLU",
            chosen=[(COMPRESSED, variant) for variant in study.variants(COMPRESSED)],
        ),
        _resolution_table(study),
        _differences_table(study),
        _settings_table(study),
    )


def _quality_table(
    study: Study, *, name: str, title: str, chosen: Sequence[tuple[str, str]]
) -> Table:
    header = ["variant", "PSNR dB", "gain dB", "drop dB", "to FP32 dB", "GMAC at 720p", "KiB"]
    for phone in PHONES:
        header += [f"{phone} ms at 720p", f"{phone} ops on CPU"]
    rows = []
    for subject, variant in chosen:
        if variant not in study.variants(subject):
            rows.append((f"{subject}.{variant}", "not built", *("" for _ in header[2:])))
            continue
        try:
            quality = study.quality(subject, variant)
        except BlessedDataError:
            rows.append((f"{subject}.{variant}", "not measured", *("" for _ in header[2:])))
            continue
        rows.append((f"{subject}.{variant}", *_cells(quality), *_phones(study, subject, variant)))
    return Table(name=name, title=title, header=tuple(header), rows=tuple(rows))


def _cells(quality: Quality) -> tuple[str, ...]:
    psnr = quality.psnr
    return (
        f"{psnr.mean_db:.2f} ({psnr.low_db:.2f} to {psnr.high_db:.2f})",
        str(quality.gain),
        "" if quality.to_fp32_db is None else str(quality.drop),
        "" if quality.to_fp32_db is None else f"{quality.to_fp32_db:.1f}",
        f"{quality.gmacs:.2f}",
        f"{quality.size_bytes / 1024:.0f}",
    )


def _phones(study: Study, subject: str, variant: str) -> list[str]:
    cells = []
    for phone in PHONES:
        found = study.on_phone(phone, subject, variant, FULL_SIZE)
        cells.append(_time(study, phone, found))
        kinds = f" ({', '.join(found.kinds)})" if 0 < len(found.kinds) <= 2 else ""
        cells.append(f"{found.cpu_ops}{kinds}")
    return cells


def _time(study: Study, phone: str, found: OnPhone) -> str:
    if found.absolute:
        return f"{found.estimate_ms:.0f} ({found.low_ms:.0f} to {found.high_ms:.0f})"
    reference = study.on_phone(phone, COMPRESSED, "fp32", FULL_SIZE)
    return f"x{found.estimate_ms / reference.estimate_ms:.2f}"


def _differences_table(study: Study) -> Table:
    """Return by how much UNet exceeds each other design, over frames and over seeds."""
    unet, *rivals = ARCHITECTURES
    rows = []
    for rival in [*rivals, *(name for name in OP_GRID if name != unet)]:
        try:
            exceeds = study.exceeds(unet, rival)
            counts = [f"{len(study.trainings(name))}" for name in (unet, rival)]
            frames = (f"{exceeds.frames}", f"{exceeds.photographs}")
            rows.append((unet, rival, str(exceeds), *counts, *frames))
        except (BlessedDataError, MeasurementError) as error:
            rows.append((unet, rival, str(error), "", "", "", ""))
    return Table(
        name="differences",
        title="UNet against the other designs, FP32, whatever the seed",
        header=(
            "network", "less", "dB", "its trainings", "the other's", "frames", "photographs",
        ),
        rows=tuple(rows),
    )  # fmt: skip


def _settings_table(study: Study) -> Table:
    """Return what 8 bits cost one network, one change of the setting at a time."""
    rows = []
    measured = [(subject, subject, SETTINGS_RECORD) for subject in (COMPRESSED, *ARCHITECTURES)]
    measured.append((COMPRESSED, f"{COMPRESSED}, 250 GMAC", PAPER_SIZE_RECORD))
    for subject, title, name in measured:
        record = study.settings(subject, record=name)
        if record is None:
            continue
        tuned = {one.name for one in record.files if one.name.endswith(TUNED)}
        for one in record.files:
            if one.name == PARENT or one.name in tuned:
                continue
            more = one.name + TUNED
            rows.append(
                (
                    title,
                    one.name,
                    str(record.difference(PARENT, one.name)),
                    "" if one.name == AS_BUILT else str(record.difference(AS_BUILT, one.name)),
                    str(record.difference(PARENT, more)) if more in tuned else "",
                    str(record.difference(more, one.name)) if more in tuned else "",
                )
            )
    return Table(
        name="quantization",
        title="What 8 bits cost by setting, one change at a time on the same weights",
        header=(
            "network",
            "setting",
            "dB lost by PTQ",
            "of it more than as built",
            "dB lost by QAT",
            "dB that QAT regains",
        ),
        rows=tuple(rows),
    )


def _resolution_table(study: Study) -> Table:
    rows = []
    for variant in ("fp32", "int8_ptq"):
        for size in SIZES:
            cells = [f"{COMPRESSED}.{variant}", str(size), f"{size.megapixels:.3f}"]
            for phone in PHONES:
                found = study.on_phone(phone, COMPRESSED, variant, size)
                cells += [_time(study, phone, found), str(found.partitions)]
            rows.append(tuple(cells))
    header = ["variant", "size", "megapixels"]
    for phone in PHONES:
        header += [f"{phone} ms", f"{phone} partitions"]
    title = "Latency against resolution"
    return Table(name="resolution", title=title, header=tuple(header), rows=tuple(rows))
