"""Runs in files: JSON lines and Parquet out, JSON lines and pytest-benchmark's JSON in."""

import importlib
import json
import os
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness import extras, files, results, schema
from harness.errors import ConfigError, StackMissing
from harness.evidence import Evidence, sha256_of
from harness.history import runs
from harness.history.entries import FactEntry, RunEntry, SeriesKey

_HISTORY_BYTES_MAX = 2**32
_MS = 1000.0
_RESULTS = b'{"run": {"schema":'
"""How a results file begins."""


def read(path: Path) -> tuple[RunEntry, ...]:
    """Read runs: results of pytest --device, JSON lines of `write_json_lines`, pytest-benchmark's.

    Raises:
        ConfigError: the file is neither, or wrong.
    """
    data = files.read(path, at_most_bytes=_HISTORY_BYTES_MAX, error=ConfigError)
    if data.startswith(_RESULTS):
        return (runs.entry(results.load(path)),)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is no UTF-8 text: {error}") from None
    whole = _json(text, str(path)) if "\n}" in text or "\n" not in text.strip() else None
    if isinstance(whole, dict) and "benchmarks" in whole:
        return (_benchmarks(whole, str(path), sha256_of(data)),)
    return tuple(
        schema.parse(RunEntry, _json(line, f"{path}:{number}"), where=f"{path}:{number}")
        for number, line in enumerate(text.splitlines(), start=1)
        if line.strip()
    )


def write_json_lines(path: Path, entries: Iterable[RunEntry]) -> int:
    """Write runs, one a line, and return how many."""
    lines = 0
    part = path.with_name(f"{path.name}.part")
    with part.open("w", encoding="utf-8") as file:
        for run in entries:
            file.write(json.dumps(schema.dump(run), sort_keys=True) + "\n")
            lines += 1
    os.replace(part, path)
    return lines


def write_parquet(path: Path, entries: Iterable[RunEntry]) -> int:
    """Write runs as a Parquet file, one row a fact, and return how many runs.

    Raises:
        StackMissing: pyarrow is not installed.
    """
    try:
        arrow: Any = importlib.import_module("pyarrow")
        parquet: Any = importlib.import_module("pyarrow.parquet")
    except ModuleNotFoundError:
        raise StackMissing(
            f"pyarrow is not installed; {extras.install_command('parquet')} adds it"
        ) from None
    columns = _parquet_schema(arrow)
    count = 0
    part = path.with_name(f"{path.name}.part")
    with parquet.ParquetWriter(part, columns, compression="zstd") as writer:
        for run in entries:
            writer.write_table(arrow.Table.from_pylist(list(_flat(run)), schema=columns))
            count += 1
    os.replace(part, path)
    return count


def _flat(run: RunEntry) -> Iterable[dict[str, Any]]:
    head = {"run": run.id, "time_utc": run.time(), "commit": run.commit, "host": run.host}
    for fact in run.facts:
        rest = {"attempt": fact.attempt, "value": fact.value, "low": fact.low, "high": fact.high}
        yield {
            **head,
            **asdict(fact.series),
            **rest,
            "outcome": fact.outcome,
            "provenance": fact.provenance,
        }


def _parquet_schema(arrow: Any) -> Any:
    word = arrow.dictionary(arrow.int32(), arrow.string())
    words = (
        "subject",
        "variant",
        "profile",
        "delegate",
        "size",
        "frame",
        "metric",
        "evidence",
        "fingerprint",
    )
    return arrow.schema(
        [
            ("run", word),
            ("time_utc", arrow.timestamp("us", tz="UTC")),
            *((name, word) for name in ("commit", "host", *words)),
            ("attempt", arrow.int16()),
            *((name, arrow.float64()) for name in ("value", "low", "high")),
            *((name, word) for name in ("outcome", "provenance")),
        ]
    )


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise ConfigError(f"{where}: not valid JSON: it is nested too deeply") from None
    except ValueError as error:
        raise ConfigError(f"{where}: not valid JSON: {error}") from None


def _benchmarks(data: dict[str, Any], where: str, digest: str) -> RunEntry:
    """Turn pytest-benchmark's report into a run: the median, from quartile to quartile."""
    try:
        machine, commit = data["machine_info"], data.get("commit_info") or {}
        host = str(machine["node"])
        known = (machine.get("cpu") or {}).get("brand_raw", ""), machine.get("python_version", "")
        return RunEntry(
            id=f"pytest-benchmark-{digest[:32]}",
            time_utc=str(data["datetime"]),
            commit=str(commit.get("id") or ""),
            host=host,
            facts=tuple(
                _benchmark(one, host, " ".join(filter(None, map(str, known))))
                for one in data["benchmarks"]
            ),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{where}: is no report of pytest-benchmark (--benchmark-json): {error!r}"
        ) from None


def _benchmark(one: dict[str, Any], host: str, fingerprint: str) -> FactEntry:
    name, _, case = str(one["fullname"]).partition("[")
    stats = one["stats"]
    return FactEntry(
        series=SeriesKey(
            subject=name,
            variant=case.removesuffix("]"),
            profile=host,
            delegate="cpu",
            metric="median_ms",
            evidence=Evidence.HOST.value,
            fingerprint=fingerprint,
        ),
        value=_MS * stats["median"],
        low=_MS * stats["q1"],
        high=_MS * stats["q3"],
    )
