"""Fit a phone's latency constants, to published figures or to its own kernel benchmarks."""

import argparse
import sys
import tempfile
from pathlib import Path

from harness.cli import shared
from harness.devices.connect import Origin, connect
from harness.errors import ConfigError
from harness.estimate import calibrate, calibrate_npu, calibrate_phone, evaluate, figures
from harness.estimate.calibrate import STARTS, Calibration
from harness.estimate.reference.kernel_nets import kernel_nets

_UNITS = {"qnn": "npu", "gpu": "gpu", "cpu": "cpu", "nnapi": "npu"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `harness calibrate`."""
    parser.add_argument(
        "--device", required=True, metavar="NAME[:DELEGATE]", help="phone the constants are for"
    )
    parser.add_argument("--precision", choices=("float", "int8"), default="float")
    parser.add_argument(
        "--figures", type=Path, metavar="CSV",
        help="figures of whole networks (columns model, precision, device, latency_ms) in place "
        "of kernel benchmarks on the attached phone",
    )  # fmt: skip
    parser.add_argument("--rows-of", metavar="NAME", help="the phone as the CSV names it")
    parser.add_argument("--source", default="", help="where the figures are from, for the profile")
    parser.add_argument("--serial", default="", help="adb serial of the phone to use")
    shared.add_profile_dirs(parser)


def run(options: argparse.Namespace) -> int:
    """Print an `[[estimates]]` entry for the profile; what it is worth goes to standard error."""
    found = _from_figures(options) if options.figures else _from_phone(options)
    print(calibrate.to_toml(found.constants), end="")
    score, line = found.score, found.macs_only
    print(
        f"held out by family: {score.rows} rows, median error {score.median_error:.1%}, "
        f"{score.within_10:.0%} within 10 %, {score.within_25:.0%} within 25 %, Spearman "
        f"{score.spearman:.2f}; a line in MACs: median error {line.median_error:.1%}",
        file=sys.stderr,
    )
    return 0


def _from_figures(options: argparse.Namespace) -> Calibration:
    (target,) = shared.every_target(shared.load_profiles(options), [options.device])
    if not options.rows_of:
        raise ConfigError("--figures wants --rows-of, the phone as the CSV names it")
    chosen = figures.choose(
        figures.read(options.figures), device=options.rows_of, precision=options.precision,
        unit=_UNITS[target.delegate],
    )  # fmt: skip
    source = options.source or options.figures.name
    if target.delegate == "qnn":
        return calibrate_npu.calibrate_npu(calibrate_npu.gather(chosen), source=source)
    start = STARTS.get((target.delegate, options.precision))
    if start is None:
        raise ConfigError(f"{target}: no model of {options.precision} to fit")
    return calibrate.calibrate(
        evaluate.roofline_samples(chosen, delegate=target.delegate, drawn=options.precision),
        delegate=target.delegate, precision=options.precision, start=start, source=source,
    )  # fmt: skip


def _from_phone(options: argparse.Namespace) -> Calibration:
    (target,) = shared.every_target(shared.load_profiles(options), [options.device])
    device = connect(target, origin=Origin.PHONE, serial=options.serial)
    try:
        with tempfile.TemporaryDirectory() as folder:
            return calibrate_phone.calibrate_phone(
                kernel_nets(options.precision), target=target, precision=options.precision,
                time=device.time, place=device.place, folder=Path(folder),
                source=options.source or f"kernel benchmarks on {device.fingerprint}",
            )  # fmt: skip
    finally:
        device.close()
