"""The frames of the page: what variants made of them beside what they should be."""

import base64
import functools
import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from harness import fact_files, fidelity, goldens, images, measures, samples, subjects
from harness.errors import HarnessError, ModelError, StackMissing
from harness.fact_lines import Taken
from harness.fidelity import Fidelity
from harness.goldens import Golden
from harness.images import Output, Pixels
from harness.report.page.merging import Merged
from harness.requests import Verb
from harness.subjects import SUBJECT_FILE, Subject

ERROR_WHITE = 1 / 16
"""Error that the error map draws white, as a share of the range from black to white."""
_EDGE_PX, _EDGE_LEAST_PX = 640, 64
"""Longest edge of an embedded image: as first tried, and where nothing smaller is tried."""
_IMAGES_BYTES = 10_000_000
"""Most that the images of a page may take, in base64; the page is to stay under 30 MB."""
_LOSSY_FROM_PX = 256
"""Edge from which downwards images are stored with losses: they are scaled down already."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """What a variant made of a frame.

    Attributes:
        variant: Its name.
        targets: Phones and delegates that made this very image.
        image: Number of the image.
        error: Number of its error map against FP32.
        psnr_db: PSNR to FP32.
        worst_tile: Left, top, width and height of the worst tile, as shares of the image.
        figures: Names and values of what it is from FP32.
        to_sharp: The same from the sharp target; empty where there is none.
        sharp_db: PSNR to the sharp target, or None.
    """

    variant: str
    targets: tuple[str, ...]
    image: int
    error: int
    psnr_db: float
    worst_tile: tuple[float, float, float, float]
    figures: tuple[tuple[str, str], ...]
    to_sharp: tuple[tuple[str, str], ...]
    sharp_db: float | None = None


@dataclass(frozen=True, kw_only=True)
class Frame:
    """A frame of a subject, and what its variants made of it.

    Attributes:
        subject: Name of the subject.
        name: Name of the frame.
        resolution: Its size.
        degraded: Number of the image that the model was given.
        fp32: Number of the blessed FP32 output, or of the first one where there is no FP32.
        sharp: Number of the sharp target, or None.
        looks: What variants made of it, what is farthest from FP32 first.
        of_fp32: Whether the blessed output is of FP32.
    """

    subject: str
    name: str
    resolution: str
    degraded: int
    fp32: int
    sharp: int | None
    looks: tuple[Look, ...]
    of_fp32: bool = True

    @property
    def targets(self) -> tuple[str, ...]:
        """Return the phones and delegates that made any of it."""
        return tuple(dict.fromkeys(target for look in self.looks for target in look.targets))


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """All frames of a page.

    Attributes:
        frames: The frames.
        images: Their images as addresses of the form `data:`, each once.
        missing: What cannot be shown and why, one line each.
        edge_px: Longest edge to which images were scaled, or None where all are whole.
    """

    frames: tuple[Frame, ...] = ()
    images: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    edge_px: int | None = None


def gallery(merged: Merged, golden_dir: Path, *, whole: bool = False) -> Gallery:
    """Return the frames of runs, from images that they stored and from goldens of the same hash.

    Args:
        merged: The runs.
        golden_dir: Folder of the subjects.
        whole: Whether to scale no image, however large the page becomes.
    """
    store = _Store()
    known = functools.cache(functools.partial(_goldens, golden_dir))
    missing: dict[str, None] = {}
    made = [fact for fact in merged.facts if fact.verb == Verb.RUN.value and _is_image(fact)]
    groups: dict[tuple[str, str], list[Taken]] = {}
    for fact in made:
        groups.setdefault((fact.subject, str(fact.answer.get("inputs_sha256"))), []).append(fact)
    frames = []
    for (subject, inputs_sha256), facts in groups.items():
        try:
            golden = known(subject).get(inputs_sha256)
        except HarnessError as error:
            missing[f"{subject}: {error}"] = None
            continue
        if golden is None:
            missing[
                f"{subject}: {len(facts)} outputs are no single image, or of a frame "
                f"that is not in {golden_dir / subject} as it is now"
            ] = None
            continue
        frame = _frame(subject, golden, facts, merged, store, missing)
        frames += [frame] if frame.looks else []
    encoded, edge_px = store.encoded(whole=whole)
    return Gallery(
        frames=tuple(frames), images=encoded, missing=tuple(missing), edge_px=edge_px
    )  # fmt: skip


def _is_image(fact: Taken) -> bool:
    return fact.kind == Output.__name__ and len(fact.answer.get("outputs", ())) == 1


def _goldens(golden_dir: Path, name: str) -> Mapping[str, Golden]:
    """Return the goldens of a subject by the hash of what the model is given.

    Raises:
        HarnessError: the subject or one of its goldens cannot be read.
    """
    folder = golden_dir / name
    if not name or not (folder / SUBJECT_FILE).is_file():
        raise HarnessError(f"{folder / SUBJECT_FILE} is missing, and with it the frames")
    subject: Subject = subjects.load(folder)
    found = (goldens.load(subject, frame) for frame in samples.names(subject))
    return {
        golden.inputs.sha256: golden
        for golden in found
        if len(golden.inputs) == len(golden.expected) == 1 and _is_shown(golden)
    }


def _is_shown(golden: Golden) -> bool:
    """Return whether the only input and the only output are images, grey or in colours."""
    arrays = (*golden.inputs.values(), golden.fp32_output)
    return all(values.ndim == 4 and values.shape[3] in (1, 3) for values in arrays)


def _frame(
    subject: str,
    golden: Golden,
    facts: Sequence[Taken],
    merged: Merged,
    store: "_Store",
    missing: dict[str, None],
) -> Frame:
    span = golden.output_range
    looks: dict[tuple[str, str], tuple[Pixels, list[str]]] = {}
    for fact in facts:
        target = f"{fact.device}:{fact.delegate}"
        try:
            stored = fact_files.shown_images(fact, merged.root_of[fact.request])
        except HarnessError as error:
            missing[f"{subject}.{fact.variant} on {target}: {error}"] = None
            continue
        pixels = golden.paired(stored)[0][0] if stored else None
        if pixels is None or pixels.shape != golden.fp32_output.shape:
            missing[
                f"{subject}.{fact.variant} on {target}, {golden.name}: the run's image is not "
                "stored beside it; copy .results/images too, or run again"
            ] = None
            continue
        key = (fact.variant, hashlib.sha256(pixels.tobytes()).hexdigest())
        looks.setdefault(key, (pixels, []))[1].append(target)
    found = [
        _look(variant, pixels, targets, golden, store)
        for (variant, _), (pixels, targets) in looks.items()
    ]
    return Frame(
        subject=subject,
        name=golden.name,
        resolution=str(golden.size),
        degraded=store.add(_eight_bits(golden.inputs.single, images.UNIT_RANGE)),
        fp32=store.add(_eight_bits(golden.fp32_output, span)),
        sharp=None if golden.target is None else store.add(_eight_bits(golden.target, span)),
        looks=tuple(sorted(found, key=lambda look: look.psnr_db)),
        of_fp32=golden.of_fp32,
    )


def _look(
    variant: str, pixels: Pixels, targets: Sequence[str], golden: Golden, store: "_Store"
) -> Look:
    span, reference = golden.output_range, golden.fp32_output
    match = fidelity.compare(pixels, reference, output_range=span)
    target, sharp = golden.target, None
    if target is not None:
        sharp = fidelity.compare(pixels, target, output_range=span)
    got, wanted = fidelity.on_display(pixels, reference, span)
    error = np.abs(got - wanted).max(axis=3)[0] / ERROR_WHITE
    height, width = pixels.shape[1:3]
    left, top = match.worst_tile_px
    tile = fidelity.TILE_PX
    return Look(
        variant=variant,
        targets=tuple(targets),
        image=store.add(_eight_bits(pixels, span)),
        error=store.add(np.round(np.clip(error, 0.0, 1.0) * 255).astype(np.uint8)),
        psnr_db=match.psnr_db,
        worst_tile=(
            left / width, top / height,
            min(tile, width - left) / width, min(tile, height - top) / height,
        ),
        figures=tuple(_figures(pixels, reference, span, match)),
        to_sharp=() if target is None or sharp is None else tuple(
            _figures(pixels, target, span, sharp)
        ),
        sharp_db=sharp.psnr_db if sharp is not None else None,
    )  # fmt: skip


def _figures(
    pixels: Pixels, reference: Pixels, span: tuple[float, float], match: Fidelity
) -> Iterator[tuple[str, str]]:
    """Yield PSNR, relative L2, the worst tile's PSNR, and SSIM where it can be had here."""
    yield "PSNR", f"{match.psnr_db:.2f} dB"
    yield "relative L2", f"{match.relative_l2:.3g}"
    edge = fidelity.TILE_PX
    yield f"worst {edge} x {edge} tile", f"{match.worst_tile_psnr_db:.2f} dB"
    got, wanted = fidelity.on_display(pixels, reference, span)
    try:
        yield "SSIM", f"{measures.ssim(got[0], wanted[0]):.4f}"
    except (StackMissing, ModelError):
        return


