"""Export variants of a trained subject and check each against FP32 (needs the extra `train`)."""

import argparse
from pathlib import Path

from rich.table import Table

from harness import cache
from harness.cli import shared

_DEFAULT = "fp32,fp16,int8_ptq,int16_ptq"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `harness build`."""
    parser.add_argument("subject", metavar="SUBJECT", help="such as deblur_unet")
    parser.add_argument(
        "--variants",
        default=_DEFAULT,
        help=f"comma list of {_DEFAULT},int8_qat,prunedNN,prunedNN_int8; default {_DEFAULT}",
    )
    parser.add_argument(
        "--steps", type=int, default=2000, help="fine-tuning steps of int8_qat and pruned networks"
    )
    parser.add_argument("--training", type=Path, metavar="DIR", help="what `harness train` wrote")
    parser.add_argument(
        "--preset",
        choices=("small", "paper"),
        default="small",
        help="paper: export the 250 GMAC network, untrained, into the cache",
    )
    shared.add_golden_dir(parser)


def run(options: argparse.Namespace) -> int:
    """Build the variants and print what each does to held-out frames."""
    with shared.keras_imports():  # only where it is used
        from harness.compress import subject

    if options.preset == "paper":
        print(subject.export_paper(options.subject, folder=cache.root() / "paper"))
        return 0
    workspace = subject.Workspace(
        subject=options.subject,
        folder=options.golden_dir / options.subject,
        cache=cache.root() / "photos",
    )
    if options.training is not None:
        subject.copy_training(workspace, options.training)
    built = subject.build_variants(workspace, options.variants.split(","), steps=options.steps)
    table = Table("variant", "PSNR dB", "gain dB", "drop dB", "to FP32 dB", "bytes")
    for variant in built:
        quality = variant.quality
        table.add_row(
            variant.name,
            f"{quality.psnr_db.mean:.2f} ± {quality.psnr_db.standard_error:.2f}",
            f"{quality.gain_db.mean:+.2f}",
            f"{quality.drop_db.mean:.3f}",
            f"{quality.to_fp32_db.mean:.1f}",
            str(len(variant.file)),
        )
    shared.console().print(table)
    return 0
