"""Find the constants that a phone's estimate rests on, or stated stand-ins."""

import functools
from dataclasses import dataclass, replace

from harness import profiles
from harness.errors import ConfigError
from harness.estimate import roofline, work
from harness.profiles import GPU_FP32, EstimateConstants, Profile

STAND_IN_PHONE = "pixel4"
"""Whose constants stand in for a phone without figures: the one with the most public ones."""

_INT16_CPU_SLOWDOWN_RATIO = 96.0
"""How much slower 16x8 fixed point runs on the CPU than int8: it has only reference kernels.

Source: one 4.7 GMAC UNet on an x86 host through LiteRT 2.3, 2,500 ms against 26 ms. No phone's
figure is public, so what rests on it is relative.
"""

_INT16_ACCELERATOR_SLOWDOWN_RATIO = 2.0
"""How much slower 16-bit activations run on an accelerator than 8-bit: twice the bytes and steps.

Source: an assumption, so what rests on it is relative.
"""

_STAND_IN_INTERVAL_RATIO = 4.0
"""Interval of stand-in constants: phones of one generation differ by about so much.

Source: published MobileNetV1 figures of Pixel 3 and 4 (TFLite documentation) differ by up to 2.7.
"""


@dataclass(frozen=True, kw_only=True)
class Ground:
    """The rates of one unit and precision, and how far they can be trusted.

    Attributes:
        rates: What the unit does.
        interval_ratio: Estimate times and divided by this is the 90 % interval.
        fitted_gmacs_max: GMACs of the largest network behind it, or None where unknown.
        absolute: Whether figures of this phone, delegate and precision are behind it.
        basis: What it rests on, in one line.
    """

    rates: roofline.Rates
    interval_ratio: float
    fitted_gmacs_max: float | None
    absolute: bool
    basis: str


def ground(profile: Profile, delegate: str, precision: str) -> Ground:
    """Return the constants of a phone's delegate and precision.

    Without figures of this phone, those of the stand-in phone are used and `absolute` is False.

    Raises:
        ConfigError: constants are malformed, or nothing can stand in for the delegate.
    """
    own = _find(profile, delegate, precision)
    if own is not None:
        return _fitted(own, where=f"{profile.name}: {delegate} {precision}")
    if precision == work.INT16:
        return _int16(ground(profile, delegate, work.INT8), delegate)
    if delegate == GPU_FP32:
        in_fp16 = ground(profile, "gpu", precision)
        basis = f"{in_fp16.basis}; in fp16, and float32 takes the GPU longer by a factor not known"
        return replace(in_fp16, absolute=False, basis=basis)
    if delegate == "gpu" and precision == work.INT8:
        # TFLite's GPU delegate dequantizes 8-bit models and computes in float.
        return ground(profile, delegate, work.FLOAT)
    shipped = _find(_stand_in(), delegate, precision)
    if shipped is None:
        raise ConfigError(
            f"{profile.name}: no constants for {delegate} in {precision}, and no phone's figures "
            "can stand in; run `harness calibrate` with a phone attached"
        )
    stand_in = _fitted(shipped, where=f"{STAND_IN_PHONE}: {delegate} {precision}")
    return replace(
        stand_in,
        interval_ratio=max(_STAND_IN_INTERVAL_RATIO, stand_in.interval_ratio),
        absolute=False,
        basis=f"no figure of {profile.name} is public for {delegate} {precision}; "
        f"{STAND_IN_PHONE}'s constants stand in, ratios only",
    )


def _find(profile: Profile, delegate: str, precision: str) -> EstimateConstants | None:
    for entry in profile.estimates:
        if (entry.delegate, entry.precision) == (delegate, precision):
            return entry
    return None


def _fitted(entry: EstimateConstants, *, where: str) -> Ground:
    return Ground(
        rates=roofline.rates(entry, where=where),
        interval_ratio=entry.interval_ratio,
        fitted_gmacs_max=entry.fitted_gmacs_max,
        absolute=entry.rows > 0,
        basis=f"{entry.delegate} {entry.precision} roofline fitted to {entry.rows} published or "
        f"measured figures, median held-out error {entry.error_share:.0%}",
    )


def _int16(int8: Ground, delegate: str) -> Ground:
    slowdown = _INT16_CPU_SLOWDOWN_RATIO if delegate == "cpu" else _INT16_ACCELERATOR_SLOWDOWN_RATIO
    rates = int8.rates
    return Ground(
        rates=replace(
            rates,
            dense_gmacs_per_s=rates.dense_gmacs_per_s / slowdown,
            depthwise_gmacs_per_s=rates.depthwise_gmacs_per_s / slowdown,
            vector_gops_per_s=rates.vector_gops_per_s / slowdown,
        ),
        interval_ratio=max(_STAND_IN_INTERVAL_RATIO, int8.interval_ratio),
        fitted_gmacs_max=int8.fitted_gmacs_max,
        absolute=False,
        basis=f"no figure of 16-bit fixed point on {delegate} is public; "
        f"int8 arithmetic {slowdown:g} times slower stands in",
    )


@functools.cache
def _stand_in() -> Profile:
    return profiles.load_all([profiles.shipped_folder()])[STAND_IN_PHONE]
