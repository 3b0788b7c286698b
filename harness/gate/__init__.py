"""Turn a fact and a limit into a Verdict. No I/O, no devices, no pytest.

Each function returns verdicts that say what was seen, what the limit is, why, and what is
known to help. Without evidence or without a limit a gate rules INCONCLUSIVE, never PASS.
"""

from harness.gate.accepted import no_regression, or_accepted, regression, unobserved
from harness.gate.changed import (
    against,
    file_against,
    latency_against,
    pixels_against,
    pixels_unranked,
    placement_against,
)
from harness.gate.outputs import agrees, named, output
from harness.gate.pixels import (
    drift,
    fidelity,
    finite,
    in_range,
    measured,
    psnr,
    quality_drop,
    relative_l2,
    repeated,
    seam,
    worst_tile,
)
from harness.gate.ruling import Check, inconclusive, rule
from harness.gate.since import image_since, since
from harness.gate.sizes import file_size, memory
from harness.gate.times import energy, first_inference, latency, scaling
from harness.gate.units import describe_fallbacks, residency

__all__ = [
    "Check",
    "against",
    "agrees",
    "describe_fallbacks",
    "drift",
    "energy",
    "fidelity",
    "file_against",
    "file_size",
    "finite",
    "first_inference",
    "image_since",
    "in_range",
    "inconclusive",
    "latency",
    "latency_against",
    "measured",
    "memory",
    "named",
    "no_regression",
    "or_accepted",
    "output",
    "pixels_against",
    "pixels_unranked",
    "placement_against",
    "psnr",
    "quality_drop",
    "regression",
    "relative_l2",
    "repeated",
    "residency",
    "rule",
    "scaling",
    "seam",
    "since",
    "unobserved",
    "worst_tile",
]
