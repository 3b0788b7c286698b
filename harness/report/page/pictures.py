"""The frames of the page: what variants made of them beside what they should be."""

import base64
import functools
import hashlib
import io
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from PIL import Image

from harness import fact_files, fidelity, goldens, images, measures, samples, subjects
from harness.errors import HarnessError, ModelError, StackMissing
from harness.fact_lines import Taken
from harness.fidelity import Fidelity
from harness.goldens import Golden
from harness.images import Output, Pixels
from harness.inputs import Values
from harness.report.page.merging import Merged
from harness.requests import Verb
from harness.subjects import SUBJECT_FILE, Subject

ERROR_WHITE = 1 / 16
"""Error that the error map draws white, as a share of the range from black to white."""
_EDGE_PX, _EDGE_LEAST_PX = 640, 64
"""Longest edge of an embedded image: as first tried, and where nothing smaller is tried."""
_EACH_MAX = 400
"""Most outputs of which each is embedded; of more, only the farthest from FP32 of each variant."""
_IMAGES_BYTES = 15_000_000
"""Most that the images of a page may take, in base64; the page is to stay under 30 MB."""
_SAMPLED = 100
"""About how many images are encoded to guess the size of all."""
_LOSSLESS, _QUALITY = None, 80
"""Quality of WebP as first tried, and where that is too large."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """What a variant made of a frame.

    Attributes:
        variant: Its name.
        targets: Phones and delegates that made this very image.
        image: Number of the image, or None where it is not embedded.
        error: Number of its error map against FP32, likewise.
        psnr_db: PSNR to FP32.
        worst_tile: Left, top, width and height of the worst tile, as shares of the image.
        figures: Names and values of what it is from FP32.
        to_sharp: The same from the sharp target; empty where there is none.
        sharp_db: PSNR to the sharp target, or None.
    """

    variant: str
    targets: tuple[str, ...]
    image: int | None
    error: int | None
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
        lossy: Whether images are stored with losses.
        left_out: Outputs whose numbers are there and whose images are not, as they are too many.
    """

    frames: tuple[Frame, ...] = ()
    images: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    edge_px: int | None = None
    lossy: bool = False
    left_out: int = 0


def gallery(merged: Merged, golden_dir: Path, *, whole: bool = False) -> Gallery:
    """Return the frames of runs, from images that they stored and from goldens of the same hash.

    Args:
        merged: The runs.
        golden_dir: Folder of the subjects.
        whole: Whether to embed every image and scale none, however large the page becomes.
    """
    store = _Store()
    known = functools.lru_cache(maxsize=2)(functools.partial(_goldens, golden_dir))
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
        each = whole or len(made) <= _EACH_MAX
        frame = _frame(subject, golden, facts, merged, store, missing, each=each)
        frames += [frame] if frame.looks else []
    encoded, edge_px, lossy = store.encoded(whole=whole)
    return Gallery(
        frames=tuple(frames),
        images=encoded,
        missing=tuple(missing),
        edge_px=edge_px,
        lossy=lossy,
        left_out=sum(look.image is None for frame in frames for look in frame.looks),
    )


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
    *,
    each: bool,
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
    made = [
        (_look(variant, pixels, targets, golden), pixels)
        for (variant, _), (pixels, targets) in looks.items()
    ]
    made.sort(key=lambda one: one[0].psnr_db)
    farthest = {look.variant: look for look, _ in reversed(made)}
    found = [
        _embedded(look, pixels, golden, store) if each or farthest[look.variant] is look else look
        for look, pixels in made
    ]
    return Frame(
        subject=subject,
        name=golden.name,
        resolution=str(golden.size),
        degraded=store.add(_eight_bits(golden.inputs.single, images.UNIT_RANGE)),
        fp32=store.add(_eight_bits(golden.fp32_output, span)),
        sharp=None if golden.target is None else store.add(_eight_bits(golden.target, span)),
        looks=tuple(found),
        of_fp32=golden.of_fp32,
    )


