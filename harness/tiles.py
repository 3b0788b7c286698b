"""Cut a photograph into tiles, put what was made of them together, and see the seams."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from harness import fidelity
from harness.errors import ModelError
from harness.images import Pixels, Size

SEAM_PX = 2
"""How far from a border between tiles a pixel of the input counts as part of the seam."""


@dataclass(frozen=True, kw_only=True)
class Span:
    """One tile along one axis: where it begins, and which part of the photograph it gives.

    Attributes:
        start: Its first pixel.
        kept: First pixel that is taken of it.
        end: The pixel after the last that is taken of it.
    """

    start: int
    kept: int
    end: int


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One tile of a photograph.

    Attributes:
        rows: Along its height.
        columns: Along its width.
    """

    rows: Span
    columns: Span


@dataclass(frozen=True, kw_only=True)
class Seam:
    """Errors at the borders between tiles, and away from them.

    Attributes:
        seam_psnr_db: PSNR of the pixels at a border.
        inside_psnr_db: PSNR of all others.
    """

    seam_psnr_db: float
    inside_psnr_db: float

    @property
    def drop_db(self) -> float:
        """Return how much worse the seams are."""
        return self.inside_psnr_db - self.seam_psnr_db


def cut(photograph: Size, tile: Size, overlap_px: int) -> tuple[Tile, ...]:
    """Return the tiles of a photograph, row by row; the last ones end where it ends.

    Neighbours overlap, and share the overlap in its middle.

    Raises:
        ModelError: the photograph is smaller than a tile.
    """
    if photograph.width_px < tile.width_px or photograph.height_px < tile.height_px:
        raise ModelError(f"a photograph of {photograph} is smaller than its tiles of {tile}")
    rows = list(_spans(photograph.height_px, tile.height_px, overlap_px))
    columns = list(_spans(photograph.width_px, tile.width_px, overlap_px))
    return tuple(Tile(rows=row, columns=column) for row in rows for column in columns)


def _spans(length: int, tile: int, overlap: int) -> Iterator[Span]:
    count = 1 + max(0, math.ceil((length - tile) / (tile - overlap)))
    starts = [min(number * (tile - overlap), length - tile) for number in range(count)]
    cuts = [(a + tile + b) // 2 for a, b in itertools.pairwise(starts)]
    for start, kept, end in zip(starts, [0, *cuts], [*cuts, length], strict=True):
        yield Span(start=start, kept=kept, end=end)


def part(photograph: Pixels, tile: Tile, size: Size) -> Pixels:
    """Return what a tile of a size shows of a photograph [1, H, W, C]."""
    top, left = tile.rows.start, tile.columns.start
    shown = photograph[:, top : top + size.height_px, left : left + size.width_px]
    return np.ascontiguousarray(shown)


def joined(made: Mapping[Tile, Pixels], scale: int) -> Pixels:
    """Return the photograph that tiles make, each [1, h, w, C], enlarged `scale` times."""
    height = scale * max(tile.rows.end for tile in made)
    width = scale * max(tile.columns.end for tile in made)
    channels = next(iter(made.values())).shape[3]
    whole = np.empty((1, height, width, channels), np.float32)
    for tile, pixels in made.items():
        rows, columns = tile.rows, tile.columns
        whole[
            :, scale * rows.kept : scale * rows.end, scale * columns.kept : scale * columns.end
        ] = pixels[
            :,
            scale * (rows.kept - rows.start) : scale * (rows.end - rows.start),
            scale * (columns.kept - columns.start) : scale * (columns.end - columns.start),
        ]
    return whole


def seam(
    pixels: Pixels,
    reference: Pixels,
    found: Sequence[Tile],
    *,
    scale: int,
    output_range: tuple[float, float],
) -> Seam:
    """Compare the errors of a photograph at its seams with those elsewhere.

    Args:
        pixels: The photograph, put together, [1, H, W, C].
        reference: What it should be.
        found: Its tiles.
        scale: Output edge over input edge.
        output_range: The values for black and white.

    Raises:
        ModelError: the shapes differ.
    """
    if pixels.shape != reference.shape:
        raise ModelError(
            f"the photograph has shape {pixels.shape}, its reference {reference.shape}"
        )
    got, wanted = fidelity.on_display(pixels, reference, output_range)
    squared = np.square(got - wanted).mean(axis=(0, 3))
    at_seam = np.zeros(squared.shape, bool)
    for tile in found:
        for span, axis in ((tile.rows, 0), (tile.columns, 1)):
            if span.kept:
                first = scale * (span.kept - SEAM_PX)
                band = slice(first, scale * (span.kept + SEAM_PX))
                at_seam[(band, slice(None)) if axis == 0 else (slice(None), band)] = True
    if not at_seam.any() or at_seam.all():
        raise ModelError("a photograph of one tile has no seams; take a larger one")
    return Seam(
        seam_psnr_db=fidelity.psnr_db(float(squared[at_seam].mean())),
        inside_psnr_db=fidelity.psnr_db(float(squared[~at_seam].mean())),
    )
