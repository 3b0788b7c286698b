"""Say whether a model is slower than another on an attached phone, in A B B A order."""

import argparse
from pathlib import Path

from harness import model, sequential
from harness.cli import shared
from harness.devices.connect import Origin, connect
from harness.devices.measured import Phone
from harness.errors import DeviceError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `harness compare`."""
    parser.add_argument("candidate", type=Path, metavar="CANDIDATE.tflite")
    parser.add_argument("baseline", type=Path, metavar="BASELINE.tflite")
    parser.add_argument("--device", required=True, metavar="NAME[:DELEGATE]")
    parser.add_argument("--size", metavar="WxH", help="resolution, default the candidate's own")
    shared.add_phone(parser)
    shared.add_profile_dirs(parser)


def run(options: argparse.Namespace) -> int:
    """Pair runs of both on one phone until it is decided; ends with 1 if slower."""
    target = shared.one_target(shared.load_profiles(options), options.device)
    candidate, baseline = model.load(options.candidate), model.load(options.baseline)
    size = options.size or candidate.size
    device = connect(
        target,
        origin=Origin.PHONE,
        serial=options.serial,
        phone_setup=shared.phone_setup(options),
    )
    if not isinstance(device, Phone):
        raise DeviceError(f"{target}: only a phone can be timed")
    try:
        comparison = device.compare(candidate.at(size), baseline.at(size))
    finally:
        device.close()
    print(sequential.describe(comparison, sequential.Plan()))
    return 1 if comparison.ruling is sequential.Ruling.SLOWER else 0
