"""What is known of the built subjects: their quality, and where and how fast they run."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harness import model
from harness.devices.emulated import Emulated
from harness.errors import BlessedDataError
from harness.evidence import Evidence
from harness.images import Size
from harness.model import Model
from harness.profiles import Profile, Target
from harness.study import held_out
from harness.study.held_out import PARENT, SEEDS_RECORD, SETTINGS_RECORD, HeldOut
from harness.study.paired import Interval, SeedSpread, between_designs, seed_spread

PHONES = ("pixel4", "mate30pro", "reno3")
DELEGATE = "nnapi"
FULL_SIZE = Size(width_px=1280, height_px=720)
SIZES = tuple(
    Size.parse(text) for text in ("256x256", "512x288", "768x432", "1024x576", "1280x720")
)
EXPORTED_PIXELS = 256 * 256

ARCHITECTURES = (
    "unet_resize_bilinear_prelu",
    "deblur_fpn",
    "deblur_edsr",
    "deblur_rdn",
    "deblur_dbpn",
    "deblur_sgn",
)
OP_GRID = tuple(
    f"unet_{upsampling}_{activation}"
    for upsampling in ("transpose_conv", "depth_to_space", "resize_bilinear")
    for activation in ("relu", "prelu")
)
COMPRESSED = "deblur_unet"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Quality:
    """What a variant does to the held-out frames, and its size.

    Attributes:
        psnr: Against the sharp target.
        gain: Of PSNR above the blurred frames', paired.
        drop: Of PSNR lost against the FP32 parent, paired.
        to_fp32_db: Mean PSNR against the FP32 parent's output, or None for the parent.
        gmacs: MACs of one 1280x720 inference, in 10^9.
        size_bytes: Size of the file.
    """

    psnr: Interval
    gain: Interval
    drop: Interval
    to_fp32_db: float | None
    gmacs: float
    size_bytes: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class OnPhone:
    """What is known of a variant on one phone at one size.

    Attributes:
        cpu_ops: Ops that fall back to the CPU.
        kinds: The kinds of those ops.
        partitions: Stretches of ops on one unit.
        placed_by: How placement is known.
        estimate_ms: Estimated median latency.
        low_ms: Lower end of its 90 % interval.
        high_ms: Upper end.
        op_ms: Estimated milliseconds of each op or fused group, by label.
        absolute: False where only ratios between estimates of one phone mean anything.
    """

    cpu_ops: int
    kinds: tuple[str, ...]
    partitions: int
    placed_by: Evidence
    estimate_ms: float
    low_ms: float
    high_ms: float
    op_ms: Mapping[str, float]
    absolute: bool


class Study:
    """The built subjects of a golden folder on emulated phones."""

    def __init__(self, golden: Path, profiles: Mapping[str, Profile]) -> None:
        """Keep the folder and one emulated device per phone.

        The paper's phones run NNAPI, the others what they ship with.
        """
        self._golden = golden
        self.devices = {
            name: Emulated(
                Target(
                    profile=profile,
                    delegate=DELEGATE if name in PHONES else profile.default_delegate,
                )
            )
            for name, profile in profiles.items()
        }

    def variants(self, subject: str) -> tuple[str, ...]:
        """Return the variants that were built of a subject; none if it was not built."""
        return tuple(self._facts(subject)["variants"])

    def quality(self, subject: str, variant: str) -> Quality:
        """Return a variant's quality.

        Raises:
            BlessedDataError: It was not built, or not measured.
        """
        entry = self._facts(subject)["variants"].get(variant)
        if entry is None:
            raise BlessedDataError(f"{subject}.{variant} was not built; run `harness build`")
        record = self.held_out(subject)
        file = record.file(variant)
        if file.sha256 != entry["sha256"]:
            raise BlessedDataError(
                f"{subject}.{variant} was built again since it was measured; run `harness study "
                f"measure {subject}`"
            )
        return Quality(
            psnr=record.psnr(variant),
            gain=record.gain(variant),
            drop=record.difference(PARENT, variant),
            to_fp32_db=None if variant == PARENT else float(np.mean(file.to_fp32_db)),
            gmacs=entry["macs"] / EXPORTED_PIXELS * FULL_SIZE.width_px * FULL_SIZE.height_px / 1e9,
            size_bytes=entry["size_bytes"],
        )

    def held_out(self, subject: str) -> HeldOut:
        """Return what a subject's files do to the held-out frames, frame by frame.

        Raises:
            BlessedDataError: It was not measured.
        """
        return held_out.load(self._golden / subject / held_out.RECORD)

    def settings(self, subject: str, *, record: str = SETTINGS_RECORD) -> HeldOut | None:
        """Return what one network's settings of quantization do, or None if nobody measured."""
        path = self._golden / subject / record
        return held_out.load(path) if path.is_file() else None

    @functools.cache  # noqa: B019 - one study lives as long as the command
    def trainings(self, subject: str) -> tuple[tuple[float, ...], ...]:
        """Return the PSNR of each training of a design, frame by frame; the built one is first.

        Raises:
            BlessedDataError: The subject was not measured, or its seeds on other frames or with
                another file of the first.
        """
        first = self.held_out(subject)
        path = self._golden / subject / SEEDS_RECORD
        own = first.file(PARENT).psnr_db
        if not path.is_file():
            return (own,)
        seeds = held_out.load(path)
        if (seeds.pixels_sha256, seeds.file(PARENT).sha256) != (
            first.pixels_sha256,
            first.file(PARENT).sha256,
        ):
            raise BlessedDataError(
                f"{subject} was built or measured again since its seeds were; run `harness study "
                "seeds`"
            )
        return (own, *(one.psnr_db for one in seeds.files if one.name != PARENT))

    def exceeds(self, subject: str, rival: str, *, comparisons: int = 1) -> Interval:
        """Return by how much a design exceeds another, whatever the frames and the seeds.

        Raises:
            BlessedDataError: One was not measured, or on other frames.
            MeasurementError: No design was trained with two seeds.
        """
        record = self.held_out(subject)
        record.refuse_other_frames(self.held_out(rival), between=f"{subject} and {rival}")
        return between_designs(
            self.trainings(subject),
            self.trainings(rival),
            record.photographs,
            spread=self.seed_spread(ARCHITECTURES if rival in ARCHITECTURES else OP_GRID),
            comparisons=comparisons,
        )

    @functools.cache  # noqa: B019 - one study lives as long as the command
    def seed_spread(self, designs: Sequence[str]) -> SeedSpread:
        """Return the spread among trainings of one design, over those that are compared.

        Raises:
            MeasurementError: None has several trainings.
        """
        built = [one for one in designs if self.variants(one)]
        means = [[float(np.mean(psnr)) for psnr in self.trainings(one)] for one in built]
        return seed_spread(means)

    @functools.cache  # noqa: B019 - one study lives as long as the command
    def on_phone(self, phone: str, subject: str, variant: str, size: Size) -> OnPhone:
        """Return where a variant's ops run on a phone, and how long they take by estimate."""
        device = self.devices[phone]
        file = self._model(subject, variant).at(size)
        placement = device.place(file)
        found = device.time(file)
        return OnPhone(
            cpu_ops=placement.cpu_ops,
            kinds=tuple(sorted({node.op for node in placement.fallbacks})),
            partitions=placement.partitions,
            placed_by=placement.provenance.evidence,
            estimate_ms=found.estimate_ms,
            low_ms=found.low_ms,
            high_ms=found.high_ms,
            op_ms={
                label: share * found.estimate_ms
                for label, share in found.shares.items()
                if "#" in label
            },
            absolute=found.absolute,
        )

    @functools.cache  # noqa: B019 - one study lives as long as the command
    def _model(self, subject: str, name: str) -> Model:
        path = self._golden / subject / f"{name}.tflite"
        if not path.is_file():
            raise BlessedDataError(f"{subject}.{name} was not built; run `harness build`")
        return model.load(path)

    def _facts(self, subject: str) -> dict[str, Any]:
        path = self._golden / subject / "provenance.json"
        if not path.is_file():
            return {"variants": {}}
        return dict(json.loads(path.read_text()))
