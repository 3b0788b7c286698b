"""Hold the options and look-ups that several subcommands share."""

import argparse
import contextlib
import logging
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from harness import extras, ini, profiles, subjects, text
from harness.devices.connect import Origin, PhoneSetup
from harness.errors import ConfigError, StackMissing
from harness.lab import Lab, choose
from harness.profiles import Profile, Target
from harness.report.console import open_console
from harness.subjects import Subject


def console() -> Console:
    """Return the console that tables are printed on."""
    return open_console()


def confirmed(yes: bool, what: str) -> bool:
    """Return whether a person accepts what was shown.

    Args:
        yes: Whether they have said so already.
        what: What they are asked about.

    Raises:
        ConfigError: there is no terminal to ask on.
    """
    if yes:
        return True
    if not sys.stdin.isatty():
        raise ConfigError("no terminal to ask on; add --yes to accept what is shown above")
    return input(f"Accept {what}? [y/N] ").strip().lower() in ("y", "yes")


def add_profile_dirs(parser: argparse.ArgumentParser) -> None:
    """Add `--profiles`, the command line's counterpart of the ini key `profile_dirs`."""
    parser.add_argument(
        "--profiles",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="one more folder of device profiles",
    )


def add_golden_dir(parser: argparse.ArgumentParser) -> None:
    """Add `--golden-dir`, the command line's counterpart of the ini key `golden_dir`."""
    parser.add_argument(
        "--golden-dir",
        type=Path,
        default=ini.golden_dir(),
        metavar="DIR",
        help="folder of <subject>/subject.toml, default the ini key golden_dir, else ./golden",
    )


def start_keras(*, threads: int | None = None) -> None:
    """Import Keras, and run one op so that its back end starts, without its start-up notes.

    Most notes (absl, oneDNN, CUDA) come from native code, so that only the file descriptor can be
    turned away; they are shown after all if the start fails, or if the user has asked for a level
    with TF_CPP_MIN_LOG_LEVEL.

    Args:
        threads: Threads of TensorFlow within an op; its own choice if None.

    Raises:
        ModuleNotFoundError: Keras or its back end is not installed.
    """
    if "TF_CPP_MIN_LOG_LEVEL" in os.environ:
        _import_keras(threads)
        return
    logging.getLogger("absl").setLevel(logging.ERROR)  # what Python says, such as converters
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # what fails is raised too
    sys.stderr.flush()
    terminal = os.dup(2)
    failed = True
    with tempfile.TemporaryFile() as notes:
        os.dup2(notes.fileno(), 2)
        try:
            _import_keras(threads)
            failed = False
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
            if failed:
                notes.seek(0)
                os.write(2, notes.read())


def _import_keras(threads: int | None) -> None:
    import keras

    if threads is not None and keras.backend.backend() == "tensorflow":
        import tensorflow as tf  # the one setting that Keras does not reach

        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    keras.ops.convert_to_numpy(keras.ops.zeros(1))


@contextlib.contextmanager
def keras_imports(*, threads: int | None = None) -> Iterator[None]:
    """Start Keras for the imports in the block.

    Args:
        threads: As for `start_keras`.

    Raises:
        StackMissing: The extra `train`, or a part of it, is not installed.
    """
    try:
        start_keras(threads=threads)
        yield
    except ModuleNotFoundError as error:
        said = f"{error.name} is not installed; {extras.install_command('train')}"
        raise StackMissing(said) from None


def add_origin(parser: argparse.ArgumentParser) -> None:
    """Add `--origin`, as pytest has it, and `add_phone`, for commands that ask devices."""
    parser.add_argument(
        "--origin",
        type=Origin,
        choices=list(Origin),
        metavar="{auto,phone,emulated}",
        help="where facts come from; default emulated, or the lab where one is named",
    )
    add_phone(parser)


