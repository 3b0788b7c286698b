"""Cut a photograph into tiles, put what was made of them together, and see the seams."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from harness import fidelity
from harness.errors import ModelError
from harness.images import Pixels, Size
from harness.inputs import Values
from harness.roles import Axes, Layout, axes_of

_LAST = axes_of(Layout.NHWC)
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


def part(values: Values, tile: Tile, size: Size, photograph: Size, axes: Axes = _LAST) -> Values:
    """Return what a tile shows of an input of a photograph.

    Args:
        values: Of four axes; a map may be smaller or larger than the photograph.
        tile: Where it lies on the photograph.
        size: Of the tile.
        photograph: Its size.
        axes: Along which height and width run.

    Raises:
        ModelError: the tile begins or ends within a pixel of the input.
    """
    cuts = [slice(None)] * values.ndim
    for axis, start, length, whole in (
        (axes.height, tile.rows.start, size.height_px, photograph.height_px),
        (axes.width, tile.columns.start, size.width_px, photograph.width_px),
    ):
        own = values.shape[axis]
        cuts[axis] = slice(_times(start, own, whole), _times(start + length, own, whole))
    return np.ascontiguousarray(values[tuple(cuts)])


def joined(made: Mapping[Tile, Values], size: Size, axes: Axes = _LAST) -> Values:
    """Return the output of a photograph from those of its tiles.

    Args:
        made: What the model makes of each tile, of any scale.
        size: Of a tile of the input.
        axes: Along which height and width run.

    Raises:
        ModelError: two tiles meet within a pixel of the output.
    """
    first = next(iter(made.values()))
    own = first.shape[axes.height], first.shape[axes.width]
    shape = list(first.shape)
    shape[axes.height] = _times(max(t.rows.end for t in made), own[0], size.height_px)
    shape[axes.width] = _times(max(t.columns.end for t in made), own[1], size.width_px)
    whole = np.empty(shape, np.float32)
    for tile, values in made.items():
        to = [slice(None)] * values.ndim
        of = [slice(None)] * values.ndim
        for axis, span, pixels, edge in (
            (axes.height, tile.rows, own[0], size.height_px),
            (axes.width, tile.columns, own[1], size.width_px),
        ):
            start, kept, end = (_times(n, pixels, edge) for n in (span.start, span.kept, span.end))
            to[axis], of[axis] = slice(kept, end), slice(kept - start, end - start)
        whole[tuple(to)] = values[tuple(of)]
    return whole


def _times(position: int, pixels: int, of: int) -> int:
    """Return a position of a photograph in an input or output that has `pixels` for its `of`.

    Raises:
        ModelError: that is no whole number.
    """
    if position * pixels % of:
        raise ModelError(
            f"a tile that begins or ends at {position} px does so within a pixel of an input or "
            f"output that has {pixels} px for {of} of the photograph; make photograph, tile and "
            f"overlap_px multiples of {of // math.gcd(pixels, of)}, the overlap twice that"
        )
    return position * pixels // of


def seam(
    pixels: Pixels,
    reference: Pixels,
    found: Sequence[Tile],
    *,
    photograph: Size,
    output_range: tuple[float, float],
) -> Seam:
    """Compare the errors of a photograph at its seams with those elsewhere.

    Args:
        pixels: The photograph, put together, [1, H, W, C].
        reference: What it should be.
        found: Its tiles.
        photograph: Size of what was cut; the output may be larger or smaller.
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
        for span, axis, edge in (
            (tile.rows, 0, photograph.height_px),
            (tile.columns, 1, photograph.width_px),
        ):
            if span.kept:
                scale = squared.shape[axis] / edge
                first = math.floor(scale * (span.kept - SEAM_PX))
                band = slice(first, math.ceil(scale * (span.kept + SEAM_PX)))
                at_seam[(band, slice(None)) if axis == 0 else (slice(None), band)] = True
    if not at_seam.any() or at_seam.all():
        raise ModelError("a photograph of one tile has no seams; take a larger one")
    return Seam(
        seam_psnr_db=fidelity.psnr_db(float(squared[at_seam].mean())),
        inside_psnr_db=fidelity.psnr_db(float(squared[~at_seam].mean())),
    )
