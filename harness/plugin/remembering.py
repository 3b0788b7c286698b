"""Take a run into the history at its end."""

from pathlib import Path
from typing import TYPE_CHECKING

from harness import results
from harness.errors import HarnessError
from harness.text import counted

if TYPE_CHECKING:
    from harness.history.store import Store


def opened(address: str) -> "Store":
    """Open the history of an address.

    Raises:
        HarnessError: it cannot be reached, or its extra is not installed.
    """
    from harness.history.opening import open_store

    return open_store(address)


def take_in(path: Path, address: str) -> str:
    """Take the run of a results file into a history, and return a line on what came of it."""
    from harness.history import runs  # only where a history is asked for

    try:
        entry = runs.entry(results.load(path))
        with opened(address) as store:
            store.add(entry)
            store.forget(entry.id)
    except HarnessError as error:
        return f"history: the run is not in it, {error}"
    return f"history: run {entry.id} taken in, {counted(len(entry.facts), 'fact')}"
