"""Show how estimates did against what phones measured, and add to it with a phone attached."""

import argparse
import json
from pathlib import Path

from rich.table import Table

from harness import ledger, schema
from harness.cases import Case
from harness.cli import shared
from harness.devices.connect import Origin
from harness.devices.emulated import Emulated
from harness.errors import ConfigError
from harness.lab import DeviceUnderTest, Facts
from harness.latency import Latency
from harness.ledger import Account
from harness.profiles import Target
from harness.subjects import Subject


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `harness ledger`."""
    parser.add_argument(
        "file",
        type=Path,
        nargs="?",
        default=ledger.FILE,
        metavar="FILE",
        help="JSON lines of estimates beside measurements, default %(default)s",
    )
    parser.add_argument(
        "--measure",
        dest="subject",
        metavar="SUBJECT",
        help="first time what this subject ships to the attached phone, at its scaling sizes, "
        "and put each beside its estimate",
    )
    parser.add_argument("--device", metavar="NAME[:DELEGATE]", help="the phone to measure on")
    shared.add_phone(parser)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    shared.add_golden_dir(parser)
    shared.add_profile_dirs(parser)


def run(options: argparse.Namespace) -> int:
    """Print bias, error and coverage of each phone and delegate, and what has drifted."""
    if options.subject:
        if not options.device:
            raise ConfigError("--measure wants --device, the phone to measure on")
        for target in shared.every_target(shared.load_profiles(options), [options.device]):
            _measure(shared.load_subject(options), target, options)
    accounts = ledger.accounts(ledger.read(options.file))
    if options.json:
        print(json.dumps(schema.dump(accounts), indent=1))
        return 0
    console = shared.console()
    if not accounts:
        console.print(f"{options.file}: no estimate has met a measurement yet")
        return 0
    console.print(_table(accounts))
    for account in accounts:
        if account.warning:
            console.print(account.warning)
    return 0


def _measure(subject: Subject, target: Target, options: argparse.Namespace) -> None:
    """Time what ships to a phone and append each pair to the ledger.

    Raises:
        ConfigError: nothing ships there, the subject has no scaling sizes, the estimate is
            relative, or the device is no phone.
        DeviceError: the phone failed.
    """
    names = (target.profile.name, target.delegate)
    shipped = [v for v in subject.variants if not subject.withheld_because(*names, v.name)]
    if not shipped or subject.scaling is None:
        raise ConfigError(f"{subject.name}: nothing ships to {target}, or it has no [scaling]")
    paper = Emulated(target)
    with shared.open_lab(options, origin=Origin.PHONE) as lab:
        phone = DeviceUnderTest(target, Facts(lab), subject=subject.name)
        for variant in shipped:
            case = Case(target=target, subject=subject, variant=variant)
            for size in subject.scaling.sizes:
                measured = phone.time(variant, size)
                estimated = paper.time(variant.model().at(size))
                if not isinstance(measured, Latency):
                    raise ConfigError(f"{target}: this device does not measure")
                entry = ledger.pair(case.at(size).key, estimated=estimated, measured=measured)
                ledger.append(options.file, entry)


def _table(accounts: tuple[Account, ...]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("phone", "pairs", "bias", "median error", "in interval"):
        table.add_column(column)
    for one in accounts:
        table.add_row(
            f"{one.device}:{one.delegate}",
            str(one.entries),
            f"{one.bias:+.0%}",
            f"{one.median_error:.0%}",
            f"{one.coverage:.0%}",
        )
    return table
