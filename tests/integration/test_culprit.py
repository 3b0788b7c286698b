"""Tests of the culprit search between the NPU simulator and the CPU, run for real."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from harness import culprit, graph, profiles
from harness.culprit.search import Values
from harness.model import Model
from harness.profiles import Target
from harness.stacks import mldrift, qnn, xnnpack
from tests import faults, models, needs

pytestmark = pytest.mark.qualcomm

PROFILES = profiles.load_all([profiles.shipped_folder()])
S24 = Target(profile=PROFILES["galaxy_s24"], delegate="qnn")
PIXEL4 = Target(profile=PROFILES["pixel4"], delegate="gpu")
FRAME = np.random.default_rng(3).random((1, 16, 16, 3), dtype=np.float32)


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    needs.installed(qnn.missing())
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("HARNESS_CACHE", str(folder))
        yield folder


def on_npu(model: Model, inputs: Sequence[Values]) -> Sequence[Values]:
    return qnn.execute(model, S24, inputs)


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_the_npu_computes_what_the_cpu_computes(dtype: str) -> None:
    model = models.unet(dtype=dtype, channels=8)

    found = culprit.search(
        models.model(model),
        models.model(model),
        FRAME,
        run=on_npu,
        run_reference=xnnpack.execute,
        tolerance_db=10.0,
    )

    assert found.culprit is None
    assert len(found.points) == len(graph.parse(model).ops)
    assert any(point.snr_db < 120.0 for point in found.points)  # it did run elsewhere


def test_an_op_that_only_the_npu_gets_wrong_is_found() -> None:
    model = models.unet(dtype="int8", channels=8)
    parsed = graph.parse(model)
    resize = [op for op in parsed.ops if op.name == "RESIZE_BILINEAR"][1]

    def broken_npu(whole: Model, inputs: Sequence[Values]) -> Sequence[Values]:
        part, read = whole.data, whole.graph
        names = {op.index: read.tensors[op.outputs[0]].name for op in read.ops}
        wrong = parsed.tensors[resize.outputs[0]].name
        for index in (index for index, name in names.items() if name == wrong):
            part = faults.set_option(part, index, "alignCorners", True)
        return on_npu(models.model(part), inputs)

    found = culprit.search(
        models.model(model),
        models.model(model),
        FRAME,
        run=broken_npu,
        run_reference=xnnpack.execute,
        tolerance_db=20.0,
    )

    assert found.culprit is not None
    assert found.culprit.index == resize.index
    assert "the kernel computes something else from the same inputs" in found.cause


def test_a_quantized_variant_on_the_npu_is_searched_against_fp32() -> None:
    sound = models.unet(dtype="int8", channels=8)
    parsed = graph.parse(sound)
    conv = [op for op in parsed.ops if op.name == "CONV_2D"][1]
    broken = faults.scale_tensor(sound, conv.inputs[1], 3.0)

    found = culprit.search(
        models.model(broken), models.model(faults.float_twin(sound)), FRAME,
        run=on_npu, run_reference=xnnpack.execute, tolerance_db=10.0,
    )  # fmt: skip

    assert found.culprit is not None
    assert found.culprit.index == conv.index
    assert "wrong constant" in found.cause


@pytest.mark.parametrize("reduction", ["MEAN", "SUM"])
def test_an_add_that_a_reduction_reads_is_not_blamed_on_the_gpu(reduction: str) -> None:
    """Channel attention: ML Drift computes the ADD wrongly only where it is an output too."""
    needs.installed(mldrift.missing())
    builder = models.ModelBuilder()
    image = builder.activation((1, 16, 16, 3))
    head = builder.conv(image, 8)
    added = builder.same("ADD", builder.conv(head, 8), head)
    pooled = builder.activation((1, 1, 1, 8))
    axes = builder.constant(np.array([1, 2]))
    builder.op(reduction, [added, axes], [pooled], keep_dims=True)
    model = models.model(
        builder.build([image], [builder.conv(builder.same("MUL", head, pooled), 3)])
    )

    found = culprit.search(
        model,
        model,
        FRAME,
        run=lambda model, inputs: mldrift.execute(model, PIXEL4, inputs),
        run_reference=xnnpack.execute,
        tolerance_db=60.0,
    )

    assert found.culprit is None
    assert min(point.snr_db for point in found.points) > 60.0
