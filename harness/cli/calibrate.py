"""Fit a phone's latency constants, to published figures or to networks that it ran itself."""

import argparse
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from rich.table import Table

from harness.cli import shared
from harness.devices.connect import Origin
from harness.errors import ConfigError, DeviceError
from harness.estimate import (
    calibrate,
    calibrate_npu,
    evaluate,
    figures,
    fit,
    phone_samples,
    published,
    snapdragon,
)
from harness.estimate.calibrate import STARTS, TimedNetwork
from harness.estimate.fit import Score
from harness.estimate.model import estimate_graph
from harness.estimate.phone_samples import Timed
from harness.estimate.reference.phone_nets import kernel_nets, whole_nets
from harness.estimate.roofline import Rates
from harness.lab import DeviceUnderTest, Facts
from harness.profiles import Profile, Target

_ALL = "all"
_UNITS = {"qnn": "npu", "gpu": "gpu", "cpu": "cpu", "nnapi": "npu"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `harness calibrate`."""
    chosen = parser.add_mutually_exclusive_group(required=True)
    chosen.add_argument("--device", metavar="NAME[:DELEGATE]", help="phone the constants are for")
    chosen.add_argument(
        "--published",
        metavar="NAME",
        help="fit the constants of a profile again to the published rows that they name, say "
        "whether the profile holds them, and print the table of errors; `all` for every profile "
        "and every published device",
    )
    parser.add_argument("--precision", choices=("float", "int8"), default="float")
    parser.add_argument(
        "--figures",
        type=Path,
        metavar="CSV",
        help="figures of whole networks (columns model, precision, device, latency_ms) in place "
        "of networks timed now on the attached phone",
    )
    parser.add_argument("--rows-of", metavar="NAME", help="the phone as the CSV names it")
    parser.add_argument(
        "--check",
        action="store_true",
        help="score the profile's constants on the figures as they are; fit nothing",
    )
    parser.add_argument("--source", default="", help="where the figures are from, for the profile")
    shared.add_phone(parser)
    shared.add_profile_dirs(parser)


def run(options: argparse.Namespace) -> int:
    """Print an `[[estimates]]` entry for the profile; what it is worth goes to standard error."""
    if options.published:
        return _refit(shared.load_profiles(options), options.published)
    target = shared.one_target(shared.load_profiles(options), options.device)
    start = STARTS.get((target.delegate, options.precision))
    if start is None:
        raise ConfigError(f"{target}: no model of {options.precision} to fit")
    timed, source = (_published if options.figures else _measured)(options, target)
    if options.check:
        _check(target, timed.samples)
    else:
        _fit(timed.samples, target, start, source, options)
    if timed.stopped_by is not None:
        raise DeviceError(
            f"{timed.stopped_by}; the result above rests on the {len(timed.samples)} networks "
            "timed before. Attach the phone and run again for all"
        )
    return 0


def _refit(known: Mapping[str, Profile], name: str) -> int:
    """Print the published rows' constants; say where a profile holds others, and the errors."""
    if name != _ALL and name not in known:
        raise ConfigError(f"--published {name}: no such profile; {_ALL} or {', '.join(known)}")
    chosen = [
        (profile.name, entry)
        for profile in known.values()
        for entry in profile.estimates
        if name in (_ALL, profile.name) and entry.rows_of
    ]
    if not chosen:
        raise ConfigError(f"{name}: its constants do not come from published rows")
    found = {}
    same = True
    for phone, entry in chosen:
        key = (entry.rows_of, entry.delegate, entry.precision)
        if key not in found:
            found[key] = published.fit(published.choose(key[0], delegate=key[1], precision=key[2]))
        fitted = published.as_entry(found[key].constants, entry)
        others = published.differences(entry, fitted)
        same = same and not others
        print(f"# {phone}: {'; '.join(others) or 'as the profile has them'}")
        print(calibrate.to_toml(fitted))
    devices = {entry.rows_of for _, entry in chosen}
    scored = [row for row in published.rows() if name == _ALL or row.device in devices]
    for line in evaluate.table(scored):
        print(line, file=sys.stderr)
    return 0 if same else 1


def _fit(
    samples: Sequence[TimedNetwork],
    target: Target,
    start: Rates,
    source: str,
    options: argparse.Namespace,
) -> None:
    """Print the profile's entry; what it is worth goes to standard error."""
    if target.delegate == snapdragon.DELEGATE:
        found = calibrate_npu.calibrate_npu(
            samples,
            precision=options.precision,
            source=source,
            soc_model=snapdragon.soc_model(target.profile),
        )
    else:
        found = calibrate.calibrate(
            samples,
            delegate=target.delegate,
            precision=options.precision,
            start=start,
            source=source,
            # Published networks are few and alike; a phone's own are made to tell these apart.
            channel_multiples=() if options.figures else calibrate.CHANNEL_MULTIPLES,
        )
    print(calibrate.to_toml(found.constants), end="")
    print(
        f"held out by family: {_worth(found.score)}; a line in MACs: median error "
        f"{found.macs_only.median_error:.1%}",
        file=sys.stderr,
    )


def _check(target: Target, samples: Sequence[TimedNetwork]) -> None:
    """Print the profile's estimate of each network beside what was measured."""
    found = [estimate_graph(sample.graph, sample.placement, target) for sample in samples]
    table = Table(
        "network", "measured ms", "estimated ms", "90 % interval", "error", box=None, pad_edge=False
    )
    inside = 0
    for sample, each in zip(samples, found, strict=True):
        held = each.low_ms <= sample.measured_ms <= each.high_ms
        inside += held
        table.add_row(
            sample.name,
            f"{sample.measured_ms:.3f}",
            f"{each.estimate_ms:.3f}",
            f"{each.low_ms:.3f} - {each.high_ms:.3f}{'' if held else '  outside'}",
            f"{each.estimate_ms / sample.measured_ms - 1:+.0%}",
        )
    shared.console().print(table)
    estimates = np.array([each.estimate_ms for each in found])
    score = fit.score(estimates, [sample.measured_ms for sample in samples])
    print(f"{target}: {_worth(score)}; {inside} of {len(samples)} inside the interval")


def _worth(score: Score) -> str:
    ranks = "" if math.isnan(score.spearman) else f", Spearman {score.spearman:.2f}"
    return (
        f"{score.rows} rows, median error {score.median_error:.1%}, {score.within_10:.0%} within "
        f"10 %, {score.within_25:.0%} within 25 %{ranks}"
    )


def _published(options: argparse.Namespace, target: Target) -> tuple[Timed, str]:
    """Return the networks of a table with their figures, and the name of the source."""
    if not options.rows_of:
        raise ConfigError("--figures wants --rows-of, the phone as the CSV names it")
    chosen = figures.choose(
        figures.read(options.figures),
        device=options.rows_of,
        precision=options.precision,
        unit=_UNITS[target.delegate],
    )
    samples = figures.draw(chosen, delegate=target.delegate, precision=options.precision)
    return Timed(samples=samples), options.source or options.figures.name


def _measured(options: argparse.Namespace, target: Target) -> tuple[Timed, str]:
    """Return networks that the attached phone timed now, and the name of the source."""
    nets = (*kernel_nets(options.precision), *whole_nets(options.precision))
    with shared.open_lab(options, origin=Origin.PHONE) as lab:
        phone = DeviceUnderTest(target, Facts(lab))
        fingerprint = phone.fingerprint
        timed = phone_samples.measure(
            nets,
            target=target,
            time=lambda net: phone.time(net, net.size),
            place=lambda net: phone.place(net, net.size),
            say=lambda line: print(line, file=sys.stderr),
        )
    return timed, options.source or f"networks timed on {fingerprint}"
