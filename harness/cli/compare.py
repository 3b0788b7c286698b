"""Say whether a model is slower than another on an attached phone, in A B B A order."""

import argparse
from pathlib import Path

from harness import model, sequential
from harness.cli import shared
from harness.devices.connect import Origin
from harness.errors import ConfigError, DeviceError
from harness.lab import LocalLab
from harness.lab.adb import AdbLab
from harness.lab.stf import StfLab
from harness.latency import Pairs


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
    with shared.open_lab(options, origin=Origin.PHONE) as lab:
        if not isinstance(lab, LocalLab | AdbLab | StfLab):
            raise ConfigError(f"--lab={lab.name} may answer from another unit each time")
        pairs = lab.device(target).compare(candidate.at(size), baseline.at(size))
    if not isinstance(pairs, Pairs):
        raise DeviceError(f"{target}: only a phone can be timed")
    comparison = sequential.compare(pairs.before_ms, pairs.now_ms)
    assert comparison is not None  # the phone stops at a look of the same plan
    print(sequential.describe(comparison, sequential.StoppingRule()))
    return 1 if comparison.ruling is sequential.Decision.SLOWER else 0
