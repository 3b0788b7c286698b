"""Read published or measured latencies of whole networks from a CSV."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import ConfigError
from harness.estimate.calibrate import TimedNetwork
from harness.estimate.reference.catalogue import REFERENCES, PublishedNetwork
from harness.evidence import Evidence, Provenance
from harness.graph import Graph
from harness.placement import NodePlacement, Placement

_COLUMNS = ("model", "precision", "device", "latency_ms")
_EXPORTS = {
    ("fcn_resnet50", "84"): "fcn_resnet50_224",
    ("shufflenet_v2", "175"): "shufflenet_v2_halves",
    ("shufflenet_v2", "207"): "shufflenet_v2_joins",
}
"""References of models that were exported in several ways, told apart by their number of ops."""
_PRECISIONS = {"float": "float", "fp32": "float", "fp16": "float", "w8a8": "int8", "int8": "int8"}


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One published latency.

    Attributes:
        reference: The network.
        precision: float or int8.
        device: As the source names it.
        unit: npu, gpu or cpu: where all of its ops ran.
        latency_ms: Milliseconds of one inference.
        delegate: What it ran through: nnapi, gpu, qnn or cpu.
    """

    reference: PublishedNetwork
    precision: str
    device: str
    unit: str
    latency_ms: float
    delegate: str


def read(path: Path) -> tuple[Figure, ...]:
    """Read the figures that have a reference network and ran wholly on one unit.

    The CSV has the columns model, precision, device and latency_ms; component, primary_unit,
    delegate and layers_npu, layers_gpu, layers_cpu are understood where they are there; without a
    delegate, an NPU was reached through qnn. Rows of other models or
    precisions, rows that ran on two units, and rows with a date before phones' software ran the
    network as it does today, are left out.

    Raises:
        ConfigError: the file is missing, lacks a column or holds a latency that is not positive.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error})") from None
    missing = [name for name in _COLUMNS if not rows or name not in rows[0]]
    if missing:
        raise ConfigError(f"{path}: has no rows or lacks the column {', '.join(missing)}")
    figures = (_figure(row, f"{path}: row {number}") for number, row in enumerate(rows, 2))
    return tuple(figure for figure in figures if figure is not None)


def choose(
    figures: Sequence[Figure], *, device: str, precision: str, unit: str
) -> tuple[Figure, ...]:
    """Return the figures of one device, precision and unit.

    Raises:
        ConfigError: there are none; the known devices are listed.
    """
    chosen = [f for f in figures if (f.device, f.precision, f.unit) == (device, precision, unit)]
    if not chosen:
        known = ", ".join(sorted({f.device for f in figures}))
        raise ConfigError(f"no {precision} figures of {device!r} on {unit}; devices: {known}")
    return tuple(chosen)


def draw(chosen: Sequence[Figure], *, delegate: str, precision: str) -> tuple[TimedNetwork, ...]:
    """Draw the networks of figures as samples to fit to or to check on.

    Args:
        chosen: Figures of one device, precision and unit.
        delegate: What they ran through, wholly.
        precision: To draw them in; a GPU computes int8 networks in float.
    """
    graphs = {f.reference.name: f.reference.graph(precision) for f in chosen}
    return tuple(
        TimedNetwork(
            name=figure.reference.name,
            family=figure.reference.family,
            graph=graphs[figure.reference.name],
            placement=whole(graphs[figure.reference.name], delegate),
            measured_ms=figure.latency_ms,
        )
        for figure in chosen
    )


def whole(graph: Graph, unit: str) -> Placement:
    """Return the placement of a graph that runs wholly on one unit."""
    return Placement(
        nodes=tuple(NodePlacement(index=op.index, op=op.name, unit=unit) for op in graph.ops),
        partitions=1,
        provenance=Provenance(evidence=Evidence.RULES, device="whole", variant_sha256=""),
    )


def _figure(row: dict[str, str], where: str) -> Figure | None:
    exported = (row["model"], row.get("layers_total") or "")
    name = _EXPORTS.get(exported, row["model"])
    precision = _PRECISIONS.get(row["precision"])
    units = [u for u in ("npu", "gpu", "cpu") if int(row.get(f"layers_{u}") or 0) > 0]
    if name not in REFERENCES or precision is None or len(units) > 1:
        return None
    if "" < (row.get("date") or "") < REFERENCES[name].since:
        return None
    try:
        latency_ms = float(row["latency_ms"])
    except ValueError:
        latency_ms = 0.0
    if not 0.0 < latency_ms < 1e9:
        raise ConfigError(f"{where}: latency_ms = {row['latency_ms']!r} is not positive")
    unit = units[0] if units else (row.get("primary_unit") or "cpu").lower()
    return Figure(
        reference=REFERENCES[name],
        precision=precision,
        device=row["device"],
        unit=unit,
        latency_ms=latency_ms,
        delegate=row.get("delegate") or {"npu": "qnn"}.get(unit, unit),
    )
