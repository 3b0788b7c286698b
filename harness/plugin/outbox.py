"""Keep what a run asks, and each fact as it comes, in the history: it outlives this machine.

A thread writes, so that a database that is away holds nothing up; what it misses is written when
it is back.
"""

import functools
import json
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness import __version__, results, schema
from harness.errors import ConfigError, HarnessError
from harness.evidence import sha256_of
from harness.fact_lines import Taken
from harness.plugin import ini, option, remembering

if TYPE_CHECKING:
    import pytest

    from harness.history.store import Store

_AGAIN_S = 5.0
_CLOSE_S = 15.0
"""Longest wait for a database at the end."""


def plan_of(tests: Sequence[str], asked: Mapping[str, str]) -> str:
    """Return what two runs must have in common for one to go on with the other's facts."""
    ways = (f"{name}={value}" for name, value in sorted(asked.items()))
    return sha256_of("\n".join((__version__, *ways, *sorted(tests))).encode())


class Outbox:
    """The facts of one run on their way into a history."""

    def __init__(
        self, run: str, plan: str, *, store: Callable[[], "Store"],
        again_s: float = _AGAIN_S,
    ) -> None:  # fmt: skip
        """Begin to write.

        Args:
            run: Id of the run.
            plan: Of `plan_of`.
            store: Opens the history.
            again_s: Seconds between two tries at a database that is away.
        """
        self._run, self._plan = run, plan
        self._store = store
        self._again_s = again_s
        self._queue: queue.Queue[Callable[[Store], None] | None] = queue.Queue()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name="history", daemon=True)
        self._thread.start()

    def ask(self, requests: Sequence[str]) -> None:
        """Note what is asked, by key."""
        self._queue.put(lambda store: store.note(self._run, self._plan, requests))

    def take(self, fact: Taken) -> None:
        """Note a fact."""
        line = {fact.request: json.dumps(schema.dump(fact))}
        self._queue.put(lambda store: store.accept(self._run, self._plan, line))

    def close(self, limit_s: float = _CLOSE_S) -> None:
        """Write what is left, if the database is there now."""
        self._queue.put(None)
        self._ending.set()
        self._thread.join(limit_s)

    def _go_on(self) -> None:
        work = self._queue.get()
        while work is not None:
            ending = self._ending.is_set()
            try:
                with self._store() as store:
                    while work is not None:
                        work(store)
                        work = self._queue.get()
            except HarnessError:  # the end of the run says so, where it is not back by then
                if ending:
                    return
                self._ending.wait(self._again_s)


def address(config: "pytest.Config") -> str:
    """Return the address of the history that takes runs in, or ''."""
    found: str = option(config, "history") or ini(config, "history")
    return found


def opened(config: "pytest.Config", run: str, plan: str) -> Outbox | None:
    """Return what brings the facts of a run into its history, or None where it has none."""
    where = address(config)
    if not where:
        return None
    return Outbox(run, plan, store=functools.partial(remembering.opened, where))


def unfinished(
    config: "pytest.Config", root: Path, tests: Sequence[str], asked: Mapping[str, str]
) -> tuple[str, tuple[Taken, ...]]:
    """Return the last unfinished run of a plan and its facts, '' for none.

    It is one of this folder, or else of the history, which knows those of other machines; a
    history that cannot be read has none.
    """
    earlier = results.unfinished(root, tests, asked)
    if earlier is not None:
        return earlier.run.id, earlier.facts
    where = address(config)
    if not where:
        return "", ()
    try:
        with remembering.opened(where) as store:
            run, lines = store.left(plan_of(tests, asked))
        return run, tuple(_read(line) for line in lines)
    except HarnessError:  # the summary says at the end that it cannot be reached
        return "", ()


def _read(line: str) -> Taken:
    try:
        return schema.parse(Taken, json.loads(line), where="a fact of the history")
    except ValueError as error:
        raise ConfigError(f"a fact of the history cannot be read: {error}") from None
