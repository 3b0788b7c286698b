"""Fit a phone's latency constants, to published figures or to its own kernel benchmarks."""

import argparse
import math
import sys
import tempfile
from pathlib import Path

import numpy as np
from rich.table import Table

from harness import estimate
from harness.cli import shared
from harness.devices.connect import Origin, connect
from harness.errors import ConfigError
from harness.estimate import calibrate, calibrate_npu, calibrate_phone, evaluate, figures, fit
from harness.estimate.calibrate import STARTS, Calibration
from harness.estimate.figures import Figure
from harness.estimate.fit import Score
from harness.estimate.reference.kernel_nets import kernel_nets
from harness.placement import CPU
from harness.profiles import Target

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
    parser.add_argument(
        "--check", action="store_true",
        help="score the profile's constants on the figures as they are; fit nothing",
    )  # fmt: skip
    parser.add_argument("--source", default="", help="where the figures are from, for the profile")
    parser.add_argument("--serial", default="", help="adb serial of the phone to use")
    shared.add_profile_dirs(parser)


def run(options: argparse.Namespace) -> int:
    """Print an `[[estimates]]` entry for the profile; what it is worth goes to standard error."""
    if options.check:
        return _check(options)
    found = _from_figures(options) if options.figures else _from_phone(options)
    print(calibrate.to_toml(found.constants), end="")
    print(
        f"held out by family: {_worth(found.score)}; a line in MACs: median error "
        f"{found.macs_only.median_error:.1%}",
        file=sys.stderr,
    )
    return 0


def _check(options: argparse.Namespace) -> int:
    """Print the profile's estimate of each figure beside what was measured."""
    target, chosen = _chosen(options)
    graphs = {f.reference.name: f.reference.graph(options.precision) for f in chosen}
    unit = CPU if target.delegate == "cpu" else target.delegate
    found = {
        name: estimate.estimate(graph, evaluate.whole(graph, unit), target)
        for name, graph in graphs.items()
    }
    table = Table("network", "measured ms", "estimated ms", "90 % interval", "error", box=None,
                  pad_edge=False)  # fmt: skip
    inside = 0
    for figure in chosen:
        each = found[figure.reference.name]
        held = each.low_ms <= figure.latency_ms <= each.high_ms
        inside += held
        table.add_row(
            figure.reference.name, f"{figure.latency_ms:.3f}", f"{each.estimate_ms:.3f}",
            f"{each.low_ms:.3f} - {each.high_ms:.3f}{'' if held else '  outside'}",
            f"{each.estimate_ms / figure.latency_ms - 1:+.0%}",
        )  # fmt: skip
    shared.console().print(table)
    estimates = np.array([found[f.reference.name].estimate_ms for f in chosen])
    score = fit.score(estimates, [f.latency_ms for f in chosen])
    print(f"{target}: {_worth(score)}; {inside} of {len(chosen)} inside the interval")
    return 0


def _worth(score: Score) -> str:
    ranks = "" if math.isnan(score.spearman) else f", Spearman {score.spearman:.2f}"
    return (
        f"{score.rows} rows, median error {score.median_error:.1%}, {score.within_10:.0%} within "
        f"10 %, {score.within_25:.0%} within 25 %{ranks}"
    )


def _chosen(options: argparse.Namespace) -> tuple[Target, tuple[Figure, ...]]:
    (target,) = shared.every_target(shared.load_profiles(options), [options.device])
    if not (options.figures and options.rows_of):
        raise ConfigError("wanted: --figures, and --rows-of with the phone as the CSV names it")
    chosen = figures.choose(
        figures.read(options.figures), device=options.rows_of, precision=options.precision,
        unit=_UNITS[target.delegate],
    )  # fmt: skip
    return target, chosen


def _from_figures(options: argparse.Namespace) -> Calibration:
    target, chosen = _chosen(options)
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
