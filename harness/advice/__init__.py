"""Rank rewrites of a model by what they gain on phones, computed on really rewritten graphs."""

from harness.advice.ranking import (
    Advice,
    Effect,
    Limit,
    Place,
    advise,
    improved,
    largest_size,
    mac_target,
    unjudgeable,
)

__all__ = [
    "Advice",
    "Effect",
    "Limit",
    "Place",
    "advise",
    "improved",
    "largest_size",
    "mac_target",
    "unjudgeable",
]  # fmt: skip
