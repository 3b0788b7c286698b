"""Write what `harness inspect` knows of each op as node data for Google's Model Explorer."""

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.api import Inspection
from harness.cli import bisect
from harness.errors import HarnessError
from harness.latency import Estimate
from harness.placement import Placement
from harness.profiles import Target
from harness.report import node_data


def write(path: Path, found: Inspection, targets: Sequence[Target], folder: Path) -> Iterator[str]:
    """Write a file for each phone and quantity, and yield what came of it, line by line.

    Args:
        path: The model.
        found: What is known of it.
        targets: The phones that it was asked about.
        folder: Made where it is missing.

    Raises:
        HarnessError: a file cannot be written.
    """
    errors, lacks = _errors(path, found, targets)
    written: list[Path] = []
    for target in targets:
        for name, content in _quantities(str(target), found, errors):
            file = folder / f"{str(target).replace(':', '-')}.{name}.json"
            _store(file, content)
            written.append(file)
    yield f"Model Explorer: {len(written)} files in {folder}"
    yield from (f"{target}: no error per op: {why}" for target, why in lacks.items())
    if written:
        data = ",".join(map(str, written))
        yield f"open them: {shlex.join(['model-explorer', str(path), f'--node_data_paths={data}'])}"


def _quantities(
    target: str, found: Inspection, errors: Mapping[str, bisect.Searched]
) -> Iterator[tuple[str, dict[str, Any]]]:
    graph = found.model.graph
    placement, estimate = found.placements[target], found.estimates[target]
    if isinstance(placement, Placement):
        yield from node_data.placed(graph, placement)
    if isinstance(estimate, Estimate):
        yield from node_data.timed(graph, estimate)
    if target in errors:
        known = errors[target]
        snr_db = {point.index: point.snr_db for point in known.search.points}
        yield from node_data.wrong(graph, snr_db, known.arithmetic.evidence.value)


def _errors(
    path: Path, found: Inspection, targets: Sequence[Target]
) -> tuple[dict[str, bisect.Searched], dict[str, str]]:
    """Return the error along the graph by phone, and why there is none."""
    known: dict[str, bisect.Searched] = {}
    lacks: dict[str, str] = {}
    for target in targets:
        if found.model.source_sha256:
            lacks[str(target)] = "it is taken at the file's own size; leave out --size"
            continue
        try:
            known[str(target)] = bisect.searched(path, target)
        except HarnessError as error:
            lacks[str(target)] = str(error)
    return known, lacks


def _store(file: Path, content: Mapping[str, Any]) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(content, indent=1, allow_nan=False), encoding="utf-8")
    except OSError as error:
        raise HarnessError(f"{file}: cannot be written ({error.strerror})") from None
