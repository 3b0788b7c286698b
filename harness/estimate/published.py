"""Fit the constants of shipped profiles again, from the published rows in this package."""

import functools
from dataclasses import replace
from pathlib import Path

from harness.errors import ConfigError
from harness.estimate import calibrate, calibrate_npu, figures, snapdragon
from harness.estimate.calibrate import STARTS, Calibration
from harness.estimate.figures import Figure
from harness.profiles import EstimateConstants

_SOURCE = "published rows (harness/estimate/published_rows)"
_CHIPS = {
    "QCS8450 (Proxy)": "SM8450",
    "QCS8550 (Proxy)": "SM8550",
    "RB5 (Proxy)": "SM8250",
    "Samsung Galaxy S23": "SM8550",
    "Samsung Galaxy S24": "SM8650",
    "Samsung Galaxy S25": "SM8750",
    "Snapdragon 7 Gen 4 QRD": "SM7750",
    "Snapdragon 8 Elite Gen 5 QRD": "SM8850",
    "Snapdragon 8 Elite QRD": "SM8750",
}
"""Chips of the published devices, or of the class that a board stands for. Source: Qualcomm AI Hub,
device list."""
_BOARDS = frozenset(name for name in _CHIPS if name.endswith(("(Proxy)", "QRD")))
"""Boards, whose constants a phone with the same chip borrows."""
OTHER_DEVICE_RATIO = 1.6
"""Interval of constants on another device with the same chip.

Source: the published rows. Between Galaxy S25 and the 8 Elite board, either way, nine of ten rows
are within x1.33 to x1.47, between Galaxy S23 and the QCS8550 board within x1.09 to x1.21. It was
chosen when those were x1.40 to x1.60 and x1.19 to x1.28, and kept.
"""
OTHER_CHIP_RATIO = 2.3
"""Interval of constants on a chip of the generation before or after.

Source: the published rows, neighbouring pairs of chips either way: x1.1 to x2.2.
"""
_FOLDER = Path(__file__).parent / "published_rows"


@functools.cache
def rows() -> tuple[Figure, ...]:
    """Return every published row that a reference network and one unit stand behind."""
    return tuple(figure for path in sorted(_FOLDER.glob("*.csv")) for figure in figures.read(path))


def choose(device: str, *, delegate: str, precision: str) -> tuple[Figure, ...]:
    """Return the published rows of one device, delegate and precision.

    Raises:
        ConfigError: there are none; the known devices are listed.
    """
    wanted = (device, delegate, precision)
    chosen = tuple(f for f in rows() if (f.device, f.delegate, f.precision) == wanted)
    if not chosen:
        known = ", ".join(sorted({f.device for f in rows()}))
        raise ConfigError(
            f"no published {precision} rows of {device!r} through {delegate}; devices: {known}"
        )
    return chosen


@functools.cache
def fit(chosen: tuple[Figure, ...]) -> Calibration:
    """Fit the constants of one device, delegate and precision, as the shipped ones were.

    Args:
        chosen: Figures of one device, delegate and precision.

    Raises:
        ConfigError: fewer than two families, so that nothing can be held out.
        StackMissing: the delegate is qnn and the `qualcomm` extra is not installed.
        ModelError, DeviceError: as `vendor.estimate`.
    """
    delegate, precision = chosen[0].delegate, chosen[0].precision
    if delegate == snapdragon.DELEGATE:
        samples = figures.draw(chosen, delegate=delegate, precision=precision)
        return calibrate_npu.calibrate_npu(
            samples, precision=precision, soc_model=_CHIPS[chosen[0].device], source=_SOURCE
        )
    return fit_roofline(chosen)


def fit_roofline(chosen: tuple[Figure, ...]) -> Calibration:
    """Fit a plain roofline, on whichever unit the figures ran.

    Raises:
        ConfigError: fewer than two families, so that nothing can be held out.
    """
    delegate, precision = chosen[0].delegate, chosen[0].precision
    # A GPU computes int8 networks in float.
    drawn = "float" if delegate == "gpu" else precision
    return calibrate.calibrate(
        figures.draw(chosen, delegate=delegate, precision=drawn),
        delegate=delegate,
        precision=precision,
        start=STARTS[delegate, drawn],
        source=_SOURCE,
    )


def as_entry(fitted: EstimateConstants, shipped: EstimateConstants) -> EstimateConstants:
    """Return fitted constants as a profile's entry holds them.

    Where they are of another device, its interval covers that too; where they stand in for a chip
    without rows, that.
    """
    ratio = fitted.interval_ratio
    if not shipped.rows:
        ratio = max(ratio, OTHER_CHIP_RATIO)
    elif shipped.rows_of in _BOARDS:
        ratio = max(ratio, OTHER_DEVICE_RATIO)
    rows = fitted.rows if shipped.rows else 0
    return replace(
        fitted, rows=rows, interval_ratio=ratio, rows_of=shipped.rows_of, source=shipped.source
    )


_COMPARED = (
    "rows", "error_share", "interval_ratio", "fitted_gmacs_max", "agreement_ratio",
    "roofline_interval_ratio",
)  # fmt: skip


def differences(shipped: EstimateConstants, fitted: EstimateConstants) -> tuple[str, ...]:
    """Name what a profile says that a fit does not, as `name: shipped 1, fitted 2`."""
    one, other = (
        {
            **entry.values,
            **{f"roofline.{name}": value for name, value in (entry.roofline or {}).items()},
            **{name: getattr(entry, name) for name in _COMPARED},
        }
        for entry in (shipped, fitted)
    )
    return tuple(
        f"{name}: shipped {one.get(name)}, fitted {other.get(name)}"
        for name in sorted({*one, *other})
        if one.get(name) != other.get(name)
    )