def _eight_bits(pixels: Pixels, span: tuple[float, float]) -> np.ndarray:
    """Return an image as a display shows it, uint8 [H, W, C]."""
    low, high = span
    shown = np.nan_to_num((pixels[0].astype(np.float64) - low) / (high - low), posinf=1, neginf=0)
    levels: np.ndarray = np.round(np.clip(shown, 0.0, 1.0) * 255).astype(np.uint8)
    return levels


@dataclass(frozen=True)
class _Store:
    """Images, each once."""

    numbers: dict[str, int] = field(default_factory=dict)
    arrays: list[np.ndarray] = field(default_factory=list)

    def add(self, array: np.ndarray) -> int:
        """Return the number of an image; the same pixels have the same number."""
        key = hashlib.sha256(repr(array.shape).encode() + array.tobytes()).hexdigest()
        if key not in self.numbers:
            self.numbers[key] = len(self.arrays)
            self.arrays.append(array)
        return self.numbers[key]

    def encoded(self, *, whole: bool) -> tuple[tuple[str, ...], int | None]:
        """Return the images as `data:` addresses, and the edge to which they were scaled."""
        largest = max((max(array.shape[:2]) for array in self.arrays), default=0)
        edge_px = largest if whole else min(_EDGE_PX, largest)
        while True:
            found = tuple(_address(array, edge_px) for array in self.arrays)
            if whole or sum(map(len, found)) <= _IMAGES_BYTES or edge_px <= _EDGE_LEAST_PX:
                return found, edge_px if edge_px < largest else None
            edge_px = max(edge_px // 2, _EDGE_LEAST_PX)


def _address(array: np.ndarray, edge_px: int) -> str:
    """Return an image as an address that holds it, scaled so that no edge is longer."""
    image = Image.fromarray(array[..., 0] if array.shape[2:] == (1,) else array)
    scaled = max(image.size) > edge_px
    image.thumbnail((edge_px, edge_px), Image.Resampling.LANCZOS)
    data = io.BytesIO()
    lossless = not (scaled and edge_px <= _LOSSY_FROM_PX)
    quality = 20 if lossless else 70  # how hard to try, where nothing may be lost
    image.convert("RGB").save(data, "WEBP", lossless=lossless, quality=quality, method=0)
    return "data:image/webp;base64," + base64.b64encode(data.getvalue()).decode()
