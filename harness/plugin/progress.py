"""How far the facts of a plan are: a bar on a terminal, nothing in a log."""

import contextlib
import sys
from collections.abc import Iterator

import pytest

from harness.requests import Fact

_FEW = 3
"""Requests for which no bar is worth drawing."""


def is_drawn(config: pytest.Config, count: int) -> bool:
    """Return whether a bar is worth drawing for some facts, and where."""
    return sys.stderr.isatty() and count > _FEW and config.get_verbosity() >= 0


def shown(config: pytest.Config, facts: Iterator[Fact], count: int) -> Iterator[Fact]:
    """Yield facts as they come, and draw how many are there and how long the rest takes.

    Args:
        config: Of the run.
        facts: As they come.
        count: How many will come.
    """
    from rich.console import Console  # 60 ms, which collecting can do without
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    capture = config.pluginmanager.getplugin("capturemanager")
    with (
        capture.global_and_fixture_disabled() if capture else contextlib.nullcontext(),
        Progress(
            TextColumn("asking phones"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        ) as bar,
    ):
        task = bar.add_task("facts", total=count)
        for fact in facts:
            bar.advance(task)
            yield fact
