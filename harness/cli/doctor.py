"""Say what this host can run, what is missing, and the command that adds it."""

import argparse
import importlib.util

from rich.table import Table

from harness.cli import shared
from harness.stacks import xnnpack


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `harness doctor`."""
    del parser


def run(options: argparse.Namespace) -> int:
    """Print one line per ability."""
    del options
    table = Table(box=None, pad_edge=False)
    for column in ("ability", "state", "to add it"):
        table.add_column(column, overflow="fold")
    for name, state, command in _abilities():
        table.add_row(name, state, command, style="yellow" if command else "")
    shared.console().print(table)
    return 0


def _abilities() -> list[tuple[str, str, str]]:
    litert = ", ".join(f"{name} {version}" for name, version in xnnpack.versions().items())
    rows = [("CPU kernels (XNNPACK)", litert, "")]
    trainable = importlib.util.find_spec("tensorflow") is not None
    rows.append(
        (
            "training and export",
            "TensorFlow" if trainable else "missing",
            "" if trainable else "pip install 'pytest-device-harness[train]'",
        )
    )
    return rows
