"""How far the facts of a plan are: a bar on a terminal, nothing in a log."""

import contextlib
from collections.abc import Iterator, Sequence

import pytest

from harness.lab import Facts
from harness.requests import Fact, Request

_FEW = 3
"""Requests for which no bar is worth drawing."""


@contextlib.contextmanager
def shown(
    config: pytest.Config, requests: Sequence[Request], facts: Facts
) -> Iterator[Iterator[Fact]]:
    """Ask for the facts of a plan; draw how many there are, and how long the rest takes.

    Args:
        config: Of the run.
        requests: What the plan asks for.
        facts: What takes each fact once.
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
    console = Console(stderr=True)
    count = len({request.key for request in requests if request.key not in facts})
    drawn = console.is_terminal and count > _FEW and config.get_verbosity() >= 0
    with (
        capture.global_and_fixture_disabled() if capture and drawn else contextlib.nullcontext(),
        Progress(
            TextColumn("asking phones"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not drawn,
        ) as bar,
    ):
        task = bar.add_task("facts", total=count)

        def each() -> Iterator[Fact]:
            for fact in facts.take(requests):
                bar.advance(task)
                yield fact

        yield each()
