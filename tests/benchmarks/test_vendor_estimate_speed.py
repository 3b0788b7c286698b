"""Qualcomm's estimator answers a known graph at once, and a new one soon."""

from pathlib import Path
from typing import Any

import pytest

from harness.estimate import vendor
from harness.graph import parse
from tests import models

pytest.importorskip("onnxruntime_qnn")
pytest.importorskip("onnx")

pytestmark = pytest.mark.qualcomm


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))


def test_a_new_graph(benchmark: Any) -> None:
    """One UNet at 256x256, never seen; the aim is under 3 s, the worker's start included."""
    graph = parse(models.unet(size_px=256, channels=32))

    found = benchmark.pedantic(vendor.estimate, args=(graph,), rounds=1)

    assert found.time_ms > 0.0


def test_a_known_graph(benchmark: Any) -> None:
    """The same again; the aim is under 20 ms."""
    graph = parse(models.unet(size_px=256, channels=32))
    vendor.estimate(graph)

    assert benchmark(vendor.estimate, graph).time_ms > 0.0
