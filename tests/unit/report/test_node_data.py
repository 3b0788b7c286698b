"""Tests of the node data that Model Explorer reads."""

import math
from dataclasses import replace

import jsonschema
import pytest

from harness import graph
from harness.evidence import Evidence
from harness.graph import Graph
from harness.latency import Estimate
from harness.placement import CPU, NodePlacement, Placement
from harness.report import node_data
from tests import models
from tests.unit.report.pages import provenance

_COLOUR = {"type": "string", "pattern": "^#[0-9a-f]{6}$"}
_STOP = {
    "type": "object",
    "properties": {"stop": {"enum": [0, 1]}, "bgColor": _COLOUR},
    "required": ["stop", "bgColor"],
    "additionalProperties": False,
}
_RESULT = {
    "type": "object",
    "properties": {
        "value": {"type": ["number", "string"]},
        "bgColor": _COLOUR,
        "textColor": _COLOUR,
    },
    "required": ["value"],
    "additionalProperties": False,
}
SCHEMA = {
    "type": "object",
    "minProperties": 1,
    "additionalProperties": {
        "type": "object",
        "properties": {
            "results": {
                "type": "object",
                "minProperties": 1,
                "propertyNames": {"pattern": "^(0|[1-9][0-9]*)$"},
                "additionalProperties": _RESULT,
            },
            "name": {"type": "string"},
            "gradient": {"type": "array", "items": _STOP, "minItems": 2, "maxItems": 2},
        },
        "required": ["results", "name"],
        "additionalProperties": False,
    },
}
"""What Model Explorer reads. Source: `ModelNodeData` of model_explorer.node_data_builder 0.1.34."""


@pytest.fixture(scope="module")
def net() -> Graph:
    return graph.parse(models.unet(size_px=32))


def _placement(net: Graph, *, reason: str = "") -> Placement:
    nodes = tuple(
        NodePlacement(
            index=op.index, op=op.name, unit=CPU if op.index == 3 else "npu",
            reason=reason if op.index == 3 else "",
        )
        for op in net.ops
    )  # fmt: skip
    return Placement(nodes=nodes, partitions=3, provenance=provenance(Evidence.VENDOR))


def _estimate(shares: dict[str, float]) -> Estimate:
    return Estimate(
        estimate_ms=10.0, low_ms=5.0, high_ms=20.0, basis="a test", shares=shares,
        provenance=provenance(Evidence.MODEL),
    )  # fmt: skip


def test_a_unit_has_a_colour_and_each_op_its_unit(net: Graph) -> None:
    found = dict(node_data.placed(net, _placement(net, reason="refused")))

    jsonschema.validate(found["unit"], SCHEMA)
    results = found["unit"]["main"]["results"]
    assert list(results) == [str(op.index) for op in net.ops]
    assert results["3"]["value"] == "cpu"
    assert results["3"]["bgColor"] != results["4"]["bgColor"]
    assert found["unit"]["main"]["name"] == "unit [VENDOR]"


def test_a_reason_is_on_the_ops_that_have_one_and_no_file_is_empty(net: Graph) -> None:
    with_reason = dict(node_data.placed(net, _placement(net, reason="refused")))
    without = dict(node_data.placed(net, _placement(net)))

    jsonschema.validate(with_reason["reason"], SCHEMA)
    assert with_reason["reason"]["main"]["results"] == {"3": {"value": "refused"}}
    assert list(without) == ["unit"]


def test_ops_of_one_kernel_share_its_milliseconds(net: Graph) -> None:
    shares = {"CONV_2D+PRELU #0-1": 0.4, "CONV_2D #2": 0.3, "crossings between partitions": 0.3}

    ((name, found),) = node_data.timed(net, _estimate(shares))

    jsonschema.validate(found, SCHEMA)
    values = {at: one["value"] for at, one in found["main"]["results"].items()}
    assert name == "ms"
    assert (values["0"], values["1"], values["2"]) == (2.0, 2.0, 3.0)
    assert sum(values.values()) == pytest.approx(7.0)


def test_an_estimate_that_tells_no_op_gives_no_file(net: Graph) -> None:
    assert list(node_data.timed(net, _estimate({"memory": 1.0}))) == []


def test_an_error_is_a_percentage_of_what_is_right(net: Graph) -> None:
    snr_db = {0: 20.0, 1: math.inf, 2: 0.0, 3: -math.inf}

    ((_, found),) = node_data.wrong(net, snr_db, "HOST")

    jsonschema.validate(found, SCHEMA)
    values = {at: one["value"] for at, one in found["main"]["results"].items()}
    assert values == {"0": pytest.approx(10.0), "1": 0.0, "2": 100.0}


def test_a_graph_goes_by_its_own_name(net: Graph) -> None:
    assert net.name == "main"
    named = replace(net, name="serving_default")
    unnamed = replace(net, name="")

    assert list(dict(node_data.placed(named, _placement(net)))["unit"]) == ["serving_default"]
    assert list(dict(node_data.placed(unnamed, _placement(net)))["unit"]) == ["main"]


def test_a_long_reason_is_bounded(net: Graph) -> None:
    found = dict(node_data.placed(net, _placement(net, reason="x" * 10_000)))

    assert len(found["reason"]["main"]["results"]["3"]["value"]) <= 300
