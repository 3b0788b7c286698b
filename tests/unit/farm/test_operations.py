"""The files that a lab copies: units, a compose file, a dashboard."""

import json
import re
import shlex
from pathlib import Path

import pytest

from harness.cli import parser
from harness.farm.fleet import Fleet, QuarantinedPhone, StationState

pytestmark = pytest.mark.farm

pytest.importorskip("distributed")
jsonschema = pytest.importorskip("jsonschema")

DOCS = Path(__file__).parents[3] / "docs"
FILES = DOCS / "farm"
PANELS = {
    "type": "object",
    "required": ["title", "uid", "schemaVersion", "panels", "templating"],
    "properties": {
        "schemaVersion": {"type": "integer"},
        "panels": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["id", "type", "title", "gridPos", "targets", "datasource"],
                "properties": {
                    "id": {"type": "integer"},
                    "gridPos": {
                        "type": "object",
                        "required": ["h", "w", "x", "y"],
                        "additionalProperties": {"type": "integer"},
                    },
                    "targets": {
                        "type": "array",
                        "minItems": 1,
                        "items": {"type": "object", "required": ["refId", "expr"]},
                    },
                },
            },
        },
    },
}
"""What Grafana reads of a dashboard. Source: its documentation, `dashboard JSON model`."""


def _metrics() -> dict[str, object]:
    """Return what is served of a small fleet, by the name that Prometheus gives it."""
    from harness.farm.watching import families

    fleet = Fleet(
        stations={
            "h/a": StationState(
                name="h/a", kind="pixel4", version="v", answered=8, failed=2, busy_s=12.0, queued=1
            ),
            "h/b": StationState(name="h/b", kind="pixel4", version="v"),
        },
        quarantined=(QuarantinedPhone(host="h", serial="c", kind="pixel4", why="hot"),),
        hosts={"h": "tcp://h"},
    )
    samples = [sample for family in families(fleet) for sample in family.samples]
    return {f"{s.name}{sorted(s.labels.items())}": s.value for s in samples}


def test_metrics_say_who_is_there_what_waits_and_how_much_is_void() -> None:
    metrics = _metrics()

    states = {"busy": 1, "idle": 1, "quarantined": 1}
    for state, number in states.items():
        labels = [("profile", "pixel4"), ("state", state)]
        assert metrics[f"harness_farm_stations{labels}"] == number
    assert metrics["harness_farm_oldest_request_seconds[]"] == 12.0
    assert metrics["harness_farm_queue[]"] == 1
    assert metrics["harness_farm_void_ratio[]"] == pytest.approx(0.2)


def test_the_dashboard_is_one_that_grafana_reads_and_asks_for_what_is_served() -> None:
    dashboard = json.loads((FILES / "grafana.json").read_text(encoding="utf-8"))

    jsonschema.validate(dashboard, PANELS)

    served = {name.partition("[")[0] for name in _metrics()} | {"harness_farm_up"}
    asked = {
        name
        for panel in dashboard["panels"]
        for target in panel["targets"]
        for name in re.findall(r"harness_farm_\w+", target["expr"])
    }
    assert asked <= served
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def _commands() -> list[str]:
    units = "\n".join(path.read_text(encoding="utf-8") for path in FILES.glob("*.service"))
    started = re.findall(r"^ExecStart=\S*/(harness farm .*)$", units, re.MULTILINE)
    compose = (FILES / "compose.yaml").read_text(encoding="utf-8")
    lists = re.findall(r'command: (\["harness".*\])', compose)
    guide = (DOCS / "farm.md").read_text(encoding="utf-8")
    typed = re.findall(r"^(?:\w+=\S+ )?(harness farm [^#\n]*)", guide, re.MULTILINE)
    return [*started, *(shlex.join(json.loads(one)) for one in lists), *typed]


def test_every_command_of_the_units_the_compose_file_and_the_guide_is_understood() -> None:
    commands = _commands()

    for command in commands:
        options = parser().parse_args(shlex.split(command)[1:])
        assert options.part is not None
    assert len(commands) > 8


def test_a_host_restarts_whatever_it_ended_with_and_may_give_its_phones_back() -> None:
    unit = (FILES / "harness-farm-host.service").read_text(encoding="utf-8")

    assert "Restart=always" in unit
    assert int(re.findall(r"TimeoutStopSec=(\d+)", unit)[0]) >= 60


def test_the_compose_file_starts_postgresql_and_the_scheduler() -> None:
    import yaml

    compose = yaml.safe_load((FILES / "compose.yaml").read_text(encoding="utf-8"))

    assert set(compose["services"]) >= {"history", "scheduler"}
    published = [p for s in compose["services"].values() for p in s.get("ports", [])]
    assert [p for p in published if not p.startswith("127.0.0.1:")] == ["8786:8786"]
