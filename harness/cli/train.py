"""Train a network of the zoo on shaken photographs or REDS (needs the extra `train`)."""

import argparse
import dataclasses
from pathlib import Path

from harness import cache
from harness.cli import shared


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `harness train`."""
    parser.add_argument("subject", metavar="SUBJECT", help="such as deblur_unet")
    parser.add_argument(
        "--preset",
        choices=("paper", "small", "study"),
        default="paper",
        help="paper: 250 GMAC, 256 px patches, 1M steps; small: 5 GMAC, 64 px, 40,000 steps, for "
        "a CPU; study: 5 GMAC, 96 px, 12,000 steps",
    )
    parser.add_argument("--steps", type=int, help="default: the preset's")
    parser.add_argument(
        "--seed", type=int, default=1, help="of weights, patches and order, default %(default)s"
    )
    parser.add_argument("--learning-rate", type=float, help="default: the preset's")
    parser.add_argument("--patch-px", type=int, metavar="PX", help="default: the preset's")
    parser.add_argument("--batch", type=int, help="patches of a step; default: the preset's")
    parser.add_argument("--mixed-precision", action="store_true", help="compute in float16")
    parser.add_argument("--reds", type=Path, metavar="DIR", help="default: photographs of Debian")
    parser.add_argument("--start-from", type=Path, metavar="WEIGHTS.npz")
    parser.add_argument("--stop-after", type=int, metavar="STEP", help="and go on another time")
    parser.add_argument("--threads", type=int, help="of TensorFlow; default: its own choice")
    parser.add_argument("--folder", type=Path, metavar="DIR", help="of checkpoints and the log")


def run(options: argparse.Namespace) -> int:
    """Train, or go on where the folder's checkpoint ends; then hand over to `harness build`."""
    shared.console().print("starting TensorFlow")
    with shared.keras_imports(threads=options.threads):  # only where it is used
        from harness.training import subject
        from harness.training.train import paper, small, study
        from harness.zoo.designs import DESIGNS, PAPER_DESIGNS

    steps = {} if options.steps is None else {"steps": options.steps}
    preset = {"paper": paper, "small": small, "study": study}[options.preset]
    named = {name: getattr(options, name) for name in ("learning_rate", "patch_px", "batch")}
    recipe = dataclasses.replace(
        preset(**steps, seed=options.seed),
        **{name: value for name, value in named.items() if value is not None},
        mixed_precision=options.mixed_precision,
    )
    folder = options.folder or cache.root() / "train" / f"{options.subject}_{options.preset}"
    photos = cache.root() / "photos"
    trained = subject.train_subject(
        options.subject,
        recipe=recipe,
        folder=folder,
        cache=photos,
        reds_folder=options.reds,
        start_from=options.start_from,
        validates=options.preset == "study" and options.reds is None,
        stop_after=options.stop_after,
        designs=PAPER_DESIGNS if options.preset == "paper" else DESIGNS,
    )
    training = subject.facts(
        recipe, command=_command(options), cache=photos, reds_folder=options.reds
    )
    if options.reds is not None:
        training["reds_validation"] = subject.validate_on_reds(trained.model, options.reds)
    weights = subject.hand_over(trained, folder=folder, training=training)
    print(f"{weights}\nwaiting for data: {trained.data_share:.1%} of {trained.seconds:.0f} s")
    print(f"next: harness build {options.subject} --training {folder}")
    return 0


def _command(options: argparse.Namespace) -> str:
    """Return the command without paths, as it goes into provenance."""
    words = [f"harness train {options.subject} --preset {options.preset}"]
    for name in ("steps", "seed", "learning_rate", "patch_px", "batch", "stop_after"):
        value = getattr(options, name)
        if value is not None:
            words.append(f"--{name.replace('_', '-')} {value}")
    if options.mixed_precision:
        words.append("--mixed-precision")
    words += ["--reds DIR"] if options.reds else []
    words += ["--start-from WEIGHTS"] if options.start_from else []
    return " ".join(words)
