"""Reproduce the paper's study: train its networks, measure them, draw its tables."""

import argparse
from pathlib import Path
from typing import Any

from rich.table import Table

from harness import cache
from harness.cli import shared
from harness.study import curves, held_out, page
from harness.study.facts import Study
from harness.training import photos


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the steps of `harness study` with their options."""
    steps = parser.add_subparsers(
        dest="step", required=True, metavar="{paper,measure,seeds,quantization,train,curves}"
    )
    paper = steps.add_parser("paper", help="draw tables and claims from what is committed")
    paper.add_argument(
        "--out", type=Path, default=Path("docs/study"), metavar="DIR", help="default ./docs/study"
    )
    shared.add_golden_dir(paper)
    shared.add_profile_dirs(paper)
    paper.set_defaults(go=_paper)
    measure = steps.add_parser("measure", help="run committed files on the held-out frames")
    measure.add_argument("subjects", nargs="*", metavar="SUBJECT", help="default: all built ones")
    measure.add_argument(
        "--variants", help="comma list; the others' figures stay; default: every file"
    )
    shared.add_golden_dir(measure)
    measure.set_defaults(go=_measure)
    seeds = steps.add_parser(
        "seeds", help="run the networks that were trained with further seeds on the same frames"
    )
    seeds.add_argument("--folder", type=Path, metavar="DIR", help="of `train`; default: its own")
    shared.add_golden_dir(seeds)
    seeds.set_defaults(go=_seeds)
    _add_quantization(steps)
    train = steps.add_parser("train", help="train every network of the study, in turns")
    train.add_argument("--folder", type=Path, metavar="DIR", help="default: in the cache")
    train.add_argument("--steps", type=int, metavar="N", help="of each training; default 12000")
    train.add_argument("--slice", type=int, default=2000, help="steps of a turn; default 2000")
    train.add_argument("--threads", type=int, help="of TensorFlow; default: its own choice")
    shared.add_golden_dir(train)
    train.set_defaults(go=_train)
    gathering = steps.add_parser("curves", help="gather the learning curves of `study train`")
    gathering.add_argument("--folder", type=Path, metavar="DIR", help="default: in the cache")
    gathering.add_argument(
        "--out", type=Path, default=Path("docs/study"), metavar="DIR", help="default ./docs/study"
    )
    gathering.set_defaults(go=_curves)


def _add_quantization(steps: Any) -> None:
    """Add the step `quantization`; argparse has no name for what adds parsers."""
    quantization = steps.add_parser(
        "quantization", help="quantize one subject's weights in several ways and measure each"
    )
    quantization.add_argument("subject", metavar="SUBJECT", help="such as deblur_unet")
    quantization.add_argument("--qat", default="", metavar="SETTINGS", help="fine-tune these too")
    quantization.add_argument("--qat-steps", type=int, default=1000, help="default 1000")
    quantization.add_argument(
        "--paper-size",
        type=Path,
        metavar="DIR",
        help="of the 250 GMAC size, as `harness train SUBJECT --folder DIR` left it",
    )
    quantization.add_argument("--threads", type=int, help="of TensorFlow; default: its own choice")
    shared.add_golden_dir(quantization)
    quantization.set_defaults(go=_quantization)


def run(options: argparse.Namespace) -> int:
    """Take the step that the command line names."""
    code: int = options.go(options)
    return code


def _paper(options: argparse.Namespace) -> int:
    """Write the tables and claims and print where they are."""
    study = Study(options.golden_dir, shared.load_profiles(options))
    for path in page.write(study, options.out, command="harness study paper"):
        print(path)
    return 0


def _measure(options: argparse.Namespace) -> int:
    """Write `held_out.json` into each subject's folder."""
    console = shared.console()
    pairs = photos.cached_pairs(photos.HELD_OUT, cache=cache.root() / "photos")
    folders = [options.golden_dir / name for name in options.subjects] or sorted(
        path.parent for path in options.golden_dir.glob("*/provenance.json")
    )
    for folder in folders:
        console.print(folder.name)
        path = folder / held_out.RECORD
        files = {file.stem: file.read_bytes() for file in sorted(folder.glob("*.tflite"))}
        if options.variants is not None:
            wanted = {held_out.PARENT, *options.variants.split(",")}
            files = {name: data for name, data in files.items() if name in wanted}
        record = held_out.measure(files, pairs, command="harness study measure", tell=console.print)
        if options.variants is not None and path.is_file():
            record = record.with_older(held_out.load(path))
        held_out.save(record, path)
    return 0


def _seeds(options: argparse.Namespace) -> int:
    """Write `seeds.json` into each subject's folder that was trained with several seeds."""
    console = shared.console()
    console.print("starting TensorFlow")
    with shared.keras_imports():  # only where it is used
        from harness.compress import seeds

    photographs = cache.root() / "photos"
    for subject, files in seeds.files(
        options.folder or cache.root() / "study", golden=options.golden_dir, cache=photographs
    ):
        console.print(subject)
        pairs = photos.cached_pairs(photos.HELD_OUT, cache=photographs)
        record = held_out.measure(files, pairs, command="harness study seeds", tell=console.print)
        held_out.save(record, options.golden_dir / subject / held_out.SEEDS_RECORD)
    return 0


def _quantization(options: argparse.Namespace) -> int:
    """Write the PSNR of every setting, frame by frame, into `quantization.json`."""
    console = shared.console()
    console.print("starting TensorFlow")
    with shared.keras_imports(threads=options.threads):  # only where it is used
        from harness.compress import settings
        from harness.compress.subject import Workspace
        from harness.zoo.designs import DESIGNS, PAPER_DESIGNS

    small = options.paper_size is None
    subject_folder = options.golden_dir / options.subject
    workspace = Workspace(
        subject=options.subject,
        folder=subject_folder if small else options.paper_size,
        cache=cache.root() / "photos",
        progress=console.is_terminal,
        designs=DESIGNS if small else PAPER_DESIGNS,
    )
    files = settings.files(
        workspace,
        qat_steps=options.qat_steps,
        trained_on=[name for name in options.qat.split(",") if name],
        tell=console.print,
    )
    command = f"harness study quantization {options.subject}"
    command += "" if small else f" --paper-size DIR, after `{workspace.training_command()}`"
    if options.qat:
        command += f" --qat {options.qat} --qat-steps {options.qat_steps}"
    record = held_out.measure(files, workspace.held_out(), command=command, tell=console.print)
    name = held_out.SETTINGS_RECORD if small else held_out.PAPER_SIZE_RECORD
    held_out.save(record, subject_folder / name)
    return 0


def _curves(options: argparse.Namespace) -> int:
    """Write `learning_curves.csv` and say what the last tenth of each training gained."""
    found = curves.gather(options.folder or cache.root() / "study")
    ends = curves.table(found)
    table = Table(*ends.header)
    for row in ends.rows:
        table.add_row(*row)
    shared.console().print(table)
    options.out.mkdir(parents=True, exist_ok=True)
    curves.save(found, options.out / curves.NAME)
    return 0


def _train(options: argparse.Namespace) -> int:
    """Train in turns until every training has ended; the same line goes on after a cut."""
    console = shared.console()
    console.print("starting TensorFlow")
    with shared.keras_imports(threads=options.threads):  # only where it is used
        from harness.training import rounds

    steps = {} if options.steps is None else {"steps": options.steps}
    rounds.go_on(
        rounds.plan(**steps),
        folder=options.folder or cache.root() / "study",
        golden=options.golden_dir,
        cache=cache.root() / "photos",
        slice_steps=options.slice,
        tell=console.print,
        progress=console.is_terminal,
    )
    return 0