def _look(variant: str, pixels: Pixels, targets: Sequence[str], golden: Golden) -> Look:
    """Return the numbers of an output; its image is not embedded yet."""
    span, target = golden.output_range, golden.target
    match = fidelity.compare(pixels, golden.fp32_output, output_range=span)
    sharp = None if target is None else fidelity.compare(pixels, target, output_range=span)
    height, width = pixels.shape[1:3]
    left, top = match.worst_tile_px
    tile = fidelity.TILE_PX
    return Look(
        variant=variant,
        targets=tuple(targets),
        image=None,
        error=None,
        psnr_db=match.psnr_db,
        worst_tile=(
            left / width, top / height,
            min(tile, width - left) / width, min(tile, height - top) / height,
        ),
        figures=_figures(match),
        to_sharp=() if sharp is None else _figures(sharp),
        sharp_db=None if sharp is None else sharp.psnr_db,
    )  # fmt: skip


def _embedded(look: Look, pixels: Pixels, golden: Golden, store: "_Store") -> Look:
    """Return an output with its image and error map, and the SSIM that takes longest to know."""
    span, target = golden.output_range, golden.target
    got, wanted = fidelity.on_display(pixels, golden.fp32_output, span)
    error = np.abs(got - wanted).max(axis=3)[0] / ERROR_WHITE
    levels = np.round(np.clip(error, 0.0, 1.0) * 255).astype(np.uint8)
    to_sharp = () if target is None else _ssim(*fidelity.on_display(pixels, target, span))
    return replace(
        look,
        image=store.add(_eight_bits(pixels, span)),
        error=store.add(levels),
        figures=(*look.figures, *_ssim(got, wanted)),
        to_sharp=(*look.to_sharp, *to_sharp),
    )


def _figures(match: Fidelity) -> tuple[tuple[str, str], ...]:
    """Return PSNR, relative L2 and the worst tile's PSNR."""
    edge = fidelity.TILE_PX
    return (
        ("PSNR", f"{match.psnr_db:.2f} dB"),
        ("relative L2", f"{match.relative_l2:.3g}"),
        (f"worst {edge} x {edge} tile", f"{match.worst_tile_psnr_db:.2f} dB"),
    )


def _ssim(got: Values, wanted: Values) -> tuple[tuple[str, str], ...]:
    """Return SSIM where it can be had here."""
    try:
        return (("SSIM", f"{measures.ssim(got[0], wanted[0]):.4f}"),)
    except (StackMissing, ModelError):
        return ()


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

    def encoded(self, *, whole: bool) -> tuple[tuple[str, ...], int | None, bool]:
        """Return the images as `data:` addresses, the edge to which they are scaled, and losses.

        Where they are too large they are stored with losses first, and scaled down if need be.
        """
        largest = max((max(array.shape[:2]) for array in self.arrays), default=0)
        edge_px, quality = largest if whole else min(_EDGE_PX, largest), _LOSSLESS
        while not whole and edge_px > _EDGE_LEAST_PX:
            if self._guess(edge_px, quality) <= _IMAGES_BYTES:
                break
            edge_px = edge_px if quality is _LOSSLESS else max(edge_px * 3 // 4, _EDGE_LEAST_PX)
            quality = _QUALITY
        found = tuple(_address(array, edge_px, quality) for array in self.arrays)
        return found, edge_px if edge_px < largest else None, quality is not _LOSSLESS

    def _guess(self, edge_px: int, quality: int | None) -> float:
        """Return about how many bytes the images would take, from some of them."""
        some = self.arrays[:: len(self.arrays) // _SAMPLED | 1]  # odd: images and maps alternate
        sizes = [len(_address(array, edge_px, quality)) for array in some]
        return statistics.fmean(sizes) * len(self.arrays) if sizes else 0.0


def _address(array: np.ndarray, edge_px: int, quality: int | None) -> str:
    """Return an image as an address that holds it, scaled so that no edge is longer.

    Args:
        array: Levels, uint8 [H, W] or [H, W, C].
        edge_px: Longest edge.
        quality: Of WebP, 0 to 100; None for no losses.
    """
    image = Image.fromarray(array[..., 0] if array.shape[2:] == (1,) else array)
    image.thumbnail((edge_px, edge_px), Image.Resampling.LANCZOS)
    data = io.BytesIO()
    kept = {"lossless": True, "quality": 20} if quality is None else {"quality": quality}
    image.convert("RGB").save(data, "WEBP", method=0, **kept)
    return "data:image/webp;base64," + base64.b64encode(data.getvalue()).decode()
