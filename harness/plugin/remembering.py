"""Take a run into the history at its end."""

from pathlib import Path

from harness import results
from harness.errors import HarnessError
from harness.text import counted


def take_in(path: Path, address: str) -> str:
    """Take the run of a results file into a history, and return a line on what came of it."""
    from harness.history import runs  # only where a history is asked for
    from harness.history.opening import open_store

    try:
        entry = runs.entry(results.load(path))
        with open_store(address) as store:
            store.add(entry)
    except HarnessError as error:
        return f"history: the run is not in it, {error}"
    return f"history: run {entry.id} taken in, {counted(len(entry.facts), 'fact')}"
