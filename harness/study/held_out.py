"""What every committed file does to the held-out frames, frame by frame, as a record on disk."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from harness import fidelity, schema
from harness.errors import BlessedDataError
from harness.images import Pixels
from harness.model import Model
from harness.stacks import xnnpack
from harness.study.paired import Interval, interval
from harness.training.batches import to_float
from harness.training.photos import CropPairs

RECORD = "held_out.json"
SETTINGS_RECORD = "quantization.json"
PAPER_SIZE_RECORD = "quantization_paper_size.json"
SEEDS_RECORD = "seeds.json"
PARENT = "fp32"


@dataclasses.dataclass(frozen=True, kw_only=True)
class FileQuality:
    """What one file does to each held-out frame.

    Attributes:
        name: Name of the variant.
        sha256: Of the file that was run.
        psnr_db: Of its output against the sharp frame.
        to_fp32_db: Of its output against that of the subject's FP32 file; 120 where they agree.
    """

    name: str
    sha256: str
    psnr_db: tuple[float, ...]
    to_fp32_db: tuple[float, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class HeldOut:
    """The quality of a subject's files on the same held-out frames.

    Attributes:
        command: What measured them.
        runtime: Versions of the software that ran them.
        pixels_sha256: Of the blurred and sharp pixels, so that only equal frames are compared.
        photographs: The photograph of each frame.
        blurred_db: PSNR of each frame before restoration.
        files: One entry per file.
    """

    command: str
    runtime: dict[str, str]
    pixels_sha256: str
    photographs: tuple[str, ...]
    blurred_db: tuple[float, ...]
    files: tuple[FileQuality, ...]

    def file(self, name: str) -> FileQuality:
        """Return what is known of one variant.

        Raises:
            BlessedDataError: It was not measured.
        """
        for one in self.files:
            if one.name == name:
                return one
        raise BlessedDataError(f"{name} was not measured; run `harness study measure`")

    def difference(
        self, better: str, worse: str, *, other: HeldOut | None = None, comparisons: int = 1
    ) -> Interval:
        """Return by how much one file's PSNR exceeds another's, paired over the same frames.

        Args:
            better: Name of the variant that the difference is in favour of.
            worse: Name of the one that is subtracted.
            other: The record that `worse` is in, if it is another subject's.
            comparisons: See `paired.interval`.

        Raises:
            BlessedDataError: The two were measured on different frames.
        """
        rival = self if other is None else other
        self.refuse_other_frames(rival, between=f"{better} and {worse}")
        differences = np.subtract(self.file(better).psnr_db, rival.file(worse).psnr_db)
        return interval(differences.tolist(), self.photographs, comparisons=comparisons)

    def refuse_other_frames(self, other: HeldOut, *, between: str) -> None:
        """Refuse a record of other frames than this one's.

        Args:
            other: The record beside this one.
            between: What is compared, such as `fp32 and int8_ptq`.

        Raises:
            BlessedDataError: Its pixels are not the same.
        """
        if other.pixels_sha256 != self.pixels_sha256:
            raise BlessedDataError(
                f"{between} were measured on different frames; run `harness study measure` for both"
            )

    def with_older(self, older: HeldOut) -> HeldOut:
        """Return this record with the files that only an older one of the same frames has."""
        if older.pixels_sha256 != self.pixels_sha256:
            return self
        own = {one.name for one in self.files}
        files = [*self.files, *(one for one in older.files if one.name not in own)]
        return dataclasses.replace(self, files=tuple(sorted(files, key=lambda one: one.name)))

    def psnr(self, name: str) -> Interval:
        """Return a variant's mean PSNR."""
        return interval(self.file(name).psnr_db, self.photographs)

    def gain(self, name: str) -> Interval:
        """Return by how much a variant improves on the blurred frames, paired."""
        gains = np.subtract(self.file(name).psnr_db, self.blurred_db)
        return interval(gains.tolist(), self.photographs)


def load(path: Path) -> HeldOut:
    """Read a record.

    Raises:
        BlessedDataError: There is none, or its lists differ in length.
        ConfigError: It is not a record.
    """
    if not path.is_file():
        raise BlessedDataError(f"{path} is missing; run `harness study measure`")
    record = schema.load_json(HeldOut, path)
    frames = len(record.photographs)
    lengths = [len(record.blurred_db)]
    lengths += [len(values) for one in record.files for values in (one.psnr_db, one.to_fp32_db)]
    if any(length != frames for length in lengths):
        raise BlessedDataError(f"{path}: every list must have {frames} values, one per frame")
    return record


def save(record: HeldOut, path: Path) -> None:
    """Write a record, one list per line."""
    parts = json.dumps(schema.dump(record), allow_nan=False)
    text = parts.replace('], "', '],\n"').replace('}, {"', '},\n{"').replace('", "', '",\n"')
    path.write_text(text + "\n")


def measure(
    files: dict[str, bytes], pairs: CropPairs, *, command: str, tell: Callable[[str], None]
) -> HeldOut:
    """Run files on every held-out frame and compare with the sharp frames.

    Args:
        files: Name to .tflite; holds the FP32 parent as `fp32`.
        pairs: The frames; their size is the files'.
        command: What goes into the record.
        tell: Is told of each file that is done.

    Raises:
        BlessedDataError: The FP32 parent is missing.
        ModelError: A file does not run, or not on frames of this size.
    """
    if PARENT not in files:
        raise BlessedDataError(f"the FP32 file is missing among {', '.join(files) or 'none'}")
    sharp = [to_float(one[None]) for one in pairs.sharp]
    blurred = [to_float(one[None]) for one in pairs.blurred]
    outputs: dict[str, list[Pixels]] = {}
    entries = []
    for name in (PARENT, *(one for one in files if one != PARENT)):
        model = Model(name=name, data=files[name])
        made = [xnnpack.run(model, frame) for frame in blurred]
        outputs.setdefault(PARENT, made)
        entries.append(
            FileQuality(
                name=name,
                sha256=model.sha256,
                psnr_db=_each(made, sharp),
                to_fp32_db=_each(made, outputs[PARENT]),
            )
        )
        tell(f"{name}: {np.mean(entries[-1].psnr_db):.3f} dB over {len(sharp)} frames")
    return HeldOut(
        command=command,
        runtime=xnnpack.versions(),
        pixels_sha256=pixels_of(pairs),
        photographs=pairs.titles,
        blurred_db=_each(blurred, sharp),
        files=tuple(sorted(entries, key=lambda one: one.name)),
    )


def pixels_of(pairs: CropPairs) -> str:
    """Return a hash of frames, blurred and sharp."""
    digest = hashlib.sha256(pairs.blurred.tobytes())
    digest.update(pairs.sharp.tobytes())
    return digest.hexdigest()


def _each(outputs: list[Pixels], targets: list[Pixels]) -> tuple[float, ...]:
    pairs = zip(outputs, targets, strict=True)
    return tuple(round(fidelity.image_psnr_db(output, target), 4) for output, target in pairs)
