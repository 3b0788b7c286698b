"""Say whether a model is slower than another on an attached phone, in A B B A order."""

import argparse
from pathlib import Path

from harness import graph, resizing, sequential
from harness.cli import shared
from harness.devices.connect import Origin, connect
from harness.devices.phone import Phone
from harness.errors import DeviceError
from harness.images import Size


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
    (target,) = shared.every_target(shared.load_profiles(options), [options.device])
    parsed = graph.load(options.candidate)
    graph.load(options.baseline)
    _, height_px, width_px, _ = resizing.image_shape(parsed)
    own = Size(width_px=width_px, height_px=height_px)
    size = Size.parse(options.size) if options.size else own
    device = connect(
        target,
        origin=Origin.PHONE,
        serial=options.serial,
        phone_setup=shared.phone_setup(options),
    )
    if not isinstance(device, Phone):
        raise DeviceError(f"{target}: only a phone can be timed")
    try:
        comparison = device.compare(
            shared.loose_variant(options.candidate, graph.read(options.candidate)),
            shared.loose_variant(options.baseline, graph.read(options.baseline)),
            size,
        )
    finally:
        device.close()
    print(sequential.describe(comparison, sequential.Plan()))
    return 1 if comparison.ruling is sequential.Ruling.SLOWER else 0
