"""Node data for Google's Model Explorer: what is known of each op, drawn on the model's graph.

A file names, for each op of the graph, a value and its colour. It is JSON that Model Explorer
reads beside the model; that package is not needed to write it.

Source: model_explorer.node_data_builder of ai-edge-model-explorer 0.1.34. A graph goes by the name
of its subgraph, `main` where that has none; a node by the index of its op.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from harness import text
from harness.graph import Graph
from harness.latency import Estimate
from harness.placement import Placement
from harness.report.colours import COLOURS
from harness.report.page.strips import marks_of, times_of

_REASON = 300
"""Most characters of a reason; it is shown on a node."""
_HOT = ({"stop": 0, "bgColor": "#ffffff"}, {"stop": 1, "bgColor": "#e5484d"})
"""From the least value of a graph to the largest."""
_NodeData = dict[str, Any]


def placed(graph: Graph, placement: Placement) -> Iterator[tuple[str, _NodeData]]:
    """Yield name and content of the files on where ops run: `unit` and `reason`."""
    marks = marks_of(placement.nodes)
    evidence = placement.provenance.evidence.value
    yield (
        "unit",
        _file(
            graph,
            f"unit [{evidence}]",
            {
                node.index: {
                    "value": node.unit,
                    "bgColor": COLOURS[marks[node.unit][1]],
                    "textColor": "#ffffff",
                }
                for node in placement.nodes
            },
        ),
    )
    reasons = {
        node.index: "; ".join(filter(None, (node.reason, node.remedy)))
        for node in placement.nodes
        if node.reason or node.remedy
    }
    if reasons:
        results = {at: {"value": text.brief(why, _REASON)} for at, why in reasons.items()}
        yield "reason", _file(graph, f"reason [{evidence}]", results)


def timed(graph: Graph, found: Estimate) -> Iterator[tuple[str, _NodeData]]:
    """Yield name and content of the file on estimated milliseconds; none where no op is told.

    Ops that run as one kernel share its time equally. What belongs to no op, such as hand-overs
    between partitions, is on no node, so the values may add up to less than the estimate.
    """
    shares = times_of(len(graph.ops), found.shares)
    if shares:
        relative = "" if found.absolute else ", relative only"
        yield (
            "ms",
            _file(
                graph,
                f"estimated ms [{found.provenance.evidence.value}]{relative}",
                {at: {"value": _rounded(s * found.estimate_ms)} for at, s in enumerate(shares)},
                gradient=True,
            ),
        )


def wrong(
    graph: Graph, snr_db: Mapping[int, float], evidence: str
) -> Iterator[tuple[str, _NodeData]]:
    """Yield name and content of the file on the error of each op's output, as a percentage.

    Args:
        graph: The model.
        snr_db: Reference over error by index of the op, infinite where there is none.
        evidence: How it is known.
    """
    percent = {
        at: 100.0 * 10.0 ** (-db / 20.0) if math.isfinite(db) else 0.0 if db > 0 else None
        for at, db in snr_db.items()
    }
    yield (
        "error",
        _file(
            graph,
            f"error against the reference, % [{evidence}]",
            {at: {"value": _rounded(share)} for at, share in percent.items() if share is not None},
            gradient=True,
        ),
    )


def _file(
    graph: Graph, name: str, results: Mapping[int, _NodeData], *, gradient: bool = False
) -> _NodeData:
    found: _NodeData = {"results": {str(at): one for at, one in results.items()}, "name": name}
    if gradient:
        found["gradient"] = list(_HOT)
    return {graph.name or "main": found}


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
