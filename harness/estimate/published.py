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
        return calibrate_npu.calibrate_npu(samples, precision=precision, source=_SOURCE)
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

    Where they stand in for a chip without rows, what they are worth there is not fitted.
    """
    entry = replace(fitted, rows_of=shipped.rows_of, source=shipped.source)
    return entry if shipped.rows else replace(entry, rows=0, interval_ratio=shipped.interval_ratio)


def differences(shipped: EstimateConstants, fitted: EstimateConstants) -> tuple[str, ...]:
    """Name what a profile says that a fit does not, as `name: shipped 1, fitted 2`."""
    one, other = (
        {
            **entry.values,
            **{
                name: getattr(entry, name)
                for name in ("rows", "error_share", "interval_ratio", "fitted_gmacs_max")
            },
        }
        for entry in (shipped, fitted)
    )
    return tuple(
        f"{name}: shipped {one.get(name)}, fitted {other.get(name)}"
        for name in sorted({*one, *other})
        if one.get(name) != other.get(name)
    )
