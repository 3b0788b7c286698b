"""Follow which parts of a tensor's axes grow with an image, through RESHAPE and TRANSPOSE."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

Shape = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Factor:
    """A factor of the length of an axis.

    Attributes:
        was: Its length in the file.
        now: Its length for the new size of the image.
        divisible: Whether it is known to be one edge of the image, or a length that stays, and
            not several of them in one.
    """

    was: int
    now: int
    divisible: bool

    def divided(self, outer: int) -> tuple[Self, Self] | None:
        """Return an outer part of some length and what it leaves, or None where that is unclear.

        Blocks and windows divide an edge into how many there are, then into their own length,
        which stays when the image grows; both are written in that order.
        """
        inner = self.was // outer
        kind = type(self)
        if self.was == self.now:
            return (
                kind(was=outer, now=outer, divisible=self.divisible),
                kind(was=inner, now=inner, divisible=self.divisible),
            )
        if not self.divisible or outer < inner or self.now % inner:
            return None
        return (
            kind(was=outer, now=self.now // inner, divisible=True),
            kind(was=inner, now=inner, divisible=True),
        )


Axes = tuple[tuple[Factor, ...], ...]
"""The parts of each axis, the slowest first."""


def of(was: Shape, now: Shape) -> Axes:
    """Return the axes of a tensor of which no more is known than its shapes."""
    image = len(was) == 4
    return tuple(
        (Factor(was=before, now=after, divisible=image or before == after),)
        for before, after in zip(was, now, strict=True)
    )


def shape_of(axes: Axes) -> Shape:
    """Return the new shape of a tensor."""
    lengths = []
    for parts in axes:
        length = 1
        for part in parts:
            length *= part.now
        lengths.append(length)
    return tuple(lengths)


def regrouped(axes: Axes, target: Sequence[int]) -> Axes | None:
    """Return the axes of a tensor that is reshaped, or None where a part cannot be told.

    Args:
        axes: Of the tensor as it is.
        target: The shape that it is given in the file.
    """
    parts = [part for axis in axes for part in axis if (part.was, part.now) != (1, 1)]
    found: list[tuple[Factor, ...]] = []
    for length in target:
        axis: list[Factor] = []
        while length > 1:
            if not parts:
                return None
            part = parts.pop(0)
            if length % part.was:
                divided = part.divided(length) if part.was % length == 0 else None
                if divided is None:
                    return None
                part, rest = divided
                parts.insert(0, rest)
            axis.append(part)
            length //= part.was
        found.append(tuple(axis))
    return None if parts else tuple(found)
