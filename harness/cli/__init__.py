"""Be the `harness` command; each subcommand is a file of this folder."""

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from harness import __version__, cache
from harness.cli import (
    advise,
    bisect,
    bless,
    build,
    calibrate,
    ci_summary,
    compare,
    devices,
    doctor,
    fake_lab,
    fake_phone,
    farm,
    history,
    init,
    inspect,
    keys,
    ledger,
    nightly,
    quantize,
    report,
    study,
    train,
    verify,
)
from harness.errors import GateError, HarnessError

COMMANDS = (
    devices, doctor, inspect, advise, bisect, init, bless, compare, calibrate, ledger, report,
    ci_summary, history, nightly, keys, verify, fake_phone, fake_lab, farm, train, build, quantize,
    study,
)  # fmt: skip

EXAMPLES = {
    "devices": "harness devices --attached",
    "doctor": "harness doctor",
    "inspect": "harness inspect model.tflite --device all",
    "advise": "harness advise model.tflite --device pixel4,mate30pro --budget-ms 50",
    "bisect": "harness bisect int8.tflite --device pixel4 --reference fp32.tflite",
    "init": "harness init fp32.tflite int8.tflite --frames photos --name denoise",
    "bless": "harness bless denoise --device pixel4 --because 'weights trained again'",
    "compare": "harness compare new.tflite old.tflite --device pixel4",
    "calibrate": "harness calibrate --device pixel4:cpu --precision int8",
    "ledger": "harness ledger --measure denoise --device pixel4",
    "report": "harness report --out report.html",
    "history": "harness history replay nights.csv.gz",
    "nightly": "harness nightly --device pixel4 --webhook 'slack env:SLACK_WEBHOOK' -- --strict",
    "keys": "harness keys lab.key",
    "verify": "harness verify --key release.pub --commit 0123456789ab",
    "ci-summary": "harness ci-summary --against origin/main --annotations",
    "fake-phone": "harness fake-phone --port 5601",
    "fake-lab": "harness fake-lab stf --port 7100",
    "farm": "harness farm host --scheduler tls://lab:8786 --certs certs",
    "train": "harness train deblur_unet --preset small --steps 1000",
    "build": "harness build deblur_unet",
    "study": "harness study paper",
    "quantize": "harness quantize fp32.tflite --recipe int8 --frames photos",
}
"""What each subcommand's help ends with."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a subcommand; ends with 0, 1 (a gate or check failed) or 2 (wrong input)."""
    try:
        options = parser().parse_args(arguments)
        code: int = options.run(options)
    except HarnessError as error:
        print(f"harness: {error}", file=sys.stderr)
        code = 2
    except GateError as error:
        print(f"harness: {error}", file=sys.stderr)
        code = 1
    except EOFError:
        print("harness: the question above was not answered; nothing was done", file=sys.stderr)
        code = 2
    except BrokenPipeError:
        sys.stderr.close()  # the reader, such as `head`, has gone
        code = 0
    except KeyboardInterrupt:
        code = 130
    if trouble := cache.trouble():
        print(f"harness: {trouble}", file=sys.stderr)
    sys.exit(code)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    top = argparse.ArgumentParser(
        prog="harness",
        description="Test on-device image-restoration models against the phones they ship to.",
    )
    top.add_argument("--version", action="version", version=f"harness {__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        name = command.__name__.rsplit(".", 1)[1].replace("_", "-")
        first_line = (command.__doc__ or "").splitlines()[0]
        sub = commands.add_parser(
            name, help=first_line, description=command.__doc__, epilog=f"example: {EXAMPLES[name]}"
        )
        command.add_arguments(sub)
        sub.set_defaults(run=command.run)
    return top
