"""Show what a .tflite holds, where its ops would run and how long that would take."""

import argparse
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from harness import api, profiles, quantization, schema
from harness.cli import inspect_explorer, inspect_pixels, shared
from harness.cli.inspect_pixels import Match
from harness.errors import ConfigError
from harness.graph import Graph
from harness.latency import Estimate
from harness.placement import CPU, UNKNOWN, NodePlacement, Placement
from harness.profiles import Target
from harness.text import counted

_COSTLY = 3
_REASON_COLUMNS = 24
"""Least columns of a terminal that a reason has."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `harness inspect`."""
    parser.add_argument("model", type=Path, metavar="MODEL.tflite")
    parser.add_argument(
        "--device",
        action="append",
        default=[],
        metavar="NAME[:DELEGATE]",
        help="say where each op runs; `all` compares every delegate of every phone",
    )
    parser.add_argument("--size", metavar="WxH", help="resolution, default the model's own")
    parser.add_argument(
        "--model-explorer",
        type=Path,
        metavar="DIR",
        help="write unit, reason, estimated ms and error of each op as node data for Google's "
        "Model Explorer; wants --device",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    shared.add_profile_dirs(parser)


def run(options: argparse.Namespace) -> int:
    """Print the model's ops, or its placement."""
    if options.model_explorer is not None and not options.device:
        raise ConfigError("--model-explorer wants --device=NAME: whose units and times to write")
    model = api.load(options.model)
    if options.size is not None or options.device:
        model = model.asked(options.size)
    graph = model.graph
    found = api.inspect(model, options.device, profiles=options.profiles)
    placements, estimates = found.placements, found.estimates
    targets: tuple[Target, ...] = ()
    if options.device:
        known = profiles.of_project(options.profiles)
        targets = profiles.select(known, profiles.every_delegate(options.device))
    if options.model_explorer is not None:
        for line in inspect_explorer.write(options.model, found, targets, options.model_explorer):
            shared.console().print(line, soft_wrap=True)
        return 0
    matches = inspect_pixels.known(options.model, targets, model.size) if targets else {}
    if options.json:
        print(json.dumps(_as_json(graph, placements, estimates, matches), indent=1))
        return 0
    console = shared.console()
    console.print(_headline(options.model, graph))
    if not placements:
        console.print(_ops(graph))
    elif len(placements) == 1:
        _print_placement(console, *next(iter(placements.items())))
    else:
        console.print(_matrix(placements))
    if estimates:
        console.print(_figures(estimates, matches))
        for note in _pixels_note(matches):
            console.print(note, style="dim")
    return 0


def _headline(path: Path, graph: Graph) -> str:
    shapes = " -> ".join(
        f"{list(graph.tensors[i].shape)} {graph.tensors[i].dtype}"
        for i in (*graph.inputs, *graph.outputs)
    )
    notes = "".join(f"\n{note}" for note in (graph.belief, quantization.clipping(graph)) if note)
    return (
        f"{path.name}: {len(graph.ops)} ops, {graph.macs / 1e9:.3f} GMAC, "
        f"weights {graph.weight_bytes / 2**20:.2f} MiB, "
        f"peak activations {graph.peak_activation_bytes / 2**20:.2f} MiB\n{shapes}{notes}"
    )


def _ops(graph: Graph) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("#", "op", "v", "dtype", "output", "MMAC", "options"):
        table.add_column(column, overflow="fold")
    for op in graph.ops:
        runtime = graph.runtime_inputs(op)
        flags = [
            f"{name}={value}"
            for name, value in op.options.items()
            if name in ("half_pixel_centers", "align_corners", "block_size", "stride_h")
            and value is not None
        ]
        table.add_row(
            str(op.index),
            op.name,
            str(op.version),
            runtime[0].dtype if runtime else "",
            "x".join(str(n) for n in graph.tensors[op.outputs[0]].shape),
            f"{op.macs / 1e6:.1f}" if op.macs else "",
            " ".join(flags),
        )
    return table


def _print_placement(console: Console, target: str, placement: Placement | str) -> None:
    if isinstance(placement, str):
        console.print(f"{target}: {placement}", style="red")
        return
    units = Counter(node.unit for node in placement.nodes)
    counts = ", ".join(f"{count} on {unit}" for unit, count in units.items() if unit != UNKNOWN)
    if units[UNKNOWN]:
        unknown = f"{units[UNKNOWN]} of {len(placement.nodes)} ops unknown"
        line = f"{unknown}; {counts}" if counts else unknown
    else:
        partitions = counted(placement.partitions, "partition")
        line = f"{counts}; {partitions} [{placement.provenance.evidence.value}]"
    console.print(f"{target}: {line}")
    table = Table.grid(padding=(0, 2, 0, 0))
    for _ in range(3):
        table.add_column(no_wrap=True)
    table.add_column(overflow="fold", min_width=_REASON_COLUMNS)
    for node in placement.nodes:
        style = "yellow" if node.unit == CPU else ""
        table.add_row(f"  #{node.index}", node.op, node.unit, node.reason, style=style)
        if node.remedy:
            table.add_row("", "", "", f"remedy: {node.remedy}", style=style)
    console.print(table)


def _matrix(placements: Mapping[str, Placement | str]) -> Table:
    """Return one row per target; what is not known says so, and never looks like 0."""
    table = Table(box=None, pad_edge=False)
    for column in ("device", "CPU ops", "partitions", "evidence"):
        table.add_column(column, no_wrap=True)
    table.add_column("first reason", overflow="fold", min_width=24)
    for target, placement in placements.items():
        if isinstance(placement, str):
            table.add_row(target, "unknown", "unknown", "none", placement, style="red")
            continue
        unknown = placement.unattributed
        untold = [node for node in placement.nodes if node.unit == UNKNOWN]
        first = next(iter((*placement.fallbacks, *untold)), None)
        known = f"{placement.cpu_ops}/{len(placement.nodes)}"
        table.add_row(
            target,
            (f"{known}, {unknown} unknown" if placement.cpu_ops else "unknown")
            if unknown
            else known,
            "unknown" if unknown else str(placement.partitions),
            "none" if unknown == len(placement.nodes) else placement.provenance.evidence.value,
            _reason(first),
            style="yellow" if first else "",
        )
    return table


def _figures(estimates: Mapping[str, Estimate | str], matches: Mapping[str, Match | str]) -> Table:
    """Return one row per target: milliseconds, their 90 % interval, PSNR, and where time goes."""
    table = Table(box=None, pad_edge=False)
    for column in ("device", "estimated ms", "90 % interval", *(["PSNR dB"] if matches else [])):
        table.add_column(column, no_wrap=True)
    table.add_column(f"the {_COSTLY} most costly ops, ms", overflow="fold", min_width=24)
    for target, found in estimates.items():
        match = matches.get(target)
        seen = f"{match.psnr_db:.3g} {match.evidence.value}" if isinstance(match, Match) else None
        pixels = [seen or "unknown"] if matches else []
        if not isinstance(found, Estimate):
            table.add_row(target, "unknown", "", *pixels, str(found), style="red")
            continue
        ops = {label: share for label, share in found.shares.items() if "#" in label}
        costly = sorted(ops.items(), key=lambda item: -item[1])[:_COSTLY]
        table.add_row(
            target,
            f"{found.estimate_ms:.3g}{'' if found.absolute else ' (relative)'}",
            f"{found.low_ms:.3g} to {found.high_ms:.3g}",
            *pixels,
            ", ".join(f"{label} {share * found.estimate_ms:.2g}" for label, share in costly),
        )
    return table


def _pixels_note(matches: Mapping[str, Match | str]) -> Iterator[str]:
    """Yield what the PSNR is of, or why there is none."""
    frames = {match.frames for match in matches.values() if isinstance(match, Match)}
    if frames:
        frame = counted(max(frames), "golden frame")
        yield f"PSNR: against the blessed FP32 output, the worst of {frame} of this size."
    for target, match in matches.items():
        if isinstance(match, str):
            yield f"PSNR of {target}: {match}"


def _reason(node: NodePlacement | None) -> str:
    if node is None:
        return ""
    why = node.reason or "no reason known"
    return why if node.unit == UNKNOWN else f"{node.op} #{node.index}: {why}"


def _as_json(
    graph: Graph,
    placements: Mapping[str, Placement | str],
    estimates: Mapping[str, Estimate | str],
    matches: Mapping[str, Match | str],
) -> dict[str, Any]:
    return {
        "macs": graph.macs,
        "believed_shapes_of": list(graph.believed),
        "hazard": quantization.clipping(graph) or None,
        "weight_bytes": graph.weight_bytes,
        "peak_activation_bytes": graph.peak_activation_bytes,
        "ops": [
            {
                "index": op.index,
                "name": op.name,
                "version": op.version,
                "macs": op.macs,
                "inputs": [list(t.shape) for t in graph.input_tensors(op)],
                "outputs": [list(graph.tensors[i].shape) for i in op.outputs],
                "dtype": graph.tensors[op.outputs[0]].dtype,
            }
            for op in graph.ops
        ],
        "placements": {
            target: {"error": placement} if isinstance(placement, str) else schema.dump(placement)
            for target, placement in placements.items()
        },
        "estimates": {
            target: {"error": found} if isinstance(found, str) else schema.dump(found)
            for target, found in estimates.items()
        },
        "fidelity": {
            target: {"error": match} if isinstance(match, str) else schema.dump(match)
            for target, match in matches.items()
        },
    }
