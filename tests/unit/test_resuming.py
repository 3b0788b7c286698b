"""Which facts of a run that was cut short count today."""

from dataclasses import replace
from pathlib import Path

import pytest

from harness import profiles
from harness.devices.connect import PhoneSetup
from harness.devices.emulated import Emulated
from harness.evidence import Evidence, Provenance, sha256_of
from harness.fact_lines import Taken, line
from harness.images import Size
from harness.latency import Latency
from harness.plugin import resuming
from harness.requests import Fact, Request, Verb
from tests import models

TOOL = b"#!/bin/sh\n"


def _fact(delegate: str, verb: Verb) -> Fact:
    model = models.model(models.conv_net())
    (target,) = profiles.select(profiles.load_all([profiles.SHIPPED]), [f"pixel4:{delegate}"])
    request = Request(
        target=target, verb=verb, model=model, size=Size(width_px=8, height_px=8)
    )  # fmt: skip
    if verb is Verb.PLACE:
        return Fact(request=request, answer=Emulated(target).place(model))
    made = Provenance(
        evidence=Evidence.PHONE, device="a phone", variant_sha256="",
        runtime={"benchmark_model": sha256_of(TOOL)[:12], "build": "1"},
    )  # fmt: skip
    latency = Latency(
        median_ms=1.0, p95_ms=1.0, mean_ms=1.0, stddev_ms=0.0, min_ms=1.0, first_ms=1.0,
        init_ms=1.0, runs=50, provenance=made,
    )  # fmt: skip
    return Fact(request=request, answer=latency)


def _taken_over(fact: Fact, root: Path, *, tool: Path | None = None) -> tuple[list[Taken], str]:
    kept: list[Taken] = []
    setup = PhoneSetup(benchmark_tool=str(tool or ""))
    said = resuming.take_over(
        [line(fact)], [fact.request], setup, root, lambda taken, _: kept.append(taken)
    )
    return kept, said


def _tool(folder: Path, data: bytes) -> Path:
    path = folder / "benchmark_model"
    path.write_bytes(data)
    return path


@pytest.fixture(autouse=True)
def _no_tool_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HARNESS_BENCHMARK_TOOL", raising=False)


def test_a_phones_fact_counts_while_the_tool_is_the_same_file(tmp_path: Path) -> None:
    fact = _fact("gpu", Verb.TIME)

    kept, _ = _taken_over(fact, tmp_path, tool=_tool(tmp_path, TOOL))
    assert len(kept) == 1
    kept, said = _taken_over(fact, tmp_path, tool=_tool(tmp_path, TOOL + b"# newer\n"))
    assert kept == []
    assert f"benchmark_model {sha256_of(TOOL)[:12]} -> " in said


def test_a_phones_fact_counts_where_no_tool_is_named_to_take_it_again(tmp_path: Path) -> None:
    kept, _ = _taken_over(_fact("gpu", Verb.TIME), tmp_path)

    assert len(kept) == 1


@pytest.mark.parametrize(
    ("name", "version", "counts"),
    [
        ("ai-edge-litert", "0.0.1", False),
        ("nnapi rules", "others", False),
        ("profile", "others", True),  # the request states it
    ],
)
def test_a_fact_of_this_host_counts_while_its_software_is_the_same(
    tmp_path: Path, name: str, version: str, counts: bool
) -> None:
    fact = _fact("nnapi", Verb.PLACE)
    assert fact.answer is not None
    made = fact.answer.provenance
    other = replace(made, runtime={**made.runtime, name: version})

    kept, _ = _taken_over(replace(fact, answer=replace(fact.answer, provenance=other)), tmp_path)

    assert bool(kept) is counts


def test_the_software_of_a_lab_is_not_compared_with_this_hosts(tmp_path: Path) -> None:
    fact = _fact("nnapi", Verb.PLACE)
    assert fact.answer is not None
    made = replace(fact.answer.provenance, lab="farm", runtime={"ai-edge-litert": "0.0.1"})

    kept, _ = _taken_over(replace(fact, answer=replace(fact.answer, provenance=made)), tmp_path)

    assert len(kept) == 1
