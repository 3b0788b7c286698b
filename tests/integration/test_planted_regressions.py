"""Each planted fault turns exactly the right gate red, and no other."""

import shutil
from collections.abc import Callable

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as fb

from harness import profiles, resizing, results
from harness.evidence import sha256_of
from harness.verdict import Outcome
from tests import tiny

pytestmark = pytest.mark.slow

_GATES = {"latency", "cpu_fallback", "fidelity", "scaling", "regression"}


class Plant:
    """Plant faults in a blessed project, and say which gates of which variants turn red."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        self.folder = pytester.path / "golden" / tiny.NAME
        self.toml = self.folder / "subject.toml"

    def red(self, *arguments: str) -> set[tuple[str, str, str]]:
        """Run all gates; return (gate, variant, metric) of what failed, after some checks."""
        run = self.pytester.runpytest(*(arguments or ("--device=pixel4",)))
        self.text = " ".join(run.stdout.str().split())
        records = list(results.load(results.latest(self.pytester.path)).records)
        assert {record.verdict.gate for record in records} >= _GATES
        failed = {
            (record.verdict.gate, record.variant, record.verdict.metric)
            for record in records
            if record.verdict.outcome is Outcome.FAIL
        }
        rest = {r.verdict.outcome for r in records} - {Outcome.FAIL}
        assert rest == {Outcome.PASS}, "a planted fault made something inconclusive"
        assert (run.ret == pytest.ExitCode.OK) is (not failed)
        return failed

    def change(self, variant: str, change: Callable[[fb.ModelT], None]) -> None:
        """Change a model and its hash, as a team would that exported it anew."""
        path = self.folder / f"{variant}.tflite"
        old = path.read_bytes()
        tree = fb.ModelT.InitFromPackedBuf(bytearray(old), 0)
        change(tree)
        path.write_bytes(resizing.pack(tree))
        tiny.edit(self.toml, sha256_of(old), sha256_of(path.read_bytes()))


@pytest.fixture
def plant(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Plant:
    """Return a blessed project that is green."""
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:hypothesispytest -p no:benchmark")
    return Plant(project)


def _gates(red: set[tuple[str, str, str]]) -> set[str]:
    return {gate for gate, _, _ in red}


def test_without_a_fault_everything_is_green(plant: Plant) -> None:
    assert plant.red() == set()


def test_a_scaled_weight_is_wrong_pixels(plant: Plant) -> None:
    """A second FP32 export, `fresh`, is the blessed one but for one kernel."""
    _add_fresh_export(plant)
    assert plant.red() == set()

    plant.change("fresh", lambda tree: _scale_last_kernel(tree, 1.5))

    red = plant.red()
    assert {(gate, variant) for gate, variant, _ in red} <= {
        ("fidelity", "fresh"), ("regression", "fresh"),
    }  # fmt: skip
    assert ("fidelity", "fresh", "psnr_db") in red
    assert {metric for gate, _, metric in red if gate == "regression"} <= {"quality_db"}


def test_a_weight_that_is_not_a_number_is_counted_as_such(plant: Plant) -> None:
    _add_fresh_export(plant)

    plant.change("fresh", lambda tree: _scale_last_kernel(tree, float("nan")))

    red = plant.red()
    assert ("fidelity", "fresh", "non_finite_values") in red
    assert {variant for _, variant, _ in red} == {"fresh"}
    assert _gates(red) <= {"fidelity", "regression"}


def test_a_driver_that_refuses_one_op_is_fallback(plant: Plant) -> None:
    """The phone `ours` is pixel4 whose driver takes no RESIZE_BILINEAR."""
    shipped = (profiles.shipped_folder() / "pixel4.toml").read_text(encoding="utf-8")
    ours = shipped.replace('name = "pixel4"', 'name = "ours"', 1)
    phones = plant.pytester.mkdir("phones")
    (phones / "ours.toml").write_text(ours, encoding="utf-8")
    plant.pytester.makeini("[pytest]\nprofile_dirs = phones\n")
    code = tiny.command(
        "bless", tiny.NAME, "--device=ours", "--yes", "--golden-dir", plant.folder.parent,
        "--profiles", phones,
    )  # fmt: skip
    assert code == 0
    assert plant.red("--device=ours") == set()

    (phones / "ours.toml").write_text(
        ours.replace('op = "TRANSPOSE_CONV"', 'op = "RESIZE_BILINEAR"'), encoding="utf-8"
    )

    red = plant.red("--device=ours")
    assert {(g, v) for g, v, m in red if m == "cpu_ops" and g == "cpu_fallback"} == {
        ("cpu_fallback", "fp32"), ("cpu_fallback", "int8_ptq"),
    }  # fmt: skip
    # What it was blessed with, and what it then costs, are worse as well; nothing else is.
    assert {m for g, _, m in red if g == "regression"} <= {"cpu_ops", "partitions", "latency_ms"}
    assert _gates(red) == {"cpu_fallback", "regression"}
    assert "RESIZE_BILINEAR" in plant.text


def test_a_budget_that_is_broken_twice_over_is_slow(plant: Plant) -> None:
    record = next(r for r in _records(plant) if r.verdict.gate == "latency" and r.variant == "fp32")
    assert record.verdict.low is not None
    own = (
        '[[budgets]]\ndevices = ["pixel4"]\ndelegates = ["nnapi"]\nvariants = ["fp32"]\n'
        f'resolution = "64x64"\nlatency_ms = {record.verdict.low / 2}\nsource = "planted"\n\n'
    )
    text = plant.toml.read_text(encoding="utf-8")
    plant.toml.write_text(text.replace("[[budgets]]", own + "[[budgets]]", 1), encoding="utf-8")

    assert plant.red() == {("latency", "fp32", "latency_ms")}


def test_a_worse_baseline_is_a_regression(plant: Plant) -> None:
    path = plant.folder / "baselines.json"
    (value,) = {
        str(r.verdict.observed)
        for r in _records(plant)
        if (r.verdict.gate, r.variant, r.verdict.metric) == ("regression", "int8_ptq", "quality_db")
    }
    tiny.edit(path, value, str(float(value) + 0.5))

    assert plant.red() == {("regression", "int8_ptq", "quality_db")}


def test_a_broken_growth_limit_is_scaling(plant: Plant) -> None:
    tiny.edit(plant.toml, "exponent = 1.3", "exponent = 0.0001")

    assert {(gate, metric) for gate, _, metric in plant.red()} == {("scaling", "scaling_exponent")}


def test_a_stale_golden_is_an_error_that_names_bless(plant: Plant) -> None:
    frames = plant.folder / "frames"
    shutil.copy(frames / "b.blurred.png", frames / "a.blurred.png")

    run = plant.pytester.runpytest("--device=pixel4")

    outcomes = run.parseoutcomes()
    broken = outcomes.get("errors", 0) + outcomes.get("failed", 0)
    text = " ".join(run.stdout.str().split())
    stale = [
        record.test
        for record in results.load(results.latest(plant.pytester.path)).records
        if record.verdict.metric == "error"
    ]
    assert "stale, the frame has changed since; run `harness bless unet`" in text
    assert len(stale) == 4
    assert all(test.startswith("test_fidelity.py") and test.endswith("-a]") for test in stale)
    # Quality is blessed as a mean over frames, so that baseline may change with a frame.
    assert broken - len(stale) <= 2


def test_a_model_that_changed_without_a_blessing_is_an_error_that_names_bless(
    plant: Plant,
) -> None:
    path = plant.folder / "int8_ptq.tflite"
    path.write_bytes(path.read_bytes() + b"\0\0\0\0")

    run = plant.pytester.runpytest("--device=pixel4", "-k", "int8_ptq")

    assert "passed" not in run.parseoutcomes()
    assert "content changed since it was blessed" in " ".join(run.stdout.str().split())


def _records(plant: Plant) -> list[results.Record]:
    assert plant.red() == set()
    return list(results.load(results.latest(plant.pytester.path)).records)


def _add_fresh_export(plant: Plant) -> None:
    """Add the FP32 model a second time as variant `fresh`, and bless that."""
    model = plant.folder / "fresh.tflite"
    shutil.copy(plant.folder / "fp32.tflite", model)
    # One byte after the end, which no reader looks at, gives it a hash of its own.
    model.write_bytes(model.read_bytes() + b"\0")
    text = plant.toml.read_text(encoding="utf-8")
    head, first, *rest = text.split("[[variants]]")
    copy = (
        first.replace('name = "fp32"', 'name = "fresh"')
        .replace("fp32.tflite", "fresh.tflite")
        .replace(
            sha256_of((plant.folder / "fp32.tflite").read_bytes()), sha256_of(model.read_bytes())
        )
    )
    plant.toml.write_text(
        "[[variants]]".join([head, first, rest[0].split("[[ships]]")[0], copy])
        + "[[ships]]" + rest[0].split("[[ships]]", 1)[1],
        encoding="utf-8",
    )  # fmt: skip
    tiny.bless(plant.folder.parent)


def _scale_last_kernel(tree: fb.ModelT, factor: float) -> None:
    """Scale the kernel of the last convolution: its one weight, or all of it for a number."""
    graph = tree.subgraphs[0]
    conv = [op for op in graph.operators if len(op.inputs) == 3][-1]
    buffer = tree.buffers[graph.tensors[conv.inputs[1]].buffer]
    weights = np.frombuffer(bytes(buffer.data), np.float32).copy()
    if np.isnan(factor):
        weights[0] = factor
    else:
        weights *= factor
    buffer.data = np.frombuffer(weights.tobytes(), np.uint8)
