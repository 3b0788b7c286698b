"""Node data as Google's own package reads it.

The package is large (660 MB), so that no extra brings it: HARNESS_MODEL_EXPLORER_PYTHON names the
Python of a venv that has `ai-edge-model-explorer`.
"""

import json
import os
from pathlib import Path

import pytest

from harness import child
from tests import tiny

_READ = """
import dataclasses, json, sys
from model_explorer import node_data_builder as ndb
from model_explorer.builtin_tflite_flatbuffer_adapter import BuiltinTfliteFlatbufferAdapter
model, *files = sys.argv[1:]
found = BuiltinTfliteFlatbufferAdapter().convert(model, {})["graphCollections"][0]
nodes = {g["id"]: [n["id"] for n in g["nodes"]] for g in json.loads(json.dumps(
    found.graphs, default=vars))}
read = {}
for file in files:
    data = json.load(open(file))
    graphs = {}
    for graph, one in data.items():
        results = {at: ndb.NodeDataResult(**result) for at, result in one.pop("results").items()}
        one["gradient"] = [ndb.GradientItem(**item) for item in one.pop("gradient", [])]
        graphs[graph] = ndb.GraphNodeData(results=results, **one)
    read[file] = json.loads(ndb.ModelNodeData(graphsData=graphs).to_json_string())
print(json.dumps({"nodes": nodes, "read": read}))
"""


@pytest.fixture
def explorer() -> Path:
    """Return the Python of a venv that has the package."""
    named = os.environ.get("HARNESS_MODEL_EXPLORER_PYTHON")
    if not named:
        pytest.skip("HARNESS_MODEL_EXPLORER_PYTHON names no Python with ai-edge-model-explorer")
    return Path(named)


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["fp32", "int8_ptq"])
def test_each_value_is_of_an_op_of_the_graph_that_the_package_draws(
    explorer: Path, variant: str, tmp_path: Path
) -> None:
    model = tiny.subject(tmp_path / "golden", tmp_path / "work") / f"{variant}.tflite"
    tiny.command("inspect", model, "--device=pixel4", "--model-explorer", tmp_path / "data")
    files = sorted((tmp_path / "data").iterdir())
    assert len(files) >= 2

    done = child.run([explorer, "-c", _READ, model, *files], stage="reading", timeout_s=300)

    assert done.exit_code == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    for file in files:
        ours = json.loads(file.read_text(encoding="utf-8"))
        for graph, one in ours.items():
            assert set(one["results"]) <= set(said["nodes"][graph])
            theirs = said["read"][str(file)][graph]
            assert {key: theirs[key] for key in one} == one