def add_phone(parser: argparse.ArgumentParser) -> None:
    """Add `--serial`, and what pytest reads from its ini file, for commands that measure."""
    parser.add_argument("--serial", default="", help="adb serial of the phone to use")
    parser.add_argument(
        "--lab",
        action="append",
        default=[],
        metavar="NAME[:ARG]",
        help="ask the phones of a lab: adb:HOST:PORT (repeatable), stf:URL, "
        "devicerun:PROJECT/DEVICE, aihub",
    )
    parser.add_argument(
        "--preset",
        default=PhoneSetup.of_project().benchmark_preset,
        help="standard: 50 runs after 3 to warm up; paper: as arXiv 2004.12599, 10 runs on "
        "4 threads in fp16, pinned; default the ini key benchmark_preset, else standard",
    )
    parser.add_argument(
        "--external-delegate",
        action="append",
        default=[],
        metavar="'DELEGATE PATH [OPTIONS]'",
        help="library on the phone for a delegate that the benchmark tool does not have",
    )


def phone_setup(options: argparse.Namespace) -> PhoneSetup:
    """Return what the options of `add_phone` say of measuring."""
    of_project = PhoneSetup.of_project()
    return replace(
        of_project,
        benchmark_preset=options.preset,
        external_delegates=tuple(options.external_delegate) or of_project.external_delegates,
    )


def origin(options: argparse.Namespace) -> Origin:
    """Return what `add_origin` was given: without it a lab that is named, else this host."""
    named: Origin | None = options.origin
    return named or (Origin.PHONE if _labs(options) else Origin.EMULATED)


def _labs(options: argparse.Namespace) -> Sequence[str]:
    """Return what `--lab` names, else the ini key `labs`."""
    named: list[str] = options.lab
    return named or (() if options.serial else ini.of_project().lines("labs"))


@contextlib.contextmanager
def open_lab(options: argparse.Namespace, *, origin: Origin) -> Iterator[Lab]:
    """Open the lab that `--lab` names, else this host's, and release it at the end.

    Args:
        options: Those of `add_phone`.
        origin: Where the facts of this host may come from.

    Raises:
        HarnessError: it cannot be reached.
    """
    names = options.lab or (() if origin is Origin.EMULATED else _labs(options))
    said_yes = getattr(options, "yes", False)
    lab = choose(
        names,
        origin=origin,
        serial=options.serial,
        phone_setup=phone_setup(options),
        consent=("all",) if said_yes else ini.of_project().lines("lab_consent"),
    )
    try:
        lab.open()
        yield lab
    finally:
        for trouble in lab.close():
            print(f"harness: not released: {trouble}", file=sys.stderr)


def load_profiles(options: argparse.Namespace) -> dict[str, Profile]:
    """Read the shipped profiles, those of the ini key `profile_dirs` and those of `--profiles`."""
    return profiles.of_project(options.profiles)


def every_target(known: dict[str, Profile], names: Sequence[str]) -> tuple[Target, ...]:
    """Resolve `--device` values; `all` means every delegate of every phone here."""
    return profiles.select(known, profiles.every_delegate(names))


def one_target(known: dict[str, Profile], name: str) -> Target:
    """Resolve a `--device` value that must name one phone and delegate.

    Raises:
        ConfigError: it is unknown, or names several.
    """
    targets = every_target(known, [name])
    if len(targets) != 1:
        raise ConfigError(
            f"--device={name} names {len(targets)} phones and delegates; "
            f"name one, such as {targets[0]}"
        )
    return targets[0]


def load_subject(options: argparse.Namespace) -> Subject:
    """Read the subject that `options.subject` names.

    Raises:
        ConfigError: it does not exist or is wrong.
    """
    folder: Path = options.golden_dir / options.subject
    if not (folder / subjects.SUBJECT_FILE).exists():
        known = sorted(p.parent.name for p in options.golden_dir.glob("*/subject.toml"))
        raise ConfigError(
            f"{folder}: has no {subjects.SUBJECT_FILE}; "
            f"subjects in {options.golden_dir}: {', '.join(known) or 'none'}"
            f"{text.meant(options.subject, known)}"
        )
    return subjects.load(folder)
